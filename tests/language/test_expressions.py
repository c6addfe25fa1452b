from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transpiler.errors import RulesError
from transpiler.language.expressions import Scope, dotted_name, evaluate, holds, is_emitted, names_in, walk
from transpiler.language.functions import same_padding, tuple_of
from transpiler.language.parser import parse_rules
from transpiler.language.problems import with_excerpts


@dataclass
class Tensor:
    shape: tuple
    dtype: str = "torch.float32"


class Layer:
    bias = None
    stride = (2, 3)


def parse(text):
    return parse_rules(f"op a.b() when {text} => x", "e.rules").operator_rules[0].when


def value(text, attribute=getattr, functions=None, **names):
    return evaluate(parse(text), Scope(names, functions or {}, attribute))


def message(text, **names):
    with pytest.raises(RulesError) as caught:
        value(text, **names)
    return caught.value.diagnostics[0].message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3 ** 2 - -4", 23),
        ("-2 ** 2", -4),
        ("2 ** 3 ** 2", 512),
        ("10 - 4 - 3", 3),
        ("(7 // 2, 7 % 3, 7 / 2)", (3, 1, 3.5)),
        ("(1, 2) + (3,)", (1, 2, 3)),
        ("[1] * 3", [1, 1, 1]),
        ("'a' in ('a', 'b') and 3 not in [1, 2]", True),
        ("1 < 2 <= 2 != 3", True),
        ("1 < 2 < 2", False),
        ("None is None and (1, 2) is not None", True),
        ("5 if 1 > 2 else 6", 6),
        ("0 or 'x'", "x"),
        ("0 and 1", 0),
        ("not 0", True),
        ("not 1 == 2", True),
        ("(1, 2, 3)[1:]", (2, 3)),
        ("'abc'[::-1]", "cba"),
        ("[1, 2, 3][-1]", 3),
        ("min(3, 1) + max(1, 2) + len('abc')", 6),
        ("(all((1, 0)), any((1, 0)))", (False, True)),
        ("(int(2.9), float('inf'), round(2.567, 1), round(2.5))", (2, float("inf"), 2.6, 2)),
    ],
)
def test_means_what_it_means_in_python(text, expected):
    result = value(text)
    assert result == expected
    assert type(result) is type(expected)


def test_names_attributes_and_functions_come_from_the_caller():
    assert value("stride * 2", stride=3) == 6
    assert value("layer.stride[1]", layer=Layer()) == 3
    assert value("layer.bias is None", layer=Layer()) is True
    assert value("axis(1) + 1", functions={"axis": lambda dim: dim + 2}) == 4


def test_tensors_tell_rank_shape_and_dtype_but_no_data():
    tensor = Tensor((2, 3))
    assert value("(rank(x), shape(x)[1], dtype(x))", x=tensor) == (2, 3, "float32")
    assert value("x is not None", x=tensor) is True
    for text in ("x + 1", "x == 1", "x[0]", "x and 1", "not x", "1 if x else 2", "-x"):
        assert "not for its data" in message(text, x=tensor)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("strid", "unknown name 'strid'"),
        ("len(1)", "this expression has no value: object of type 'int' has no len()"),
        ("1 / 0", "this expression has no value: division by zero"),
        ("(1, 2)[5]", "this expression has no value: tuple index out of range"),
        ("foo(1)", "unknown function 'foo'"),
        ("layer.missing", "Layer has no attribute 'missing'"),
        ("layer.stride(1)", "unknown function 'layer.stride'"),
        ("f(1)(2)", "only functions can be called"),
        ("keras.ops.add(1, 2)", "keras.ops.add is part of the generated source: it has no value yet"),
        ("'%s' % 1", "this expression has no value: strings are not formatted in rules"),
        ("9 ** 9 ** 9", "this expression has no value: the result is too large"),
        ("2 ** -100000000000", "this expression has no value: the result is too large"),
        ("'x' * 100000", "this expression has no value: the result is too large"),
        ("(1, 2) * 1000000", "this expression has no value: the result is too large"),
        ("tuple_of(1, 1000000)", "this expression has no value: tuple_of makes at most 64 elements, not 1000000"),
        ("round(10, -10000000000)", "this expression has no value: round takes at most 64 digits"),
    ],
)
def test_errors(text, expected):
    assert message(text, layer=Layer(), stride=1) == expected


