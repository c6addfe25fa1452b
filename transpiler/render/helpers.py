"""Helper functions and layers from `templates/helpers/`: only those that the program uses, and what they use."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

from transpiler.errors import InternalError
from transpiler.outline.helper_signatures import helper_files, helpers_below
from transpiler.resources import read_template

PREFIX = "helpers."


@dataclass(frozen=True, slots=True)
class Helper:
    name: str
    """`grid_sample`, or a class's name."""
    text: str


def helpers_for(functions: Iterable[str]) -> list[Helper]:
    """The helpers that are called, each after those that it uses itself, by name otherwise.

    Args:
        functions: dotted names of everything the program calls.

    Raises:
        InternalError: there is no such helper.
    """
    wanted = sorted(name.removeprefix(PREFIX).partition(".")[0] for name in functions if name.startswith(PREFIX))
    found: dict[str, Helper] = {}

    def add(name: str, path: tuple[str, ...]) -> None:
        if name in found or name in path:
            return
        helper = _helper(name)
        for other in sorted(helpers_below(name)):
            add(other, (*path, name))
        found[name] = helper

    for name in dict.fromkeys(wanted):
        add(name, ())
    return list(found.values())


def _helper(name: str) -> Helper:
    """A helper. Its imports are the module's own and are left out."""
    path = helper_files().get(name)
    if path is None:
        raise InternalError(f"there is no helper {name!r} in templates/helpers/")
    text = read_template(path)
    module = ast.parse(text)
    lines = text.splitlines()
    for node in module.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            lines[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or node.lineno) - node.lineno + 1)
    shown = "\n".join(lines).strip("\n")
    definition = next(node for node in module.body if getattr(node, "name", None) == name)
    if isinstance(definition, ast.ClassDef) and not definition.decorator_list:
        shown = shown.replace(f"class {name}(", f"@serializable\nclass {name}(", 1)
    return Helper(name, shown)
