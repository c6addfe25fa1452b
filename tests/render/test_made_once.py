"""A convolution that is padded in two ways is made in one place, and is the same layers as before."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from transpiler.code import Binary, Call, Code, Conditional, Function, Literal, Name, Sequence
from transpiler.outline.program import Assign, ClassDefinition, If, Line, Parameter, Return
from transpiler.render.classes import class_text
from transpiler.render.format import formatted
from transpiler.render.made_once import made_once
from transpiler.render.shorter import shorter

STRIDED = Binary("!=", Name("stride"), Literal(1))
DEPTHWISE = Binary("==", Name("in_channels"), Name("groups"))
PARAMETERS = ("in_channels", "out_channels", "kernel_size", "stride", "dilation", "groups")


def conv(name: str, *arguments: str, **keywords: Code) -> Call:
    return Call(Function(f"keras.layers.{name}"), tuple(map(Name, arguments)), tuple(keywords.items()))


def depthwise(**keywords: Code) -> Call:
    return conv("DepthwiseConv2D", "kernel_size", **keywords, dilation_rate=Name("dilation"), use_bias=Literal(False))


def full(**keywords: Code) -> Call:
    more: dict[str, Code] = {"groups": Name("groups"), "dilation_rate": Name("dilation"), "use_bias": Literal(False)}
    return conv(
        "Conv2D", "out_channels", "kernel_size", **{**keywords, **{k: v for k, v in more.items() if k not in keywords}}
    )


def padded(inner: Code) -> Call:
    padding = Call(
        Function("keras.layers.ZeroPadding2D"),
        (Binary("//", Binary("*", Name("dilation"), Name("kernel_size")), Literal(2)),),
    )
    return Call(Function("keras.Sequential"), (Sequence("list", (padding, inner)),))


STRIDE: dict[str, Code] = {"strides": Name("stride")}
SAME: dict[str, Code] = {"padding": Literal("same")}
TWO_WAYS = Conditional(
    STRIDED,
    padded(Conditional(DEPTHWISE, depthwise(**STRIDE), full(**STRIDE))),
    Conditional(DEPTHWISE, depthwise(**SAME), full(**SAME)),
)
IN_BRANCHES = If(
    STRIDED,
    (Assign(("self.conv",), TWO_WAYS.then),),
    (If(DEPTHWISE, (Assign(("self.conv",), depthwise(**SAME)),), (Assign(("self.conv",), full(**SAME)),)),),
)


def definition(*setup: Line) -> ClassDefinition:
    parameters = tuple(map(Parameter, PARAMETERS))
    return ClassDefinition(
        "Block", ("Block.",), parameters, setup, ("x",), (Return(Call(Name("self.conv"), (Name("x"),))),)
    )


def text(*setup: Line) -> str:
    return formatted(class_text(*shorter([definition(*setup)], 88), 88), 88)


def configuration(source: str, *values: int) -> Any:
    scope = {"keras": keras, "layers": keras.layers, "serializable": lambda cls: cls}
    exec(source, scope)  # noqa: S102  (our own)
    layer = scope["Block"](*values).conv
    parts = layer.layers if isinstance(layer, keras.Sequential) else [layer]
    return [(type(part), {**part.get_config(), "name": None}) for part in parts]


@pytest.mark.parametrize("line", [Assign(("self.conv",), TWO_WAYS), IN_BRANCHES])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 8])
def test_the_same_layers_are_made(line, stride, groups):
    once = text(line)
    assert once.count("layers.Conv2D(") == once.count("layers.DepthwiseConv2D(") == 1
    plain = class_text(definition(line), 88)
    assert plain.count("layers.Conv2D(") == 2
    values = (8, 16, 3, stride, 1, groups)
    assert configuration(once, *values) == configuration(plain, *values)


def test_it_is_made_once_within_a_list_too():
    inner = Sequence("list", (TWO_WAYS, Call(Function("keras.layers.BatchNormalization"))))
    line = Assign(("self.block",), Call(Function("keras.Sequential"), (inner,)))
    assert text(line).count("layers.Conv2D(") == 1


@pytest.mark.parametrize(
    "same",
    [
        full(padding=Literal("same"), dilation_rate=Literal(2)),
        full(padding=Literal("valid")),
        full(strides=Literal(2), padding=Literal("same")),
        depthwise(padding=Literal("same")),
    ],
    ids=["another keyword", "not padded", "another stride", "another layer"],
)
def test_what_differs_in_more_is_made_twice(same):
    line = Assign(("self.conv",), Conditional(STRIDED, padded(full(**STRIDE)), same))
    assert not list(made_once(line, ()))


def test_a_stride_that_the_test_does_not_tell_is_made_twice():
    line = Assign(("self.conv",), Conditional(DEPTHWISE, padded(full(**STRIDE)), full(**SAME)))
    assert not list(made_once(line, ()))


def test_a_parameter_of_that_name_keeps_its_value():
    line = Assign(("self.conv",), TWO_WAYS)
    assert list(made_once(line, ()))
    assert not list(made_once(line, (Assign(("self.last",), Call(Name("conv"))),)))
