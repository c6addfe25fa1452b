from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from transpiler.code import (
    Binary,
    Call,
    Code,
    Comprehension,
    Conditional,
    Function,
    Literal,
    Member,
    Name,
    Sequence,
    Unary,
)
from transpiler.outline.program import Assign, ClassDefinition, For, If, Line, Return
from transpiler.render.classes import class_text
from transpiler.render.format import formatted
from transpiler.render.shorter import shorter

LONG = Sequence("tuple", tuple(map(Literal, range(100_000, 100_006))))
VARIABLES = ("x", "y", "z")
FLAGS = (Name("self.first"), Name("self.second"))


def ops(name: str, *arguments: Code) -> Call:
    return Call(Function(f"keras.ops.{name}"), arguments)


def rewritten(*lines: Line, setup: tuple[Line, ...] = ()) -> ClassDefinition:
    (found,) = shorter([ClassDefinition("Block", ("Block.",), (), setup, VARIABLES, lines)], 88)
    return found


def shown(definition: ClassDefinition) -> str:
    return formatted(class_text(definition, 88), 88).partition("def call(self, x, y, z):\n")[2]


def test_a_long_conditional_is_a_branch():
    roll = ops("roll", Name("x"), LONG, Literal("a" * 20))
    line = Assign(("x",), Conditional(FLAGS[0], roll, Name("x")))
    assert rewritten(line, Return(Name("x"))).body[0] == If(FLAGS[0], (Assign(("x",), roll),))


def test_only_one_way_is_computed():
    one, other = (
        ops("einsum", Literal("abc,cd->abd" * 2), Name("x")),
        ops("einsum", Literal("ab,bd->ad" * 2), Name("x")),
    )
    line = Assign(("y",), Conditional(FLAGS[0], one, other))
    assert rewritten(line, Return(Name("y"))).body[0] == If(FLAGS[0], (Assign(("y",), one),), (Assign(("y",), other),))


def test_what_the_test_asks_about_keeps_its_value_until_it_is_asked():
    test = Binary("is not", Name("y"), Literal(None))
    line = Assign(("y",), Conditional(test, ops("roll", Name("x"), LONG, Literal("a" * 20)), Literal(0)))
    (first, *_) = rewritten(line, Return(Name("y"))).body
    assert isinstance(first, If)


def test_numbers_that_one_test_chooses_are_chosen_together():
    items = tuple(Conditional(FLAGS[0], Literal(100_000 + place), Literal(200_000 - place)) for place in range(3))
    line = Assign(("x",), ops("transpose", Name("x"), Sequence("tuple", (Literal(0), *items))))
    body = rewritten(line, Return(Name("x"))).body
    one, other = (
        Sequence("tuple", (Literal(0), *(Literal(first + step * place) for place in range(3))))
        for first, step in ((100_000, 1), (200_000, -1))
    )
    assert body[0] == Assign(("x",), ops("transpose", Name("x"), Conditional(FLAGS[0], one, other)))


def test_layers_of_a_chain_are_chosen_one_by_one():
    def layer(name: str) -> Call:
        return Call(Function("keras.layers.Activation"), (Literal(name * 30),))

    choices = tuple(Conditional(FLAGS[0], layer(one), layer(other)) for one, other in ("ab", "cd"))
    line = Assign(("self.chain",), Call(Function("keras.Sequential"), (Sequence("list", choices),)))
    assert rewritten(Return(Name("x")), setup=(line,)).setup == (line,)


def block(*arguments: Code) -> Call:
    return Call(
        Name("ResidualBottleneckBlock"),
        (*arguments, *map(Name, ("activation_layer", "group_width", "bottleneck_multiplier"))),
    )


def of_blocks(first: Call, rest: Call, count: Code) -> Assign:
    others = Comprehension("list", (rest,), ("_",), Call(Name("range"), (count,)))
    return Assign(("self.blocks",), Sequence("list", (first, others)))


def test_blocks_of_which_the_first_differs_are_one_comprehension():
    width, stride = Name("width_in"), Literal(2)
    line = of_blocks(block(width, stride), block(Name("width_out"), Literal(1)), Binary("-", Name("depth"), Literal(1)))
    is_first = Binary("==", Name("i"), Literal(0))
    either = block(Conditional(is_first, width, Name("width_out")), Conditional(is_first, stride, Literal(1)))
    (found,) = rewritten(Return(Name("x")), setup=(line,)).setup
    assert found == Assign(
        ("self.blocks",), Comprehension("list", (either,), ("i",), Call(Name("range"), (Name("depth"),)))
    )


def test_blocks_whose_number_is_not_known_to_be_one_more_stay_apart():
    line = of_blocks(block(Name("width_in")), block(Name("width_out")), Name("depth"))
    assert rewritten(Return(Name("x")), setup=(line,)).setup == (line,)


def both_expanded() -> Return:
    """`ops.concatenate([self.expand1x1_activation(self.expand1x1(x)), …], axis=-1)`."""
    names = ("expand1x1", "expand3x3")
    parts = tuple(Call(Member(f"{name}_activation"), (Call(Member(name), (Name("x"),)),)) for name in names)
    return Return(Call(Function("keras.ops.concatenate"), (Sequence("list", parts),), (("axis", Literal(-1)),)))


def test_a_branch_takes_the_name_of_its_first_layer():
    *firsts, last = rewritten(both_expanded()).body
    assert [line.targets for line in firsts if isinstance(line, Assign)] == [("expand1x1",), ("expand3x3",)]
    names = Sequence("list", (Name("expand1x1"), Name("expand3x3")))
    assert last == Return(Call(Function("keras.ops.concatenate"), (names,), (("axis", Literal(-1)),)))


