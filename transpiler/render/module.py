"""Lays out a whole module: header, imports, helpers, classes, `build_model`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from functools import lru_cache

from jinja2 import Environment, FunctionLoader, StrictUndefined

from transpiler import __version__
from transpiler.code import Call, Code, Function, Literal, Sequence
from transpiler.lowered import ModelInput
from transpiler.outline.names import snake, usable
from transpiler.outline.program import (
    Assign,
    ClassDefinition,
    ClassProgram,
    For,
    If,
    Line,
    Name,
    Parameter,
    Required,
    Return,
)
from transpiler.outline.trees import code_of, walk
from transpiler.render.expressions import target, text
from transpiler.render.helpers import Helper, helpers_for
from transpiler.resources import read_template

INDENT = "    "
WIDTH = 88
"""The formatter's own line length."""

_KERAS = {"keras": "import keras", "tf.keras": "from tensorflow import keras"}
_PACKAGE = {"keras": "keras", "tf.keras": "tensorflow.keras"}
_SERIALIZABLE = {
    "keras": "keras.saving.register_keras_serializable",
    "tf.keras": "keras.utils.register_keras_serializable",  # tf.keras has no `saving`
}


def module_text(program: ClassProgram) -> str:
    """The text of the module, before formatting."""
    helpers = helpers_for(functions(program))
    body = _rendered(
        "classes.py.jinja",
        helpers=helpers,
        classes=[_class(definition) for definition in program.classes],
        build=_build(program),
    )
    return _rendered(
        "module.py.jinja",
        header=_docstring(_header(program)),
        imports=_imports(program.framework, body, helpers),
        serializable=_SERIALIZABLE[program.framework],
        package=text(Literal(program.package)),
        body=body,
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(read_template),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 — Python, not HTML; every string is escaped as Python where it is made
    )


def _rendered(template: str, /, **values: object) -> str:
    return str(_environment().get_template(template).render(**values))


# ── what is used ───────────────────────────────────────────────────────────────────────────────────────────────────


def functions(program: ClassProgram) -> set[str]:
    """Dotted names of all functions and layers that the program calls."""
    return {
        node.name
        for definition in program.classes
        for line in _flat((*definition.setup, *definition.body))
        for code in _codes(line)
        for node in walk(code)
        if isinstance(node, Function) and not isinstance(node, Name)
    }


def _flat(lines: Iterable[Line]) -> Iterator[Line]:
    for line in lines:
        yield line
        if isinstance(line, If):
            yield from _flat((*line.then, *line.otherwise))
        elif isinstance(line, For):
            yield from _flat(line.body)


def _codes(line: Line) -> tuple[Code, ...]:
    match line:
        case Assign(value=value) | Return(value=value):
            return (value,)
        case If(test=test):
            return (test,)
        case For(iterable=iterable):
            return (iterable,)


def _imports(framework: str, body: str, helpers: list[Helper]) -> list[str]:
    used = [name for name in ("layers", "ops") if f"{name}." in body]
    lines = [_KERAS[framework]]
    if "np." in body or any(helper.uses_numpy for helper in helpers):
        lines.append("import numpy as np")
    if used:
        lines.append(f"from {_PACKAGE[framework]} import {', '.join(used)}")
    return sorted(lines, key=lambda line: line.startswith("from"))


# ── pieces ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _header(program: ClassProgram) -> list[str]:
    lines = [f"{program.name}, channels last.", ""]
    if program.rules_name:
        lines.append(
            f"Written by kerascribe {__version__} from `{program.model_name}` with `{program.rules_name}`"
            f" (sha256 {program.digest}). Do not edit: change the rules and run"
            f" `kerascribe generate {program.rules_name}`."
        )
    else:
        lines.append(f"Written by kerascribe {__version__} from `{program.model_name}`.")
    return [part for line in lines for part in textwrap.wrap(line, WIDTH, break_on_hyphens=False) or [""]]


def _docstring(lines: Iterable[str]) -> str:
    """A docstring; text from outside cannot end it."""
    safe = [_safe(line) for line in lines]
    if len(safe) == 1:
        return f'"""{safe[0]}"""'
    return '"""' + "\n".join(safe) + '\n"""'


def _safe(line: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in line)
    return printable.replace("\\", "\\\\").replace('"""', "'''").rstrip('"')


def _comment(comment: str) -> str:
    return f"  # {_safe(comment)}" if comment else ""


