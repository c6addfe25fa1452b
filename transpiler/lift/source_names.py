"""The names that a torch source line gives to what it computes.

>>> # 41:        x1, x2 = x.chunk(2, dim=1)
>>> names(SourceFrame("shufflenetv2.py", 41), 2)  # doctest: +SKIP
('x1', 'x2')
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import linecache
import re
import textwrap
from collections.abc import Mapping
from typing import Any

from torch import nn

from transpiler.capture.trace import SourceFrame, Span, display_path
from transpiler.lowered import SourceLine, TorchClass
from transpiler.reserved import GATHERED

_CALLED = re.compile(r"(?<![\w.])(self\.(?:\w+\.)?|super\(\)\.)?([A-Za-z_]\w*)\(")
_LEFT_TO = re.compile(r"^ +self\.(\w+)\(\)$", re.MULTILINE)
"""A statement that calls a method without arguments."""
_MOST_CALLED = 16

_VIEWS = frozenset(
    [
        *("view", "reshape", "flatten", "unflatten", "permute", "transpose", "movedim", "squeeze", "unsqueeze"),
        *("expand", "expand_as", "repeat", "contiguous", "to", "type_as", "float", "type"),
    ]
)
"""Methods whose result people go on calling the same."""


def names(frame: SourceFrame, count: int, part: tuple[int, int] = (0, 1)) -> tuple[str | None, ...]:
    """What the source calls the results of what runs in `frame`; None for those that it gives no name.

    A function that returns what ran leaves it to its caller to name it, also where it has a name for it up to there.
    Several results that the source keeps together, under one name (`parts = x.chunk(2)`), all bear that name.

    Args:
        frame: where it runs, and from where that was called.
        count: how many results it has.
        part: which one of how many operators it is that make one result each of the function that ran.
    """
    current: SourceFrame | None = frame
    inner: tuple[str | None, ...] = ()
    while current is not None:
        statement = _statement_at(current)
        if current.span is not None and (inline := _inline_names(current.file).get(current.span)) is not None:
            return (inline,) * count
        if statement is None or (inner and not _is_all_but_views(current.span, getattr(statement, "value", None))):
            break
        found = _named(statement, current.span, count, part)
        place = _returned(current.file, statement, found) if found else part
        if place is None:
            return found
        if not found and not isinstance(statement, ast.Return):
            break
        current, inner, part = current.outer, found or inner, place
    return inner or (None,) * count


def first_line(file: str, line: int) -> int:
    """The first line of the statement that spans `line`: calls spread over lines belong together."""
    statement = _statements_by_line(file).get(line)
    return line if statement is None or isinstance(statement, ast.For | ast.If) else statement.lineno


@functools.lru_cache(maxsize=16)
def _nodes(file: str) -> tuple[ast.AST, ...]:
    try:
        return tuple(ast.walk(ast.parse("".join(linecache.getlines(file)))))
    except (SyntaxError, ValueError):
        return ()


def _statement_at(frame: SourceFrame) -> ast.stmt | None:
    return _statements_by_line(frame.file).get(frame.line)


@functools.lru_cache(maxsize=512)
def _statements_by_line(file: str) -> dict[int, ast.stmt]:
    """The innermost statement on each line."""
    simple = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.Expr)
    return {
        line: node
        for node in _nodes(file)
        if isinstance(node, simple)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


@functools.lru_cache(maxsize=512)
def _inline_names(file: str) -> dict[Span, str]:
    """Names that expressions get where they stand: `if (y := self.pool(x)) is not None`."""
    named = (node for node in _nodes(file) if isinstance(node, ast.NamedExpr))
    return {span: node.target.id for node in named if (span := _span(node.value)) is not None}


def _named(statement: ast.stmt, span: Span | None, count: int, part: tuple[int, int]) -> tuple[str | None, ...]:
    """Names that a statement gives to the results of what it computes at `span`; () if it names nothing."""
    match statement:
        case ast.Assign(targets=[target, *_], value=value):
            pass
        case ast.AugAssign(target=target, value=value) | ast.AnnAssign(target=target, value=ast.expr() as value):
            pass
        case ast.Expr(ast.Call(func=ast.Attribute(value=gathered, attr="append"), args=[value])) if _is_all(
            span, value
        ):
            return _as_element(_names_of(gathered), count)
        case _:
            return ()
    if isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List) and span is not None:
        pairs = zip(target.elts, value.elts, strict=False) if len(target.elts) == len(value.elts) else ()
        found = next(((name, part) for name, part in pairs if _within(span, part)), None)
        if found is not None:
            target, value = found
    if isinstance(target, ast.Subscript) and _is_all(span, value):
        return _as_element(_names_of(target.value), count)
    given = _names_of(target)
    if isinstance(value, ast.ListComp) and _is_all(span, value.elt):
        return _as_element(given, count)
    return _given(given, value, span, count, part) if given else ()


def _given(
    given: tuple[str | None, ...], value: ast.expr, span: Span | None, count: int, part: tuple[int, int]
) -> tuple[str | None, ...]:
    """Which of the names of a target belong to what is computed at `span` of the value."""
    if len(given) == count:
        return given
    if _is_all(span, value) and len(given) == 1:
        return given * count
    if _is_all(span, value) and (count, len(given)) == (1, part[1]):
        return (given[part[0]],)
    if len(given) == 1 and (place := _picked(span, value)) is not None:
        return tuple(given[0] if number == place else None for number in range(count))
    return (None,) * count


def _returned(file: str, statement: ast.stmt, found: tuple[str | None, ...]) -> tuple[int, int] | None:
    """Which one of how many results of its function it is that a statement names, if nothing is left to be done."""
    rest = _rest_of_function(file).get(statement)
    if not rest or len(found) != 1 or not isinstance(rest[-1], ast.Return):
        return None
    if not all(isinstance(node, ast.Assign) and _same_names(node, found) for node in rest[:-1]):
        return None
    value = rest[-1].value
    results = value.elts if isinstance(value, ast.Tuple) else [value]
    places = [place for place, result in enumerate(results) if result is not None and _same(result) == found[0]]
    return (places[0], len(results)) if len(places) == 1 else None


def _same_names(node: ast.Assign, found: tuple[str | None, ...]) -> bool:
    return len(node.targets) == 1 and _names_of(node.targets[0]) == found and _same(node.value) == found[0]


def _same(value: ast.expr) -> str | None:
    """The variable of which an expression only gives another view: `x` of `x.reshape(b, -1)[None]`."""
    base: ast.expr | None = value
    while base is not None and not isinstance(base, ast.Name):
        base = _viewed(base)
    return None if base is None else base.id


@functools.lru_cache(maxsize=64)
def _rest_of_function(file: str) -> dict[ast.stmt, list[ast.stmt]]:
    """What comes behind each statement of a function's own block."""
    functions = (node for node in _nodes(file) if isinstance(node, ast.FunctionDef))
    return {node: each.body[place + 1 :] for each in functions for place, node in enumerate(each.body)}


