"""Neighbours in a list that differ in a few values, as people write them: one call over a table.

>>> # [Block(64, 0.0), Block(64, 0.1), Block(64, 0.2)] is [Block(64, rate) for rate in (0.0, 0.1, 0.2)]
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from transpiler.code import Call, Code, Sequence
from transpiler.outline.class_calls import Signature, arguments_by_name, call_of_class
from transpiler.outline.names import usable
from transpiler.outline.program import Comprehension, Name
from transpiler.outline.trees import is_value, walk

FEWEST = 3
"""Different calls that are worth a table."""


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
    variables = tuple(usable(name, taken) for name in differing)
    given = shared | {name: Name(variable) for name, variable in zip(differing, variables, strict=True)}
    ordered = tuple((parameter.name, given[parameter.name]) for parameter in signature.parameters)
    call = call_of_class(Call(calls[0].function, (), ordered), signature)
    columns = [tuple(row[name] for name in differing) for row in rows]
    values = tuple(column[0] if len(column) == 1 else Sequence("tuple", column) for column in columns)
    return Comprehension("list", (call,), variables, Sequence("tuple", values))
