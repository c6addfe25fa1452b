"""What can go wrong, told to the person who must mend it.

Inner code raises with the short reason; the boundary that knows the place (rules file, module path, checkpoint key)
adds it as a `Diagnostic`. Problems are collected and reported together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem: what is wrong, where, and what to do about it.

    >>> print(Diagnostic("unknown argument 'stride'", where="a.rules:3:7", hint="did you mean 'strides'?"))
    a.rules:3:7: unknown argument 'stride'
      did you mean 'strides'?
    """

    message: str
    where: str = ""
    """`file:line:column`, or a module path with its torch source line."""
    excerpt: str = ""
    """The source line, with a caret line below it where a column is known."""
    hint: str = ""

    def __str__(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        body = [f"  {line}" for part in (self.excerpt, self.hint) if part for line in part.splitlines()]
        return _shown("\n".join([head, *body]))


def _shown(text: str) -> str:
    """The text without what a terminal would obey or could not show: it may quote a file that a stranger wrote."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode() for char in text
    )


class KerascribeError(Exception):
    """Base of everything that kerascribe raises on purpose; holds one or more diagnostics."""

    def __init__(self, problems: str | Diagnostic | Iterable[Diagnostic]) -> None:
        if isinstance(problems, str):
            problems = Diagnostic(problems)
        if isinstance(problems, Diagnostic):
            problems = (problems,)
        self.diagnostics: tuple[Diagnostic, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.diagnostics))


class RulesError(KerascribeError):
    """The rules author must act."""


class ModelError(KerascribeError):
    """The model author must act: the model cannot be captured, or something in it has no rule."""


class CheckpointError(KerascribeError):
    """The checkpoint does not fit the weight plan, or cannot be read safely."""


class InternalError(KerascribeError):
    """We must act: a stage produced something that the next one's checker refuses."""
