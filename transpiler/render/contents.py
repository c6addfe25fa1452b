"""A table of contents for people who open a long file: which class uses which."""

from __future__ import annotations

import textwrap
from collections import deque
from collections.abc import Iterator, Sequence

from transpiler.outline.program import ClassDefinition
from transpiler.render.used import classes_used

LONG = 300
"""Lines from which on a file has contents."""


def contents(classes: Sequence[ClassDefinition], line_length: int) -> tuple[str, ...]:
    """A tree with one line for each class, from those that no other uses down.

    A class stands below the uppermost one that uses it; what a class uses besides is named behind its colon:

        TFSlimNeck
            TFConv
            TFC3: TFConv
                TFBottleneck: TFConv

    Args:
        classes: children before parents.
        line_length: characters that a line may have.
    """
    names = {definition.name for definition in classes}
    uses = {definition.name: classes_used(definition, names) for definition in classes}
    below = _tree(uses)
    lines = [line for name in below[""] for line in _lines(name, below, uses, 1, line_length)]
    return ("Classes, each below the uppermost that uses it, with what it uses besides:", *lines)


def _tree(uses: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """The classes below each class, the topmost below "": breadth first, so that none stands deeper than it must."""
    used = {name for others in uses.values() for name in others}
    below: dict[str, list[str]] = {name: [] for name in ("", *uses)}
    below[""] = [name for name in reversed(uses) if name not in used]
    placed, waiting = set(below[""]), deque(below[""])
    while waiting:
        name = waiting.popleft()
        for other in uses[name]:
            if other not in placed:
                placed.add(other)
                below[name].append(other)
                waiting.append(other)
    return below


def _lines(
    name: str, below: dict[str, list[str]], uses: dict[str, tuple[str, ...]], depth: int, line_length: int
) -> Iterator[str]:
    margin = "    " * depth
    elsewhere = ", ".join(other for other in uses[name] if other not in below[name])
    line = f"{name}: {elsewhere}" if elsewhere else name
    yield from textwrap.wrap(line, line_length, initial_indent=margin, subsequent_indent=f"{margin}        ")
    for other in below[name]:
        yield from _lines(other, below, uses, depth + 1, line_length)
