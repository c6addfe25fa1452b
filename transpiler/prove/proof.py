"""Proves one claim: ports the example and compares rule, outputs, gradients and weights with torch's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from transpiler.build import build_from_source
from transpiler.errors import KerascribeError
from transpiler.language.book import RuleBook
from transpiler.language.syntax import ModuleRule
from transpiler.match.program import MatchedBlock, MatchedLayer, MatchedOp, MatchedStatement
from transpiler.port import Port, transpile
from transpiler.prove.claims import Claim, Rule, title_of
from transpiler.prove.gradients import gradient_problems
from transpiler.prove.subjects import SEED, subject_of
from transpiler.verify.compare import Array, compare
from transpiler.verify.inputs import Case, fresh_cases
from transpiler.verify.report import TOLERANCE
from transpiler.weights.pour import pour, unpour

NAME = "Example"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a claim."""

    claim: Claim
    problems: tuple[str, ...]
    max_rel_err: float

    @property
    def ok(self) -> bool:
        """True if nothing speaks against the claim."""
        return not self.problems

    def __str__(self) -> str:
        place = f"{self.claim.position}: {self.claim.title}"
        return f"{place}: {'; '.join(self.problems)}" if self.problems else f"{place}: the same"


def prove(claim: Claim, book: RuleBook) -> Outcome:
    """Port the example and compare; every error becomes a problem, so that one example never hides the next.

    >>> prove(claims(own_rules(book))[0], book).ok  # doctest: +SKIP
    True

    One layer sums at most some thousand products, whose rounding stays below 1e-6 of the largest output; the tolerance
    of 1e-5 leaves room for Keras's and torch's different orders of summation, and every error of PARITY.md is larger.

    Args:
        claim: the example and its rule.
        book: the rules in force, in which another rule may come first.
    """
    try:
        return _prove(claim, book)
    except KerascribeError as error:
        text = " ".join("; ".join(problem.message for problem in error.diagnostics).split())
        return Outcome(claim, (text,), np.inf)
    except Exception as error:  # noqa: BLE001  (Keras and torch raise anything)
        return Outcome(claim, (" ".join(f"{type(error).__name__}: {error}".split()),), np.inf)


def _prove(claim: Claim, book: RuleBook) -> Outcome:
    subject = subject_of(claim.rule, claim.example)
    port = transpile(subject.module, subject.inputs, rules=book, name=NAME)
    built = build_from_source(port.source, NAME)
    state = {key: tensor.detach().numpy() for key, tensor in subject.module.state_dict().items()}
    pour(built, port.plan, state, where=str(claim.position))
    batch = subject.inputs[0].shape[0] if subject.inputs and subject.inputs[0].ndim else 1
    # As the example says, and with another batch, which shows sizes of the example that went into the source.
    cases = (Case(batch, subject.inputs), *fresh_cases(port.signature, subject.inputs, (batch + 1,), SEED + 1))
    report = compare(subject.module, built, port.signature, cases)
    problems = [
        *_served_problems(claim, port),
        *dict.fromkeys(
            f"{row.name} differs by {row.max_rel_err:.1e} of its largest value{f' ({row.note})' if row.note else ''}"
            for row in report.rows
            if row.max_rel_err > TOLERANCE
        ),
        *_weight_problems(state, unpour(built, port.plan), claim.rule),
    ]
    if not problems:
        problems += gradient_problems(subject.module, built, port.signature, cases[0])
    return Outcome(claim, tuple(problems), report.max_rel_err)


def _served_problems(claim: Claim, port: Port) -> Iterator[str]:
    used = tuple(_rules_of(port.stages.matched.statements))
    if claim.rule in used:
        return
    others = ", ".join(f"{title_of(rule)} at {rule.position}" for rule in used)
    yield f"another rule serves it: {others}" if others else "no rule serves it: torch.export leaves no call of it"


def _rules_of(statements: tuple[MatchedStatement, ...]) -> Iterator[Rule]:
    for statement in statements:
        match statement:
            case MatchedBlock(_, inner):
                yield from _rules_of(inner)
            case MatchedLayer(_, rule):
                yield rule
            case MatchedOp(_, rule, _):
                yield rule


def _weight_problems(state: Mapping[str, Array], back: Mapping[str, Array], rule: Rule) -> Iterator[str]:
    dropped = {drop.name for drop in rule.drops} if isinstance(rule, ModuleRule) else set()
    for key, value in state.items():
        if key not in back:
            if key.rpartition(".")[2] not in dropped:
                yield f"{key} is never read"
        elif back[key].dtype != value.dtype or not np.array_equal(back[key], value):
            yield f"{key} does not come back from Keras as it was"
