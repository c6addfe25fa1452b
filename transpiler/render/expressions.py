"""Expressions as Python text: strings escaped, identifiers checked, brackets only where precedence asks for them."""

from __future__ import annotations

import keyword
import math
from collections.abc import Collection

from transpiler.code import (
    Attribute,
    Binary,
    Call,
    Code,
    Comprehension,
    Conditional,
    Ellipsis_,
    Function,
    Index,
    Literal,
    Mapping,
    Member,
    Name,
    Ref,
    Sequence,
    Slice,
    Spread,
    Unary,
)
from transpiler.errors import InternalError
from transpiler.keras_functions import SEQUENTIAL
from transpiler.outline.names import usable
from transpiler.outline.program import Numbered
from transpiler.trees import names_in

_ATOM, _POWER, _UNARY, _PRODUCT, _SUM, _COMPARISON, _NOT, _AND, _OR, _CONDITIONAL = range(10)

_PRECEDENCE = {
    **dict.fromkeys(("**",), _POWER),
    **dict.fromkeys(("*", "/", "//", "%", "@"), _PRODUCT),
    **dict.fromkeys(("+", "-"), _SUM),
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in", "not in", "is", "is not"), _COMPARISON),
    "and": _AND,
    "or": _OR,
}


def text(code: Code) -> str:
    r"""The Python text of an expression.

    >>> text(Binary("*", Binary("+", Name("a"), Name("b")), Literal(2)))
    '(a + b) * 2'
    >>> text(Call(Function("keras.ops.image.resize"), (Name("x"),), (("size", Literal("it's")),)))
    'ops.image.resize(x, size="it\\'s")'

    Raises:
        InternalError: a name is no identifier, or the expression is none that generated source may have.
    """
    return _text(code)[0]


def target(name: str) -> str:
    """An assignable name, checked: `x`, `self.conv`.

    Raises:
        InternalError: it is no identifier.
    """
    return _dotted(name)


def _text(code: Code) -> tuple[str, int]:  # noqa: C901, PLR0912 — one case a node
    match code:
        case Literal(value):
            return literal(value)
        case Numbered():
            return _numbered(code), _ATOM
        case Function(name):
            return _function(code, name), _ATOM
        case Member(name, index):
            return f"self.{_identifier(name)}" + ("" if index is None else f"[{index}]"), _ATOM
        case Call():
            return _call(code), _ATOM
        case Unary(operator, operand):
            level = _NOT if operator == "not" else _UNARY
            space = " " if operator == "not" else ""
            return f"{operator}{space}{_within(operand, level)}", level
        case Binary(operator, left, right):
            return _binary(operator, left, right)
        case Conditional(test, then, otherwise):
            first, asked = _within(then, _OR), _within(test, _OR)
            return f"{first} if {asked} else {_within(otherwise, _CONDITIONAL)}", _CONDITIONAL
        case Attribute(base, name):
            return f"{_base(base)}.{_identifier(name)}", _ATOM
        case Index(base, items):
            return f"{_base(base)}[{_index(items)}]", _ATOM
        case Sequence():
            return _sequence(code), _ATOM
        case Mapping(items):
            pairs = ", ".join(f"{_string(key)}: {text(value)}" for key, value in items)
            return f"{{{pairs}}}", _ATOM
        case Ref(value):
            raise InternalError(f"value {value} has no name")
        case _:
            raise InternalError(f"{code} cannot be written")


def literal(value: object) -> tuple[str, int]:
    """Text and precedence of a literal."""
    if isinstance(value, str):
        return _string(value), _ATOM
    if isinstance(value, float):
        return _float(value)
    if value is None or isinstance(value, bool | int):
        negative = isinstance(value, int) and value < 0
        return repr(value), _UNARY if negative else _ATOM
    raise InternalError(f"{value!r} is no literal")


def _float(value: float) -> tuple[str, int]:
    if math.isnan(value):
        return 'float("nan")', _ATOM
    if value in (float("inf"), float("-inf")):
        return f'float("{value}")', _ATOM
    return repr(value), _UNARY if value < 0 else _ATOM


def _string(value: str) -> str:
    """A string as the formatter would write it: double quotes unless that needs more escapes."""
    quoted = repr(value)
    if quoted[0] == "'" and '"' not in value:
        return f'"{quoted[1:-1]}"'.replace("\\'", "'")
    return quoted


