"""Slices that take an axis apart, as one `ops.split`.

>>> # q = qkv[..., :96]; k = qkv[..., 96:192]; v = qkv[..., 192:]  is  q, k, v = ops.split(qkv, 3, axis=-1)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transpiler.code import Call, Code, Ellipsis_, Index, Literal, Ref, Slice
from transpiler.code import Sequence as CodeSequence
from transpiler.keras_functions import SPLIT
from transpiler.lift.program import Size
from transpiler.lowered import Statement

_WHOLE = Slice()


@dataclass(frozen=True, slots=True)
class _Part:
    """Statement number `place` is the part from `start` to `stop` of an axis."""

    place: int
    start: int
    stop: int


def with_splits(statements: Sequence[Statement], shapes: Mapping[int, tuple[Size, ...]]) -> tuple[Statement, ...]:
    """The statements with one in the place of all that slice the same axis, if they leave nothing out.

    Parts without a name stay where they are used.

    Args:
        statements: of one body, in order.
        shapes: of the values, as they lie in Keras.
    """
    parts: dict[tuple[int, int], list[_Part]] = {}
    for place, statement in enumerate(statements):
        found = _sliced(statement, shapes)
        if found is not None:
            value, axis, start, stop = found
            parts.setdefault((value, axis), []).append(_Part(place, start, stop))
    first: dict[int, Statement] = {}
    gone: set[int] = set()
    for (value, axis), own in parts.items():
        ordered = sorted(own, key=lambda part: part.start)
        size = shapes[value][axis]
        if len(own) > 1 and isinstance(size, int) and _covers(ordered, size):
            places = [part.place for part in ordered]
            is_last = axis == len(shapes[value]) - 1
            first[min(places)] = _split(statements, ordered, Ref(value), -1 if is_last else axis)
            gone.update(places)
    return tuple(
        first.get(place, statement) for place, statement in enumerate(statements) if place in first or place not in gone
    )


def _sliced(statement: Statement, shapes: Mapping[int, tuple[Size, ...]]) -> tuple[int, int, int, int] | None:
    """Value, axis, start and stop of a statement `name = x[..., start:stop]`; None if it is another one."""
    match statement.code:
        case Index(Ref(value), (*before, Slice() as part)) if value in shapes and _is_named(statement):
            pass
        case _:
            return None
    shape = shapes[value]
    if before == [Ellipsis_()]:
        axis = len(shape) - 1
    elif all(item == _WHOLE for item in before):
        axis = len(before)
    else:
        return None
    start, stop = _bound(part.start, 0), _bound(part.stop, shape[axis])
    if part.step is not None or start is None or stop is None:
        return None
    return value, axis, start, stop


def _is_named(statement: Statement) -> bool:
    return len(statement.names) == 1 and statement.names[0] is not None and statement.names[0].isidentifier()


def _bound(code: Code | None, default: Size) -> int | None:
    bound = default if code is None else code.value if isinstance(code, Literal) else None
    return bound if isinstance(bound, int) and bound >= 0 else None


def _covers(parts: Sequence[_Part], size: int) -> bool:
    """Whether the parts are the whole axis, one after the other."""
    stops = [0, *(part.stop for part in parts)]
    return stops[-1] == size and [part.start for part in parts] == stops[:-1]


def _split(statements: Sequence[Statement], parts: Sequence[_Part], value: Ref, axis: int) -> Statement:
    sizes = {part.stop - part.start for part in parts}
    cuts: Code = Literal(len(parts))
    if len(sizes) > 1:
        cuts = CodeSequence("list", tuple(Literal(part.start) for part in parts[1:]))
    earliest = statements[min(part.place for part in parts)]
    own = [statements[part.place] for part in parts]
    return Statement(
        tuple(statement.results[0] for statement in own),
        Call(SPLIT, (value, cuts), (("axis", Literal(axis)),)),
        tuple(statement.names[0] for statement in own),
        earliest.source,
        earliest.comment,
        earliest.reason,
    )
