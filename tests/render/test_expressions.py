from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transpiler.code import (
    Attribute,
    Binary,
    Call,
    Code,
    Comprehension,
    Conditional,
    Ellipsis_,
    Function,
    Index,
    Literal,
    Mapping,
    Member,
    Name,
    Ref,
    Sequence,
    Slice,
    Spread,
    Unary,
)
from transpiler.errors import InternalError
from transpiler.outline.evaluate import Unknown, evaluate
from transpiler.outline.init_source import expression
from transpiler.outline.program import Numbered
from transpiler.render.expressions import target, text
from transpiler.trees import key_of

NUMBERS = st.one_of(st.integers(-9, 9), st.sampled_from([0.5, -2.5, 1e-5])).map(Literal)
NAMES = st.sampled_from(["a", "b"]).map(Name)


def _operations(inner: st.SearchStrategy[Code]) -> st.SearchStrategy[Code]:
    operators = st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "and", "or"])
    return st.one_of(
        st.builds(Binary, operators, inner, inner),
        st.builds(Unary, st.sampled_from(["-", "not"]), inner),
        st.builds(Conditional, inner, inner, inner),
        st.builds(lambda items: Call(Name("max"), tuple(items)), st.lists(inner, min_size=2, max_size=3)),
    )


@given(st.recursive(st.one_of(NUMBERS, NAMES), _operations, max_leaves=12))
def test_brackets_keep_the_meaning(code):
    """The text, parsed by Python, computes what the expression computes."""
    parsed = expression(ast.parse(text(code), mode="eval").body)
    scope = {"a": 3, "b": 2}
    try:
        expected = evaluate(code, scope)
    except Unknown:
        return
    assert parsed is not None
    assert key_of(evaluate(parsed, scope)) == key_of(expected)


@given(st.text(max_size=20))
def test_strings_are_escaped(value):
    shown = text(Literal(value))
    assert ast.literal_eval(shown) == value
    assert "\n" not in shown


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (Literal("silu"), '"silu"'),
        (Literal("it's"), '"it\'s"'),
        (Literal('say "x"'), "'say \"x\"'"),
        (Literal(float("inf")), 'float("inf")'),
        (Literal(-1), "-1"),
        (Unary("-", Unary("-", Name("x"))), "--x"),
        (Binary("**", Literal(-2), Literal(2)), "(-2) ** 2"),
        (Binary("-", Name("a"), Binary("-", Name("b"), Name("c"))), "a - (b - c)"),
        (Binary("==", Binary("==", Name("a"), Name("b")), Name("c")), "(a == b) == c"),
        (Unary("not", Binary("and", Name("a"), Name("b"))), "not (a and b)"),
        (Member("m", 2), "self.m[2]"),
        (Function("keras.ops.image.resize"), "ops.image.resize"),
        (Function("keras.layers.Conv2D"), "layers.Conv2D"),
        (Function("keras.random.dropout"), "keras.random.dropout"),
        (Function("helpers.grid_sample"), "grid_sample"),
        (Function("numpy.pi"), "np.pi"),
        (Attribute(Binary("+", Name("a"), Name("b")), "dtype"), "(a + b).dtype"),
        (Index(Name("x"), (Ellipsis_(), Slice(None, None, Literal(2)))), "x[..., ::2]"),
        (Index(Name("x"), (Slice(), Slice(Literal(1), Literal(-1)))), "x[:, 1:-1]"),
        (Sequence("tuple", (Name("a"),)), "(a,)"),
        (Sequence("tuple", ()), "()"),
        (Mapping((("out", Name("a")), ('a"b', Name("b")))), '{"out": a, \'a"b\': b}'),
        (
            Comprehension("list", (Call(Name("f")),), ("_",), Call(Name("range"), (Name("n"),))),
            "[f() for _ in range(n)]",
        ),
        (Sequence("list", (Name("x"), Comprehension("list", (Name("y"),), ("_",), Name("z")))), "[x, *[y for _ in z]]"),
        (Sequence("list", (Spread("list", (Conditional(Name("a"), Name("b"), Name("c")),)),)), "[*(b if a else c)]"),
        (Numbered("index", "layer", 1), 'f"layer{index + 1}"'),
        (Call(Name("f"), (), (("axis", Literal(-1)),)), "f(axis=-1)"),
    ],
)
def test_text(code, expected):
    assert text(code) == expected


@pytest.mark.parametrize(
    "code",
    [
        Name("x; import os"),
        Function("keras.layers.Conv2D()"),
        Member("lambda"),
        Attribute(Name("x"), "a b"),
        Call(Name("f"), (), (("class", Literal(1)),)),
        Binary("@@", Name("a"), Name("b")),
        Ref(3),
        Numbered("index", 'x"', 0),
        Call(Function("keras.Sequential"), (Name("a"), Name("b"))),
        Call(Function("keras.Sequential"), (Name("a"),)),
        Call(Function("keras.Sequential")),
    ],
)
def test_what_is_no_python_is_refused(code):
    with pytest.raises(InternalError):
        text(code)


def test_targets_are_checked():
    assert target("self.conv") == "self.conv"
    with pytest.raises(InternalError):
        target("self.conv = 1; x")
