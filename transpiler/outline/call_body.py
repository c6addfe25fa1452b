"""The arguments and lines of `call`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from transpiler.code import Code
from transpiler.outline.element_lists import as_lists
from transpiler.outline.fewest_names import Draft, fewest_names
from transpiler.outline.forward_source import AuthorNames
from transpiler.outline.lines import BranchItem, Item, nested
from transpiler.outline.program import Line
from transpiler.outline.slices import with_joined_slices
from transpiler.outline.variables import BodyWriter


@dataclass(frozen=True, slots=True)
class CallBody:
    """What `call` takes, and its lines."""

    arguments: tuple[str, ...]
    lines: tuple[Line, ...]
    invented: frozenset[str]
    """Names of variables that torch's source does not have."""


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

    def written(draft: Draft) -> tuple[CallBody, Mapping[int, str]]:
        writer = BodyWriter(names, flags, draft.items, draft.result, taken, author, lists)
        lines = tuple(map(with_joined_slices, writer.lines()))
        return CallBody(writer.arguments, lines, frozenset(writer.invented.values())), writer.invented

    return fewest_names(Draft(*nested(items, result)), written)
