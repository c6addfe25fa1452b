"""Parts of a split that are all reshaped alike: the whole is reshaped instead, once.

>>> # q, k, v = ops.split(qkv, 3, axis=-1), each then reshaped to (-1, 49, heads, 32), is
>>> # qkv = ops.reshape(qkv, (-1, 49, 3, heads, 32)); q, k, v = ops.unstack(qkv, axis=-3)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from transpiler.code import Binary, Call, Code, Literal, PartCount, Ref
from transpiler.code import Sequence as CodeSequence
from transpiler.keras_functions import RESHAPE, SPLIT, UNSTACK
from transpiler.lift.program import Size
from transpiler.lowered import Statement
from transpiler.trees import children, refs, transform

_Readers: TypeAlias = "Mapping[int, Sequence[tuple[Code, int | None]]]"
"""For each value the expressions that read it, with the value that they compute; None for the body's result."""


@dataclass(frozen=True, slots=True)
class _Split:
    """The last axis of `whole` taken apart into equal parts of size `size`."""

    whole: int
    parts: tuple[int, ...]
    size: int


def with_reshaped_wholes(
    statements: Sequence[Statement], result: Code, shapes: Mapping[int, tuple[Size, ...]], fresh: int
) -> tuple[tuple[Statement, ...], Code]:
    """The statements and the result with one reshape in the place of one for each part, where nothing else reads them.

    A part may be scaled by a number before it is reshaped.

    Args:
        statements: of one body, in order.
        result: what the body returns.
        shapes: of the values, as they lie in Keras.
        fresh: the first number that is no value's yet.
    """
    readers = _readers(statements, result)
    names = {statement.results[0]: statement.names[0] for statement in statements if len(statement.results) == 1}
    made: list[Statement] = []
    reshaped: set[int] = set()
    for statement in statements:
        split = _split(statement, shapes)
        read = split and _whole(split, readers)
        if split and read:
            made += _from_whole(split, *read, statement, names.get(split.whole), fresh)
            reshaped.update(value for part in split.parts for value in _scaled(part, readers))
            fresh += 1
        else:
            made.append(statement)
    return _without_reshapes(made, result, reshaped)


def _readers(statements: Sequence[Statement], result: Code) -> _Readers:
    found: dict[int, list[tuple[Code, int | None]]] = {}
    for statement in statements:
        for value in dict.fromkeys(refs(statement.code)):
            found.setdefault(value, []).append((statement.code, statement.results[0]))
    for value in dict.fromkeys(refs(result)):
        found.setdefault(value, []).append((result, None))
    return found


def _from_whole(
    split: _Split, shape: CodeSequence, axis: int, old: Statement, named: str | None, fresh: int
) -> tuple[Statement, Statement]:
    """The whole reshaped, as value `fresh`, and what takes it apart then."""
    whole = Call(RESHAPE, (Ref(split.whole), shape))
    keywords = (("axis", Literal(axis)),)
    parted = Call(UNSTACK, (Ref(fresh),), keywords)
    if axis == -1:
        parted = Call(SPLIT, (Ref(fresh), Literal(len(split.parts))), keywords)
    return Statement((fresh,), whole, (named,), old.source, reason=old.reason), replace(old, code=parted)


def _split(statement: Statement, shapes: Mapping[int, tuple[Size, ...]]) -> _Split | None:
    match statement.code:
        case Call(function, (Ref(whole), Literal(int() as count)), (("axis", Literal(axis)),)) if function == SPLIT:
            rank = len(shapes.get(whole, ()))
            size = shapes[whole][-1] if rank else None
            if axis in (-1, rank - 1) and isinstance(size, int) and len(statement.results) == count:
                return _Split(whole, statement.results, size // count)
    return None


def _whole(split: _Split, readers: _Readers) -> tuple[CodeSequence, int] | None:
    """The shape of the whole, and the axis that then counts its parts: -1 where they lie in the last one.

    Axes are counted from the end, since one item of the shape may stand for several, `*ops.shape(qkv)[1:3]`.
    """
    targets = {_target(part, split.whole, readers) for part in split.parts}
    target = targets.pop() if len(targets) == 1 else None
    return _whole_shape(target, split) if isinstance(target, CodeSequence) else None


def _target(value: int, whole: int, readers: _Readers) -> Code | None:
    """The shape that everything that reads `value` gives it, sizes of `value` as those of `whole`; None if another."""
    found: set[Code | None] = set()
    for code, result in readers.get(value, ()):
        if result is not None and _is_scaled(code, value):
            found.add(_target(result, whole, readers))
        else:
            found.update(_targets(code, value, whole))
    return found.pop() if len(found) == 1 else None


def _targets(code: Code, value: int, whole: int) -> Iterator[Code | None]:
    match code:
        case Call(function, (Ref(reshaped), CodeSequence() as shape), ()) if function == RESHAPE and reshaped == value:
            yield transform(shape, lambda node: Ref(whole) if node == Ref(value) else None)
        case Ref(read) if read == value:
            yield None
        case _:
            for child in children(code):
                yield from _targets(child, value, whole)


def _is_scaled(code: Code, value: int) -> bool:
    match code:
        case Binary("*" | "/", Ref(scaled), Literal()):
            return scaled == value
        case _:
            return False


def _scaled(value: int, readers: _Readers) -> Iterator[int]:
    """The value, and what it is after it was scaled."""
    yield value
    for code, result in readers.get(value, ()):
        if result is not None and _is_scaled(code, value):
            yield from _scaled(result, readers)


def _whole_shape(target: CodeSequence, split: _Split) -> tuple[CodeSequence, int] | None:
    sizes = [item.value if isinstance(item, Literal) else None for item in target.items]
    start = len(sizes)
    while start > 0 and math.prod(_numbers(sizes[start:])) != split.size:
        start -= 1
        if not isinstance(sizes[start], int) or sizes[start] == -1:
            return None
    if start == len(sizes) - 1 and start > 1 and sizes[start - 1] == 1:
        start -= 1  # a single head is one like several
    front, back, count = target.items[:start], target.items[start:], len(split.parts)
    if not front or not back:
        return None
    if len(back) == 1:
        return CodeSequence("tuple", (*front, Literal(split.size * count))), -1
    return CodeSequence("tuple", (*front, PartCount(count), *back)), -len(back) - 1


def _numbers(sizes: Sequence[object]) -> list[int]:
    return [size for size in sizes if isinstance(size, int)]


def _without_reshapes(
    statements: Sequence[Statement], result: Code, values: set[int]
) -> tuple[tuple[Statement, ...], Code]:
    """Everything with these values for what they were reshaped to."""
    same: dict[int, int] = {}

    def change(node: Code) -> Code | None:
        match node:
            case Call(function, (Ref(value), _), ()) if function == RESHAPE and value in values:
                return node.arguments[0]
            case Ref(value) if value in same:
                return Ref(same[value])
        return None

    kept = []
    for statement in statements:
        code = transform(statement.code, change)
        if isinstance(code, Ref) and code.value in values and code != statement.code:
            same[statement.results[0]] = code.value
        else:
            kept.append(replace(statement, code=code))
    return tuple(kept), transform(result, change)
