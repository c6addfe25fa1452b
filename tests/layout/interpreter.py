"""Runs the code of a body under construction on numpy arrays, without Keras."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from transpiler.code import Binary, Call, Code, Ellipsis_, Function, Index, Literal, Ref, Slice, Spread
from transpiler.code import Sequence as CodeSequence
from transpiler.layout.axes import Layout
from transpiler.layout.body import BodyBuilder, Held

Array = np.ndarray[Any, Any]

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "keras.ops.reshape": np.reshape,
    "keras.ops.transpose": np.transpose,
    "keras.ops.squeeze": np.squeeze,
    "keras.ops.expand_dims": np.expand_dims,
    "keras.ops.broadcast_to": np.broadcast_to,
    "keras.ops.concatenate": np.concatenate,
    "keras.ops.stack": np.stack,
    "keras.ops.sum": np.sum,
    "keras.ops.einsum": np.einsum,
    "keras.ops.shape": np.shape,
    "keras.ops.split": np.split,
    "keras.ops.unstack": lambda x, axis=0: [np.take(x, index, axis) for index in range(x.shape[axis])],
}


def run(body: BodyBuilder, inputs: Sequence[Array]) -> dict[int, Array]:
    """Every value of the body, by number; the inputs are in physical order."""
    values: dict[int, Any] = dict(enumerate(inputs))
    for statement in body.statements:
        result = evaluate(statement.code, values)
        results = [result] if len(statement.results) == 1 else result
        values |= zip(statement.results, results, strict=True)
    return values


def evaluate(code: Code | Slice | Ellipsis_ | None, values: dict[int, Any]) -> Any:
    """The value of an expression."""
    match code:
        case None:
            return None
        case Literal(value):
            return value
        case Ref(number):
            return values[number]
        case Call(Function(name), arguments, keywords):
            given = {key: evaluate(value, values) for key, value in keywords}
            return FUNCTIONS[name](*(evaluate(argument, values) for argument in arguments), **given)
        case Index(base, items):
            places = tuple(evaluate(item, values) for item in items)
            return evaluate(base, values)[places[0] if len(places) == 1 else places]
        case Slice(start, stop, step):
            return slice(*(evaluate(part, values) for part in (start, stop, step)))
        case Ellipsis_():
            return ...
        case CodeSequence(kind, items):
            parts = [
                part
                for item in items
                for part in (evaluate(item.items[0], values) if isinstance(item, Spread) else [evaluate(item, values)])
            ]
            return tuple(parts) if kind == "tuple" else parts
        case Binary(operator, left, right):
            one, other = evaluate(left, values), evaluate(right, values)
            return one + other if operator == "+" else one * other
        case _:
            raise NotImplementedError(type(code).__name__)


def physical(array: Array, layout: Layout) -> Array:
    """A torch-ordered array as `layout` lays it."""
    atoms = array.reshape([int(size) for size in layout.atoms])
    return atoms.transpose(layout.order).reshape([int(size) for size in layout.physical_shape])


def logical(array: Array, layout: Layout) -> Array:
    """The torch-ordered array that a tensor of this layout stands for; broadcast atoms are repeated."""
    sizes = [int(size) for size in layout.atoms]
    held = array.reshape([sizes[atom] for atom in layout.order])
    where = sorted(range(len(layout.order)), key=lambda place: layout.order[place])
    held = held.transpose(where)
    full = held.reshape([size if atom not in layout.broadcast else 1 for atom, size in enumerate(sizes)])
    return np.broadcast_to(full, sizes).reshape([int(size) for size in layout.shape])


def value_of(held: Held, values: dict[int, Array]) -> Array:
    """The torch-ordered array that `held` stands for."""
    return logical(np.asarray(evaluate(held.code, values)), held.layout)
