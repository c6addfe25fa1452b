"""How instances become classes."""

from __future__ import annotations

import ast
import dataclasses

import pytest

from tests.outline.programs import (
    Draft,
    call,
    chain,
    concatenate,
    conv,
    keras_call,
    layer,
    ops,
    program,
    sequential,
)
from tests.outline.running import check_runs, load
from tests.source_checks import check_source, classes
from transpiler.code import Binary, Call, Code, Function, Literal, Member, Ref, Sequence
from transpiler.errors import InternalError
from transpiler.lowered import Body, LayerAttribute, LoweredProgram, WeightAttribute
from transpiler.outline import outline
from transpiler.render import render


def network(*bodies: Body, **style: object) -> LoweredProgram:
    draft = Draft("Net")
    x: Code = draft.argument("x", "n h w c")
    for place, body in enumerate(bodies):
        draft.member(f"block_{'abcdefgh'[place]}", body)
        x = draft.do(call(f"block_{'abcdefgh'[place]}", x), "x", 200 + place)
    return program(draft.done(x), (None, 8, 8, 4), name="Net", **style)


def source_of(*bodies: Body, **style: object) -> str:
    source = render(outline(network(*bodies, **style)))
    check_source(source)
    return source


def block(name: str, *steps: tuple[str, object], recorded: bool = False) -> Body:
    draft = Draft(name, (lambda self: None) if recorded else "")
    x: Code = draft.argument()
    for member, made in steps:
        if member not in {item.name for item in draft.members}:
            draft.member(member, made)
        x = draft.do(call(member, x), "x", 210)
    return draft.done(x)


def test_bodies_that_differ_too_much_are_variants_with_telling_names():
    one = block("Block", ("conv", layer("Conv2D", 4, 1)), ("norm", layer("BatchNormalization")))
    draft = Draft("Block")
    x = draft.argument()
    draft.member("squeeze", layer("Dense", 4))
    y = draft.do(ops("mean", x, axis=(1, 2), keepdims=True), "y", 220)
    z = draft.do(ops("exp", draft.do(call("squeeze", y), "z", 221)), "z", 222)
    other = draft.done(draft.do(Binary("*", x, z), None, 223))
    assert set(classes(source_of(one, other))) == {"Block", "BlockSqueeze", "Net"}


def test_two_torch_classes_of_one_name_are_two_classes(tmp_path):
    one = block("Block", ("conv", layer("Conv2D", 4, 1)))
    other = block("Block", ("dense", layer("Dense", 4)))
    other = dataclasses.replace(other, cls=dataclasses.replace(other.cls, qualified_name="other.Block"))
    source = source_of(one, other)
    assert set(classes(source)) == {"Block", "BlockDense", "Net"}
    check_runs(source, [(1, 8, 8, 4)], tmp_path, "two_classes")


def test_a_class_that_contains_itself(tmp_path):
    body = block("Block", ("conv", layer("Conv2D", 4, 1)))
    for _ in range(2):
        outer = Draft("Block")
        x = outer.argument()
        outer.member("conv", layer("Conv2D", 4, 3, padding="same"))
        outer.member("inner", body)
        body = outer.done(outer.do(call("inner", outer.do(call("conv", x), "x", 230)), None, 231))
    check_runs(source_of(body), [(1, 8, 8, 4)], tmp_path, "recursive")


def test_prefix_and_renames():
    source = source_of(block("_Block", ("conv", layer("Conv2D", 4, 1))), prefix="TF", renames=(("Net", "Detector"),))
    assert {"TF_Block", "Detector"} == set(classes(source))


def test_helper_is_emitted_once_with_its_decorator():
    pool = keras_call("ReLU")
    pool = dataclasses.replace(pool, function=dataclasses.replace(pool.function, name="helpers.StochasticDepth"))
    pool = dataclasses.replace(pool, keywords=(("rate", Literal(0.5)), ("mode", Literal("row"))))
    bodies = [block("Block", ("drop", LayerAttribute(pool))), block("StochasticDepth", ("relu", layer("ReLU")))]
    source = source_of(*bodies)
    assert source.count("@serializable\nclass StochasticDepth(layers.Dropout):") == 1
    assert "StochasticDepth(0.5)" in source
    assert "class StochasticDepthRelu(layers.Layer):" in source


