"""What the helpers in `templates/helpers/` take, read from their text."""

from __future__ import annotations

import ast
from functools import lru_cache

from transpiler.lowered import Basic
from transpiler.outline.names import snake
from transpiler.outline.program import REQUIRED, Required
from transpiler.resources import read_template


@lru_cache(maxsize=256)
def helper_parameters(name: str) -> dict[str, Basic | Required] | None:
    """Parameters of a helper function, or of a helper class's constructor, and their defaults; None if there is none.

    Args:
        name: name of the function or class; its template has the same in snake case.
    """
    try:
        module = ast.parse(read_template(f"helpers/{snake(name)}.py.jinja"))
    except (FileNotFoundError, SyntaxError):
        return None
    found = next((node for node in module.body if getattr(node, "name", None) == name), None)
    if isinstance(found, ast.ClassDef):
        methods = (node for node in found.body if isinstance(node, ast.FunctionDef))
        found = next((node for node in methods if node.name == "__init__"), None)
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
