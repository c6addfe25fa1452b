r"""What a torch constructor's source says, as expressions: read with `ast`, never run.

>>> facts = read_init("def __init__(self, c1, c2, e=0.5):\n    c_ = int(c2 * e)\n    self.cv1 = Conv(c1, c_, 1)")
>>> [name for name, _ in facts.definitions], facts.calls["cv1"][0].function
(['c_'], 'Conv')
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from transpiler.code import Attribute, Binary, Call, Code, Conditional, Index, Literal, Sequence, Slice, Unary
from transpiler.outline.program import Name
from transpiler.outline.trees import transform

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


@dataclass(frozen=True, slots=True)
class CallFact:
    """A call in the constructor: `nn.Conv2d(c1, c2, k)`; None stands for an argument that was not understood."""

    function: str
    """Last part of the called name."""
    arguments: tuple[Code | None, ...]
    keywords: tuple[tuple[str, Code | None], ...]


@dataclass(frozen=True, slots=True)
class InitFacts:
    definitions: tuple[tuple[str, Code], ...]
    """Locals and `self.` attributes that are assigned exactly once, in order."""
    calls: dict[str, tuple[CallFact, ...]]
    """Calls by the member (or local variable) that their result goes into; "" has all of them."""
    counts: dict[str, tuple[Code, ...]]
    """Arguments of `range` by member."""
    expressions: tuple[Code, ...]
    """Every expression that was understood, larger ones first seen first, without literals."""
    tests: tuple[Code, ...]
    """What `if`s, conditional expressions and boolean assignments ask."""
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What it reads of its parameters: `hidden_size` of `config`."""


@lru_cache(maxsize=4096)
def read_init(source: str) -> InitFacts:
    """Read a constructor.

    Args:
        source: text of `__init__`; "" or text that does not parse gives no facts.
    """
    function = _parse(source)
    if function is None:
        return InitFacts((), {}, {}, (), ())
    parameters = {argument.arg for argument in _all_arguments(function.args)}
    assigned = list(_assignments(function.body))
    counts: dict[str, int] = {}
    for name, _ in assigned:
        counts[name] = counts.get(name, 0) + 1
    definitions = tuple(
        (name, code)
        for name, code in assigned
        if code is not None and counts[name] == 1 and name not in parameters and not isinstance(code, Literal)
    )
    pools = _pools(function)
    return InitFacts(
        definitions,
        {name: tuple(_call_fact(call) for call in calls) for name, calls in pools.items()},
        {name: tuple(_ranges(calls)) for name, calls in pools.items()},
        tuple(_expressions(function)),
        tuple(_tests(function)),
        _attributes_read(function, parameters),
    )


def _attributes_read(function: ast.FunctionDef, parameters: set[str]) -> dict[str, tuple[str, ...]]:
    read: dict[str, dict[str, None]] = {}
    for node in ast.walk(function):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in parameters and name != "self":
                read.setdefault(name, {})[attribute] = None
    return {name: tuple(attributes) for name, attributes in read.items()}


def _parse(source: str) -> ast.FunctionDef | None:
    try:
        module = ast.parse(textwrap.dedent(source))
    except (SyntaxError, ValueError, RecursionError):
        return None
    first = module.body[0] if module.body else None
    return first if isinstance(first, ast.FunctionDef) else None


def _all_arguments(arguments: ast.arguments) -> Iterator[ast.arg]:
    yield from (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    yield from (argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None)


# ── assignments ────────────────────────────────────────────────────────────────────────────────────────────────────


def _assignments(body: Iterable[ast.stmt]) -> Iterator[tuple[str, Code | None]]:
    """Every name that is assigned, with the expression, or None where it is not a plain one at the top level."""
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Name() | ast.Attribute() as target], value=value):
                yield from _named(target, expression(value))
            case ast.AnnAssign(target=ast.Name() | ast.Attribute() as target, value=ast.expr() as value):
                yield from _named(target, expression(value))
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=value):
                for each, code in zip(targets, _unpacked(value, len(targets)), strict=True):
                    yield from _named(each, code)
            case ast.If(test=test, body=then, orelse=otherwise):
                yield from _branches(test, then, otherwise)
            case _:
                for node in ast.walk(statement):
                    for assigned in _targets(node):
                        yield from _named(assigned, None)


def _unpacked(value: ast.expr, count: int) -> list[Code | None]:
    """What each of several targets gets."""
    match value:
        case ast.Tuple(elts=values) if len(values) == count:
            return [expression(each) for each in values]
        case ast.GeneratorExp(elt=item, generators=[loop]) | ast.ListComp(elt=item, generators=[loop]):
            return _unrolled(item, loop, count)
        case _:
            return [None] * count


def _unrolled(item: ast.expr, loop: ast.comprehension, count: int) -> list[Code | None]:
    """The values of `width * factor for factor in (1, 2, 4)`."""
    code = expression(item)
    match loop:
        case ast.comprehension(target=ast.Name(id=name), iter=ast.Tuple(elts=values) | ast.List(elts=values), ifs=[]):
            literals = [expression(value) for value in values]
        case _:
            literals = []
    if code is None or len(literals) != count:
        return [None] * count
    return [None if literal is None else _bound(code, name, literal) for literal in literals]


