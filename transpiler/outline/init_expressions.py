"""Expressions of a torch constructor as code of ours: names, literals, arithmetic and a few builtins."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from transpiler.code import Attribute, Binary, Call, Code, Conditional, Index, Literal, Name, Sequence, Slice, Unary

FUNCTIONS = frozenset({"int", "float", "bool", "round", "abs", "min", "max", "sum", "len", "tuple", "list"})
"""Builtins that an expression may call and still be understood."""

_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.And: "and",
    ast.Or: "or",
    ast.USub: "-",
    ast.UAdd: "+",
    ast.Not: "not",
}


def expression(node: ast.expr) -> Code | None:  # noqa: C901, PLR0912 — one case a node
    """An expression over names, literals, arithmetic and a few builtins; None if it has anything else."""
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str() as value):
            return Literal(value)
        case ast.Name(id=name):
            return Name(name)
        case ast.Attribute(value=ast.Name(id="nn"), attr=attribute) if attribute[:1].isupper():
            return Literal(attribute)  # a class that is a value goes by its name
        case ast.Attribute(value=ast.Name(id=owner), attr=attribute):
            return Name(f"{owner}.{attribute}")
        case (
            ast.BinOp(left=left, op=operator, right=right) | ast.Compare(left=left, ops=[operator], comparators=[right])
        ):
            one, other = expression(left), expression(right)
            if one is None or other is None or type(operator) not in _OPERATORS:
                return None
            return Binary(_OPERATORS[type(operator)], one, other)
        case ast.UnaryOp(op=sign, operand=inner):
            operand = expression(inner)
            return None if operand is None or type(sign) not in _OPERATORS else Unary(_OPERATORS[type(sign)], operand)
        case ast.BoolOp(op=joint, values=values):
            return _joined(_OPERATORS[type(joint)], _all(values))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            parts = _all((test, body, orelse))
            return None if parts is None else Conditional(*parts)
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            items = _all(elements)
            kind = "tuple" if isinstance(node, ast.Tuple) else "list"
            return None if items is None else Sequence(kind, items)
        case ast.Subscript(value=base, slice=place):
            return _subscript(expression(base), place)
        case ast.Call(func=ast.Name(id=called), args=arguments, keywords=[]) if called in FUNCTIONS:
            given = _all(arguments)
            return None if given is None else _plain_call(called, given)
        case _:
            return None


def _plain_call(function: str, arguments: tuple[Code, ...]) -> Code:
    """A call of a builtin without what linters call superfluous: `int(round(x))` is `round(x)`."""
    match function, arguments:
        case "int", (Call(Name("round" | "len" | "int"), (_,)) as inner,):
            return inner
        case "int" | "float" | "bool", (Literal(value),) if type(value).__name__ == function:
            return arguments[0]
        case "tuple" | "list", (Sequence(_, items),):
            return Sequence(function, items)
        case _:
            return Call(Name(function), arguments)


def _all(nodes: Iterable[ast.expr]) -> tuple[Code, ...] | None:
    codes = [expression(node) for node in nodes]
    return None if None in codes else tuple(code for code in codes if code is not None)


def _joined(operator: str, codes: tuple[Code, ...] | None) -> Code | None:
    if codes is None:
        return None
    joined = codes[0]
    for code in codes[1:]:
        joined = Binary(operator, joined, code)
    return joined


def _subscript(base: Code | None, place: ast.expr) -> Code | None:
    if base is None or isinstance(base, Attribute):
        return None
    if isinstance(place, ast.Slice):
        parts = [None if part is None else expression(part) for part in (place.lower, place.upper, place.step)]
        return Index(base, (Slice(*parts),))
    item = expression(place)
    return None if item is None else Index(base, (item,))
