"""Errors by example: every malformed snippet of malformed.txt with the exact message it gets."""

from pathlib import Path

import pytest

from transpiler.errors import RulesError
from transpiler.language.book import RuleBook
from transpiler.language.checker import check
from transpiler.language.mistakes import MISTAKES
from transpiler.language.parser import parse_rules

TABLE = (Path(__file__).parent / "malformed.txt").read_text(encoding="utf-8")
MALFORMED = [tuple(block.split("\n----\n")) for block in TABLE.rstrip("\n").split("\n\n")]


@pytest.mark.parametrize(("snippet", "expected"), MALFORMED, ids=[snippet[:50] for snippet, _ in MALFORMED])
def test_message(snippet, expected):
    assert "\n".join(map(str, problems(snippet))) == expected


def problems(snippet):
    """What the parser says, or else the checker."""
    try:
        parsed = parse_rules(snippet, "m.rules")
    except RulesError as error:
        return error.diagnostics
    book = RuleBook(
        parsed.models[0] if parsed.models else None, parsed.module_rules, parsed.operator_rules, (("m.rules", snippet),)
    )
    return check(book)


@pytest.mark.parametrize(("snippet", "message", "hint"), MISTAKES, ids=[snippet for snippet, _, _ in MISTAKES])
def test_every_example_of_a_mistake_gets_its_own_message(snippet, message, hint):
    with pytest.raises(RulesError) as caught:
        parse_rules(snippet, "m.rules")
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.message, diagnostic.hint) == (message, hint)


def test_all_statements_report_their_errors_at_once():
    text = """\
use torch.nn
module torch.nn.ReLU keras.layers.ReLU()
op aten.relu(x) => keras.ops.relu(x
op aten.add(x, y) => x + y
op aten.mul(x, x) => view "a -> b"

op aten.sub(x, y) when x = 1 => x - y
"""
    with pytest.raises(RulesError) as caught:
        parse_rules(text, "many.rules")
    places = [diagnostic.where for diagnostic in caught.value.diagnostics]
    assert places == ["many.rules:2:22", "many.rules:3:36", "many.rules:5:16", "many.rules:7:26"]


def test_one_rule_reports_the_errors_of_all_its_clauses():
    text = """\
module torch.nn.Linear => view "a b -> b"
    reads x "n -> m"
    weights { kernel <- weight "o i -> i" }
"""
    with pytest.raises(RulesError) as caught:
        parse_rules(text, "m.rules")
    assert [diagnostic.where for diagnostic in caught.value.diagnostics] == [
        "m.rules:1:33",
        "m.rules:2:14",
        "m.rules:3:33",
    ]


def test_alternatives_of_one_rule_report_an_error_once():
    with pytest.raises(RulesError) as caught:
        parse_rules('module torch.nn.Conv{1,2,3}d => view "a b -> b"', "m.rules")
    assert len(caught.value.diagnostics) == 1


def test_caret_stands_below_the_column_with_tabs_and_windows_line_ends():
    with pytest.raises(RulesError) as caught:
        parse_rules("op aten.relu(x)\r\n\t=> view permut(x)\r\n", "m.rules")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.where == "m.rules:2:10"
    assert diagnostic.excerpt == "\t=> view permut(x)\n\t        ^^^^^^"
