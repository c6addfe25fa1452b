"""Statements written in the way that leaves fewest names that are not the author's.

>>> # x_2 = self.attn(self.norm1(x)); x = x + x_2   where torch writes one line becomes
>>> # x = x + self.attn(self.norm1(x))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from transpiler.code import Code
from transpiler.outline.call_numbers import sizes_read, which_size
from transpiler.outline.lines import BranchItem, Item
from transpiler.outline.local_names import UnassignedError
from transpiler.outline.neighbours import statements
from transpiler.outline.where_used import inlined_where_used, read_where_used
from transpiler.trees import refs

_MOST_READS = 2
"""Times that a size is read where it is needed rather than from a variable."""

_MOST_TRIALS = 100

_Lines = TypeVar("_Lines")


@dataclass(frozen=True, slots=True)
class Draft:
    """Statements, and what comes out of them."""

    items: list[Item | BranchItem]
    result: Code


def fewest_names(draft: Draft, written: Callable[[Draft], tuple[_Lines, Mapping[int, str]]]) -> _Lines:
    """The lines of the draft, or of one that nests values where they are used, if that needs fewer names of ours.

    Args:
        draft: nested already as torch's lines are.
        written: gives the lines of a draft, and the names in them that are not the author's, by value.

    Raises:
        UnassignedError: a value is read where nothing has computed it.
    """
    lines, invented = written(draft)
    tried: set[int] = set()
    while len(tried) < _MOST_TRIALS:
        value = next((one for one in invented if one not in tried), None)
        if value is None:
            break
        tried.add(value)
        other = _without(draft, value)
        if other is None:
            continue
        try:
            other_lines, still_invented = written(other)
        except UnassignedError:  # it is computed on one way only
            continue
        if _count(still_invented) < _count(invented) and still_invented.keys() <= invented.keys():
            draft, lines, invented = other, other_lines, still_invented
    return lines


def _without(draft: Draft, value: int) -> Draft | None:
    """The same without a variable for this value; None if it needs one."""
    if which_size(value) is None:
        changed = inlined_where_used(draft.items, draft.result, value)
        return None if changed is None else Draft(*changed)
    together = next((set(item.results) for item in statements(draft.items) if value in item.results), set())
    codes = [*(item.code for item in statements(draft.items)), draft.result]
    reads = [one for code in codes for one in refs(code)]
    if any(reads.count(one) > _MOST_READS for one in together):
        return None
    return Draft(*read_where_used(draft.items, draft.result, sizes_read(together)))


def _count(invented: Mapping[int, str]) -> tuple[int, int]:
    return len(set(invented.values())), len(invented)
