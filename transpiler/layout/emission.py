"""The right-hand side of a rule becomes code: what holds no tensor is evaluated now, the rest is emitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from transpiler import code as out
from transpiler.errors import InternalError
from transpiler.language import syntax as rule
from transpiler.language.expressions import Scope, dotted_name, evaluate
from transpiler.language.functions import FUNCTIONS
from transpiler.layout.body import BodyBuilder
from transpiler.lift.program import SymbolicSize

Operands: TypeAlias = Mapping[str, "out.Code"]
"""What a tensor name of the rule stands for: a value, or a list of values."""


class Emitter:
    """Turns expressions of one rule application into code."""

    def __init__(self, body: BodyBuilder, operands: Operands, sizes: Mapping[str, Any], scope: Scope) -> None:
        self.body = body
        self.operands = operands
        self.sizes = sizes
        self.scope = scope

    def code(self, expr: rule.Expr) -> out.Code:
        """The code of an expression.

        Raises:
            RulesError: an expression without tensors has no value, with its position in the rules file.
        """
        if not self._emitted(expr):
            return constant(evaluate(expr, self.scope))
        match expr:
            case rule.Name(name, _):
                return self.operands[name] if name in self.operands else self._size(self.sizes[name])
            case rule.Call(function, arguments, keywords, _):
                return self._call(function, arguments, keywords)
            case rule.Unary(operator, operand, _):
                return out.Unary(operator, self.code(operand))
            case rule.Binary(operator, left, right, _):
                return out.Binary(operator, self.code(left), self.code(right))
            case rule.Compare(left, operators, rights, _) if len(operators) == 1:
                return out.Binary(operators[0], self.code(left), self.code(rights[0]))
            case rule.Conditional(test, then, otherwise, _):
                return self.code(then if evaluate(test, self.scope) else otherwise)
            case rule.Index(base, items, _):
                return _indexed(self.code(base), tuple(self._item(item) for item in items))
            case rule.Sequence(kind, items, _):
                return out.Sequence(kind, tuple(self.code(item) for item in items))
            case _:
                raise InternalError(f"{expr.position}: this form of expression cannot be emitted")

    def call(self, expr: rule.Expr) -> out.Call:
        """A layer's constructor."""
        code = self.code(expr)
        if not isinstance(code, out.Call):
            raise InternalError(f"{expr.position}: a layer's constructor is a call")
        return code

    def _call(
        self, function: rule.Expr, arguments: tuple[rule.Expr, ...], keywords: tuple[tuple[str, rule.Expr], ...]
    ) -> out.Call:
        name = dotted_name(function)
        if name is None:
            raise InternalError(f"{function.position}: a call names its function")
        return out.Call(
            out.Function(name),
            tuple(self.code(argument) for argument in arguments),
            tuple((key, self.code(value)) for key, value in keywords),
        )

    def _item(self, item: rule.Expr | rule.Slice | rule.Ellipsis_) -> out.Code | out.Slice | out.Ellipsis_:
        if isinstance(item, rule.Ellipsis_):
            return out.Ellipsis_()
        if isinstance(item, rule.Slice):
            parts = (None if part is None else self.code(part) for part in (item.start, item.stop, item.step))
            return out.Slice(*parts)
        return self.code(item)

    def _size(self, value: Any) -> out.Code:
        if isinstance(value, SymbolicSize):
            return self.body.size_code(value.expression)
        if isinstance(value, list):
            return out.Sequence("tuple", tuple(self._size(item) for item in value))
        return constant(value)

    def _emitted(self, expr: rule.Expr) -> bool:
        """Whether the value is known only when the model runs."""
        match expr:
            case rule.Name(name, _):
                return name in self.operands or name in self.sizes
            case rule.Literal() | rule.Attribute():
                return False
            case rule.Call(function, _, _, _):
                name = dotted_name(function) or ""
                return name not in FUNCTIONS and name not in self.scope.functions
            case rule.Unary(_, operand, _):
                return self._emitted(operand)
            case rule.Binary(_, left, right, _):
                return self._emitted(left) or self._emitted(right)
            case rule.Compare(left, operators, rights, _):
                identity = operators[0] in {"is", "is not", "in", "not in"}
                return not identity and any(self._emitted(part) for part in (left, *rights))
            case rule.Conditional(_, then, otherwise, _):
                return self._emitted(then) or self._emitted(otherwise)
            case rule.Index(base, _, _):
                return self._emitted(base)
            case rule.Sequence(_, items, _):
                return any(self._emitted(item) for item in items)
            case _:
                return False


def _indexed(base: out.Code, items: tuple[out.Code | out.Slice | out.Ellipsis_, ...]) -> out.Code:
    """`base[items]`; an element of a list that stands there is that element."""
    if isinstance(base, out.Sequence) and len(items) == 1:
        index = items[0]
        if isinstance(index, out.Literal) and isinstance(index.value, int):
            return base.items[index.value]
    return out.Index(base, items)


def constant(value: object) -> out.Code:
    """A Python value as code."""
    if value is None or isinstance(value, bool | int | float | str):
        return out.Literal(value)
    if isinstance(value, tuple | list):
        return out.Sequence("tuple" if isinstance(value, tuple) else "list", tuple(constant(item) for item in value))
    raise InternalError(f"a rule gives a {type(value).__name__} where generated code needs a plain value")
