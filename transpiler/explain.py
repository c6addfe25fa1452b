"""Prints what a stage made, as an indented outline of its dataclasses.

>>> print(show_stage(load_project(Path("slimneck.rules")), "lift"))  # doctest: +SKIP
Program
  root: Block
    path: ''
    ...
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from transpiler.session import Project

if TYPE_CHECKING:
    from transpiler.pipeline import Stages

_INDENT = "  "


def show_stage(project: Project, stage: str) -> str:
    """The result of a stage as text.

    Args:
        project: the model and its rules.
        stage: "lift", "match", "layout" or "outline".

    Raises:
        KerascribeError: the model does not come as far as that stage.
    """
    return show(_result(project.port.stages, stage))


def show(value: object) -> str:
    """Any value of the stages as an outline; fields that have their default value are left out.

    >>> from transpiler.lowered import SourceLine
    >>> print(show([SourceLine("model.py", 3)]))
    - SourceLine
        file: 'model.py'
        line: 3
    """
    return "\n".join(_lines(value))


def _result(stages: Stages, stage: str) -> object:
    from transpiler.outline import outline  # noqa: PLC0415  (imports torch)

    if stage == "outline":
        return outline(stages.lowered)
    return {"lift": stages.lifted, "match": stages.matched, "layout": stages.lowered}[stage]


def _lines(value: object) -> Iterator[str]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield type(value).__name__
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            if not _is_default(field, item):
                yield from _labelled(f"{_INDENT}{field.name}: ", item)
    elif isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _labelled(f"{key}: ", item)
    elif isinstance(value, list | tuple) and any(_is_nested(item) for item in value):
        for item in value:
            yield from _labelled("- ", item)
    else:
        yield repr(value)


def _labelled(label: str, value: object) -> Iterator[str]:
    lines = list(_lines(value))
    margin = " " * (len(label) - len(label.lstrip())) + _INDENT
    if _is_list(value):
        yield label.rstrip()
        yield from (margin + line for line in lines)
    else:
        yield label + lines[0]
        yield from (margin + line for line in lines[1:])


def _is_list(value: object) -> bool:
    listed = isinstance(value, list | tuple) and any(_is_nested(item) for item in value)
    return listed or (isinstance(value, Mapping) and bool(value))


def _is_nested(value: object) -> bool:
    return dataclasses.is_dataclass(value) or isinstance(value, list | tuple | Mapping)


def _is_default(field: dataclasses.Field[object], value: object) -> bool:
    return field.default is not dataclasses.MISSING and bool(field.default == value)
