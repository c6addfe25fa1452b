"""Values written where they are read, so that they need no name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from transpiler import code as c
from transpiler.code import Binary, Call, Code, Comprehension, Conditional, Function, Index, Literal, Ref
from transpiler.outline.call_numbers import which_size
from transpiler.outline.lines import (
    DEEPEST,
    BranchItem,
    Item,
    body_codes,
    depth,
    is_loop,
    joined_values,
    substituted,
    uses_of,
    with_items,
)
from transpiler.trees import refs, transform, walk


def inlined_where_used(
    items: list[Item | BranchItem], result: Code, value: int
) -> tuple[list[Item | BranchItem], Code] | None:
    """The same with the expression of a value where it is used, once; None if that is not to be had."""
    uses = uses_of(items, result)
    place = next((at for at, item in enumerate(items) if isinstance(item, Item) and value in item.results), None)
    inner = None if place is None else items[place]
    if place is None or not isinstance(inner, Item) or is_loop(inner.code):
        return None
    if len(inner.results) > 1:
        return _with_whole(items, result, inner, uses)
    rest = [*items[:place], *items[place + 1 :]]
    is_part = isinstance(inner.code, Index) and isinstance(inner.code.base, Ref) and not inner.comment
    if is_part and uses.get(value) == 2 and value not in joined_values(items):
        return _with_part(rest, result, value, inner.code)
    if uses.get(value) == 2 and (either := _in_either_way(result, value, inner)) is not None:
        return rest, either
    if uses.get(value) != 1:
        return None
    if value not in refs(result):
        return _with_nested(rest, result, value, inner)
    if inner.comment or depth(inner.code) + depth(result) > DEEPEST:
        return None
    return rest, substituted(result, value, inner.code)


def _in_either_way(result: Code, value: int, inner: Item) -> Code | None:
    """`self.f(x) + x if self.shortcut else self.f(x)`: a short expression on both ways, of which one is taken."""
    if not isinstance(result, Conditional) or inner.comment or depth(inner.code) > 1:
        return None
    if [refs(way).count(value) for way in (result.test, result.then, result.otherwise)] != [0, 1, 1]:
        return None
    return substituted(result, value, inner.code)


def _with_nested(
    items: list[Item | BranchItem], result: Code, value: int, inner: Item
) -> tuple[list[Item | BranchItem], Code] | None:
    """A value in the statement that reads it."""
    outer = next((item for item in items if isinstance(item, Item) and value in refs(item.code)), None)
    if outer is None or is_loop(outer.code) or _is_in_comprehension(outer.code, value):
        return None
    whole = substituted(outer.code, value, inner.code)
    changed = [dataclasses.replace(outer, code=whole, comment=outer.comment or inner.comment)]
    if (inner.comment and outer.comment) or depth(whole) > DEEPEST:
        part = _reader_of(outer.code, value)
        if part is None or len(outer.results) > 1 or depth(inner.code) + depth(part) > DEEPEST:
            return None
        new = Ref(_unused(items, value))
        code = substituted(part, value, inner.code)
        rest = transform(outer.code, lambda node: new if node is part else None)
        changed = [Item((new.value,), code, outer.names, outer.source, inner.comment)]
        changed.append(dataclasses.replace(outer, code=rest))
    return [one for item in items for one in (changed if item is outer else [item])], result


def _reader_of(code: Code, value: int) -> Code | None:
    """The innermost arithmetic that reads a value, if it is not the whole expression."""
    found = [node for node in walk(code) if isinstance(node, Binary) and value in refs(node)]
    return found[-1] if found and found[-1] is not code else None


def _unused(items: list[Item | BranchItem], value: int) -> int:
    """A number for a new value."""
    used = {number for code in body_codes(items) for number in refs(code)} | joined_values(items) | {value}
    used |= {number for item in items if isinstance(item, Item) for number in item.results}
    return max(number for number in used if which_size(number) is None) + 1


def _with_whole(
    items: list[Item | BranchItem], result: Code, inner: Item, uses: Mapping[int, int]
) -> tuple[list[Item | BranchItem], Code] | None:
    """`ops.stack(ops.meshgrid(i, j))`: the results of an operation where another one reads all of them in order."""
    if any(uses.get(value) != 1 for value in inner.results) or inner.comment or not _is_operation(inner.code):
        return None
    display = tuple(Ref(value) for value in inner.results)

    def change(code: Code) -> Code | None:
        if (
            isinstance(code, Call)
            and _is_operation(code)
            and code.arguments
            and _is_display(code.arguments[0], display)
        ):
            return dataclasses.replace(code, arguments=(inner.code, *code.arguments[1:]))
        return None

    for at, outer in enumerate(items):
        if not isinstance(outer, Item) or is_loop(outer.code) or depth(inner.code) + depth(outer.code) > DEEPEST:
            continue
        code = transform(outer.code, change)
        if code is not outer.code:
            changed = dataclasses.replace(outer, code=code)
            return [changed if place == at else item for place, item in enumerate(items) if item is not inner], result
    return None


def _is_operation(code: Code) -> bool:
    match code:
        case Call(Function(name)):
            return name.startswith("keras.ops.")
        case _:
            return False


def _is_display(code: Code, items: tuple[Code, ...]) -> bool:
    return type(code) is c.Sequence and code.items == items


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
