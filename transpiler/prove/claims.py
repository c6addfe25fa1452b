"""What is to be proven: each example of each rule claims that the rule serves it and that both sides agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

from transpiler.language.book import RuleBook
from transpiler.language.loader import pack_file
from transpiler.language.syntax import Example, ModuleRule, OperatorRule, Position
from transpiler.prove.subjects import RefusedError, subject_of
from transpiler.resources import pack_names

Rule: TypeAlias = ModuleRule | OperatorRule


@dataclass(frozen=True, slots=True)
class Claim:
    """One example of one rule."""

    rule: Rule
    example: Example

    @property
    def title(self) -> str:
        """What the rule is for: `torch.nn.Conv2d`, `aten.mean.dim`."""
        return title_of(self.rule)

    @property
    def position(self) -> Position:
        """Where the example stands."""
        return self.example.position


def title_of(rule: Rule) -> str:
    """`torch.nn.Conv2d` of a module rule, `aten.mean.dim` of an operator rule."""
    return rule.cls if isinstance(rule, ModuleRule) else rule.operator


def own_rules(book: RuleBook, name: str = "") -> tuple[Rule, ...]:
    """The rules that a file and the files it uses bring along; without such a file, those of the shipped packs.

    >>> len(own_rules(load_rules(None), "torch.nn.Conv2d"))  # doctest: +SKIP
    7

    Args:
        book: the rules in force.
        name: only those whose class or operator contains this text, capitals or not.
    """
    packs = {pack_file(pack) for pack in pack_names()}
    rules: tuple[Rule, ...] = (*book.module_rules, *book.operator_rules)
    if any(file not in packs for file, _ in book.texts):
        rules = tuple(rule for rule in rules if rule.position.file not in packs)
    return tuple(rule for rule in rules if name.lower() in title_of(rule).lower())


def claims(rules: Sequence[Rule]) -> tuple[Claim, ...]:
    """Every example of the rules, in the order in which they stand in their files.

    The alternatives of `aten.{split.Tensor,split.sizes}` share their examples; one that torch's operator refuses, while
    another takes it, claims nothing.
    """
    found = [Claim(rule, example) for rule in rules for example in rule.examples]
    ordered = sorted(found, key=lambda claim: claim.position)
    groups = (tuple(group) for _, group in groupby(ordered, key=lambda claim: claim.position))
    return tuple(claim for group in groups for claim in _meant(group))


def _meant(group: tuple[Claim, ...]) -> Iterator[Claim]:
    if len(group) == 1:
        yield from group
        return
    taken = tuple(claim for claim in group if _is_taken(claim))
    yield from taken or group


def _is_taken(claim: Claim) -> bool:
    try:
        subject_of(claim.rule, claim.example)
    except RefusedError:
        return False
    return True