def test_unknown_helper_is_an_error():
    draft = Draft("Net")
    x = draft.argument()
    classes_of_net = outline(program(draft.done(draft.do(Call(Function("helpers.nonsense"), (x,)))), (None, 4)))
    with pytest.raises(InternalError, match="there is no helper 'nonsense'"):
        render(classes_of_net)


def test_weights_and_their_dtypes(tmp_path):
    draft = Draft("Net")
    x = draft.argument()
    draft.member("scale", WeightAttribute((4,), "float32", trainable=True))
    draft.member("mask", WeightAttribute((4,), "bool", trainable=False))
    draft.member("_steps", WeightAttribute((), "int64", trainable=False))
    scale = draft.do(Member("scale"))
    y = draft.do(Binary("*", x, scale), "y", 240)
    z = draft.do(ops("where", Member("mask"), y, x), "z", 241)
    source = render(outline(program(draft.done(z), (None, 8, 8, 4))))
    check_source(source)
    assert "y = x * self.scale" in source
    assert 'dtype="bool"' in source
    check_runs(source, [(1, 8, 8, 4)], tmp_path, "weights")


def test_branch_of_several_statements_is_an_if(tmp_path):
    def residual(use: bool) -> Body:
        draft = Draft("Residual", lambda self, use: None, (use,))
        x = draft.argument()
        draft.member("conv", layer("Conv2D", 4, 1))
        out = draft.do(call("conv", x), "out", 250)
        if use:
            out = draft.do(ops("exp", out), "out", 252)
            out = draft.do(Binary("+", out, x), "out", 253)
        return draft.done(draft.do(ops("tanh", out), "out", 254))

    source = source_of(residual(True), residual(False))
    assert "        if self.use:\n            out = ops.exp(out)\n            out = out + x\n" in source
    assert "self.use = use" in source
    check_runs(source, [(1, 8, 8, 4)], tmp_path, "branch")


def test_two_branches_in_a_row(tmp_path):
    def body(first: bool, second: bool) -> Body:
        draft = Draft("Optional", lambda self, first, second: None, (first, second))
        x: Code = draft.argument()
        draft.member("conv", layer("Conv2D", 4, 1))
        x = draft.do(call("conv", x), "x", 260)
        if first:
            x = draft.do(ops("exp", x), "x", 261)
        x = draft.do(ops("tanh", x), "x", 262)
        if second:
            draft.member("norm", layer("LayerNormalization"))
            x = draft.do(call("norm", x), "x", 263)
        return draft.done(draft.do(ops("relu", x), "x", 264))

    source = source_of(*(body(first, second) for first in (True, False) for second in (True, False)))
    assert len(classes(source)) == 2
    assert "x = self.norm(x) if self.norm is not None else x" in source
    check_runs(source, [(1, 8, 8, 4)], tmp_path, "two_branches")


def test_frozen_blocks_do_not_train(tmp_path):
    frozen = dataclasses.replace(conv(4, 4), frozen=True)
    source = source_of(frozen, conv(4, 4))
    assert "if frozen:\n            self.trainable = False" in source
    check_runs(source, [(1, 8, 8, 4)], tmp_path, "frozen")
    assert len(load(source, "generated_frozen_again").build_model().trainable_variables) == 3


def test_torch_parameter_names_that_keras_takes():
    def named(dtype: int) -> Body:
        draft = Draft("Named", lambda self, name, dtype: None, ("x", dtype))
        x = draft.argument()
        draft.member("dense", layer("Dense", dtype))
        return draft.done(draft.do(call("dense", x), None, 270))

    source = source_of(named(4), named(8))
    assert "def __init__(self, dtype_, **kwargs):" in source


def test_sequential_is_one_list_everywhere():
    body = Draft("Chain")
    x = body.argument()
    body.member("one", sequential(layer("ReLU")))
    body.member("two", chain(keras_call("ReLU"), keras_call("ReLU")))
    y = body.do(call("two", body.do(call("one", x), "x", 280)), "x", 281)
    source = source_of(body.done(y))
    assert "keras.Sequential([layers.ReLU()])" in source


