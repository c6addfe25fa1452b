r"""What a torch constructor's source says, as expressions: read with `ast`, never run.

>>> facts = read_init("def __init__(self, c1, c2, e=0.5):\n    c_ = int(c2 * e)\n    self.cv1 = Conv(c1, c_, 1)")
>>> [name for name, _ in facts.definitions], facts.calls["cv1"][0].function
(['c_'], 'Conv')
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Container, Iterable, Iterator
from functools import lru_cache

from transpiler.code import Binary, Code, Conditional, Literal, Name
from transpiler.outline.init_expressions import FUNCTIONS, expression
from transpiler.outline.init_facts import CallFact, InitFacts, joined, substituted
from transpiler.outline.written_numbers import numbers_in
from transpiler.trees import names_in, transform


@lru_cache(maxsize=4096)
def read_init(source: str, bases: tuple[str, ...] = (), methods: tuple[str, ...] = ()) -> InitFacts:
    """Read a constructor, and what it leaves to those of its bases and to methods.

    Args:
        source: text of `__init__`; "" or text that does not parse gives no facts.
        bases: texts of the constructors that `super().__init__` leads to, nearest first.
        methods: texts of the methods that these call without arguments.
    """
    facts = _read_chain(source, bases)
    kept = {name: code for name, code in facts.definitions if name.startswith("self.") and type(code) is Name}
    for method in methods:
        function = _parse(method)
        if function is not None:
            facts = joined(facts, substituted(_read(function), {**kept, **dict.fromkeys(_locals(function))}))
    return facts


def _read_chain(source: str, bases: tuple[str, ...]) -> InitFacts:
    function = _parse(source)
    if function is None:
        return InitFacts((), {}, {}, (), ())
    own = _read(function)
    base = _parse(bases[0]) if bases else None
    call = _super_call(function)
    if base is None or call is None:
        return own
    return joined(own, substituted(_read_chain(bases[0], bases[1:]), _given(base, call)))


def _locals(function: ast.FunctionDef) -> Iterator[str]:
    """Names that mean something in this function only."""
    yield from (argument.arg for argument in _all_arguments(function.args) if argument.arg != "self")
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _super_call(function: ast.FunctionDef) -> ast.Call | None:
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__")):
                return node
            case _:
                pass
    return None


def _given(function: ast.FunctionDef, call: ast.Call) -> dict[str, Code | None]:
    """What a call gives the parameters of a constructor; None where that is not understood."""
    arguments = function.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)][1:]
    given: dict[str, Code | None] = {argument.arg: None for argument in _all_arguments(arguments)}
    defaults = zip(reversed(names), reversed(arguments.defaults), strict=False)
    given |= {name: expression(default) for name, default in defaults}
    if any(isinstance(item, ast.Starred) for item in call.args):
        return given
    given |= {name: expression(item) for name, item in zip(names, call.args, strict=False)}
    return given | {item.arg: expression(item.value) for item in call.keywords if item.arg}


def _read(function: ast.FunctionDef) -> InitFacts:
    parameters = {argument.arg for argument in _all_arguments(function.args)}
    definitions = tuple(
        (name, code)
        for name, code in _composed(_assignments(function.body), parameters).items()
        if code is not None and not isinstance(code, Literal)
    )
    pools = _pools(function)
    return InitFacts(
        definitions,
        {name: tuple(_call_fact(call) for call in calls) for name, calls in pools.items()},
        {name: tuple(_ranges(calls)) for name, calls in pools.items()},
        tuple(_expressions(function)),
        tuple(_tests(function)),
        _attributes_read(function, parameters),
        tuple(_loops(function)),
        frozenset(number for statement in function.body for number in numbers_in(statement)),
        frozenset(_running(function)),
    )


def _running(function: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(function):
        match node:
            case ast.AugAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if any(isinstance(inner, ast.Name) and inner.id == name for inner in ast.walk(value)):
                    yield name
            case _:
                pass


def _loops(function: ast.FunctionDef) -> Iterator[tuple[str, Code]]:
    for node in ast.walk(function):
        match node:
            case ast.For(target=target, iter=iterable) | ast.comprehension(target=target, iter=iterable):
                yield from _items_of(target, iterable)
            case _:
                pass


def _items_of(target: ast.expr, iterable: ast.expr) -> Iterator[tuple[str, Code]]:
    """The names of a loop's target, each with what it goes over."""
    match target, iterable:
        case ast.Name(id=name), _:
            code = expression(iterable)
            if code is not None:
                yield name, code
        case ast.Tuple(elts=[_, item]), ast.Call(func=ast.Name(id="enumerate"), args=[inner, *_]):
            yield from _items_of(item, inner)
        case ast.Tuple(elts=items), ast.Call(func=ast.Name(id="zip"), args=several) if len(items) == len(several):
            for item, inner in zip(items, several, strict=True):
                yield from _items_of(item, inner)
        case _:
            pass


def _composed(assigned: Iterable[tuple[str, Code | None]], parameters: Container[str]) -> dict[str, Code | None]:
    """Every name with what it is in the end; None where a step of it was not understood."""
    found: dict[str, Code | None] = {}
    for name, code in assigned:
        before = found.pop(name, Name(name) if name in parameters else None)
        reads_itself = code is not None and name in names_in(code)
        if code is None or (reads_itself and before is None):
            found[name] = None
        else:
            found[name] = _with_value(code, name, before) if before is not None else code
    return found


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
            case ast.AugAssign(target=ast.Name() | ast.Attribute() as target, op=operator, value=value):
                yield from _named(target, expression(ast.BinOp(target, operator, value)))
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
    bound = _with_value(code, name, value)
    match bound:
        case Binary("*", other, Literal(1)) | Binary("*", Literal(1), other) | Binary("+", other, Literal(0)):
            return other
        case _:
            return bound


def _with_value(code: Code, name: str, value: Code) -> Code:
    return transform(code, lambda node: value if node == Name(name) else None)


def _branches(test: ast.expr, then: list[ast.stmt], otherwise: list[ast.stmt]) -> Iterator[tuple[str, Code | None]]:
    """`if test: a = x` / `else: a = y` is `a = x if test else y`; anything else is not understood."""
    condition = expression(test)
    first, second = dict(_assignments(then)), dict(_assignments(otherwise))
    for name in dict.fromkeys((*first, *second)):
        one, other = first.get(name, Name(name)), second.get(name, Name(name))
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
        if isinstance(node, ast.For):
            # `for _ in range(n): layers.append(…)`: how many there are.
            counted = [inner for inner in ast.walk(node.iter) if isinstance(inner, ast.Call)]
            for target in {target for below in ast.walk(node) for target, _ in _flows(below)}:
                pools.setdefault(target.removeprefix("self."), []).extend(counted)
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
            yield from ((name, value) for target in targets if (name := _dotted_self(_container(target))))
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
        case ast.Call(func=ast.Attribute(value=owner, attr="add_module" | "register_module"), args=[_, value]):
            if name := _dotted_self(owner):
                yield name, value
        case _:
            return


def _container(target: ast.expr) -> ast.expr:
    """`layers` of `layers["head"] = …`."""
    return target.value if isinstance(target, ast.Subscript) else target


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
