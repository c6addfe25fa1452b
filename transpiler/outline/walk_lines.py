"""Walking lines: those within others too, and what each of them says itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from transpiler.code import Code
from transpiler.outline.program import Assign, For, If, Line, Return


def flat(lines: Iterable[Line]) -> Iterator[Line]:
    """Every line, each before the lines that it holds."""
    for line in lines:
        yield line
        if isinstance(line, If):
            yield from flat((*line.then, *line.otherwise))
        elif isinstance(line, For):
            yield from flat(line.body)


def code_in(line: Line) -> Code:
    """The one expression of a line itself."""
    match line:
        case Assign(value=value) | Return(value=value):
            return value
        case If(test=test):
            return test
        case For(iterable=iterable):
            return iterable
