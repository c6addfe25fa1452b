"""The names that a torch source line gives to what it computes.

>>> # 41:        x1, x2 = x.chunk(2, dim=1)
>>> targets("shufflenetv2.py", 41)
('x1', 'x2')
"""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import textwrap
from typing import Any

from transpiler.capture.trace import display_path
from transpiler.lowered import SourceLine, TorchClass


def targets(file: str, line: int) -> tuple[str, ...]:
    """Names assigned by the statement that spans `line`; () for a return or an expression."""
    return _targets_by_line(file).get(line, ())


def first_line(file: str, line: int) -> int:
    """The first line of the statement that spans `line`: calls spread over lines belong together."""
    return _starts_by_line(file).get(line, line)


@functools.lru_cache(maxsize=512)
def _statements(file: str) -> tuple[ast.stmt, ...]:
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return ()
    simple = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.Expr, ast.For, ast.If)
    return tuple(node for node in ast.walk(tree) if isinstance(node, simple))


@functools.lru_cache(maxsize=512)
def _starts_by_line(file: str) -> dict[int, int]:
    return {
        line: node.lineno
        for node in _statements(file)
        if not isinstance(node, ast.For | ast.If)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


@functools.lru_cache(maxsize=512)
def _targets_by_line(file: str) -> dict[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {}
    for node in _statements(file):
        if isinstance(node, ast.Assign):
            names = _names(node.targets[0])
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            names = _names(node.target)
        else:
            continue
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
            found[line] = names
    return found


def _names(target: ast.expr) -> tuple[str, ...]:
    if isinstance(target, ast.Name):
        return (target.id,)
    if isinstance(target, ast.Tuple | ast.List) and all(isinstance(item, ast.Name) for item in target.elts):
        return tuple(item.id for item in target.elts if isinstance(item, ast.Name))
    return ()


@functools.lru_cache(maxsize=4096)
def torch_class(cls: type[Any]) -> TorchClass:
    """Where a class is defined and what its constructor says."""
    try:
        file = inspect.getsourcefile(cls)
        line = inspect.getsourcelines(cls)[1]
        source = SourceLine(display_path(file), line) if file else None
    except (OSError, TypeError):
        source = None
    try:
        init = textwrap.dedent(inspect.getsource(cls.__init__)) if "__init__" in cls.__dict__ else ""
    except (OSError, TypeError):
        init = ""
    return TorchClass(cls.__name__, f"{cls.__module__}.{cls.__qualname__}", source, init, cls.__module__)
