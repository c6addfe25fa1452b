"""Walking and rebuilding expressions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Map

from transpiler.code import (
    Attribute,
    Binary,
    Call,
    Code,
    Comprehension,
    Conditional,
    Ellipsis_,
    Index,
    Literal,
    Mapping,
    Member,
    Name,
    Ref,
    Sequence,
    Slice,
    Unary,
)
from transpiler.errors import InternalError
from transpiler.lowered import Basic


def children(code: Code) -> tuple[Code, ...]:
    """The expressions directly below `code`, in the order in which Python evaluates them (near enough)."""
    match code:
        case Call(function, arguments, keywords):
            return (function, *arguments, *(value for _, value in keywords))
        case Unary(_, operand):
            return (operand,)
        case Binary(_, left, right):
            return (left, right)
        case Conditional(test, then, otherwise):
            return (test, then, otherwise)
        case Attribute(base, _):
            return (base,)
        case Index(base, items):
            return (base, *(part for item in items for part in _index_parts(item)))
        case Comprehension():
            return (*code.items, code.iterable)
        case Sequence(_, items):
            return items
        case Mapping(items):
            return tuple(value for _, value in items)
        case _:
            return ()


def with_children(code: Code, new: tuple[Code, ...]) -> Code:
    """`code` with other expressions below it; as many as `children` gives."""
    match code:
        case Call(_, arguments, keywords):
            count = len(arguments) + 1
            names = (name for name, _ in keywords)
            return dataclasses.replace(
                code, function=new[0], arguments=new[1:count], keywords=tuple(zip(names, new[count:], strict=True))
            )
        case Unary():
            return Unary(code.operator, new[0])
        case Binary():
            return Binary(code.operator, new[0], new[1])
        case Conditional():
            return Conditional(*new)
        case Attribute():
            return Attribute(new[0], code.name)
        case Index(_, items):
            rest = iter(new[1:])
            return Index(new[0], tuple(_index_rebuilt(item, rest) for item in items))
        case Comprehension():
            return dataclasses.replace(code, items=new[:-1], iterable=new[-1])
        case Sequence():
            return dataclasses.replace(code, items=new)
        case Mapping(items):
            return Mapping(tuple((name, value) for (name, _), value in zip(items, new, strict=True)))
        case _:
            return code


def _index_parts(item: Code | Slice | Ellipsis_) -> tuple[Code, ...]:
    if isinstance(item, Slice):
        return tuple(part for part in (item.start, item.stop, item.step) if part is not None)
    return () if isinstance(item, Ellipsis_) else (item,)


def _index_rebuilt(item: Code | Slice | Ellipsis_, rest: Iterator[Code]) -> Code | Slice | Ellipsis_:
    if isinstance(item, Slice):
        return Slice(*(None if part is None else next(rest) for part in (item.start, item.stop, item.step)))
    return item if isinstance(item, Ellipsis_) else next(rest)


def transform(code: Code, change: Callable[[Code], Code | None]) -> Code:
    """`code` with every expression for which `change` gives another one replaced, from the top."""
    changed = change(code)
    if changed is not None:
        return changed
    below = children(code)
    if not below:
        return code
    new = tuple(transform(child, change) for child in below)
    return code if all(a is b for a, b in zip(below, new, strict=True)) else with_children(code, new)


def walk(code: Code) -> Iterator[Code]:
    """`code` and all expressions below it."""
    yield code
    for child in children(code):
        yield from walk(child)


def names_in(code: Code) -> list[str]:
    """Names that an expression reads from around it, with `self.` where they have it."""
    if isinstance(code, Name):
        return [code.name]
    if isinstance(code, Comprehension):
        inside = [name for item in code.items for name in names_in(item) if name not in code.variables]
        return [*inside, *names_in(code.iterable)]
    return [name for child in children(code) for name in names_in(child)]


def with_names(code: Code, names: Map[str, str]) -> Code:
    """The expression with other names for what it reads from around it."""

    def change(node: Code) -> Code | None:
        if isinstance(node, Comprehension) and names.keys() & set(node.variables):
            inner = {name: new for name, new in names.items() if name not in node.variables}
            items = tuple(with_names(item, inner) for item in node.items)
            return dataclasses.replace(node, items=items, iterable=with_names(node.iterable, names))
        return Name(names[node.name]) if type(node) is Name and node.name in names else None

    return transform(code, change)


def refs(code: Code) -> list[int]:
    """The values that an expression reads, one entry a use."""
    return [node.value for node in walk(code) if isinstance(node, Ref)]


def shifted(code: Code, numbers: Callable[[int], Code]) -> Code:
    """The expression with every `Ref` replaced."""
    return transform(code, lambda node: numbers(node.value) if isinstance(node, Ref) else None)


def expected_call(code: Code) -> Call:
    """The same, known to be a call.

    Raises:
        InternalError: it is none.
    """
    if not isinstance(code, Call):
        raise InternalError(f"a call was expected, not {code}")
    return code


def member_of(call: Call) -> Member:
    """The member that is called.

    Raises:
        InternalError: it calls something else.
    """
    if not isinstance(call.function, Member):
        raise InternalError(f"a call of a member was expected, not {call}")
    return call.function


def is_value(code: Code) -> bool:
    """A literal, or a display of values."""
    return isinstance(code, Literal) or (type(code) is Sequence and all(is_value(item) for item in code.items))


def value_of(code: Code) -> Basic:
    """The Python value of a value.

    >>> value_of(Sequence("tuple", (Literal(3), Literal(3))))
    (3, 3)
    """
    if isinstance(code, Literal):
        return code.value
    if isinstance(code, Sequence):
        items = [value_of(item) for item in code.items]
        return items if code.kind == "list" else tuple(items)
    raise InternalError(f"{code} is no value")


def code_of(value: Basic) -> Code:
    """The expression that displays a Python value.

    >>> code_of((3, "same"))
    Sequence(kind='tuple', items=(Literal(value=3), Literal(value='same')))
    """
    if isinstance(value, list | tuple):
        return Sequence("list" if isinstance(value, list) else "tuple", tuple(code_of(item) for item in value))
    return Literal(value)


def same(one: Basic, other: Basic) -> bool:
    """Equal in value and type: 1, 1.0 and True are three.

    >>> same(1, True), same((1, 2), (1, 2))
    (False, True)
    """
    return key_of(one) == key_of(other)


def key_of(value: Basic) -> object:
    """A hashable that tells apart values that `same` tells apart."""
    if isinstance(value, list | tuple):
        return (type(value).__name__, tuple(key_of(item) for item in value))
    return (type(value).__name__, repr(value) if isinstance(value, float) and math.isnan(value) else value)
