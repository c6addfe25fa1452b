"""Every example of every shipped rule holds: Keras computes what torch computes, and the rule under test is at work.

The default run proves the first examples of each rule; `make zoo`, and `kerascribe rules test` in a minute, prove all.
"""

from __future__ import annotations

import pytest

from transpiler.language.loader import load_rules
from transpiler.prove.claims import claims, own_rules
from transpiler.prove.proof import prove
from transpiler.prove.subjects import load_torchvision

load_torchvision()
BOOK = load_rules(None)
CLAIMS = claims(own_rules(BOOK))
FIRST = 1
"""Examples of each rule in the default run."""


def marks(claim):
    return () if claim.example in claim.rule.examples[:FIRST] else (pytest.mark.zoo,)


@pytest.mark.parametrize(
    "claim", [pytest.param(claim, id=f"{claim.title}-{claim.position}", marks=marks(claim)) for claim in CLAIMS]
)
def test_the_example_holds(claim):
    outcome = prove(claim, BOOK)

    assert outcome.ok, str(outcome)


def test_every_module_rule_has_an_example():
    # What an example builds is not frozen: tests/test_training_behaviour.py proves the rules that ask for it.
    provable = [rule for rule in BOOK.module_rules if "'frozen'" not in str(rule.when)]
    assert not [rule.cls for rule in provable if not rule.examples]


def test_all_examples_are_claims():
    rules = (*BOOK.module_rules, *BOOK.operator_rules)
    stand = {example.position for rule in rules for example in rule.examples}

    assert {claim.position for claim in CLAIMS} == stand
