"""Proves the rules of a file, or those of the shipped packs, one example after the other."""

from __future__ import annotations

import contextlib
import difflib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from transpiler.errors import Diagnostic, RulesError
from transpiler.factory import load_factory
from transpiler.language.book import RuleBook
from transpiler.language.checker import check
from transpiler.language.loader import load_rules
from transpiler.prove.claims import Claim, Rule, claims, own_rules, title_of
from transpiler.prove.proof import Outcome, prove


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is to be proven."""

    book: RuleBook
    claims: tuple[Claim, ...]
    unproven: tuple[Rule, ...]
    """Rules without an example."""

    def outcomes(self) -> Iterator[Outcome]:
        """Each claim's outcome, as it is found."""
        with _quiet():
            for claim in self.claims:
                yield prove(claim, self.book)


def assignment(path: Path | None, name: str = "") -> Assignment:
    """Read and check the rules, and list their examples.

    >>> [outcome.ok for outcome in assignment(None, "torch.nn.ReLU").outcomes()]  # doctest: +SKIP
    [True, True]

    Args:
        path: a rules file, whose own rules and those of the files it uses are proven; None for the shipped packs.
        name: only rules whose class or operator contains this text.

    Raises:
        RulesError: the file is wrong, or no rule has that name.
        ModelError: the factory of its model block, which brings the user's classes along, cannot be loaded.
    """
    book = load_rules(path)
    problems = tuple(check(book)) if path is not None else ()
    if problems:
        raise RulesError(problems)
    rules = own_rules(book, name)
    if name and not rules:
        known = sorted({title_of(rule) for rule in own_rules(book)})
        near = difflib.get_close_matches(name, [*known, *(title.rpartition(".")[2] for title in known)], n=1)
        hint = f"did you mean {near[0]!r}?" if near else ""
        raise RulesError(Diagnostic(f"no rule is for {name!r}", where=path.name if path else "", hint=hint))
    if book.model is not None and path is not None:
        load_factory(book.model.factory, path.parent)
    book = replace(book, model=None)  # its inputs and results are those of a whole model
    return Assignment(book, claims(rules), tuple(rule for rule in rules if not rule.examples))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hundreds of small models make TensorFlow warn of retracing, torch of slow settings: both are meant here."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
