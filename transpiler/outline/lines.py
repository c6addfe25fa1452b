"""From merged steps to the lines of `call`: nesting as in torch's lines, and variable names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from transpiler import code as c
from transpiler.code import Call, Code, Conditional, Ref
from transpiler.lowered import SourceLine
from transpiler.outline.loops import Chain, Grow
from transpiler.outline.repeats import Repeat
from transpiler.outline.trees import refs, shifted, walk

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
    uses = _uses(items, result)
    items = [_as_expression(_nested_branch(item, uses)) if isinstance(item, BranchItem) else item for item in items]
    uses = _uses(items, result)
    items = _inlined(items, uses)
    return _returned(items, result, _uses(items, result))


def body_codes(items: Iterable[Item | BranchItem]) -> list[Code]:
    """The expressions of all statements, those of branches included."""
    found: list[Code] = []
    for item in items:
        if isinstance(item, Item):
            found.append(item.code)
        else:
            found += [item.test, *(inner.code for inner in (*item.then, *item.otherwise))]
    return found


def _uses(items: list[Item | BranchItem], result: Code) -> dict[int, int]:
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
    if step.results != (join.inside,) or isinstance(step.code, Chain | Grow | Repeat) or step.comment:
        return branch
    other: Code = Ref(join.outside)
    if branch.otherwise:
        last = branch.otherwise[0]
        if last.results != (join.outside,) or isinstance(last.code, Chain | Grow | Repeat) or last.comment:
            return branch
        other = last.code
    return Item((join.result,), Conditional(branch.test, step.code, other), step.names, step.source)


def _inlined(items: list[Item | BranchItem] | list[Item], uses: dict[int, int]) -> list[Item | BranchItem]:
    kept: list[Item | BranchItem] = list(items)
    place_of: dict[int, int] = {}
    gone: set[int] = set()
    for place, item in enumerate(kept):
        if not isinstance(item, Item):
            continue
        for value in refs(item.code):
            inner_place = place_of.get(value)
            if inner_place is None or inner_place in gone or uses.get(value) != 1:
                continue
            current, inner = kept[place], kept[inner_place]
            if isinstance(current, Item) and isinstance(inner, Item) and _may_nest(inner, current):
                kept[place] = dataclasses.replace(current, code=_substituted(current.code, value, inner.code))
                gone.add(inner_place)
        if len(item.results) == 1:
            place_of[item.results[0]] = place
    return [item for place, item in enumerate(kept) if place not in gone]


def _may_nest(inner: Item, outer: Item) -> bool:
    if inner.source is None or inner.source != outer.source or inner.comment:
        return False
    if isinstance(inner.code, Chain | Grow | Repeat) or isinstance(outer.code, Chain | Grow | Repeat):
        return False
    if _list_name(inner.code) is not None and _list_name(inner.code) == _list_name(outer.code):
        return False
    return _depth(inner.code) + _depth(outer.code) <= DEEPEST


def _list_name(code: Code) -> str | None:
    """The list of members that a call takes its layer from: one torch line in a loop, not a nested one."""
    if isinstance(code, Call) and isinstance(code.function, c.Member) and code.function.index is not None:
        return code.function.name
    return None


def _depth(code: Code) -> int:
    return sum(isinstance(node, Call) for node in walk(code))


def _substituted(code: Code, value: int, by: Code) -> Code:
    return shifted(code, lambda number: by if number == value else Ref(number))


def _returned(
    items: list[Item | BranchItem], result: Code, uses: dict[int, int]
) -> tuple[list[Item | BranchItem], Code]:
    """Return what the torch line returned without giving it a name."""
    kept = list(items)
    while kept:
        last = kept[-1]
        if not isinstance(last, Item) or len(last.results) != 1 or isinstance(last.code, Chain | Grow | Repeat):
            break
        (value,) = last.results
        if uses.get(value) != 1 or value not in refs(result) or last.names[:1] not in ((), (None,)) or last.comment:
            break
        if not isinstance(result, Ref) and _depth(last.code) > 2:
            break
        result = _substituted(result, value, last.code)
        kept.pop()
    return kept, result
