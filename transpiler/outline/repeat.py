"""A loop over whole turns, as a node of the code: what it goes through, a turn's statements, what is left of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from transpiler.code import Call, Code, Function, Literal
from transpiler.lowered import Basic, SourceLine

START = 1 << 12
"""`Inner` numbers below are elements of what a loop goes through; from here on, what turns hand on."""

VALUE = 1 << 13
"""From here on, what a turn computes."""


@dataclass(frozen=True, slots=True)
class Inner(Function):
    """A value inside a `Repeat`, which other turns have their own of."""

    number: int = 0


@dataclass(frozen=True, slots=True)
class Table(Literal):
    """Numbers of the turns of a `Repeat`, in order."""

    value: Basic  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Turn:
    """What is known of a statement of a turn besides its code."""

    width: int
    names: tuple[str | None, ...] = ()
    source: SourceLine | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Repeat(Call):
    """A loop; its results are the values of the last turn that are read afterwards, and lists of those of all turns.

    `arguments` are, one after the other, so many of each as the fields say: what it goes through side by side; first
    values of what a turn hands to the next; statements of a turn; what it hands on; which of the last turn's values are
    results; what every turn appends to a list of its own.
    """

    sources: int = 0
    starts: int = 0
    widths: tuple[int, ...] = ()
    lasts: int = 0
    turns: tuple[Turn, ...] = field(default=(), compare=False)

    def parts(self) -> tuple[tuple[Code, ...], ...]:
        """`arguments`, taken apart: sources, starts, statements, handed on, last ones, collected."""
        counts = (self.sources, self.starts, len(self.widths), self.starts, self.lasts)
        found: list[tuple[Code, ...]] = []
        place = 0
        for count in counts:
            found.append(self.arguments[place : place + count])
            place += count
        return (*found, self.arguments[place:])
