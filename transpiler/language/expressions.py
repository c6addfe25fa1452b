"""Evaluates expressions of rules when code is generated, over names and functions that the caller gives.

There is no way from here to Python's own names, to double underscores, to the data of a tensor, or to a result of
unbounded size.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from transpiler.language.functions import FUNCTIONS
from transpiler.language.problems import PlacedError
from transpiler.language.syntax import (
    Attribute,
    Binary,
    BoolOp,
    Call,
    Compare,
    Conditional,
    Ellipsis_,
    Expr,
    Index,
    Literal,
    Name,
    Position,
    Sequence,
    Slice,
    Unary,
)

LONGEST = 10_000
"""Elements of a repeated sequence, bits of an integer."""


class Names(Protocol):
    """Values by name; raises KeyError for a name it does not have. A dict is one, so is a view of a module."""

    def __getitem__(self, name: str, /) -> object: ...


def no_attributes(_value: object, name: str) -> object:
    """The default of `Scope.attribute`: values have no attributes."""
    raise AttributeError(name)


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression can see.

    >>> Scope({"dim": 1}, functions={"axis": lambda dim: dim + 2})  # doctest: +SKIP
    """

    names: Names
    functions: Mapping[str, Callable[..., object]] = field(default_factory=dict)
    """Beside (and before) the built-in ones: `axis`, `axes`."""
    attribute: Callable[[object, str], object] = no_attributes
    """Reads `value.name`; raises AttributeError where there is none. Never asked for double underscores."""


def evaluate(expr: Expr, scope: Scope) -> object:
    """The value of an expression.

    >>> evaluate(parsed("stride[0] * 2 if stride else 1"), Scope({"stride": (3, 3)}))  # doctest: +SKIP
    6

    Args:
        expr: from a parsed rule; calls of `keras.…` have no value.
        scope: the names, functions and attributes it can see.

    Raises:
        PlacedError: a `RulesError` with the position, for an unknown name, a refused operation, or what Python raised.
    """
    try:
        return _evaluate(expr, scope)
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise PlacedError(f"this expression has no value: {reason}", expr.position) from error


def holds(condition: Expr | None, scope: Scope) -> bool:
    """Whether a guard is true; a rule without one always applies.

    Raises:
        PlacedError: as `evaluate`.
    """
    return condition is None or _truth(evaluate(condition, scope), condition.position)


def dotted_name(expr: Expr) -> str | None:
    """`keras.ops.concatenate` of such an expression; None of anything else."""
    if isinstance(expr, Name):
        return expr.id
    if isinstance(expr, Attribute):
        base = dotted_name(expr.base)
        return None if base is None else f"{base}.{expr.name}"
    return None