def _as_element(names: tuple[str | None, ...], count: int) -> tuple[str | None, ...]:
    """`outs[]` for what is put into the list `outs`."""
    return (f"{names[0]}{GATHERED}",) if count == len(names) == 1 and names[0] else ()


def _is_all(span: Span | None, value: ast.expr | None) -> bool:
    return span is not None and value is not None and span == _span(value)


def _is_all_but_views(span: Span | None, value: ast.expr | None) -> bool:
    """Whether what is computed at `span` is the value, or what the value is another view of."""
    while value is not None and not _is_all(span, value):
        value = _viewed(value)
    return value is not None


def _viewed(value: ast.expr) -> ast.expr | None:
    """What an expression only gives another view of: `x` of `x.reshape(b, -1)`."""
    match value:
        case ast.Call(func=ast.Attribute(value=base, attr=name)) if name in _VIEWS:
            return base
        case ast.Subscript(value=base, slice=ast.Constant(None)):
            return base
        case _:
            return None


def _picked(span: Span | None, value: ast.expr) -> int | None:
    """Which of the results at `span` it is that the expression takes: 0 of `self.attn(x)[0]`."""
    match value:
        case ast.Subscript(value=base, slice=ast.Constant(value=int() as place)) if _is_all(span, base) and place >= 0:
            return place
        case _:
            return None


