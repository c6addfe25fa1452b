"""`style { … }` as data, and what can be said of it only when the model's classes are known."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import PurePosixPath

from transpiler.language.expressions import Scope, evaluate
from transpiler.language.problems import Problem
from transpiler.language.style_checks import RENAME
from transpiler.language.syntax import ModelDeclaration
from transpiler.lowered import LINE_LENGTH, Body, Style, TorchClass
from transpiler.outline.grouping import children_of
from transpiler.outline.helper_signatures import helper_files


def style_of(declaration: ModelDeclaration | None) -> Style:
    """`style { … }` of the rules file; a folder as `output` is split unless the style says otherwise."""
    given = {name: evaluate(value, Scope({})) for name, value in declaration.style} if declaration else {}
    renames = tuple((key.removeprefix(RENAME), str(name)) for key, name in given.items() if key.startswith(RENAME))
    is_folder = bool(declaration and declaration.output and PurePosixPath(declaration.output).suffix != ".py")
    return Style(
        prefix=str(given.get("prefix", "")),
        renames=renames,
        package=str(given.get("package", "")),
        keep_unused=bool(given.get("keep_unused", False)),
        split=bool(given.get("split", is_folder)),
        framework=str(given.get("framework", "keras")),
        line_length=int(str(given.get("line_length", LINE_LENGTH))),
    )


def rename_problems(root: Body, style: Style, declaration: ModelDeclaration) -> Iterator[Problem]:
    """Renames of classes that the model has not, or to names that others have.

    Args:
        root: the model, in Keras terms.
        style: its style.
        declaration: where the style is said.
    """
    classes = list(dict.fromkeys(_classes(root)))
    names = dict(style.renames)
    positions = {key.removeprefix(RENAME): expr.position for key, expr in declaration.style}
    for key, name in style.renames:
        renamed = [cls for cls in classes if cls.is_named(key)]
        others = [cls for cls in classes if cls not in renamed and style.name_of(cls) == name]
        if not renamed:
            yield Problem(f"no class of the model is named '{key}'", positions[key], _nearest(key, classes))
        elif others:
            message = f"the class of {others[0].qualified_name} is named '{name}', too"
            yield Problem(message, positions[key], "give one of them another name")
        elif name in helper_files():
            yield Problem(f"'{name}' is the name of a helper of ours", positions[key], "choose another name")
        elif len({cls.qualified_name for cls in renamed if style.name_of(cls) == names[key]}) > 1:
            listed = " and ".join(dict.fromkeys(cls.qualified_name for cls in renamed))
            hint = f"say more of its path, as in: {RENAME}{renamed[0].qualified_name}"
            yield Problem(f"'{key}' may be {listed}", positions[key], hint)


def _classes(body: Body) -> Iterator[TorchClass]:
    yield body.cls
    for child in children_of(body):
        yield from _classes(child)


def _nearest(key: str, classes: list[TorchClass]) -> str:
    known = sorted({cls.name for cls in classes})
    near = difflib.get_close_matches(key.rpartition(".")[2], known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known)}"
