"""Files of rules, and all rules in force: those that ship with kerascribe are parsed when they are asked for.

Reading all packs takes longer than porting a small model, which needs few of their rules.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

from transpiler.language.syntax import ModelDeclaration, ModuleRule, OperatorRule, Use

R = TypeVar("R", ModuleRule, OperatorRule)


@dataclass(frozen=True, slots=True)
class Entry(Generic[R]):
    """A statement of a file: one rule, or the alternatives of one."""

    name: str
    """The class or the operator that it is for."""
    file: str
    rules: Callable[[], tuple[R, ...]]


class Rules(Sequence[R]):
    """Rules, highest priority first. A sequence of all; `of_files` and `entries` parse only what is taken."""

    def __init__(self, entries: Iterable[Entry[R]] = ()) -> None:
        self.entries: tuple[Entry[R], ...] = tuple(entries)

    @classmethod
    def of_modules(cls, rules: Iterable[ModuleRule]) -> Rules[ModuleRule]:
        """Module rules that are parsed."""
        return Rules(Entry(rule.cls, rule.position.file, _given(rule)) for rule in rules)

    @classmethod
    def of_operators(cls, rules: Iterable[OperatorRule]) -> Rules[OperatorRule]:
        """Operator rules that are parsed."""
        return Rules(Entry(rule.operator, rule.position.file, _given(rule)) for rule in rules)

    def of_files(self, files: Collection[str]) -> Iterator[R]:
        """The rules of these files."""
        for entry in self.entries:
            if entry.file in files:
                yield from entry.rules()

    def __iter__(self) -> Iterator[R]:
        for entry in self.entries:
            yield from entry.rules()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, place: int) -> R: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[R, ...]: ...

    def __getitem__(self, place: int | slice) -> R | tuple[R, ...]:
        return tuple(self)[place]


def _given(rule: R) -> Callable[[], tuple[R, ...]]:
    return lambda: (rule,)


@dataclass(frozen=True, slots=True)
class RulesFile:
    """One parsed file, before `use` is resolved."""

    path: str
    text: str
    uses: tuple[Use, ...]
    models: tuple[ModelDeclaration, ...]
    module_rules: Rules[ModuleRule]
    operator_rules: Rules[OperatorRule]


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All rules in force, highest priority first."""

    model: ModelDeclaration | None
    module_rules: Rules[ModuleRule]
    operator_rules: Rules[OperatorRule]
    texts: tuple[tuple[str, str], ...]
    """(file, text) of every file read, for excerpts in messages and the digest in the header."""