def _class(definition: ClassDefinition) -> str:
    docstring = _docstring(definition.docstring)
    has_init = bool(definition.setup or definition.parameters)
    return _rendered(
        "class.py.jinja",
        name=target(definition.name),
        docstring=docstring.replace("\n", f"\n{INDENT}").replace(f"\n{INDENT}\n", "\n\n"),
        parameters=[_parameter(parameter) for parameter in definition.parameters] if has_init else None,
        setup=list(_lines(definition.setup, 2)),
        arguments=[target(argument) for argument in definition.arguments],
        body=list(_lines(definition.body, 2)),
        is_root=definition.is_root,
        kept=[target(name) for name in definition.kept],
    )


def _parameter(parameter: Parameter) -> str:
    name = target(parameter.name)
    if isinstance(parameter.default, Required):
        return name
    default = parameter.default
    return f"{name}={text(code_of(tuple(default) if isinstance(default, list) else default))}"


def _lines(lines: Iterable[Line], depth: int) -> Iterator[str]:
    margin = INDENT * depth
    for line in lines:
        match line:
            case Assign((), value, comment):
                yield f"{margin}{text(value)}{_comment(comment)}"
            case Assign(targets, value, comment):
                names = ", ".join(target(name) for name in targets)
                yield f"{margin}{names} = {_unwrapped(value) if len(targets) > 1 else text(value)}{_comment(comment)}"
            case Return(value, comment):
                yield f"{margin}return {_unwrapped(value)}{_comment(comment)}"
            case For(variables, iterable, body, comment):
                names = ", ".join(target(name) for name in variables)
                yield f"{margin}for {names} in {text(iterable)}:{_comment(comment)}"
                yield from _lines(body, depth + 1)
            case If():
                yield from _if(line, depth)


def _if(line: If, depth: int) -> Iterator[str]:
    margin = INDENT * depth
    word = "if"
    while True:
        yield f"{margin}{word} {text(line.test)}:"
        yield from _lines(line.then, depth + 1)
        if len(line.otherwise) == 1 and isinstance(line.otherwise[0], If):
            line, word = line.otherwise[0], "elif"
            continue
        break
    if line.otherwise:
        yield f"{margin}else:"
        yield from _lines(line.otherwise, depth + 1)


def _unwrapped(value: Code) -> str:
    """A tuple that is returned or unpacked needs no brackets."""
    shown = text(value)
    return shown[1:-1] if isinstance(value, Sequence) and value.kind == "tuple" and len(value.items) > 1 else shown


# ── build_model ────────────────────────────────────────────────────────────────────────────────────────────────────


def _build(program: ClassProgram) -> str:
    inputs = program.signature.inputs
    names: list[str] = []
    for item in inputs:
        names.append(usable(item.name, {*names, "input_shape"}))
    takes_shape = len(inputs) == 1 and _batch(inputs[0]) is None
    lines = [f"{name} = {text(_input(item, takes_shape))}" for name, item in zip(names, inputs, strict=True)]
    arguments = tuple(
        Sequence("list", tuple(Name(names[place]) for place in argument.inputs))
        if argument.is_list
        else Name(names[argument.inputs[0]])
        for argument in program.inputs
    )
    called = Call(program.root, arguments)
    given: Code = Name(names[0]) if len(names) == 1 else Sequence("list", tuple(Name(name) for name in names))
    model = Call(Function("keras.Model"), (given, called), (("name", Literal(snake(program.name))),))
    return _rendered(
        "build_model.py.jinja",
        parameter=f"input_shape={text(code_of(inputs[0].keras_shape[1:]))}" if takes_shape else "",
        lines=lines,
        model=text(model),
    )


def _input(item: ModelInput, takes_shape: bool) -> Code:  # noqa: FBT001 — one of two ways to say the shape
    shape = Name("input_shape") if takes_shape else code_of(item.keras_shape[1:])
    keywords: list[tuple[str, Code]] = [("name", Literal(item.name))]
    if item.dtype != "float32":
        keywords.append(("dtype", Literal(item.dtype)))
    if _batch(item) is not None:
        keywords.insert(0, ("batch_size", Literal(_batch(item))))
    return Call(Function("keras.Input"), (shape,), tuple(keywords))


def _batch(item: ModelInput) -> int | None:
    return item.keras_shape[0] if item.keras_shape else None
