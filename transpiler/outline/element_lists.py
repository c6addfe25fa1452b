"""Values that torch keeps together in one list: they are elements of a list here, too.

>>> # parts1, parts2 = ops.split(x, 2) becomes spx = ops.split(x, 2), with spx[0] and spx[1] where they are read
"""

from __future__ import annotations

import dataclasses

from transpiler import code as c
from transpiler.code import Call, Code, Comprehension, Index, Literal, Name, Ref
from transpiler.outline.lines import BranchItem, Item, body_codes, joined_values, list_name, with_items
from transpiler.outline.names import singular
from transpiler.trees import transform, walk


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

    kept = [with_items(item, changed, change) for item in items if stays(item)]
    return kept, transform(result, change), lists


def _with_gathered_calls(items: list[Item | BranchItem]) -> list[Item | BranchItem]:
    """`x = [branch(x[i]) for i, branch in enumerate(self.branches)]` for calls one after the other."""
    found: list[Item | BranchItem] = []
    at = 0
    while at < len(items):
        run = _gathered_run(items[at:])
        if run and _mentions(items, list_name(run[0].code)) == len(run):
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
        if run and (name, base, item.gathered) != (list_name(run[0].code), _base_read(run[0].code), run[0].gathered):
            break
        run.append(item)
    return run if len(run) > 1 else []


def _base_read(code: Code) -> Code | None:
    argument = code.arguments[0] if isinstance(code, Call) and code.arguments else None
    return argument.base if isinstance(argument, Index) else None


def _gathered_calls(run: list[Item]) -> Item:
    members, base = list_name(run[0].code), _base_read(run[0].code)
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


def _shared_name(names: tuple[str | None, ...]) -> bool:
    return names[0] is not None and len(set(names)) == 1


def _is_key(code: Index) -> bool:
    """`features["low"]`, which is read where it is needed."""
    return len(code.items) == 1 and isinstance(code.items[0], Literal) and isinstance(code.items[0].value, str)
