"""From merged steps to the lines of `call`: nesting as in torch's lines, and variable names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from transpiler import code as c
from transpiler.code import Call, Code, Conditional, Index, Literal, Ref
from transpiler.lowered import SourceLine
from transpiler.outline.loops import Chain, Grow
from transpiler.outline.names import singular
from transpiler.outline.program import Comprehension, Name
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
    items = [
        _as_expression(_nested_branch(item, uses), uses) if isinstance(item, BranchItem) else item for item in items
    ]
    uses = _uses(items, result)
    items = _inlined(items, uses)
    return _returned(items, result, _uses(items, result))


def as_lists(items: list[Item | BranchItem], result: Code) -> tuple[list[Item | BranchItem], Code, frozenset[int]]:
    """Results that torch keeps together under one name become one value, and each of them an element of it.

    Args:
        items: statements and branches in order.
        result: what is returned.

    Returns:
        Items and result, and the values that are lists.
    """
    items = _with_gathered_calls(items)
    elements, wholes = _elements(items)
    if not elements:
        return items, result, frozenset()
    lists = frozenset(whole.value for whole in wholes.values())

    def change(code: Code) -> Code | None:
        if type(code) is c.Sequence and code.items in wholes:
            return wholes[code.items]
        return elements.get(code.value) if isinstance(code, Ref) else None

    def changed(item: Item) -> Item:
        if item.results[0] in lists:
            item = dataclasses.replace(item, results=item.results[:1], names=item.names[:1])
        return dataclasses.replace(item, code=transform(item.code, change))

    def stays(item: Item | BranchItem) -> bool:
        return isinstance(item, BranchItem) or item.results[0] in lists or item.results[0] not in elements

    kept = [_with_items(item, changed, change) for item in items if stays(item)]
    return kept, transform(result, change), lists


def _with_gathered_calls(items: list[Item | BranchItem]) -> list[Item | BranchItem]:
    """`x = [branch(x[i]) for i, branch in enumerate(self.branches)]` for calls one after the other."""
    found: list[Item | BranchItem] = []
    at = 0
    while at < len(items):
        run = _gathered_run(items[at:])
        if run and _mentions(items, _list_name(run[0].code)) == len(run):
            found.append(_gathered_calls(run))
            at += len(run)
        else:
            found.append(items[at])
            at += 1
    return found


def _mentions(items: list[Item | BranchItem], members: str | None) -> int:
    nodes = (node for code in body_codes(items) for node in walk(code))
    return sum(isinstance(node, c.Member) and node.name == members for node in nodes)


def _gathered_run(items: list[Item | BranchItem]) -> list[Item]:
    """The first items that call the elements of a list of members with those of a list of tensors."""
    run: list[Item] = []
    for place, item in enumerate(items):
        if not isinstance(item, Item) or item.gathered is None:
            break
        match item.code:
            case Call(c.Member(name, index), (Index(Ref() as base, (Literal(number),)),), ()) if (
                index == number == place
            ):
                pass
            case _:
                break
        if run and (name, base, item.gathered) != (_list_name(run[0].code), _base_read(run[0].code), run[0].gathered):
            break
        run.append(item)
    return run if len(run) > 1 else []


def _base_read(code: Code) -> Code | None:
    argument = code.arguments[0] if isinstance(code, Call) and code.arguments else None
    return argument.base if isinstance(argument, Index) else None


def _gathered_calls(run: list[Item]) -> Item:
    members, base = _list_name(run[0].code), _base_read(run[0].code)
    assert members is not None
    assert base is not None
    element = singular(members)
    call = Call(Name(element), (Index(base, (Name("i"),)),))
    code = Comprehension("list", (call,), ("i", element), Call(Name("enumerate"), (c.Member(members),)))
    results = tuple(result for item in run for result in item.results)
    return Item(results, code, (run[0].gathered,) * len(results), run[0].source)


def _elements(items: list[Item | BranchItem]) -> tuple[dict[int, Code], dict[tuple[Code, ...], Ref]]:
    """What stands for the elements of lists, and for displays of all of them; what a branch ends with is no element."""
    joined = joined_values(items)
    elements: dict[int, Code] = {}
    wholes: dict[tuple[Code, ...], Ref] = {}
    for item in items:
        if isinstance(item, BranchItem) or joined & set(item.results):
            continue
        if len(item.results) > 1 and len(item.names) == len(item.results) and _shared_name(item.names):
            whole = Ref(item.results[0])
            elements.update({value: Index(whole, (Literal(place),)) for place, value in enumerate(item.results)})
            wholes[tuple(Ref(value) for value in item.results)] = whole
        elif isinstance(item.code, Index) and isinstance(item.code.base, Ref) and _is_key(item.code):
            elements[item.results[0]] = item.code
    return elements, wholes


def _with_items(
    item: Item | BranchItem, changed: Callable[[Item], Item], change: Callable[[Code], Code | None]
) -> Item | BranchItem:
    if isinstance(item, Item):
        return changed(item)
    then, otherwise = tuple(map(changed, item.then)), tuple(map(changed, item.otherwise))
    return BranchItem(transform(item.test, change), then, otherwise, item.joins)


def _shared_name(names: tuple[str | None, ...]) -> bool:
    return names[0] is not None and len(set(names)) == 1


def _is_key(code: Index) -> bool:
    """`features["low"]`, which is read where it is needed."""
    return len(code.items) == 1 and isinstance(code.items[0], Literal) and isinstance(code.items[0].value, str)


def inlined_where_used(
    items: list[Item | BranchItem], result: Code, value: int
) -> tuple[list[Item | BranchItem], Code] | None:
    """The same with the expression of a value where it is used, once; None if that is not to be had."""
    uses = _uses(items, result)
    place = next((at for at, item in enumerate(items) if isinstance(item, Item) and item.results == (value,)), None)
    inner = None if place is None else items[place]
    if place is None or not isinstance(inner, Item) or isinstance(inner.code, Chain | Grow):
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
        if isinstance(outer.code, Chain | Grow) or (inner.comment and outer.comment):
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

    def changed(item: Item) -> Item:
        return dataclasses.replace(item, code=transform(item.code, change))

    return [_with_items(item, changed, change) for item in items], transform(result, change)


def joined_values(items: list[Item | BranchItem]) -> set[int]:
    """Values that branches end with."""
    branches = (item for item in items if isinstance(item, BranchItem))
    return {value for branch in branches for join in branch.joins for value in (join.inside, join.outside)}


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

    def changed(item: Item) -> Item:
        return dataclasses.replace(item, code=transform(item.code, change))

    kept = [item for item in items if isinstance(item, BranchItem) or not set(item.results) <= sizes.keys()]
    return [_with_items(item, changed, change) for item in kept], transform(result, change)


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


def _as_expression(branch: BranchItem, uses: dict[int, int]) -> Item | BranchItem:
    """`y = f(x) if test else x` for a branch of one statement, whose result nothing else reads."""
    if len(branch.joins) != 1 or len(branch.then) != 1 or len(branch.otherwise) > 1:
        return branch
    (join,) = branch.joins
    step = branch.then[0]
    if step.results != (join.inside,) or isinstance(step.code, Chain | Grow) or step.comment:
        return branch
    if uses[join.inside] > 1 or (branch.otherwise and uses[join.outside] > 1):
        return branch
    other: Code = Ref(join.outside)
    if branch.otherwise:
        last = branch.otherwise[0]
        if last.results != (join.outside,) or isinstance(last.code, Chain | Grow) or last.comment:
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
    if isinstance(inner.code, Chain | Grow) or isinstance(outer.code, Chain | Grow):
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
        if not isinstance(last, Item) or len(last.results) != 1 or isinstance(last.code, Chain | Grow):
            break
        (value,) = last.results
        if uses.get(value) != 1 or value not in refs(result) or last.names[:1] not in ((), (None,)) or last.comment:
            break
        if not isinstance(result, Ref) and _depth(last.code) > 2:
            break
        result = _substituted(result, value, last.code)
        kept.pop()
    return kept, result
