"""The helpers in `templates/helpers/`: where each is defined, and what it takes, read from their text."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import lru_cache

from transpiler.lowered import Basic
from transpiler.outline.program import REQUIRED, Required
from transpiler.resources import read_template, template_root

SUFFIX = ".py.jinja"


@lru_cache(maxsize=1)
def helper_files() -> dict[str, str]:
    """Every function and class that a helper file is for, and the path of that file.

    A file is for the definition that its name spells: `grouped_conv2d.py.jinja` for `GroupedConv2D`.
    """
    found: dict[str, str] = {}
    for entry in template_root().joinpath("helpers").iterdir():
        if not entry.name.endswith(SUFFIX):
            continue
        path = f"helpers/{entry.name}"
        for node in ast.parse(read_template(path)).body:
            name = node.name if isinstance(node, ast.FunctionDef | ast.ClassDef) else ""
            if _plain(name) == _plain(entry.name.removesuffix(SUFFIX)):
                found[name] = path
    return found


@lru_cache(maxsize=256)
def helpers_below(name: str) -> frozenset[str]:
    """The helpers that a helper uses itself; none for one that is not known.

    Args:
        name: name of the function or class.
    """
    path = helper_files().get(name)
    if path is None:
        return frozenset()
    read = {node.id for node in ast.walk(ast.parse(read_template(path))) if isinstance(node, ast.Name)}
    return frozenset(read & helper_files().keys() - {name})


def with_helpers_below(names: Iterable[str]) -> frozenset[str]:
    """Helpers, those that they use, and so on."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += helpers_below(name)
    return frozenset(found)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


@lru_cache(maxsize=256)
def helper_parameters(name: str) -> dict[str, Basic | Required] | None:
    """Parameters of a helper function, or of a helper class's constructor, and their defaults; None if there is none.

    Args:
        name: name of the function or class.
    """
    path = helper_files().get(name)
    if path is None:
        return None
    found = next(node for node in ast.parse(read_template(path)).body if getattr(node, "name", None) == name)
    if isinstance(found, ast.ClassDef):
        methods = [node for node in found.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
        return _parameters(methods[0].args) if methods else None
    return _parameters(found.args) if isinstance(found, ast.FunctionDef) else None


def _parameters(arguments: ast.arguments) -> dict[str, Basic | Required]:
    names = [argument.arg for argument in arguments.args]
    defaults: list[Basic | Required] = [REQUIRED] * (len(names) - len(arguments.defaults))
    found = dict(zip(names, defaults + [_value(node) for node in arguments.defaults], strict=True))
    found.update(
        (argument.arg, REQUIRED if node is None else _value(node))
        for argument, node in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    )
    found.pop("self", None)
    return found


def _value(node: ast.expr) -> Basic | Required:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return REQUIRED
    return value if value is None or isinstance(value, bool | int | float | str | tuple) else REQUIRED
