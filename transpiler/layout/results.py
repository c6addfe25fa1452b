"""What a body returns, as code and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transpiler import code as out
from transpiler.code import Code, Ref
from transpiler.layout.axes import Layout, fuse
from transpiler.layout.body import Held
from transpiler.layout.names import atom_letters, side
from transpiler.lift.program import Value, output_values
from transpiler.lowered import Argument


def structure(output: Any, results: Any) -> Code:
    """The output's code: one value, a flat tuple, or a mapping."""
    leaves = list(results)
    if isinstance(output, Mapping):
        return out.Mapping(tuple((key, held.code) for key, held in zip(leaf_keys(output), leaves, strict=True)))
    if len(leaves) == 1:
        code: Code = leaves[0].code
        return code
    return out.Sequence("tuple", tuple(held.code for held in leaves))


def leaf_keys(output: Mapping[str, Any]) -> list[str]:
    """A key for each leaf: nested ones are numbered."""
    keys: list[str] = []
    for key, item in output.items():
        count = len(output_values(item))
        keys += [key] if isinstance(item, Value) else [f"{key}_{index}" for index in range(count)]
    return keys


def shown(layout: Layout) -> str:
    """The Keras-side axes for people: "n h w c"."""
    layout = fuse(layout)
    return side(layout.axes, atom_letters(layout))


def argument(name: str, tensors: Sequence[Held], *, is_list: bool) -> Argument:
    """A parameter of `call` for these tensors."""
    first = tensors[0].layout
    numbers = tuple(tensor.code.value for tensor in tensors if isinstance(tensor.code, Ref))
    shapes = tuple(
        tuple(size if isinstance(size, int) else None for size in tensor.layout.physical_shape) for tensor in tensors
    )
    return Argument(name, numbers, is_list, shown(first), shapes[0], shapes if is_list else ())
