"""From classes to the text of `tf.py`, or of the files of a package."""

from __future__ import annotations

from dataclasses import replace

from transpiler.outline.program import ClassProgram
from transpiler.render.module import one_file
from transpiler.render.package import package_files
from transpiler.render.shorter import shorter

__all__ = ["render", "render_package"]


def render(program: ClassProgram) -> str:
    """The text of `tf.py`, formatted.

    >>> # render(outline(lowered)).startswith('\"\"\"SlimNeck, channels last.')

    Args:
        program: what `outline` made.

    Raises:
        InternalError: the program has a name that Python does not take, or a Sequential without its one list.
    """
    return one_file(replace(program, classes=shorter(program.classes, program.line_length)))


def render_package(program: ClassProgram) -> dict[str, str]:
    """The texts of a folder with one file for each torch source module, by file name.

    >>> # sorted(render_package(outline(lowered)))
    >>> # ['__init__.py', 'helpers.py', 'model.py']

    Args:
        program: what `outline` made.

    Raises:
        InternalError: as `render`.
    """
    return package_files(replace(program, classes=shorter(program.classes, program.line_length)))
