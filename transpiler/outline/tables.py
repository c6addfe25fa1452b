"""Neighbours in a list that differ in a few values, as people write them: one call over a table.

>>> # [Block(64, 0.0), Block(64, 0.1), Block(64, 0.2)] is [Block(64, rate) for rate in (0.0, 0.1, 0.2)]

A table that would be long is counted out instead where every value follows from its place, and its numbers that grow
evenly are.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from transpiler.code import Call, Code, Comprehension, Conditional, Literal, Name, Sequence
from transpiler.outline.class_calls import Signature, arguments_by_name, call_of_class
from transpiler.outline.names import usable
from transpiler.outline.progressions import by_place
from transpiler.outline.series import INDEX
from transpiler.trees import is_value, value_of, walk

FEWEST = 3
"""Different calls that are worth a table."""

MOST_VALUES = 6
"""Values of a table that is read at a glance."""


def tabulated(items: tuple[Code, ...], classes: Mapping[str, Signature]) -> tuple[Code, ...]:
    """The elements of a list; calls of one class in a row that differ in values are one comprehension."""
    found: list[Code] = []
    for name, run in groupby(items, _class_of):
        group = list(run)
        kinds = sum(1 for _ in groupby(group))  # neighbours that are the same need no table
        table = _table(group, classes[name]) if name in classes and kinds >= FEWEST else None
        found += group if table is None else [table]
    return tuple(found)


def _class_of(code: Code) -> str:
    return code.function.name if isinstance(code, Call) and isinstance(code.function, Name) else ""


def _table(items: list[Code], signature: Signature) -> Comprehension | None:
    calls = [item for item in items if isinstance(item, Call)]
    rows = [row for call in calls if (row := arguments_by_name(call, signature)) is not None]
    if len(rows) < len(calls):
        return None
    differing = [item.name for item in signature.parameters if len({row[item.name] for row in rows}) > 1]
    if not differing or not all(is_value(row[name]) for row in rows for name in differing):
        return None
    shared = {name: value for name, value in rows[0].items() if name not in differing}
    taken = {node.name for value in shared.values() for node in walk(value) if isinstance(node, Name)}

    def made(given: Mapping[str, Code]) -> Call:
        ordered = tuple((parameter.name, {**shared, **given}[parameter.name]) for parameter in signature.parameters)
        return call_of_class(Call(calls[0].function, (), ordered), signature)

    columns = {name: tuple(row[name] for row in rows) for name in differing}
    index = Name(usable(INDEX.name, {*taken, *differing}))
    counted: dict[str, Code] = {}
    if len(rows) * len(differing) > MOST_VALUES:
        found = {name: by_place(tuple(map(value_of, column)), index) for name, column in columns.items()}
        counted = {name: formula for name, formula in found.items() if formula is not None}
        if len(counted) == len(differing):
            return Comprehension("list", (made(counted),), (index.name,), Call(Name("range"), (Literal(len(rows)),)))
        counted = {name: formula for name, formula in counted.items() if not isinstance(formula, Conditional)}
        columns = {name: column for name, column in columns.items() if name not in counted}
    variables = {name: usable(name, taken) for name in columns}
    values = tuple(row[0] if len(row) == 1 else Sequence("tuple", row) for row in zip(*columns.values(), strict=True))
    call = made(counted | {name: Name(variable) for name, variable in variables.items()})
    table = Sequence("tuple", values)
    if counted:
        return Comprehension("list", (call,), (index.name, *variables.values()), Call(Name("enumerate"), (table,)))
    return Comprehension("list", (call,), tuple(variables.values()), table)
