import contextlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transpiler.errors import RulesError
from transpiler.language.patterns import letters, mismatches, parse_pattern
from transpiler.language.syntax import Position


def parse(text):
    return parse_pattern(text, Position("p.rules", 1, 1, len(text) + 3))


def test_letters_groups_and_unit_axes():
    pattern = parse("n (h d) 1 () ... -> n h d (1 1) ...")
    assert pattern.left == (("n",), ("h", "d"), (), (), ("...",))
    assert pattern.right == (("n",), ("h",), ("d",), (), ("...",))
    assert letters(pattern.left) == ("n", "h", "d")


def test_star_takes_what_no_letter_names():
    assert mismatches(parse("... d -> * d")) == ()
    assert mismatches(parse("n c ... -> * c")) == ()


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("a b -> b", ["'a' is on the left of the pattern, but not on the right"]),
        ("a -> b a", ["'b' is on the right of the pattern, but not on the left"]),
        ("a ... -> a", ["'...' is on the left of the pattern, but not on the right"]),
        ("a -> a ...", ["'...' is on the right of the pattern, but not on the left"]),
        ("a -> * b", ["'b' is on the right of the pattern, but not on the left"]),
        ("(a b) c -> c (b a)", []),
    ],
)
def test_letters_that_only_one_side_has(text, messages):
    assert [problem.message for problem in mismatches(parse(text))] == messages


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("a b", 1),
        ("a -> a -> a", 9),
        ("a (b (c)) -> a b c", 7),
        ("a b) -> a b", 5),
        ("a (b -> a b", 4),
        ("a b a -> a b", 6),
        ("a 3 -> a", 4),
        ("a ? -> a", 4),
        ("a (b ...) -> a", 7),
        ("... ... -> ...", 6),
    ],
)
def test_errors_point_inside_the_string(text, column):
    with pytest.raises(RulesError) as caught:
        parse(text)
    assert caught.value.diagnostics[0].where == f"p.rules:1:{column}"


sides = st.lists(st.sampled_from(string.ascii_lowercase), unique=True, min_size=1, max_size=8).flatmap(
    lambda names: st.tuples(grouped(names), st.permutations(names).flatmap(grouped))
)


@st.composite
def grouped(draw, names):
    axes, rest = [], list(names)
    while rest:
        size = draw(st.integers(1, len(rest)))
        axes.append(tuple(rest[:size]))
        rest = rest[size:]
    return tuple(axes)


def written(axes):
    return " ".join(axis[0] if len(axis) == 1 else f"({' '.join(axis)})" for axis in axes)


@given(sides)
def test_what_is_written_is_read(both):
    left, right = both
    pattern = parse(f"{written(left)} -> {written(right)}")
    assert (pattern.left, pattern.right) == (left, right)
    assert mismatches(pattern) == ()


@given(st.text(alphabet="ab (1)*.->2?_", max_size=30))
def test_any_text_is_a_pattern_or_a_rules_error(text):
    with contextlib.suppress(RulesError):
        assert parse(text).text == text
