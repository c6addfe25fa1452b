"""Lays out one module: header, imports, helpers, classes, `build_model`."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable, Sequence

from transpiler import __version__
from transpiler.code import Literal
from transpiler.errors import InternalError
from transpiler.outline.program import ClassProgram
from transpiler.render.build_model import build_model_text
from transpiler.render.classes import class_text
from transpiler.render.contents import LONG, contents
from transpiler.render.expressions import text
from transpiler.render.format import formatted, with_sorted_names
from transpiler.render.helpers import helpers_for
from transpiler.render.templates import docstring, rendered
from transpiler.render.used import functions

_KERAS = {"keras": "import keras", "tf.keras": "from tensorflow import keras"}
_PACKAGE = {"keras": "keras", "tf.keras": "tensorflow.keras"}
_SERIALIZABLE = {
    "keras": "keras.saving.register_keras_serializable",
    "tf.keras": "keras.utils.register_keras_serializable",  # tf.keras has no `saving`
}


def one_file(program: ClassProgram) -> str:
    """The text of `tf.py`, formatted."""
    helpers = [helper.text for helper in helpers_for(functions(program.classes))]
    parts = [
        *helpers,
        *(class_text(definition, program.line_length) for definition in program.classes),
        build_model_text(program),
    ]
    plain = module_text(program, heading(program), parts)
    if len(program.classes) == 1 or plain.count("\n") <= LONG:
        return plain
    return module_text(program, (*heading(program), "", *contents(program.classes, program.line_length)), parts)


def heading(program: ClassProgram, title: str = "", command: str = "kerascribe generate") -> tuple[str, ...]:
    """The docstring of a module: what it is, what wrote it from what, and how to change it."""
    lines = [title or f"{program.name}, channels last.", ""]
    if program.rules_name:
        lines.append(
            f"Written by kerascribe {__version__} from `{program.model_name}` with `{program.rules_name}`"
            f" (sha256 {program.digest}). Do not edit: change the rules and run"
            f" `{command} {program.rules_name}`."
        )
    else:
        lines.append(f"Written by kerascribe {__version__} from `{program.model_name}`.")
    wrapped = (textwrap.wrap(line, program.line_length, break_on_hyphens=False) or [""] for line in lines)
    return tuple(part for parts in wrapped for part in parts)


def module_text(program: ClassProgram, header: Iterable[str], parts: Sequence[str], own: Sequence[str] = ()) -> str:
    """The text of a module, formatted.

    Args:
        program: the program that it belongs to.
        header: lines of its docstring.
        parts: texts of its functions and classes.
        own: imports from other files of the program.

    Raises:
        InternalError: the text is no Python.
    """
    body = "\n\n\n".join(parts)
    names = _names_read(body)
    plain = rendered(
        "module.py.jinja",
        header=docstring(header),
        imports=_imports(program.framework, names),
        own=own,
        serializable=_SERIALIZABLE[program.framework] if "serializable" in names else "",
        package=text(Literal(program.package)),
        body=body,
    )
    return formatted(with_sorted_names(plain) if own else plain, program.line_length)


def _names_read(body: str) -> set[str]:
    try:
        tree = ast.parse(body)
    except (SyntaxError, ValueError) as error:
        raise InternalError(f"the generated source is no Python: {error}") from error
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _imports(framework: str, names: set[str]) -> list[str]:
    lines = [_KERAS[framework]] if names & {"keras", "serializable"} else []
    if "np" in names:
        lines.append("import numpy as np")
    used = [name for name in ("layers", "ops") if name in names]
    if used:
        lines.append(f"from {_PACKAGE[framework]} import {', '.join(used)}")
    return sorted(lines, key=lambda line: line.startswith("from"))
