"""Layers that take turns, as people write them: one comprehension whose turns make all of them.

>>> # [Mix(64), Conv(64), Mix(64), Conv(64), Mix(64), Conv(64)] is
>>> # [layer for _ in range(3) for layer in (Mix(64), Conv(64))]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from transpiler.code import Call, Code, Comprehension, Name
from transpiler.trees import walk

LONGEST = 8
"""Layers of one turn."""

FEWEST_TURNS = 3

MUCH = 40
"""Names, literals and calls that are worth a comprehension of two turns."""


def segments(items: tuple[Code, ...], counted: Callable[[int], Code]) -> Iterator[tuple[Code, ...] | Comprehension]:
    """The elements of a list, in order: those that take turns as a comprehension, and what stands between them.

    Args:
        items: the elements.
        counted: the expression for a number of turns.
    """
    between: list[Code] = []
    at = 0
    while at < len(items):
        length, turns = _turns(items[at:])
        if not turns:
            between.append(items[at])
            at += 1
            continue
        if between:
            yield tuple(between)
            between = []
        yield Comprehension("list", items[at : at + length], ("_",), Call(Name("range"), (counted(turns),)))
        at += length * turns
    if between:
        yield tuple(between)


def _turns(items: tuple[Code, ...]) -> tuple[int, int]:
    """How many layers take turns from the first on, and how often; the second is 0 where none do."""
    best = (0, 0)
    for length in range(2, min(LONGEST, len(items) // 2) + 1):
        turn = items[:length]
        if len(set(turn)) == 1 or not all(isinstance(item, Call) for item in turn):
            continue
        turns = 1
        while items[turns * length : (turns + 1) * length] == turn:
            turns += 1
        is_worth_it = turns >= FEWEST_TURNS or (turns == 2 and sum(1 for item in turn for _ in walk(item)) >= MUCH)
        if is_worth_it and length * turns > best[0] * best[1]:
            best = length, turns
    return best
