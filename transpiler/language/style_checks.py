"""`style { … }` and `output` of the model block: known keys, fitting values, names that the source can bear."""

from __future__ import annotations

import difflib
import keyword
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from transpiler.language.expressions import Scope, evaluate
from transpiler.language.problems import PlacedError, Problem
from transpiler.language.syntax import Expr, ModelDeclaration
from transpiler.reserved import AMBIGUOUS, CORE, LOOP_BUILTINS, MODULE_NAMES

RENAME = "rename."
FRAMEWORKS = ("keras", "tf.keras")
LINE_LENGTHS = (60, 320)
"""The shortest that indented code can be read in, and the longest that the formatter takes."""
OWN_NAMES = MODULE_NAMES | LOOP_BUILTINS | AMBIGUOUS | CORE


def check_style(model: ModelDeclaration) -> Iterator[Problem]:
    """Everything that is wrong with the style and the output of a model block."""
    taken: dict[str, str] = {}
    values: dict[str, object] = {}
    for key, expr in model.style:
        kind = RENAME if key.startswith(RENAME) else key
        if kind not in _CHECKS:
            near = difflib.get_close_matches(key, STYLES, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(STYLES)}, rename.<class>"
            yield Problem(f"unknown style '{key}'", expr.position, hint)
            continue
        try:
            value = evaluate(expr, Scope({}))
        except PlacedError:
            continue  # names are checked with all other expressions
        problem = _CHECKS[kind](key, value, expr)
        if problem is None and kind == RENAME:
            problem = _given_twice(key, value, expr, taken)
        if problem is not None:
            yield problem
        values[key] = value
    yield from _check_output(model, values.get("split"))


def _check_prefix(key: str, value: object, expr: Expr) -> Problem | None:
    return None if value == "" else _name_problem(key, value, expr)


def _check_rename(key: str, value: object, expr: Expr) -> Problem | None:
    problem = _name_problem(key, value, expr)
    if problem is None and value in OWN_NAMES:
        return Problem(f"a class cannot be named '{value}': the source uses that name itself", expr.position)
    return problem


def _check_package(key: str, value: object, expr: Expr) -> Problem | None:
    if not isinstance(value, str):
        return _kind_problem(key, expr, 'a string, as in: package = "vision.detectors"')
    for part in value.split("."):
        if not part.isidentifier() or keyword.iskeyword(part):
            hint = 'names joined by dots, as in: package = "vision.detectors"'
            return Problem(f"'{value}' is no package name", expr.position, hint)
    return None


def _check_switch(key: str, value: object, expr: Expr) -> Problem | None:
    return None if isinstance(value, bool) else _kind_problem(key, expr, f"true or false, as in: {key} = true")


def _check_framework(_key: str, value: object, expr: Expr) -> Problem | None:
    if value in FRAMEWORKS:
        return None
    near = difflib.get_close_matches(str(value), FRAMEWORKS, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"there are: {', '.join(FRAMEWORKS)}"
    return Problem(f"unknown framework '{value}'", expr.position, hint)


def _check_line_length(key: str, value: object, expr: Expr) -> Problem | None:
    shortest, longest = LINE_LENGTHS
    if isinstance(value, int) and not isinstance(value, bool) and shortest <= value <= longest:
        return None
    return _kind_problem(key, expr, f"a whole number from {shortest} to {longest}, as in: {key} = 88")


_CHECKS: dict[str, Callable[[str, object, Expr], Problem | None]] = {
    "prefix": _check_prefix,
    "package": _check_package,
    "keep_unused": _check_switch,
    "split": _check_switch,
    "framework": _check_framework,
    "line_length": _check_line_length,
    RENAME: _check_rename,
}
STYLES = tuple(key for key in _CHECKS if key != RENAME)
"""Keys of `style`; `rename.Conv = "BaseConv"` names one class."""


def _name_problem(key: str, value: object, expr: Expr) -> Problem | None:
    """What keeps a value from being (the beginning of) a class's name."""
    if not isinstance(value, str):
        return _kind_problem(key, expr, f'a string, as in: {key} = "TF"')
    if keyword.iskeyword(value):
        return Problem(f"'{value}' is a word of Python's own and names nothing", expr.position)
    if not (value.isidentifier() and value.isascii()):
        hint = "letters, digits and underscores, no digit first"
        return Problem(f"'{value}' is no name for classes", expr.position, hint)
    if value.startswith("_"):
        hint = "Keras makes scopes of class names, and these must begin with a letter"
        return Problem(f"'{value}' begins with an underscore", expr.position, hint)
    return None


def _kind_problem(key: str, expr: Expr, wanted: str) -> Problem:
    return Problem(f"'{key}' takes {wanted.partition(', as in')[0]}", expr.position, wanted.partition(", ")[2])


def _given_twice(key: str, value: object, expr: Expr, taken: dict[str, str]) -> Problem | None:
    first = taken.setdefault(str(value), key)
    if first == key:
        return None
    classes = f"'{first.removeprefix(RENAME)}' and '{key.removeprefix(RENAME)}'"
    return Problem(f"{classes} cannot both be named '{value}'", expr.position)


def _check_output(model: ModelDeclaration, split: object) -> Iterator[Problem]:
    if model.output is None or model.output_position is None:
        return
    suffix = PurePosixPath(model.output).suffix
    if suffix not in ("", ".py"):
        hint = 'a file, "tf.py", or a folder, "tf"'
        yield Problem(f"'{model.output}' is no Python file", model.output_position, hint)
    elif suffix == "" and split is False:
        hint = 'one file is named "….py"; a folder is for split = true'
        yield Problem(f"'{model.output}' is a folder, and split is false", model.output_position, hint)