def _span(node: ast.expr) -> Span | None:
    if node.end_lineno is None or node.end_col_offset is None:
        return None
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset


def _within(span: Span, node: ast.expr) -> bool:
    line, column, end_line, end_column = span
    starts = (node.lineno, node.col_offset) <= (line, column)
    return starts and (end_line, end_column) <= (node.end_lineno or line, node.end_col_offset or column)


def _names_of(target: ast.expr) -> tuple[str | None, ...]:
    match target:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return (name,)
        case ast.Tuple(elts=items) | ast.List(elts=items):
            # what is unpacked within (`x, (h, c) = …`) are results of their own
            return tuple(name for item in items for name in _names_of(item) or (None,))
        case _:
            return ()


def torch_class(module: nn.Module) -> TorchClass:
    """Where the class of a module is defined and what its constructor and `forward` say."""
    below = tuple((name, type(child)) for name, child in module.named_children())
    return _torch_class(type(module), below)  # type: ignore[arg-type]  # classes are hashable


@functools.lru_cache(maxsize=4096)
def _torch_class(cls: type[nn.Module], below: tuple[tuple[str, type[nn.Module]], ...]) -> TorchClass:
    """`below` are the classes of its children, whose methods `forward` may call."""
    try:
        file = inspect.getsourcefile(cls)
        line = inspect.getsourcelines(cls)[1]
        source = SourceLine(display_path(file), line) if file else None
    except (OSError, TypeError):
        source = None
    inits = _inits(cls)
    return TorchClass(
        cls.__name__,
        f"{cls.__module__}.{cls.__qualname__}",
        source,
        inits[0] if inits else "",
        inits[1:],
        _methods_called(cls, inits),
        _forward_text(cls, dict(below)),
        cls.__module__,
    )


def _forward_text(cls: type[nn.Module], below: Mapping[str, type[nn.Module]]) -> str:
    """`forward`, and the methods and functions of the model's own that it calls by name, on its children, too."""
    texts: dict[Any, str] = {}
    waiting: list[Any] = [(cls, cls.forward)]
    while waiting and len(texts) < _MOST_CALLED:
        owner, function = waiting.pop(0)
        if function in texts or not inspect.isfunction(function) or not _is_model_code(function):
            continue
        texts[function] = _source(function)
        for path, name in _CALLED.findall(texts[function]):
            on, called = _called(owner, below if owner is cls else {}, function, path, name)
            if called is not None and getattr(called, "__module__", "").partition(".")[0] != "torch":
                waiting.append((on, called))
    return "\n\n".join(texts.values())


def _called(
    owner: type[Any], below: Mapping[str, type[Any]], function: Any, path: str, name: str
) -> tuple[type[Any], Any]:
    """The function that `path` and `name` call in a method of `owner`, and the class that it is a method of."""
    if path == "self.":
        return owner, getattr(owner, name, None)
    if path == "super().":
        bases = itertools.dropwhile(lambda base: name not in vars(base), owner.__mro__[1:])
        return owner, vars(next(bases, object)).get(name)
    if path:
        child = below.get(path.split(".")[1])
        return child or owner, getattr(child, name, None)
    return owner, function.__globals__.get(name)


def _inits(cls: type[Any]) -> tuple[str, ...]:
    """The constructors that building an instance may run, those of torch's own classes left out."""
    own = (base.__dict__["__init__"] for base in cls.__mro__ if "__init__" in base.__dict__)
    return tuple(_source(init) for init in itertools.takewhile(_is_model_code, own))


def _methods_called(cls: type[Any], inits: tuple[str, ...]) -> tuple[str, ...]:
    """The methods of the model's own that constructors leave a part of their work to."""
    named = dict.fromkeys(name for init in inits for name in _LEFT_TO.findall(init))
    methods = (getattr(cls, name, None) for name in named)
    return tuple(_source(method) for method in methods if inspect.isfunction(method) and _is_model_code(method))


def _is_model_code(function: Any) -> bool:
    return not str(getattr(function, "__module__", "")).startswith(("torch.nn.", "builtins"))


def _source(function: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return ""
