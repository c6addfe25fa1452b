"""Problems of a rules file, with the line and a caret below it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from transpiler.errors import Diagnostic, RulesError
from transpiler.language.syntax import Position


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a place; the text of the file is added by `diagnose`."""

    message: str
    position: Position
    hint: str = ""


class PlacedError(RulesError):
    """One problem with its place; `with_excerpts` adds the line where the text is known.

    >>> raise PlacedError("unknown name 'strid'", position, "did you mean 'stride'?")  # doctest: +SKIP
    """

    def __init__(self, message: str, position: Position, hint: str = "") -> None:
        self.problem = Problem(message, position, hint)
        super().__init__(Diagnostic(message, where=str(position), hint=hint))


def diagnose(problem: Problem, text: str) -> Diagnostic:
    r"""Shows a problem in its line.

    >>> print(diagnose(Problem("no such name", Position("a.rules", 1, 6, 8)), "when xy == 1\n"))
    a.rules:1:6: no such name
      when xy == 1
           ^^

    Args:
        problem: what and where.
        text: the whole text of the file that the position is in.
    """
    position = problem.position
    return Diagnostic(problem.message, str(position), excerpt(position, text), problem.hint)


def diagnose_all(problems: Iterable[Problem], texts: Mapping[str, str]) -> tuple[Diagnostic, ...]:
    """The problems in the order of the files and lines they stand in, each one once."""
    ordered = sorted(dict.fromkeys(problems), key=lambda problem: problem.position)
    return tuple(diagnose(problem, texts.get(problem.position.file, "")) for problem in ordered)


def with_excerpts(error: RulesError, texts: Mapping[str, str]) -> RulesError:
    """The same error with the line of the rules file shown, where the error knows its place.

    Args:
        error: as `evaluate` raises it.
        texts: text by file, as in `RuleBook.texts`.
    """
    if not isinstance(error, PlacedError):
        return error
    return RulesError(diagnose(error.problem, texts.get(error.problem.position.file, "")))


def excerpt(position: Position, text: str) -> str:
    """The line of a position with a caret line below; "" where the text has no such line."""
    lines = text.split("\n")
    if not 1 <= position.line <= len(lines):
        return ""
    line = lines[position.line - 1].rstrip("\r")
    start = min(position.column - 1, len(line))
    # A tab in the margin keeps its width; anything else is one column.
    margin = "".join(character if character == "\t" else " " for character in line[:start])
    width = max(1, min(position.end_column - 1, len(line)) - start)
    return f"{line}\n{margin}{'^' * width}"
