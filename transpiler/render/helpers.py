"""Helper functions and layers from `templates/helpers/`: only those that the program uses, and what they use."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

from transpiler.errors import InternalError
from transpiler.outline.names import snake
from transpiler.resources import read_template, template_root

PREFIX = "helpers."


@dataclass(frozen=True, slots=True)
class Helper:
    name: str
    """`grid_sample`, or a class's name."""
    text: str
    is_class: bool
    uses_numpy: bool


def helpers_for(functions: Iterable[str]) -> list[Helper]:
    """The helpers that are called, each after those that it uses itself, by name otherwise.

    Args:
        functions: dotted names of everything the program calls.

    Raises:
        InternalError: there is no such helper, or its template does not define it.
    """
    wanted = sorted(name.removeprefix(PREFIX).partition(".")[0] for name in functions if name.startswith(PREFIX))
    if not wanted:
        return []
    known = _known()
    found: dict[str, Helper] = {}

    def add(name: str, path: tuple[str, ...]) -> None:
        if name in found or name in path:
            return
        helper, names = _helper(name)
        for other in sorted(names):
            if other != name and snake(other) in known and _defines(other):
                add(other, (*path, name))
        found[name] = helper

    for name in dict.fromkeys(wanted):
        add(name, ())
    return list(found.values())


def _known() -> set[str]:
    folder = template_root().joinpath("helpers")
    suffix = ".py.jinja"
    return {entry.name.removesuffix(suffix) for entry in folder.iterdir() if entry.name.endswith(suffix)}


def _defines(name: str) -> bool:
    return any(getattr(node, "name", None) == name for node in _module(name).body)


def _module(name: str) -> ast.Module:
    try:
        return ast.parse(read_template(f"helpers/{snake(name)}.py.jinja"))
    except FileNotFoundError as error:
        raise InternalError(f"there is no helper {name!r}: {error}") from error
    except SyntaxError as error:
        raise InternalError(f"helper {name!r} is no Python: {error}") from error


def _helper(name: str) -> tuple[Helper, set[str]]:
    """A helper and the names that it reads. Its imports are the module's own and are left out."""
    module = _module(name)
    text = read_template(f"helpers/{snake(name)}.py.jinja")
    kept = [node for node in module.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    definition = next((node for node in kept if getattr(node, "name", None) == name), None)
    if definition is None:
        raise InternalError(f"templates/helpers/{snake(name)}.py.jinja does not define {name!r}")
    lines = text.splitlines()
    for node in module.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
    shown = "\n".join(lines).strip("\n")
    is_class = isinstance(definition, ast.ClassDef)
    if is_class and not definition.decorator_list:  # type: ignore[union-attr]
        shown = shown.replace(f"class {name}(", f"@serializable\nclass {name}(", 1)
    names = {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
    return Helper(name, shown, is_class, "np" in names), names
