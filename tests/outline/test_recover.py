from __future__ import annotations

import pytest

from transpiler.code import Binary, Call, Literal, Name, Sequence
from transpiler.lowered import SEQUENCE, Constructor, Opaque
from transpiler.outline.choices import find_question
from transpiler.outline.evaluate import Unknown, evaluate
from transpiler.outline.holes import HoleFact, Use
from transpiler.outline.init_source import read_init
from transpiler.outline.program import REQUIRED
from transpiler.outline.recover import ChildFact, Scope
from transpiler.render.expressions import text


def scope_of(init: str, *instances: dict, defaults: dict | None = None) -> Scope:
    constructors = [Constructor(arguments, defaults or {}, 0) for arguments in instances]
    return Scope(constructors, read_init(init), {})


def found(scope: Scope, values: list, parameter: str = "", member: str = "conv") -> str | None:
    code = scope.find(HoleFact(Use(member, "keras.layers.Conv2D", 0, parameter), dict(enumerate(values))))
    return None if code is None else text(code)


TWO = [{"c1": 8, "c2": 64, "k": 3}, {"c1": 32, "c2": 96, "k": 5}]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([64, 96], "c2"),
        ([32, 48], "c2 // 2"),
        ([256, 384], "c2 * 4"),
        ([72, 128], "c1 + c2"),
        ([512, 3072], "c1 * c2"),
        ([1, 2], "k // 2"),
        ([7, 7], "7"),
        ([(64, 3), (96, 5)], "(c2, k)"),
        ([17, 4], None),
        ([True, False], None),
    ],
)
def test_simplest_expression_that_is_true_on_every_instance(values, expected):
    assert found(scope_of("", *TWO), values) == expected


def test_a_quotient_leaves_no_rest():
    heads = [{"block": 14, "heads": heads} for heads in (3, 6, 12)]
    assert found(scope_of("", *heads), [4, 2, 1]) is None
    assert found(scope_of("", {"dim": 12, "heads": 3}, {"dim": 32, "heads": 4}), [4, 8]) == "dim // heads"


def test_local_of_the_constructor_is_found_by_its_name():
    init = "def __init__(self, inp, ratio):\n    hidden_dim = int(round(inp * ratio))\n"
    scope = scope_of(init, {"inp": 8, "ratio": 1.5}, {"inp": 16, "ratio": 6})
    assert found(scope, [12, 96]) == "hidden_dim"


def test_local_that_is_assigned_twice_is_what_it_is_in_the_end():
    init = "def __init__(self, c):\n    d = c * 2\n    d = d + 1\n"
    assert found(scope_of(init, {"c": 4}, {"c": 8}), [9, 17]) == "d"
    assert found(scope_of(init, {"c": 4}, {"c": 8}), [8, 16]) == "c * 2"


def test_local_of_which_a_step_is_not_understood_is_not_trusted():
    init = "def __init__(self, c):\n    d = c * 2\n    for x in range(c):\n        d = d + x\n"
    assert read_init(init).definitions == ()


def test_parameter_that_the_constructor_completes():
    init = "def __init__(self, c, out=None):\n    out = out or c\n    if out == 8:\n        out = 9\n"
    assert found(scope_of(init, {"c": 4, "out": None}, {"c": 4, "out": 8}), [4, 9]) == "out"


def test_branch_of_the_constructor_is_a_conditional_local():
    init = "def __init__(self, c, wide):\n    if wide:\n        d = c * 4\n    else:\n        d = c\n"
    scope = scope_of(init, {"c": 8, "wide": True}, {"c": 8, "wide": False})
    assert found(scope, [32, 8]) == "d"
    assert text(scope.definitions["d"]) == "c * 4 if wide else c"


def test_literal_that_all_share_stays_unless_the_source_shows_where_it_comes_from():
    init = (
        "def __init__(self, planes, k):\n"
        "    self.conv = nn.Conv2d(3, planes, k)\n"
        "    self.other = nn.Conv2d(3, 64, 7)\n"
    )
    scope = scope_of(init, {"planes": 64, "k": 7})
    assert found(scope, [64], "filters") == "planes"
    assert found(scope, [7], "kernel_size") == "k"
    assert found(scope, [64], "filters", "other") == "64"
    assert found(scope, [64], "filters", "third") == "64"