def test_errors_know_their_place_and_the_nearest_name():
    with pytest.raises(RulesError) as caught:
        value("1 + strid", stride=1)
    shown = with_excerpts(caught.value, {"e.rules": "op a.b() when 1 + strid => x"})
    assert str(shown) == (
        "e.rules:1:19: unknown name 'strid'\n"
        "  op a.b() when 1 + strid => x\n"
        "                    ^^^^^\n"
        "  did you mean 'stride'?"
    )


def test_double_underscores_are_refused_however_the_tree_was_made():
    made = parse("layer.bias")
    hostile = type(made)(made.base, "__class__", made.position)
    with pytest.raises(RulesError, match="double underscore"):
        evaluate(hostile, Scope({"layer": Layer()}, attribute=getattr))


def test_holds():
    assert holds(None, Scope({}))
    assert holds(parse("x"), Scope({"x": (1,)}))
    assert not holds(parse("x"), Scope({"x": ()}))


def test_dotted_names_and_walking():
    call = parse("keras.ops.add(x.y, min(a, 1))[b]")
    assert dotted_name(call.base.function) == "keras.ops.add"
    assert dotted_name(call) is None
    assert is_emitted(call.base)
    assert not is_emitted(parse("min(a, 1)"))
    assert [name.id for name in names_in(call)] == ["x", "a", "b"]
    assert next(iter(walk(call))) is call


@pytest.mark.parametrize(
    ("settings_", "expected"),
    [
        ((3, 1, 1, 1), True),
        (((3, 3), (1, 1), (1, 1), (1, 1)), True),
        (((3, 5), 1, (1, 4), (1, 2)), True),
        (((3, 5), 1, (1, 2), (1, 2)), False),
        ((3, 2, 1, 1), False),
        ((1, 1, 0, 1), True),
        ((2, 1, 0, 1), False),
        ((2, 1, 1, 1), False),
        ((3, 1, "same", 2), True),
        ((4, 1, "same", 1), True),
        ((3, 2, "same", 1), False),
        ((3, 1, "valid", 1), False),
        ((1, 1, "valid", 1), True),
    ],
)
def test_same_padding(settings_, expected):
    assert same_padding(*settings_) is expected


def test_tuple_of():
    assert tuple_of(3, 2) == (3, 3)
    assert tuple_of([1, 2], 2) == (1, 2)
    assert tuple_of((4,), 3) == (4, 4, 4)
    with pytest.raises(ValueError, match="has 2 elements, not 3"):
        tuple_of((1, 2), 3)


ATOMS = st.sampled_from(["a", "b", "t", "1", "0", "2.5", "'s'", "None", "(1, 2)", "True"])


@st.composite
def texts(draw, depth=3):
    if depth == 0:
        return draw(ATOMS)
    inner = texts(depth - 1)
    form = draw(
        st.sampled_from(
            [
                *("{}", "({} + {})", "({} * {})", "({} ** {})", "({} % {})", "({} and {})", "({} < {})", "({})[{}]"),
                *("-{}", "len({})", "max({}, {})", "tuple_of({}, {})", "({} if {} else {})", "round({}, {})"),
                *("shape({})", "{} in {}"),
            ]
        )
    )
    return form.format(*(draw(inner) for _ in range(form.count("{}"))))


@given(texts())
@settings(max_examples=300, deadline=1000)
def test_any_expression_has_a_value_or_raises_rules_error_soon(text):
    try:
        result = value(f"({text})", a=3, b=-2, t=Tensor((2, 3)))
    except RulesError:
        result = None
    assert result is None or isinstance(result, bool | int | float | complex | str | tuple | list | Tensor)
