"""Neighbours in a list that differ in a few values, as people write them: one call over a table.

>>> # [Block(64, 0.0), Block(64, 0.1), Block(64, 0.2)] is [Block(64, rate) for rate in (0.0, 0.1, 0.2)]

A table that would be long is counted out instead where every value follows from its place, and its numbers that grow
evenly are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby

from transpiler.code import Call, Code, Comprehension, Conditional, Index, Literal, Name
from transpiler.outline.class_calls import Signature, arguments_by_name, call_of_class
from transpiler.outline.names import usable
from transpiler.outline.progressions import by_place
from transpiler.outline.series import INDEX
from transpiler.outline.turn_values import table
from transpiler.trees import is_value, value_of, walk

FEWEST = 3
"""Different calls that are worth a table."""

MOST_VALUES = 6
"""Values of a table that is read at a glance."""


def tabulated(
    items: tuple[Code, ...], counted: Callable[[int], Code], classes: Mapping[str, Signature]
) -> tuple[Code, ...]:
    """The elements of a list; calls of one class in a row that differ in values are one comprehension.

    Args:
        items: the elements.
        counted: the expression for a number of elements.
        classes: how generated classes are called.
    """
    found: list[Code] = []
    for name, run in groupby(items, _class_of):
        group = list(run)
        kinds = sum(1 for _ in groupby(group))  # neighbours that are the same need no table
        whole = _over_table(group, counted, classes[name]) if name in classes and kinds >= FEWEST else None
        found += group if whole is None else [whole]
    return tuple(found)


def _class_of(code: Code) -> str:
    return code.function.name if isinstance(code, Call) and isinstance(code.function, Name) else ""


def _over_table(items: list[Code], numbered: Callable[[int], Code], signature: Signature) -> Comprehension | None:
    calls = [item for item in items if isinstance(item, Call)]
    rows = [row for call in calls if (row := arguments_by_name(call, signature)) is not None]
    if len(rows) < len(calls):
        return None
    differing = [item.name for item in signature.parameters if len({row[item.name] for row in rows}) > 1]
    shared = {name: value for name, value in rows[0].items() if name not in differing}
    taken = {node.name for value in shared.values() for node in walk(value) if isinstance(node, Name)}

    def made(given: Mapping[str, Code]) -> Call:
        ordered = tuple((parameter.name, {**shared, **given}[parameter.name]) for parameter in signature.parameters)
        return call_of_class(Call(calls[0].function, (), ordered), signature)

    columns = {name: tuple(row[name] for row in rows) for name in differing}
    index = Name(usable(INDEX.name, {*taken, *differing}))
    counted = {name: item for name, column in columns.items() if (item := _item_of(column, index)) is not None}
    values = {name: column for name, column in columns.items() if name not in counted}
    if not differing or not all(is_value(value) for column in values.values() for value in column):
        return None
    if len(rows) * len(values) > MOST_VALUES or counted:
        found = {name: by_place(tuple(map(value_of, column)), index) for name, column in values.items()}
        by_number = counted | {name: formula for name, formula in found.items() if formula is not None}
        if len(by_number) == len(differing):
            return Comprehension("list", (made(by_number),), (index.name,), Call(Name("range"), (numbered(len(rows)),)))
        counted = {name: formula for name, formula in by_number.items() if not isinstance(formula, Conditional)}
    columns = {name: column for name, column in columns.items() if name not in counted}
    variables = {name: usable(name, taken) for name in columns}
    call = made(counted | {name: Name(variable) for name, variable in variables.items()})
    told = table(list(columns.values()))
    if counted:
        return Comprehension("list", (call,), (index.name, *variables.values()), Call(Name("enumerate"), (told,)))
    return Comprehension("list", (call,), tuple(variables.values()), told)


def _item_of(column: tuple[Code, ...], index: Name) -> Code | None:
    """`dims[i]` for `dims[0]`, `dims[1]`, …; None if the values are no such items in order."""
    first = column[0]
    if not isinstance(first, Index) or type(first.base) is not Name:
        return None
    items = tuple(Index(first.base, (Literal(place),)) for place in range(len(column)))
    return Index(first.base, (index,)) if column == items else None
