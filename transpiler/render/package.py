"""Lays out a package: one file for each torch source module, imports between them one way."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from transpiler.outline.program import ClassDefinition, ClassProgram
from transpiler.render.build_model import build_model_text
from transpiler.render.classes import class_text
from transpiler.render.contents import LONG, contents
from transpiler.render.format import formatted, with_sorted_names
from transpiler.render.helpers import PREFIX, helpers_for
from transpiler.render.module import heading, module_text
from transpiler.render.templates import docstring
from transpiler.render.used import classes_used, functions

BUILD_MODEL = "build_model"
HELPERS = "helpers"
COMMAND = "kerascribe generate --split"


def package_files(program: ClassProgram) -> dict[str, str]:
    """The texts of the files, by name; `__init__.py` exports the classes and `build_model`."""
    modules = _modules(program.classes)
    files = _file_names(modules)
    place = {definition.name: files[key] for key, classes in modules.items() for definition in classes}
    texts = {"__init__.py": _init_text(program, place)}
    for key, classes in modules.items():
        texts[f"{files[key]}.py"] = _file_text(program, key, classes, place)
    helpers = helpers_for(functions(program.classes))
    if helpers:
        title = "What PyTorch computes and Keras has no function or layer for."
        texts[f"{HELPERS}.py"] = module_text(
            program, heading(program, title, COMMAND), [helper.text for helper in helpers]
        )
    return texts


# ── which class stands where ───────────────────────────────────────────────────────────────────────────────────────


def _modules(classes: Sequence[ClassDefinition]) -> dict[tuple[str, ...], list[ClassDefinition]]:
    """The classes by the torch modules that they come from; modules whose classes use one another go together.

    The last module of a key is the one that comes last, nearest to the model.
    """
    names = {definition.name for definition in classes}
    module = {definition.name: definition.module for definition in classes}
    by_last_class = reversed(dict.fromkeys(definition.module for definition in reversed(classes)))
    uses: dict[str, set[str]] = {name: set() for name in by_last_class}
    for definition in classes:
        uses[definition.module].update(module[name] for name in classes_used(definition, names))
    reached = {name: _reached(name, uses) for name in uses}
    modules: dict[tuple[str, ...], list[ClassDefinition]] = {}
    for definition in classes:
        own = definition.module
        together = tuple(name for name in uses if name == own or (name in reached[own] and own in reached[name]))
        modules.setdefault(together, []).append(definition)
    return modules


def _reached(name: str, uses: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        new = uses[waiting.pop()] - reached
        reached |= new
        waiting += new
    return reached


def _file_names(modules: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """A file name for each torch module: its last part, with as much of its path in front as tells it from others."""
    keys = list(modules)
    paths = {key: key[-1].split(".") for key in keys}
    names: dict[tuple[str, ...], str] = {}
    taken = {HELPERS, "__init__"}
    for key in keys:
        path = paths[key]
        lengths = range(1, len(path) + 1)
        same = [other for other in keys if other != key]
        fitting = (length for length in lengths if all(paths[other][-length:] != path[-length:] for other in same))
        name = _identifier("_".join(path[-next(fitting, len(path)) :]))
        # Files of names that differ in case alone are one file on some systems.
        while name.lower() in taken:
            name += "_"
        taken.add(name.lower())
        names[key] = name
    return names


def _identifier(name: str) -> str:
    name = re.sub(r"\W", "_", name).strip("_") or "main"
    name = f"_{name}" if name[0].isdigit() else name
    return f"{name}_" if keyword.iskeyword(name) else name


# ── texts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _file_text(
    program: ClassProgram, key: tuple[str, ...], classes: list[ClassDefinition], place: Mapping[str, str]
) -> str:
    parts = [class_text(definition, program.line_length) for definition in classes]
    if any(definition.is_root for definition in classes):
        parts.append(build_model_text(program))
    names = {definition.name for definition in classes}
    wanted: dict[str, set[str]] = {}
    for definition in classes:
        for name in classes_used(definition, place):
            if name not in names:
                wanted.setdefault(place[name], set()).add(name)
    for function in functions(classes):
        if function.startswith(PREFIX):
            wanted.setdefault(HELPERS, set()).add(function.removeprefix(PREFIX).partition(".")[0])
    listed = " and ".join(f"`{name}`" for name in key)
    title = heading(program, f"{program.name}, channels last: the classes of {listed}.", COMMAND)
    own = list(_imports(wanted))
    plain = module_text(program, title, parts, own)
    if len(classes) == 1 or plain.count("\n") <= LONG:
        return plain
    return module_text(program, (*title, "", *contents(classes, program.line_length)), parts, own)


def _init_text(program: ClassProgram, place: Mapping[str, str]) -> str:
    exported: dict[str, set[str]] = {}
    for definition in program.classes:
        exported.setdefault(place[definition.name], set()).add(definition.name)
        if definition.is_root:
            exported[place[definition.name]].add(BUILD_MODEL)
    names = sorted(name for group in exported.values() for name in group)
    header = docstring((*heading(program, command=COMMAND), "", *contents(program.classes, program.line_length)))
    listed = ", ".join(f'"{name}"' for name in names)
    text = "\n".join((header, "", *_imports(exported), "", f"__all__ = [{listed}]", ""))
    return formatted(with_sorted_names(text), program.line_length)


def _imports(wanted: Mapping[str, set[str]]) -> Iterator[str]:
    for file in sorted(wanted):
        yield f"from .{file} import {', '.join(sorted(wanted[file]))}"
