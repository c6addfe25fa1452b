"""What someone has decided to let pass although it does not fit: `--allow missing:head.*`.

>>> parse_allowances(["missing:head.*"])[0].covers("missing", "head.weight")
True
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from transpiler.errors import CheckpointError, Diagnostic


class Fault(StrEnum):
    """What can be wrong with a tensor of a checkpoint and yet be meant; the value is what people write."""

    MISSING = "missing"
    """The checkpoint lacks it: the variable keeps the value that Keras gives it."""
    EXTRA = "extra"
    """No variable needs it: it is left out."""
    SHAPE = "shape"
    """It has another shape than the model's: as if it were missing."""
    NONFINITE = "nonfinite"
    """It holds infinities or values that are not a number: they are poured."""
    NARROWING = "narrowing"
    """The variable has a type that cannot hold all its values: they are rounded."""
    TIED = "tied"
    """The model has one tensor under two names and the checkpoint two, or the other way round: as the model has it."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """One `--allow`: a kind of fault, and the torch keys that it is allowed for."""

    fault: Fault
    pattern: str
    """As in a shell: `*` for any text, dots included."""

    def covers(self, fault: Fault, key: str) -> bool:
        """Whether this fault of this tensor may pass."""
        return fault == self.fault and fnmatch.fnmatchcase(key, self.pattern)

    def __str__(self) -> str:
        return f"{self.fault}:{self.pattern}"


def parse_allowances(texts: Iterable[str]) -> tuple[Allowance, ...]:
    """The allowances that the command line gives.

    Raises:
        CheckpointError: one has no kind that there is, or no pattern; all are listed.
    """
    kinds = [fault.value for fault in Fault]
    found: list[Allowance] = []
    problems: list[Diagnostic] = []
    for text in dict.fromkeys(texts):
        kind, _, pattern = text.partition(":")
        if kind in kinds and pattern:
            found.append(Allowance(Fault(kind), pattern))
            continue
        near = difflib.get_close_matches(kind, kinds, n=1)
        hint = f"did you mean '{near[0]}:{pattern or 'PATTERN'}'?" if near else f"kinds: {', '.join(kinds)}"
        problems.append(Diagnostic(f"--allow {text!r} is not KIND:PATTERN", hint=hint))
    if problems:
        raise CheckpointError(problems)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What an allowance has let pass, for the record."""

    allowance: Allowance
    keys: tuple[str, ...]

    def __str__(self) -> str:
        passed = ", ".join(map(repr, self.keys)) or "nothing, it was not needed"
        return f"--allow {self.allowance} has let pass: {passed}"


class Tally:
    """Sorts what is found into what may pass and what may not."""

    def __init__(self, allowances: Sequence[Allowance] = ()) -> None:
        self._passed: dict[Allowance, list[str]] = {allowance: [] for allowance in allowances}
        self._refused: dict[Fault, None] = {}
        self.problems: list[Diagnostic] = []

    def add(self, fault: Fault, key: str, problem: Diagnostic) -> bool:
        """Note a fault of the tensor `key`; gives whether it may pass."""
        allowance = next((each for each in self._passed if each.covers(fault, key)), None)
        if allowance is not None:
            self._passed[allowance].append(key)
            return True
        self._refused[fault] = None
        self.problems.append(problem)
        return False

    @property
    def allowed(self) -> tuple[Allowed, ...]:
        """What each allowance has let pass, in the order in which they were given; those without use as well."""
        return tuple(Allowed(allowance, tuple(keys)) for allowance, keys in self._passed.items())

    def raise_problems(self) -> None:
        """End here if something may not pass.

        Raises:
            CheckpointError: with everything that was noted.
        """
        if not self.problems:
            return
        kinds = " ".join(f"--allow {fault}:PATTERN" for fault in self._refused)
        how = [Diagnostic(f"what is meant can be let pass: kerascribe pour … {kinds}")] if kinds else []
        raise CheckpointError([*self.problems, *how])
