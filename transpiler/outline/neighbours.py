"""What a statement's neighbours tell about the name of its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from transpiler.code import Code, Ref
from transpiler.outline.lines import BranchItem, Item, JoinItem, joined_values
from transpiler.outline.telling_names import unmoved
from transpiler.trees import refs

_FARTHEST = 4
"""Statements that are followed from one to the next."""


class Successors:
    """What becomes of values that are used once, by statements that read nothing else.

    >>> # _1 = norm(x); x_win = view(_1): the first value is on its way to be x_win
    """

    def __init__(self, items: list[Item | BranchItem], result: Code) -> None:
        """`result` is what is returned."""
        self._items = list(statements(items))
        self._all = items
        self._result = result
        self._branches = [item for item in items if isinstance(item, BranchItem)]
        self.hints: dict[int, str | None] = {}
        """What torch's lines call values."""
        for item in self._items:
            if len(item.names) == len(item.results):
                self.hints |= dict(zip(item.results, item.names, strict=True))
        self._uses: dict[int, int] = {}
        self._reader: dict[int, int] = {}
        self._made = {value: place for place, item in enumerate(self._items) for value in item.results}
        for place, item in enumerate(self._items):
            for value in refs(item.code):
                self._uses[value] = self._uses.get(value, 0) + 1
                self._reader[value] = place
        for value in (*refs(result), *joined_values(items)):
            self._uses[value] = self._uses.get(value, 0) + 2

    def names(self, value: int) -> Iterator[str]:
        """Names of what is made of a value, the nearest first, that nothing else bears up to there."""
        start = self._made.get(value)
        if start is None:
            return
        barred: set[str | None] = set()
        place = start
        for _ in range(_FARTHEST):
            if self._uses.get(value) != 1 or value not in self._reader:
                yield from self._join_names(value)
                return
            reader = self._reader[value]
            barred |= {name for item in self._items[place + 1 : reader] for name in item.names}
            item = self._items[reader]
            if len(item.results) != 1 or set(refs(item.code)) != {value}:
                return
            name = item.names[0] if item.names else None
            if name is not None and name not in barred:
                yield name
            value, place = item.results[0], reader

    def _join_names(self, value: int) -> Iterator[str]:
        """The name of what comes out of the branch that is all that reads a value."""
        for branch in self._branches:
            join = next((one for one in branch.joins if value == one.outside), None)
            inner = sum(refs(item.code).count(value) for item in (*branch.then, *branch.otherwise))
            if join is not None and self._uses.get(value) == inner + 2:  # a join counts as two
                hint = join_hint(join, branch, self.hints)
                if hint is not None:
                    yield hint

    def on_one_way(self, branch: BranchItem) -> set[int]:
        """Values that a branch makes if it is taken, and that only those read that take it."""
        made = {value for item in branch.then for value in item.results}
        others = list(refs(self._result))
        for item in self._all:
            if isinstance(item, Item):
                others += refs(item.code)
                continue
            is_same = item.test == branch.test and item is not branch
            others += [one for inner in item.otherwise for one in refs(inner.code)]
            others += [join.outside for join in item.joins] + refs(item.test)
            if not is_same:
                others += [join.inside for join in item.joins]
            if not is_same and item is not branch:
                others += [one for inner in item.then for one in refs(inner.code)]
        return made - set(others)


def join_hint(join: JoinItem, branch: BranchItem, hints: Mapping[int, str | None]) -> str | None:
    """What torch's lines call what comes out of a branch.

    Args:
        join: what comes out.
        branch: that it comes out of.
        hints: what torch's lines call values: what only gets another shape is called as it was before.
    """
    for item in (*branch.then, *branch.otherwise):
        value = next((one for one in (join.inside, join.outside) if one in item.results), None)
        if value is not None:
            moved = unmoved(item.code)
            before = hints.get(moved.value) if isinstance(moved, Ref) and moved is not item.code else None
            hint = before or hints.get(value)
            if hint is not None:
                return hint
    return None


def statements(items: list[Item | BranchItem]) -> Iterator[Item]:
    """All statements, those of branches included."""
    for item in items:
        if isinstance(item, Item):
            yield item
        else:
            yield from (*item.then, *item.otherwise)


def intermediate(items: list[Item | BranchItem]) -> set[tuple[int, ...]]:
    """Results of statements after which the same line of torch computes what it is about.

    In a loop that torch unrolled every line runs again: what counts is the next statement, but for those that only give
    a value another shape.
    """
    found: set[tuple[int, ...]] = set()
    moves: dict[object, tuple[int, ...]] = {}
    before: Item | None = None
    for statement in statements(items):
        key = (statement.source, statement.names)
        if statement.source is not None:
            if before is not None and (before.source, before.names) == key:
                found.add(before.results)
            if key in moves:
                found.add(moves[key])
            if isinstance(unmoved(statement.code), Ref):
                moves[key] = statement.results
        before = statement
    return found
