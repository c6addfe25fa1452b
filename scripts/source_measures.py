"""How near a generated source is to the torch source it was made from: classes, lines, names, constructors."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from transpiler.lowered import Body
from transpiler.outline.grouping import children_of
from transpiler.port import Port


@dataclass(frozen=True, slots=True)
class ClassMeasure:
    """One generated class beside the torch class that it was made from."""

    name: str
    torch_class: str
    """Qualified name."""
    lines: int
    torch_lines: int
    """Of the class and of the bases, torch's own left out, that it inherits from."""
    locals: int
    """Local variables of `call`."""
    invented: tuple[str, ...]
    """Those that occur nowhere in the source of the torch class, of its module, or of the functions that it calls."""
    parameters: int
    """Parameters of the constructor."""
    foreign: tuple[str, ...]
    """Those that torch's constructor does not have."""


@dataclass(frozen=True, slots=True)
class SourceMeasure:
    """A whole generated source."""

    classes: tuple[ClassMeasure, ...]
    helpers: tuple[str, ...]
    """Classes that are helpers: no torch class is behind them."""
    entered: tuple[str, ...]
    """Torch classes that the trace enters: those of every module whose `forward` was followed."""


def measure(port: Port) -> SourceMeasure:
    """Measure the source of a port.

    >>> measure(port).entered  # doctest: +SKIP
    ('torchvision.models.resnet.BasicBlock', 'torchvision.models.resnet.ResNet')
    """
    bodies = list(_bodies(port.stages.lowered.root))
    where = {f"{body.cls.name} ({body.cls.source})" if body.cls.source else body.cls.name: body for body in bodies}
    classes: list[ClassMeasure] = []
    helpers: list[str] = []
    for node in ast.parse(port.source).body:
        if isinstance(node, ast.ClassDef):
            body = where.get(_title(ast.get_docstring(node) or ""))
            if body is None:
                helpers.append(node.name)
            else:
                classes.append(_measured(node, body))
    entered = sorted({body.cls.qualified_name for body in bodies})
    return SourceMeasure(tuple(classes), tuple(helpers), tuple(entered))


def _title(docstring: str) -> str:
    found = re.match(r"\w+( \([^)]*\))?", docstring.splitlines()[0]) if docstring else None
    return found[0] if found else ""


def _bodies(body: Body) -> Iterator[Body]:
    yield body
    for child in children_of(body):
        yield from _bodies(child)


def _measured(node: ast.ClassDef, body: Body) -> ClassMeasure:
    sources = _torch_sources(body.cls.qualified_name)
    # what `forward` calls in other files is written into the generated class, too
    words = {word for source in (*sources, body.cls.forward_source) for word in re.findall(r"[A-Za-z_]\w*", source)}
    locals_ = _locals(node)
    parameters = [parameter for parameter in _parameters(node) if parameter not in ("self", "kwargs")]
    torch_parameters = set(body.constructor.arguments) if body.constructor else set()
    return ClassMeasure(
        node.name,
        body.cls.qualified_name,
        (node.end_lineno or 0) - node.lineno + 1 + len(node.decorator_list),
        sum(len(source.splitlines()) for source in sources[:-1]),
        len(locals_),
        tuple(name for name in locals_ if name not in words),
        len(parameters),
        tuple(name for name in parameters if name.rstrip("_") not in torch_parameters and name not in torch_parameters),
    )


@cache
def _torch_sources(qualified_name: str) -> tuple[str, ...]:
    """The source of a class, then that of its bases and of the functions of its module, which `forward` may call."""
    module_name, _, name = qualified_name.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module_name), name)
        own = textwrap.dedent(inspect.getsource(cls))
    except (ImportError, AttributeError, OSError, TypeError):
        return ()
    bases = [base for base in cls.__mro__[1:] if base.__module__.split(".")[0] not in ("torch", "builtins")]
    return (own, *(inspect.getsource(base) for base in bases), inspect.getsource(inspect.getmodule(cls)))


def _locals(node: ast.ClassDef) -> list[str]:
    call = next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "call"), None)
    if call is None:
        return []
    stored = [inner.id for inner in ast.walk(call) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)]
    return [name for name in dict.fromkeys(stored) if name != "_"]


def _parameters(node: ast.ClassDef) -> list[str]:
    init = next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"), None)
    return [argument.arg for argument in init.args.args] if init else []
