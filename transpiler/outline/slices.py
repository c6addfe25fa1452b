"""Slices of several axes, one after the other, as one: `x[:, ::2][:, :, ::2]` is `x[:, ::2, ::2]`."""

from __future__ import annotations

from itertools import zip_longest

from transpiler.code import Code, Ellipsis_, Index, Slice
from transpiler.outline.program import Assign, For, If, Line, Return
from transpiler.trees import children, with_children

_WHOLE = Slice()


def with_joined_slices(line: Line) -> Line:
    """The line with slices of one value joined."""
    match line:
        case Assign(targets, value, comment):
            return Assign(targets, joined_slices(value), comment)
        case Return(value, comment):
            return Return(joined_slices(value), comment)
        case If(test, then, otherwise):
            return If(test, tuple(map(with_joined_slices, then)), tuple(map(with_joined_slices, otherwise)))
        case For(variables, iterable, body, comment):
            return For(variables, iterable, tuple(map(with_joined_slices, body)), comment)


def joined_slices(code: Code) -> Code:
    """The expression with slices of slices as one, where they are about different axes."""
    below = children(code)
    if below:
        code = with_children(code, tuple(map(joined_slices, below)))
    match code:
        case Index(Index(base, first), second) if (items := _joined(first, second)) is not None:
            return Index(base, items)
        case _:
            return code


def _joined(
    first: tuple[Code | Slice | Ellipsis_, ...], second: tuple[Code | Slice | Ellipsis_, ...]
) -> tuple[Slice, ...] | None:
    if not all(isinstance(item, Slice) for item in (*first, *second)):
        return None
    items: list[Slice] = []
    for one, other in zip_longest(first, second, fillvalue=_WHOLE):
        if not isinstance(one, Slice) or not isinstance(other, Slice) or _WHOLE not in (one, other):
            return None
        items.append(other if one == _WHOLE else one)
    return tuple(items)