def _within(code: Code, level: int) -> str:
    """Text of an operand: in brackets if it binds less tightly than its place."""
    inner, own = _text(code)
    return f"({inner})" if own > level else inner


def _base(code: Code) -> str:
    inner, own = _text(code)
    return f"({inner})" if own > _ATOM or isinstance(code, Literal) else inner


def _binary(operator: str, left: Code, right: Code) -> tuple[str, int]:
    level = _PRECEDENCE.get(operator)
    if level is None:
        raise InternalError(f"unknown operator {operator!r}")
    if operator == "**":
        return f"{_within(left, _ATOM)} ** {_within(right, _UNARY)}", level
    joint = level in (_AND, _OR)
    first = _within(left, level - 1 if level == _COMPARISON else level)
    return f"{first} {operator} {_within(right, level if joint else level - 1)}", level


def _function(code: Function, name: str) -> str:
    if isinstance(code, Name):
        return _dotted(name)
    for prefix, short in (("keras.layers.", "layers."), ("keras.ops.", "ops."), ("helpers.", ""), ("numpy.", "np.")):
        if name.startswith(prefix):
            return short + _dotted(name.removeprefix(prefix))
    return _dotted(name)


def _dotted(name: str) -> str:
    return ".".join(_identifier(part) for part in name.split("."))


def _identifier(name: str) -> str:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise InternalError(f"{name!r} is no name")
    return name


def _call(call: Call) -> str:
    if call.function == SEQUENTIAL:
        takes_one_list = len(call.arguments) == 1 and isinstance(call.arguments[0], Sequence)
        if not takes_one_list or call.arguments[0].kind != "list":  # type: ignore[union-attr]
            raise InternalError("keras.Sequential takes exactly one list")
    parts = [text(argument) for argument in call.arguments]
    parts += [f"{_identifier(name)}={text(value)}" for name, value in call.keywords]
    return f"{_base(call.function)}({', '.join(parts)})"


def _index(items: Collection[Code | Slice | Ellipsis_]) -> str:
    return ", ".join(_index_item(item) for item in items)


def _index_item(item: Code | Slice | Ellipsis_) -> str:
    if isinstance(item, Ellipsis_):
        return "..."
    if not isinstance(item, Slice):
        return text(item)
    start, stop, step = ("" if part is None else text(part) for part in (item.start, item.stop, item.step))
    return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"


def _sequence(code: Sequence) -> str:
    if isinstance(code, Comprehension):
        return f"[{_comprehension(code)}]"
    if len(code.items) == 1 and isinstance(code.items[0], Comprehension) and code.kind == "list":
        return f"[{_comprehension(code.items[0])}]"
    items = [_item(item) for item in code.items]
    if code.kind == "list":
        return f"[{', '.join(items)}]"
    if code.kind != "tuple":
        raise InternalError(f"a {code.kind} cannot be written")
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def _item(item: Code) -> str:
    if isinstance(item, Comprehension):
        return f"*[{_comprehension(item)}]"
    return f"*{_within(item.items[0], _ATOM)}" if isinstance(item, Spread) else text(item)


def _numbered(code: Numbered) -> str:
    offset = f" + {code.start}" if code.start else ""
    return f'f"{_identifier(code.prefix)}{{{_identifier(code.name)}{offset}}}"'


_ENUMERATE = Name("enumerate")
_LONG = 60
"""Characters of the variables of a comprehension beyond which they may need lines of their own."""


def _comprehension(code: Comprehension) -> str:
    names = ", ".join(_identifier(name) for name in code.variables)
    if isinstance(code.iterable, Call) and code.iterable.function == _ENUMERATE and len(code.variables) > 2:
        number, _, element = names.partition(", ")
        names = f"{number}, ({element})"
    elif len(names) > _LONG:
        names = f"({names})"  # the formatter breaks lines in brackets only
    turns = f"for {names} in {_within(code.iterable, _OR)}"
    if len(code.items) == 1:
        return f"{text(code.items[0])} {turns}"
    layer = usable("layer", {*names_in(code), *code.variables})
    return f"{layer} {turns} for {layer} in ({', '.join(map(_item, code.items))})"