def test_sequential_without_its_list_is_refused():
    body = Draft("Chain")
    x = body.argument()
    body.member("one", LayerAttribute(Call(Function("keras.Sequential"), (keras_call("ReLU"), keras_call("ReLU")))))
    with pytest.raises(InternalError, match="exactly one list"):
        source_of(body.done(body.do(call("one", x), "x", 290)))


def test_value_used_before_it_is_computed_is_refused():
    draft = Draft("Net")
    draft.argument()
    with pytest.raises(InternalError, match="value 7 is used before"):
        outline(program(draft.done(Ref(7)), (None, 4)))


@pytest.mark.parametrize("kind", ["tuple", "list"])
def test_structure_of_the_result_is_kept(kind):
    draft = Draft("Net")
    x = draft.argument()
    y = draft.do(ops("exp", x), None, 300)
    source = render(outline(program(draft.done(Sequence(kind, (x, y))), (None, 4))))
    returned = next(node for node in ast.walk(classes(source)["Net"]) if isinstance(node, ast.Return))
    assert isinstance(returned.value, ast.Tuple if kind == "tuple" else ast.List)


def test_lines_of_a_torch_loop_are_not_nested():
    draft = Draft("Net")
    x: Code = draft.argument()
    first = x
    for place in range(3):
        draft.member("m", layer("Dense", 4), place)
        x = draft.do(call("m", x, index=place), "x", 310)
    draft.member("m", layer("Dense", 4), 3)
    y = draft.do(concatenate(x, first), None, 311)
    source = render(outline(program(draft.done(y), (None, 4))))
    assert "        x_2 = self.m[0](x)\n        x_2 = self.m[1](x_2)\n" in source


def test_a_branch_within_a_branch_goes_on_with_what_the_outer_one_ends_with():
    """x -> norm, x -> pad -> norm and x -> pad -> drop -> norm: what drop takes is x again after the first branch."""
    pad, drop, norm = layer("ZeroPadding2D", 1), layer("Dropout", 0.5), layer("BatchNormalization")
    source = source_of(
        block("Block", ("norm", norm)),
        block("Block", ("pad", pad), ("norm", norm)),
        block("Block", ("pad", pad), ("drop", drop), ("norm", norm)),
    )
    assert list(classes(source)) == ["Block", "Net"]


def test_no_arithmetic_leads_to_an_axis():
    """That 2 and 1 are half of an argument is a coincidence."""

    def body(size: int, axis: int) -> Body:
        draft = Draft("Block", lambda self, size: None, (size,))
        x = draft.argument()
        draft.member("norm", layer("BatchNormalization"))
        return draft.done(draft.do(ops("flip", call("norm", x), Literal(axis)), "x", 20))

    source = source_of(body(4, 2), body(2, 1))
    assert "axis=2 if self.branch else 1" in source or "ops.flip(self.norm(x), 2 if self.branch else 1)" in source


def test_a_weight_as_large_as_the_input_is_made_in_build(tmp_path):
    def masked(size: int) -> Body:
        draft = Draft("Masked", lambda self: None, ())
        x = draft.argument()
        draft.arguments[0] = dataclasses.replace(draft.arguments[0], shape=(None, size, size, 4))
        draft.member("mask", WeightAttribute((size, size, 1), "float32", True))
        return draft.done(draft.do(Binary("+", x, Member("mask")), "x", 20))

    draft = Draft("Net")
    x: Code = draft.argument("x", "n h w c")
    draft.member("large", masked(8))
    draft.member("pool", layer("AveragePooling2D", 2))
    draft.member("small", masked(4))
    for place, member in enumerate(("large", "pool", "small")):
        x = draft.do(call(member, x), "x", 200 + place)
    source = render(outline(program(draft.done(x), (None, 8, 8, 4), name="Net")))
    check_source(source)
    assert "self.mask = self.add_weight(" in source.partition("def build(self, input_shape):")[2]
    assert "shape=(input_shape[1], input_shape[2], 1)" in source
    check_runs(source, [(1, 8, 8, 4)], tmp_path, "built")
