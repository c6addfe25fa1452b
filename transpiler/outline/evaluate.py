"""The value of an expression over constructor arguments: literals, arithmetic, a few builtins, nothing else.

>>> evaluate(Binary("//", Function("c2"), Literal(2)), {"c2": 64})
32
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from transpiler.code import Binary, Call, Code, Conditional, Function, Index, Literal, Sequence, Slice, Unary
from transpiler.lowered import Basic

LARGEST = 1 << 62
"""Results beyond this are no layer sizes; it also keeps powers from running away."""
LONGEST = 4096


class Unknown(Exception):  # noqa: N818
    """The expression has no value here."""


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda one, other: one in other,
    "not in": lambda one, other: one not in other,
}
_UNARY: dict[str, Callable[[Any], Any]] = {"-": operator.neg, "+": operator.pos, "not": operator.not_}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "int": int,
    "float": float,
    "bool": bool,
    "round": round,
    "abs": abs,
    "min": min,
    "max": max,
    "sum": sum,
    "len": len,
    "tuple": tuple,
    "list": list,
}


def evaluate(code: Code, scope: Mapping[str, Basic]) -> Basic:
    """The value of `code`.

    Args:
        code: an expression without tensors.
        scope: values by name; attributes as `self.name`.

    Raises:
        Unknown: a name is not in scope, an operation fails, or the result is not a basic value.
    """
    try:
        value = _evaluate(code, scope)
    except (ArithmeticError, TypeError, ValueError, LookupError, RecursionError) as error:
        raise Unknown(str(error)) from error
    if not _is_basic(value):
        raise Unknown(f"{type(value).__name__} is no basic value")
    return value  # type: ignore[no-any-return]


def _evaluate(  # noqa: C901 — one case a node
    code: Code, scope: Mapping[str, Basic]
) -> Any:
    match code:
        case Literal(value):
            return value
        case Binary("and", left, right):
            return _evaluate(left, scope) and _evaluate(right, scope)
        case Binary("or", left, right):
            return _evaluate(left, scope) or _evaluate(right, scope)
        case Binary("is" | "is not" as identity, left, right):
            return _is(_evaluate(left, scope), _evaluate(right, scope)) == (identity == "is")
        case Binary(name, left, right):
            return _binary(name, _evaluate(left, scope), _evaluate(right, scope))
        case Unary(name, operand):
            return _UNARY[name](_evaluate(operand, scope))
        case Conditional(test, then, otherwise):
            return _evaluate(then if _evaluate(test, scope) else otherwise, scope)
        case Sequence(kind, items):
            values = [_evaluate(item, scope) for item in items]
            return values if kind == "list" else tuple(values)
        case Index(base, (item,)):
            return _evaluate(base, scope)[_place(item, scope)]
        case Call(Function(name), arguments, ()):
            return _FUNCTIONS[name](*(_evaluate(argument, scope) for argument in arguments))
        case Function(name):
            return scope[name]
        case _:
            raise Unknown(type(code).__name__)


def _place(item: object, scope: Mapping[str, Basic]) -> Any:
    if isinstance(item, Slice):
        parts = (item.start, item.stop, item.step)
        return slice(*(None if part is None else _evaluate(part, scope) for part in parts))
    return _evaluate(item, scope)  # type: ignore[arg-type]


def _is(one: object, other: object) -> bool:
    """Identity of None, True and False; of anything else an expression should not ask."""
    if one is None or other is None or isinstance(one, bool) or isinstance(other, bool):
        return one is other
    raise Unknown("identity of numbers")


def _binary(name: str, one: Any, other: Any) -> Any:
    if name == "**" and (not _small(one, 1 << 20) or not _small(other, 64)):
        raise Unknown("a power of large numbers")
    sized = [item for item in (one, other) if isinstance(item, str | list | tuple)]
    if name == "*" and sized and not (_small(one, LONGEST) or _small(other, LONGEST)):
        raise Unknown("a long repetition")
    if name == "%" and isinstance(one, str):
        raise Unknown("string formatting")
    return _BINARY[name](one, other)


def _small(value: object, limit: int) -> bool:
    return isinstance(value, int | float) and abs(value) <= limit


def _is_basic(value: object) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= LONGEST and all(_is_basic(item) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) <= LARGEST
    return value is None or isinstance(value, bool | str)
