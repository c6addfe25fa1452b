"""From classes to the text of `tf.py`."""

from __future__ import annotations

from transpiler.outline.program import ClassProgram
from transpiler.render.format import formatted
from transpiler.render.module import module_text

__all__ = ["render"]


def render(program: ClassProgram) -> str:
    """The text of `tf.py`, formatted.

    >>> # render(outline(lowered)).startswith('\"\"\"SlimNeck, channels last.')

    Args:
        program: what `outline` made.

    Raises:
        InternalError: the program has a name that Python does not take, or a Sequential without its one list.
    """
    return formatted(module_text(program))
