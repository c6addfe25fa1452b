"""What the values of neighbours are by their places, as people write it.

>>> # 24, 48, 48, 48 is 24 if i == 0 else 48; 0, 1, 0, 1 is 0 if i % 2 == 0 else 1; 16, 24, 32 is 16 + 8 * i
>>> # 0.015000000000000003, 0.02, 0.025 is 0.2 * (i + 3) / 40
"""

from __future__ import annotations

from collections.abc import Sequence

from transpiler.code import Binary, Code, Conditional, Literal
from transpiler.lowered import Basic
from transpiler.outline.series import question
from transpiler.trees import code_of

_LARGEST_DIVISOR = 256
_DIGITS = 6
"""Of the number that a fraction begins with: those of a setting, not of a result."""


def by_place(values: Sequence[Basic], index: Code) -> Code | None:
    """An expression that is exactly `values[i]` for every `i`; None where none is found.

    >>> by_place([0.0, 0.1, 0.2, 0.30000000000000004], Name("i"))
    Binary(operator='*', left=Literal(value=0.1), right=Name(name='i'))

    Args:
        values: at least three, not all the same.
        index: what stands for `i`.
    """
    found = _progression(values, index)
    if found is None and (test := question({0: tuple(values)}, index)) is not None:
        return Conditional(test, code_of(values[0]), code_of(values[1]))
    return found


def _progression(values: Sequence[Basic], index: Code) -> Code | None:
    """The same for numbers that grow evenly."""
    kinds = {type(value) for value in values}
    if kinds == {int}:
        return _steps([value for value in values if isinstance(value, int)], index)
    if kinds == {float}:
        return _fraction([value for value in values if isinstance(value, float)], index)
    return None


def _steps(values: Sequence[int], index: Code) -> Code | None:
    """`start + step * i`."""
    start, step = values[0], values[1] - values[0]
    if step <= 0 or list(values) != [start + step * place for place in range(len(values))]:
        return None
    moved = index if step == 1 else Binary("*", Literal(step), index)
    return Binary("+", Literal(start), moved) if start else moved


def _fraction(values: Sequence[float], index: Code) -> Code | None:
    """`whole * (i + first) / count`, as rates that grow from block to block are computed."""
    step = values[1] - values[0]
    if step <= 0:
        return None
    found: list[tuple[float, int, int]] = []
    for count in range(1, _LARGEST_DIVISOR + 1):
        whole = round(step * count, _DIGITS)
        first = round(values[0] * count / whole) if whole else 0
        if whole and [whole * (place + first) / count for place in range(len(values))] == list(values):
            found.append((whole, first, count))
    if not found:
        return None
    whole, first, count = min(found, key=lambda one: (len(repr(one[0])), one[2]))
    product = Binary("*", Literal(whole), Binary("+", index, Literal(first)) if first else index)
    return Binary("/", product, Literal(count)) if count > 1 else product