def test_how_many_blocks_there_are_is_no_size_of_theirs():
    init = (
        "def __init__(self, dim, depth):\n"
        "    self.conv = nn.ModuleList([nn.Conv2d(dim, dim, 1) for _ in range(depth)])\n"
    )
    scope = scope_of(init, {"dim": 24, "depth": 16})
    assert found(scope, [16], "filters") == "16"
    assert found(scope, [32], "filters") == "32"
    assert found(scope, [24], "filters") == "dim"


def test_optional_argument_overrides_what_is_computed():
    scope = scope_of("", {"k": 3, "p": None}, {"k": 6, "p": 2}, {"k": 5, "p": None})
    assert found(scope, [1, 2, 2], "padding") == "k // 2 if p is None else p"


def test_only_some_instances_need_to_have_the_literal():
    scope = scope_of("", *TWO, {"c1": 1, "c2": 5, "k": 7})
    assert text(scope.find(HoleFact(Use("conv"), {0: 64, 1: 96}))) == "c2"


def test_arguments_that_are_no_basic_values_are_no_parameters():
    scope = scope_of("", {"block": Opaque("nn.ReLU"), "down": None}, {"block": Opaque("nn.ReLU"), "down": Opaque("x")})
    assert scope.arguments == {}
    assert scope.presence["down"] == (False, True)


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ([0, 1], "s == 1"),
        ([2, 3], "s != 1"),
        ([0, 2], "shortcut"),
        ([0], "shortcut and s == 1"),
        ([1, 2, 3], "not shortcut or s != 1"),
    ],
)
def test_question_that_tells_instances_apart(inside, expected):
    scope = scope_of("", *({"s": s, "shortcut": flag} for s in (1, 2) for flag in (True, False)))
    assert text(find_question(scope, inside, range(4), by_equality=False)) == expected


def test_sizes_are_no_questions():
    scope = scope_of("", {"c": 64}, {"c": 128})
    assert find_question(scope, [0], [0, 1], by_equality=False) is None


def test_questions_of_the_constructor_come_first():
    init = "def __init__(self, a, b):\n    self.add = a == 1 and b > 3\n"
    scope = scope_of(init, {"a": 1, "b": 5}, {"a": 1, "b": 2}, {"a": 2, "b": 5})
    assert text(find_question(scope, [0], [0, 1, 2], by_equality=False)) == "a == 1 and b > 3"


@pytest.mark.parametrize(
    "code",
    [
        Name("missing"),
        Binary("**", Literal(10), Literal(10**6)),
        Binary("*", Literal("x"), Literal(10**9)),
        Binary("%", Literal("%s"), Literal(1)),
        Binary("//", Literal(1), Literal(0)),
        Call(Name("open"), (Literal("/etc/passwd"),)),
        Call(Name("__import__"), (Literal("os"),)),
        Binary("is", Literal(1), Literal(1)),
        Binary("+", Literal(1), Literal("x")),
        Call(Name("len"), (Literal(3),)),
        Call(Name("max"), (Sequence("tuple", ()),)),
    ],
)
def test_evaluator_refuses(code):
    with pytest.raises(Unknown):
        evaluate(code, {})


@pytest.mark.parametrize("source", ["", "def __init__(self", "x = 1", "class A: pass", "lambda: 0", "\0"])
def test_source_that_cannot_be_read_gives_no_facts(source):
    assert read_init(source).definitions == ()


def test_calls_are_known_by_the_member_they_make():
    init = (
        "def __init__(self, c):\n"
        "    layers = [Conv(c, 1)]\n"
        "    layers.append(Conv(c, 3, bias=False))\n"
        "    self.conv = nn.Sequential(*layers)\n"
        "    self.add_module('norm', Norm(c))\n"
    )
    facts = read_init(init)
    assert [call.function for call in facts.calls["conv"]] == ["Conv", "Conv", "Sequential"]
    assert [call.function for call in facts.calls["norm"]] == ["Norm"]


