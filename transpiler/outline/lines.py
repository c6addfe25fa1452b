"""From merged steps to the lines of `call`: nesting as in torch's lines, and variable names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from transpiler import code as c
from transpiler.code import Call, Code, Conditional, Ref
from transpiler.keras_functions import SHAPE
from transpiler.lowered import SourceLine
from transpiler.outline.loops import Chain, Grow
from transpiler.outline.repeat import Repeat
from transpiler.trees import refs, shifted, transform, walk

DEEPEST = 6
"""Calls nested in one line beyond this are hard to read."""


@dataclass(frozen=True, slots=True)
class Item:
    """A statement: `results = code`."""

    results: tuple[int, ...]
    code: Code
    names: tuple[str | None, ...]
    source: SourceLine | None
    comment: str = ""
    gathered: str | None = None
    """The list that torch puts the result into without giving it a name."""


@dataclass(frozen=True, slots=True)
class JoinItem:
    """Value `result` is `inside` after the branch was taken, else `outside`."""

    result: int
    inside: int
    outside: int


@dataclass(frozen=True, slots=True)
class BranchItem:
    test: Code
    then: tuple[Item, ...]
    otherwise: tuple[Item, ...]
    joins: tuple[JoinItem, ...]


def nested(items: list[Item | BranchItem], result: Code) -> tuple[list[Item | BranchItem], Code]:
    """Put statements of one torch line into one expression where each inner result is used once.

    Args:
        items: statements and branches in order.
        result: what is returned; a value that no torch line names is returned directly.
    """
    items = _with_read_joins(items, result)
    uses = uses_of(items, result)
    items = [_needed(item, uses) if isinstance(item, Item) else item for item in items]
    items = [_as_expression(_nested_branch(item, uses)) if isinstance(item, BranchItem) else item for item in items]
    uses = uses_of(items, result)
    items = _inlined(items, uses)
    return _returned(items, result, uses_of(items, result))


def _with_read_joins(items: list[Item | BranchItem], result: Code) -> list[Item | BranchItem]:
    """What comes out of a branch and is never read would hold a name that others want."""
    read = set(refs(result))
    found: list[Item | BranchItem] = []
    for item in reversed(items):
        joins = tuple(join for join in item.joins if join.result in read) if isinstance(item, BranchItem) else ()
        read |= {value for join in joins for value in (join.inside, join.outside)}
        read |= {value for code in body_codes([item]) for value in refs(code)}
        found.append(dataclasses.replace(item, joins=joins) if isinstance(item, BranchItem) else item)
    return found[::-1]


def _needed(item: Item, uses: Mapping[int, int]) -> Item:
    """`y = max(x)` for `y, _ = max(x), argmax(x)`: of values made side by side, those that are read."""
    code = item.code
    if type(code) is not c.Sequence or len(code.items) != len(item.results) or len(item.names) != len(item.results):
        return item
    places = [place for place, value in enumerate(item.results) if value in uses]
    if len(places) != 1 or len(item.results) == 1:
        return item
    (place,) = places
    return dataclasses.replace(item, results=(item.results[place],), code=code.items[place], names=(item.names[place],))


def with_items(
    item: Item | BranchItem, changed: Callable[[Item], Item], change: Callable[[Code], Code | None]
) -> Item | BranchItem:
    """The item with its statements changed, and the test of a branch."""
    if isinstance(item, Item):
        return changed(item)
    then, otherwise = tuple(map(changed, item.then)), tuple(map(changed, item.otherwise))
    return BranchItem(transform(item.test, change), then, otherwise, item.joins)


def joined_values(items: list[Item | BranchItem]) -> frozenset[int]:
    """Values that branches end with."""
    branches = (item for item in items if isinstance(item, BranchItem))
    return frozenset(value for branch in branches for join in branch.joins for value in (join.inside, join.outside))


def body_codes(items: Iterable[Item | BranchItem]) -> list[Code]:
    """The expressions of all statements, those of branches included."""
    found: list[Code] = []
    for item in items:
        if isinstance(item, Item):
            found.append(item.code)
        else:
            found += [item.test, *(inner.code for inner in (*item.then, *item.otherwise))]
    return found


def uses_of(items: list[Item | BranchItem], result: Code) -> dict[int, int]:
    """How often each value is read; what comes out of a branch reads what it is on either way."""
    uses: dict[int, int] = {}

    def count(values: list[int]) -> None:
        for value in values:
            uses[value] = uses.get(value, 0) + 1

    for item in items:
        if isinstance(item, Item):
            count(refs(item.code))
            continue
        count(refs(item.test))
        for inner in (*item.then, *item.otherwise):
            count(refs(inner.code))
        for join in item.joins:
            count([join.inside, join.outside])
    count(refs(result))
    return uses


def _nested_branch(branch: BranchItem, uses: dict[int, int]) -> BranchItem:
    then = tuple(item for item in _inlined(list(branch.then), uses) if isinstance(item, Item))
    otherwise = tuple(item for item in _inlined(list(branch.otherwise), uses) if isinstance(item, Item))
    return BranchItem(branch.test, then, otherwise, branch.joins)


def _as_expression(branch: BranchItem) -> Item | BranchItem:
    """`y = f(x) if test else x` for a branch of one statement."""
    if len(branch.joins) != 1 or len(branch.then) != 1 or len(branch.otherwise) > 1:
        return branch
    (join,) = branch.joins
    step = branch.then[0]
    if step.results != (join.inside,) or is_loop(step.code) or step.comment:
        return branch
    other: Code = Ref(join.outside)
    if branch.otherwise:
        last = branch.otherwise[0]
        if last.results != (join.outside,) or is_loop(last.code) or last.comment:
            return branch
        other = last.code
    return Item((join.result,), Conditional(branch.test, step.code, other), step.names, step.source)


def _inlined(items: list[Item | BranchItem] | list[Item], uses: dict[int, int]) -> list[Item | BranchItem]:
    kept: list[Item | BranchItem] = list(items)
    place_of: dict[int, int] = {}
    gone: set[int] = set()
    named = (item for item in kept if isinstance(item, Item) and len(item.names) == len(item.results))
    names = {value: name for item in named for value, name in zip(item.results, item.names, strict=True)}
    for place, item in enumerate(kept):
        if not isinstance(item, Item):
            continue
        for value in refs(item.code):
            inner_place = place_of.get(value)
            if inner_place is None or inner_place in gone or uses.get(value) != 1:
                continue
            current, inner = kept[place], kept[inner_place]
            between = [at for at in range(inner_place + 1, place) if at not in gone]
            if any(_renames(kept[at], inner, names) for at in between):
                continue
            if isinstance(current, Item) and isinstance(inner, Item) and _may_nest(inner, current):
                kept[place] = dataclasses.replace(current, code=substituted(current.code, value, inner.code))
                gone.add(inner_place)
        if len(item.results) == 1:
            place_of[item.results[0]] = place
    return [item for place, item in enumerate(kept) if place not in gone]


def _renames(item: Item | BranchItem, inner: Item | BranchItem, names: Mapping[int, str | None]) -> bool:
    """Whether a statement gives a name to something else that a statement before it reads under this name."""
    if not isinstance(item, Item) or not isinstance(inner, Item) or item.source == inner.source:
        return False
    return any(name is not None and name in item.names for name in map(names.get, refs(inner.code)))


def _may_nest(inner: Item, outer: Item) -> bool:
    if inner.source is None or inner.source != outer.source or inner.comment:
        return False
    if is_loop(inner.code) or is_loop(outer.code):
        return False
    if list_name(inner.code) is not None and list_name(inner.code) == list_name(outer.code):
        return False
    return depth(inner.code) + depth(outer.code) <= DEEPEST


def is_loop(code: Code) -> bool:
    """Whether it is lines of their own, and no expression."""
    return isinstance(code, Chain | Grow | Repeat)


def list_name(code: Code) -> str | None:
    """The list of members that a call takes its layer from: one torch line in a loop, not a nested one."""
    if isinstance(code, Call) and isinstance(code.function, c.Member) and code.function.index is not None:
        return code.function.name
    return None


def depth(code: Code) -> int:
    """Calls in it; one that reads a size is as easy to read as a name."""
    return sum(isinstance(node, Call) and node.function != SHAPE for node in walk(code))


def substituted(code: Code, value: int, by: Code) -> Code:
    """The expression with another one for a value."""
    return shifted(code, lambda number: by if number == value else Ref(number))


def _returned(
    items: list[Item | BranchItem], result: Code, uses: dict[int, int]
) -> tuple[list[Item | BranchItem], Code]:
    """Return what the torch line returned without giving it a name."""
    kept = list(items)
    while kept:
        last = kept[-1]
        if not isinstance(last, Item) or len(last.results) != 1 or is_loop(last.code):
            break
        (value,) = last.results
        if uses.get(value) != 1 or value not in refs(result) or last.names[:1] not in ((), (None,)) or last.comment:
            break
        if not isinstance(result, Ref) and depth(last.code) > 2:
            break
        result = substituted(result, value, last.code)
        kept.pop()
    return kept, result
