"""Reviews Keras source, also what people wrote by hand, for a mistake that shows itself far from its place.

torch's `Sequential(a, b)` takes its layers as arguments, Keras's takes one list. Of `keras.Sequential(a, b)`, Keras 2
reads `b` as the name and Keras 3 as `trainable`; the error comes when the model is called, if it comes at all.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from transpiler.errors import Diagnostic, ModelError


def review_file(path: Path) -> tuple[Diagnostic, ...]:
    """What is wrong in a Python file.

    >>> review_file(Path("tf.py"))  # doctest: +SKIP
    ()

    Raises:
        ModelError: the file cannot be read, or is no Python.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (OSError, UnicodeDecodeError, SyntaxError, ValueError) as error:
        raise ModelError(Diagnostic(f"cannot be read as Python: {error}", where=path.name)) from error
    lines = text.splitlines()
    return tuple(_diagnostic(call, path.name, lines) for call in _wrong_calls(tree))


def _wrong_calls(tree: ast.Module) -> Iterator[ast.Call]:
    """Calls of Keras's Sequential whose positional arguments are not one list."""
    of_torch = set(_torch_names(tree))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or _last_name(node.func) != "Sequential":
            continue
        if _first_name(node.func) not in of_torch and _passes_layers(node):
            yield node


def _passes_layers(call: ast.Call) -> bool:
    """Several positional arguments, or one that is a layer built in place, or spread layers."""
    if len(call.args) > 1:
        return True
    return any(isinstance(argument, ast.Call | ast.Starred) and not _is_list_call(argument) for argument in call.args)


def _is_list_call(argument: ast.expr) -> bool:
    return isinstance(argument, ast.Call) and _last_name(argument.func) in {"list", "tuple"}


def _torch_names(tree: ast.Module) -> Iterator[str]:
    """Names that the file imports from torch, whose Sequential does take layers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "torch":
                    yield alias.asname or "torch"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            yield from (alias.asname or alias.name for alias in node.names)


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _first_name(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _diagnostic(call: ast.Call, file: str, lines: list[str]) -> Diagnostic:
    line, column = call.lineno, call.col_offset
    return Diagnostic(
        "keras.Sequential takes one list of layers; a second argument is read as its name or as `trainable`",
        where=f"{file}:{line}:{column + 1}",
        excerpt=f"{lines[line - 1]}\n{' ' * column}^",
        hint="write keras.Sequential([a, b])",
    )