MLP_INIT = """
def __init__(self, in_channels, hidden_channels, dropout=0.0):
    layers = []
    for hidden_dim in hidden_channels[:-1]:
        layers.append(nn.Linear(in_channels, hidden_dim))
    layers.append(nn.Linear(in_channels, hidden_channels[-1]))
    super().__init__(*layers)
"""
STAGES_INIT = """
def __init__(self, depths, widths):
    self.stages = nn.Sequential()
    for index, (depth, width) in enumerate(zip(depths, widths)):
        self.stages.add_module(str(index), Stage(depth, width))
"""


def test_loop_over_a_list_that_the_base_is_given_goes_over_its_items():
    init = "def __init__(self, dim, mlp_dim):\n    super().__init__(dim, [mlp_dim, dim])\n"
    facts = read_init(init, (MLP_INIT,))
    scope = Scope([Constructor({"dim": 24, "mlp_dim": 96}, {}, 0)], facts, {})
    assert found(scope, [96], "units", SEQUENCE) == "mlp_dim"
    assert found(scope, [24], "units", SEQUENCE) == "dim"


def test_loop_over_an_argument_goes_over_its_items():
    scope = scope_of(STAGES_INIT, {"depths": (6, 12), "widths": [32, 48]})
    assert found(scope, [12], "depth", "stages") == "depths[1]"
    assert found(scope, [32], "filters", "stages") == "widths[0]"


def test_parameter_of_ours_that_a_child_may_leave_out_may_be_left_out():
    child = ChildFact("Window", (), {}, {"attn_shape": None})
    scope = Scope([Constructor({}, {}, 0)] * 2, read_init(""), {"Window": child})
    assert scope.child_default(Use("attn", "Window", 0, "attn_shape")) is None
    assert scope.child_default(Use("attn", "Window", 0, "other")) is REQUIRED


def test_a_method_that_the_constructor_calls_is_read_for_what_it_is_given():
    own = "def __init__(self, width):\n    self.width = width\n    self.make_table()\n"
    method = "def make_table(self):\n    k = 2\n    self.table = Parameter(zeros(2 * self.width - 1, k))\n"
    facts = read_init(own, (), (method,))
    (zeros,) = (fact for fact in facts.calls["table"] if fact.function == "zeros")
    assert zeros.arguments == (Binary("-", Binary("*", Literal(2), Name("width")), Literal(1)), None)
    assert "k" not in dict(facts.definitions)  # a local of the method is none of the constructor


def test_as_many_weights_as_a_window_has_pairs_of_places():
    init = "def __init__(self, window, heads):\n    self.window = window\n"
    scope = scope_of(init, {"window": [7, 5], "heads": 3}, {"window": [7, 5], "heads": 6})
    assert found(scope, [(1225,), (1225,)], "shape") == "((window[0] * window[1]) ** 2,)"
    assert found(scope, [(35,), (35,)], "shape") == "(35,)"  # a small number may be any
    assert found(scope, [(1226,), (1226,)], "shape") == "(1226,)"


@pytest.mark.parametrize(
    ("init", "expected"),
    [
        pytest.param("self.conv = nn.Conv2d(width, doubled(width, 2), 3)", "2 * width", id="torch writes the factor"),
        pytest.param("self.conv = nn.Conv2d(width, doubled(width), 3)", "64", id="it writes no 2"),
        pytest.param(
            "channels = width\n    for _ in range(2):\n        self.conv = nn.Conv2d(width, channels, 3)\n"
            "        channels = channels + 16",
            "64",
            id="it sums up",
        ),
    ],
)
def test_a_multiple_is_no_chance(init, expected):
    scope = scope_of(f"def __init__(self, width):\n    {init}", {"width": 32})
    assert found(scope, [64], "filters") == expected