def test_a_branch_does_not_hide_a_function():
    line = Assign(("y",), Call(Function("helpers.expand1x1"), (Name("y"),)))
    assert all("expand1x1" not in getattr(found, "targets", ()) for found in rewritten(line, both_expanded()).body)


def test_what_is_short_stays_as_it_is():
    line = Assign(("x",), Conditional(FLAGS[0], ops("relu", ops("exp", Name("x"))), Name("x")))
    assert rewritten(line, Return(Name("x"))).body == (line, Return(Name("x")))


def test_an_inner_call_takes_the_name_of_what_it_changes():
    inner = ops("reshape", Name("x"), LONG)
    line = Assign(("y",), Call(Name("self.dense"), (inner, Literal("b" * 20))))
    body = rewritten(line, Return(Name("y"))).body
    assert body[0] == Assign(("x",), inner)
    assert body[1] == Assign(("y",), Call(Name("self.dense"), (Name("x"), Literal("b" * 20))))


def test_a_variable_that_is_read_later_keeps_its_value():
    inner = ops("reshape", Name("x"), LONG)
    line = Assign(("y",), Call(Name("self.dense"), (inner, Literal("b" * 20))))
    body = rewritten(line, Return(Binary("+", Name("x"), Name("y")))).body
    assert body[0] == Assign(("y",), inner)


def test_the_comment_of_a_transpose_stays_with_it():
    value = ops("transpose", ops("reshape", Name("x"), LONG, Literal("c" * 20)), Sequence("tuple", (Literal(0),)))
    text = shown(rewritten(Assign(("x",), value, "n c -> c n"), Return(Name("x"))))
    assert "x = ops.transpose(x, (0,))  # n c -> c n\n" in text


def test_a_member_that_is_not_there_is_none_first():
    made = Call(Name("self.add_weight"), (), (("shape", LONG), ("initializer", Literal("zeros"))))
    setup = Assign(("self.w",), Conditional(Name("bias"), made, Literal(None)))
    assert rewritten(Return(Name("x")), setup=(setup,)).setup == (
        Assign(("self.w",), Literal(None)),
        If(Name("bias"), (Assign(("self.w",), made),)),
    )


def _expressions() -> st.SearchStrategy[Code]:
    def deeper(inner: st.SearchStrategy[Code]) -> st.SearchStrategy[Code]:
        return st.one_of(
            st.builds(lambda one: ops("reshape", one, LONG), inner),
            st.builds(lambda one: Call(Name("self.dense"), (one,)), inner),
            st.builds(lambda one, other: Binary("+", one, other), inner, inner),
            st.builds(lambda one, other: ops("einsum", Literal("ab,bc->ac"), one, other), inner, inner),
            st.builds(Conditional, st.sampled_from(FLAGS), inner, inner),
        )

    return st.recursive(st.sampled_from(VARIABLES).map(Name), deeper, max_leaves=5)


_ASSIGNS = st.builds(lambda name, value: Assign((name,), value), st.sampled_from(VARIABLES), _expressions())
_BODIES = st.lists(
    st.one_of(
        _ASSIGNS,
        st.builds(
            lambda test, then, otherwise: If(test, tuple(then), tuple(otherwise)),
            st.sampled_from(FLAGS),
            st.lists(_ASSIGNS, min_size=1, max_size=2),
            st.lists(_ASSIGNS, max_size=1),
        ),
        st.builds(lambda body: For(("_",), Name("turns"), tuple(body)), st.lists(_ASSIGNS, min_size=1, max_size=2)),
    ),
    min_size=1,
    max_size=4,
)


def _run(lines: tuple[Line, ...], values: dict[str, object], done: list[object]) -> object:
    """What the lines return: an expression over the arguments; loops take two turns. `done` is what they call."""
    for line in lines:
        match line:
            case Assign((name,), value):
                values[name] = _value(value, values, done)
            case If(test, then, otherwise):
                returned = _run(then if _holds(test, values) else otherwise, values, done)
                if returned is not None:
                    return returned
            case For(_, _, body):
                for _ in range(2):
                    _run(body, values, done)
            case Return(value):
                return _value(value, values, done)
    return None


def _holds(test: Code, values: dict[str, object]) -> bool:
    return not _holds(test.operand, values) if isinstance(test, Unary) else bool(values[test.name])


def _value(code: Code, values: dict[str, object], done: list[object]) -> object:
    match code:
        case Name(name):
            return values[name]
        case Conditional(test, then, otherwise):
            return _value(then if _holds(test, values) else otherwise, values, done)
        case Binary(operator, left, right):
            return (operator, _value(left, values, done), _value(right, values, done))
        case Call(function, arguments):
            made = (function, *(_value(argument, values, done) for argument in arguments))
            done.append(made)
            return made
        case _:
            return code


@settings(max_examples=60, deadline=None)
@given(_BODIES, _expressions(), st.booleans(), st.booleans())
def test_the_lines_compute_what_they_computed_and_call_nothing_else(lines, result, first, second):
    start = {**{name: name for name in VARIABLES}, "self.first": first, "self.second": second}
    body = (*lines, Return(result))
    definition = rewritten(*body)
    done: list[object] = []
    called: list[object] = []
    assert _run(definition.body, dict(start), called) == _run(body, dict(start), done)
    assert sorted(map(repr, called)) == sorted(map(repr, done))
    before = ClassDefinition("Block", ("Block.",), (), (), VARIABLES, body)
    assert len(shown(definition).splitlines()) <= len(shown(before).splitlines())