def _bound(code: Code, name: str, value: Code) -> Code:
    bound = transform(code, lambda node: value if node == Name(name) else None)
    match bound:
        case Binary("*", other, Literal(1)) | Binary("*", Literal(1), other) | Binary("+", other, Literal(0)):
            return other
        case _:
            return bound


def _branches(test: ast.expr, then: list[ast.stmt], otherwise: list[ast.stmt]) -> Iterator[tuple[str, Code | None]]:
    """`if test: a = x` / `else: a = y` is `a = x if test else y`; anything else is not understood."""
    condition = expression(test)
    first, second = dict(_assignments(then)), dict(_assignments(otherwise))
    for name in dict.fromkeys((*first, *second)):
        one, other = first.get(name), second.get(name)
        known = condition is not None and one is not None and other is not None
        yield name, Conditional(condition, one, other) if known else None  # type: ignore[arg-type]


def _targets(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.Assign(targets=targets):
            found = list(targets)
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target) | ast.For(target=target):
            found = [target]
        case ast.NamedExpr(target=target):
            found = [target]
        case ast.withitem(optional_vars=ast.expr() as target):
            found = [target]
        case _:
            return []
    return [inner for target in found for inner in (target.elts if isinstance(target, ast.Tuple) else [target])]


def _named(target: ast.expr, code: Code | None) -> Iterator[tuple[str, Code | None]]:
    name = _dotted_self(target)
    if name:
        yield name, code


def _dotted_self(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return f"self.{name}"
        case _:
            return ""


# ── calls ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pools(function: ast.FunctionDef) -> dict[str, list[ast.Call]]:
    """Calls by what they go into: `self.m = …`, `layers.append(…)`, `self.add_module("m", …)`."""
    pools: dict[str, list[ast.Call]] = {"": []}
    mentions: dict[str, set[str]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            pools[""].append(node)
        for target, value in _flows(node):
            name = target.removeprefix("self.")
            pools.setdefault(name, []).extend(
                inner
                for inner in ast.walk(value)
                if isinstance(inner, ast.Call) and _dotted(inner.func) not in FUNCTIONS
            )
            mentions.setdefault(name, set()).update(
                inner.id for inner in ast.walk(value) if isinstance(inner, ast.Name) and inner.id != name
            )
    direct = {name: list(calls) for name, calls in pools.items()}
    for name, names in mentions.items():
        for other in sorted(names):
            pools[name].extend(direct.get(other, ()))
    for calls in pools.values():
        calls.sort(key=lambda call: (call.lineno, call.col_offset))
    return pools


def _flows(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            yield from ((name, value) for target in targets if (name := _dotted_self(target)))
        case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.AugAssign(target=target, value=value):
            if name := _dotted_self(target):
                yield name, value
        case ast.Call(func=ast.Attribute(value=owner, attr="append" | "extend" | "insert"), args=[*_, value]):
            if name := _dotted_self(owner):
                yield name, value
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id="self"), attr="add_module" | "register_module"),
            args=[ast.Constant(value=str() as name), value],
        ):
            yield f"self.{name}", value
        case _:
            return


def _call_fact(call: ast.Call) -> CallFact:
    name = _dotted(call.func).rpartition(".")[2]
    arguments = tuple(None if isinstance(item, ast.Starred) else expression(item) for item in call.args)
    keywords = tuple((item.arg, expression(item.value)) for item in call.keywords if item.arg)
    return CallFact(name, arguments, keywords)


def _dotted(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            base = _dotted(value)
            return f"{base}.{name}" if base else ""
        case _:
            return ""


def _ranges(calls: Iterable[ast.Call]) -> Iterator[Code]:
    for call in calls:
        if _dotted(call.func) == "range" and len(call.args) == 1:
            code = expression(call.args[0])
            if code is not None:
                yield code


# ── expressions ────────────────────────────────────────────────────────────────────────────────────────────────────


def _expressions(function: ast.FunctionDef) -> Iterator[Code]:
    seen: set[Code] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.expr) and not isinstance(node, ast.Constant):
            code = expression(node)
            if code is not None and code not in seen:
                seen.add(code)
                yield code


def _tests(function: ast.FunctionDef) -> Iterator[Code]:
    seen: set[Code] = set()
    for node in ast.walk(function):
        match node:
            case ast.If(test=test) | ast.IfExp(test=test):
                asked = [test]
            case ast.BoolOp() | ast.Compare():
                asked = [node]
            case ast.UnaryOp(op=ast.Not()):
                asked = [node]
            case _:
                continue
        for item in asked:
            code = expression(item)
            if code is not None and code not in seen:
                seen.add(code)
                yield code


def expression(node: ast.expr) -> Code | None:  # noqa: C901 — one case a node
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
