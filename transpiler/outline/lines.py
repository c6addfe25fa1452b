"""From merged steps to the lines of `call`: nesting as in torch's lines, and variable names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from transpiler import code as c
from transpiler.code import Call, Code, Conditional, Index, Literal, Ref
from transpiler.lowered import SourceLine
from transpiler.outline.loops import Chain, Grow
from transpiler.outline.program import Comprehension
from transpiler.outline.repeats import Repeat
from transpiler.outline.trees import refs, shifted, transform, walk

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
    uses = _uses(items, result)
    items = [_as_expression(_nested_branch(item, uses)) if isinstance(item, BranchItem) else item for item in items]
    uses = _uses(items, result)
    items = _inlined(items, uses)
    return _returned(items, result, _uses(items, result))


def with_items(
    item: Item | BranchItem, changed: Callable[[Item], Item], change: Callable[[Code], Code | None]
) -> Item | BranchItem:
    """The item with its statements changed, and the test of a branch."""
    if isinstance(item, Item):
        return changed(item)
    then, otherwise = tuple(map(changed, item.then)), tuple(map(changed, item.otherwise))
    return BranchItem(transform(item.test, change), then, otherwise, item.joins)


def inlined_where_used(
    items: list[Item | BranchItem], result: Code, value: int
) -> tuple[list[Item | BranchItem], Code] | None:
    """The same with the expression of a value where it is used, once; None if that is not to be had."""
    uses = _uses(items, result)
    place = next((at for at, item in enumerate(items) if isinstance(item, Item) and item.results == (value,)), None)
    inner = None if place is None else items[place]
    if place is None or not isinstance(inner, Item) or _is_loop(inner.code):
        return None
    rest = [*items[:place], *items[place + 1 :]]
    is_part = isinstance(inner.code, Index) and isinstance(inner.code.base, Ref) and not inner.comment
    if is_part and uses.get(value) == 2 and value not in joined_values(items):
        return _with_part(rest, result, value, inner.code)
    if uses.get(value) != 1:
        return None
    if value in refs(result):
        if inner.comment or _depth(inner.code) + _depth(result) > DEEPEST:
            return None
        return rest, _substituted(result, value, inner.code)
    for at, outer in enumerate(rest):
        if not isinstance(outer, Item) or value not in refs(outer.code):
            continue
        if _is_loop(outer.code) or (inner.comment and outer.comment):
            return None
        if _depth(inner.code) + _depth(outer.code) > DEEPEST or _is_in_comprehension(outer.code, value):
            return None
        code = _substituted(outer.code, value, inner.code)
        rest[at] = dataclasses.replace(outer, code=code, comment=outer.comment or inner.comment)
        return rest, result
    return None


def _with_part(
    items: list[Item | BranchItem], result: Code, value: int, part: Code
) -> tuple[list[Item | BranchItem], Code]:
    def change(code: Code) -> Code | None:
        return part if code == Ref(value) else None

    return _transformed(items, change), transform(result, change)


def _transformed(items: Iterable[Item | BranchItem], change: Callable[[Code], Code | None]) -> list[Item | BranchItem]:
    """The items with every expression changed."""

    def changed(item: Item) -> Item:
        return dataclasses.replace(item, code=transform(item.code, change))

    return [with_items(item, changed, change) for item in items]


def joined_values(items: list[Item | BranchItem]) -> frozenset[int]:
    """Values that branches end with."""
    branches = (item for item in items if isinstance(item, BranchItem))
    return frozenset(value for branch in branches for join in branch.joins for value in (join.inside, join.outside))


def _is_in_comprehension(code: Code, value: int) -> bool:
    """Whether it would be computed again for every element."""
    return any(isinstance(node, Comprehension) and value in refs(node.items[0]) for node in walk(code))


def read_where_used(
    items: list[Item | BranchItem], result: Code, sizes: Mapping[int, Code]
) -> tuple[list[Item | BranchItem], Code]:
    """The same with these sizes read where they are needed, `ops.shape(x)[1]`, instead of from the start."""

    def change(code: Code) -> Code | None:
        match code:
            case c.Sequence(_, parts) if type(code) is c.Sequence and (read := _consecutive(parts, sizes)) is not None:
                return read
            case Ref(value) if value in sizes:
                return sizes[value]
            case _:
                return None

    kept = [item for item in items if isinstance(item, BranchItem) or not set(item.results) <= sizes.keys()]
    return _transformed(kept, change), transform(result, change)


def _consecutive(parts: tuple[Code, ...], sizes: Mapping[int, Code]) -> Code | None:
    """`ops.shape(x)[1:3]` for `[ops.shape(x)[1], ops.shape(x)[2]]`."""
    read = [sizes.get(part.value) if isinstance(part, Ref) else None for part in parts]
    if len(read) < 2 or not all(isinstance(code, Index) for code in read):
        return None
    bases = {code.base for code in read if isinstance(code, Index)}
    axes = [code.items[0].value for code in read if isinstance(code, Index) and isinstance(code.items[0], Literal)]
    first = axes[0]
    if len(bases) > 1 or not isinstance(first, int) or axes != list(range(first, first + len(parts))):
        return None
    return Index(bases.pop(), (c.Slice(Literal(first), Literal(first + len(parts))),))


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
    if step.results != (join.inside,) or _is_loop(step.code) or step.comment:
        return branch
    other: Code = Ref(join.outside)
    if branch.otherwise:
        last = branch.otherwise[0]
        if last.results != (join.outside,) or _is_loop(last.code) or last.comment:
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
    if _is_loop(inner.code) or _is_loop(outer.code):
        return False
    if list_name(inner.code) is not None and list_name(inner.code) == list_name(outer.code):
        return False
    return _depth(inner.code) + _depth(outer.code) <= DEEPEST


def _is_loop(code: Code) -> bool:
    """Whether it is lines of their own, and no expression."""
    return isinstance(code, Chain | Grow | Repeat)


def list_name(code: Code) -> str | None:
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
        if not isinstance(last, Item) or len(last.results) != 1 or _is_loop(last.code):
            break
        (value,) = last.results
        if uses.get(value) != 1 or value not in refs(result) or last.names[:1] not in ((), (None,)) or last.comment:
            break
        if not isinstance(result, Ref) and _depth(last.code) > 2:
            break
        result = _substituted(result, value, last.code)
        kept.pop()
    return kept, result