def is_emitted(expr: Expr) -> bool:
    """Whether this is a call, such as `keras.ops.add(a, b)`, that stands in the generated source."""
    if not isinstance(expr, Call):
        return False
    name = dotted_name(expr.function)
    return name is not None and name.startswith("keras.")


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and all expressions in it, in the order they are written.

    The function of a call is left out where it is a plain name: `min`, `keras.ops.add`.
    """
    yield expr
    for part in _parts(expr):
        yield from walk(part)


def names_in(expr: Expr) -> tuple[Name, ...]:
    """The names that the value of an expression depends on."""
    return tuple(part for part in walk(expr) if isinstance(part, Name))


def unknown_name(name: str, known: Iterable[str], position: Position) -> PlacedError:
    """The error for a name that is not there, with the nearest one that is."""
    near = difflib.get_close_matches(name, known, n=1)
    return PlacedError(f"unknown name '{name}'", position, f"did you mean '{near[0]}'?" if near else "")


def _parts(expr: Expr) -> tuple[Expr, ...]:
    match expr:
        case Attribute(base, _, _) | Unary(_, base, _):
            return (base,)
        case Index(base, items, _):
            return (base, *(part for item in items for part in _subscript_parts(item)))
        case Call(function, arguments, keywords, _):
            head = () if dotted_name(function) is not None else (function,)
            return (*head, *arguments, *(value for _, value in keywords))
        case Binary(_, left, right, _):
            return (left, right)
        case Compare(left, _, rights, _):
            return (left, *rights)
        case BoolOp(_, operands, _) | Sequence(_, operands, _):
            return operands
        case Conditional(test, then, otherwise, _):
            return (then, test, otherwise)
        case Literal() | Name():
            return ()


def _subscript_parts(item: Expr | Slice | Ellipsis_) -> tuple[Expr, ...]:
    if isinstance(item, Ellipsis_):
        return ()
    if isinstance(item, Slice):
        return tuple(bound for bound in (item.start, item.stop, item.step) if bound is not None)
    return (item,)


def _evaluate(expr: Expr, scope: Scope) -> object:  # noqa: C901 - a case a node
    match expr:
        case Literal(value, _):
            return value
        case Name(name, position):
            return _lookup(name, scope, position)
        case Attribute(base, name, position):
            return _attribute(evaluate(base, scope), name, scope, position)
        case Index(base, items, _):
            keys = tuple(_subscript(item, scope) for item in items)
            return operator.getitem(_settled(evaluate(base, scope)), keys[0] if len(keys) == 1 else keys)  # type: ignore[call-overload]
        case Call():
            return _call(expr, scope)
        case Unary("not", operand, _):
            return not _truth(evaluate(operand, scope), operand.position)
        case Unary(sign, operand, _):
            return _SIGNS[sign](_settled(evaluate(operand, scope)))
        case Binary(symbol, left, right, _):
            return _arithmetic(symbol, _settled(evaluate(left, scope)), _settled(evaluate(right, scope)))
        case Compare():
            return _compare(expr, scope)
        case BoolOp(symbol, operands, _):
            return _connect(symbol, operands, scope)
        case Conditional(test, then, otherwise, _):
            return evaluate(then if _truth(evaluate(test, scope), test.position) else otherwise, scope)
        case Sequence(kind, items, _):
            values = [evaluate(item, scope) for item in items]
            return values if kind == "list" else tuple(values)


def _lookup(name: str, scope: Scope, position: Position) -> object:
    try:
        return scope.names[name]
    except KeyError:
        known = tuple(scope.names) if isinstance(scope.names, Mapping) else ()
        raise unknown_name(name, known, position) from None


def _attribute(value: object, name: str, scope: Scope, position: Position) -> object:
    if "__" in name:  # the parser refuses it, too; trees can be made without it
        raise PlacedError(f"'{name}' has a double underscore", position)
    try:
        return scope.attribute(value, name)
    except AttributeError:
        raise PlacedError(f"{type(value).__name__} has no attribute '{name}'", position) from None


def _subscript(item: Expr | Slice | Ellipsis_, scope: Scope) -> object:
    if isinstance(item, Ellipsis_):
        return ...
    if isinstance(item, Slice):
        bounds = (item.start, item.stop, item.step)
        return slice(*(None if bound is None else evaluate(bound, scope) for bound in bounds))
    return evaluate(item, scope)


def _call(call: Call, scope: Scope) -> object:
    name = dotted_name(call.function)
    if name is None:
        raise PlacedError("only functions can be called", call.function.position)
    if is_emitted(call):
        raise PlacedError(f"{name} is part of the generated source: it has no value yet", call.function.position)
    function = scope.functions.get(name) or FUNCTIONS.get(name)
    if function is None:
        near = difflib.get_close_matches(name, {*FUNCTIONS, *scope.functions}, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted({*FUNCTIONS, *scope.functions}))}"
        raise PlacedError(f"unknown function '{name}'", call.function.position, hint)
    arguments = [evaluate(argument, scope) for argument in call.arguments]
    return function(*arguments, **{keyword: evaluate(value, scope) for keyword, value in call.keywords})


def _compare(expr: Compare, scope: Scope) -> bool:
    left = evaluate(expr.left, scope)
    for symbol, right_expr in zip(expr.operators, expr.rights, strict=True):
        right = evaluate(right_expr, scope)
        if not symbol.startswith("is"):
            left, right = _settled(left), _settled(right)
        if not _truth(_COMPARISONS[symbol](left, right), expr.position):
            return False
        left = right
    return True


def _connect(symbol: str, operands: tuple[Expr, ...], scope: Scope) -> object:
    value: object = None
    for operand in operands:
        value = evaluate(operand, scope)
        if _truth(value, operand.position) == (symbol == "or"):
            return value
    return value


def _arithmetic(symbol: str, left: object, right: object) -> object:
    if symbol == "%" and isinstance(left, str):
        raise TypeError("strings are not formatted in rules")
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * abs(right) if symbol == "**" else left.bit_length() + right.bit_length()
        _refuse_size(bits)
    for sequence, other in ((left, right), (right, left)):
        if isinstance(sequence, str | tuple | list):
            _refuse_size(len(sequence) * (abs(other) if isinstance(other, int) else 1))
            _refuse_size(len(sequence) + (len(other) if isinstance(other, str | tuple | list) else 0))
    return _ARITHMETIC[symbol](left, right)


def _refuse_size(size: int) -> None:
    if size > LONGEST:
        raise ValueError("the result is too large")


def _settled(value: object) -> object:
    """Refuses tensors: what a rule decides must not depend on the data."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        raise TypeError("a rule may ask for the rank, shape and dtype of a tensor, not for its data")
    return value


def _truth(value: object, position: Position) -> bool:
    try:
        return bool(_settled(value))
    except TypeError as error:
        raise PlacedError(f"this expression has no value: {error}", position) from error


_SIGNS: Mapping[str, Callable[..., object]] = {"-": operator.neg, "+": operator.pos}
_ARITHMETIC: Mapping[str, Callable[[object, object], object]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}
_COMPARISONS: Mapping[str, Callable[..., object]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda item, container: item in container,
    "not in": lambda item, container: item not in container,
    "is": operator.is_,
    "is not": operator.is_not,
}
