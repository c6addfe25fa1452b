"""The values of expressions that differ in nothing else, and how they are told by a table.

>>> # Conv2D(64, 3) and Conv2D(128, 3) are Conv2D(filters, 3) over (64, 128)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Rows

from transpiler.code import Call, Code, Literal, Name, Sequence
from transpiler.outline.class_calls import Signature
from transpiler.outline.keras_calls import parameters
from transpiler.outline.names import usable
from transpiler.trees import children, is_value, names_in, with_children

MOST_VARIABLES = 2

_ERASED = Literal(None)


def over_table(
    rows: Rows[tuple[Code, ...]], classes: Mapping[str, Signature]
) -> tuple[tuple[Code, ...], dict[str, tuple[Code, ...]]] | None:
    """Expressions that stand for all rows, and what their variables are in each; None where a reader would not see it.

    That is where too many values differ, or none of the first expression, with which a row would begin.

    Args:
        rows: expressions that have the same shape in each row.
        classes: how generated classes are called.
    """
    values = [[value for item in row for value in _values(item, "", classes)] for row in rows]
    columns = [tuple(value for _, value in column) for column in zip(*values, strict=True)]
    names: dict[tuple[Code, ...], str] = {}
    for (name, _), column in zip(values[0], columns, strict=True):
        if len(set(column)) > 1:
            names.setdefault(column, name)
    first = columns[: sum(1 for _ in _values(rows[0][0], "", classes))]
    if len(names) > MOST_VARIABLES or len(set(names.values())) < len(names) or names.keys().isdisjoint(first):
        return None
    taken = {name for item in rows[0] for name in names_in(item)}
    variables = {column: usable(name, taken) for column, name in names.items()}
    told = iter([Name(variables[column]) if column in variables else column[0] for column in columns])
    return tuple(_with_values(item, told) for item in rows[0]), {name: column for column, name in variables.items()}


def shape(code: Code) -> Code:
    """The expression without its values."""
    return _ERASED if is_value(code) else with_children(code, tuple(map(shape, children(code))))


def _values(code: Code, name: str, classes: Mapping[str, Signature]) -> Iterator[tuple[str, Code]]:
    """Each value and the parameter that it is given to."""
    if is_value(code):
        yield name, code
    elif isinstance(code, Call):
        given = zip(_positional(code, classes), code.arguments, strict=False)
        for parameter, value in (*given, *code.keywords):
            yield from _values(value, parameter, classes)
    else:
        for child in children(code):
            yield from _values(child, name, classes)


def _positional(call: Call, classes: Mapping[str, Signature]) -> tuple[str, ...]:
    """Names for the arguments that a call gives by position, as many at least."""
    if isinstance(call.function, Name) and call.function.name in classes:
        return tuple(parameter.name for parameter in classes[call.function.name].parameters)
    return parameters(call.function) or ("value",) * len(call.arguments)


def _with_values(code: Code, values: Iterator[Code]) -> Code:
    """The expression with other values, in the order of `_values`."""
    if is_value(code):
        return next(values)
    return with_children(code, tuple(_with_values(child, values) for child in children(code)))


def table(columns: Rows[tuple[Code, ...]]) -> Sequence:
    """What a comprehension goes over: a value for each turn, or a tuple of them."""
    rows = zip(*columns, strict=True)
    return Sequence("tuple", tuple(row[0] if len(row) == 1 else Sequence("tuple", row) for row in rows))
