"""The lines of `call`, written so that as few names as possible are not the author's.

>>> # x_2 = self.attn(self.norm1(x)); x = x + x_2   where torch writes one line becomes
>>> # x = x + self.attn(self.norm1(x))
"""

from __future__ import annotations

from dataclasses import dataclass

from transpiler.code import Code
from transpiler.outline.call_numbers import sizes_read, which_size
from transpiler.outline.element_lists import as_lists
from transpiler.outline.forward_source import AuthorNames
from transpiler.outline.lines import BranchItem, Item, inlined_where_used, nested, read_where_used
from transpiler.outline.local_names import UnassignedError
from transpiler.outline.neighbours import statements
from transpiler.outline.program import Line
from transpiler.outline.trees import refs
from transpiler.outline.variables import BodyWriter

_MOST_READS = 2
"""Times that a size is read where it is needed rather than from a variable."""

_MOST_TRIALS = 100


@dataclass(frozen=True, slots=True)
class CallBody:
    """What `call` takes, and its lines."""

    arguments: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class _Draft:
    items: list[Item | BranchItem]
    result: Code


def call_body(
    arguments: tuple[tuple[str, bool], ...],
    items: list[Item | BranchItem],
    result: Code,
    taken: frozenset[str],
    author: AuthorNames,
) -> CallBody:
    """The lines for these statements.

    Args:
        arguments: names of the arguments, and whether they are lists; they are the first values.
        items: statements and branches in order.
        result: what is returned.
        taken: names that must not be shadowed.
        author: what torch's source calls things.

    Raises:
        UnassignedError: a value is read where nothing has computed it.
    """
    items, result, lists = as_lists(items, result)
    names = tuple(name for name, _ in arguments)
    flags = tuple(is_list for _, is_list in arguments)

    def written(draft: _Draft) -> tuple[CallBody, dict[int, str]]:
        writer = BodyWriter(names, flags, draft.items, draft.result, taken, author, lists)
        lines = writer.lines()
        return CallBody(writer.arguments, lines), writer.invented

    draft = _Draft(*nested(items, result))
    body, invented = written(draft)
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
            other_body, still_invented = written(other)
        except UnassignedError:  # it is computed on one way only
            continue
        if _count(still_invented) < _count(invented) and still_invented.keys() <= invented.keys():
            draft, body, invented = other, other_body, still_invented
    return body


def _without(draft: _Draft, value: int) -> _Draft | None:
    """The same without a variable for this value; None if it needs one."""
    if which_size(value) is None:
        changed = inlined_where_used(draft.items, draft.result, value)
        return None if changed is None else _Draft(*changed)
    together = next((set(item.results) for item in statements(draft.items) if value in item.results), set())
    codes = [*(item.code for item in statements(draft.items)), draft.result]
    reads = [one for code in codes for one in refs(code)]
    if any(reads.count(one) > _MOST_READS for one in together):
        return None
    return _Draft(*read_where_used(draft.items, draft.result, sizes_read(together)))


def _count(invented: dict[int, str]) -> tuple[int, int]:
    return len(set(invented.values())), len(invented)
