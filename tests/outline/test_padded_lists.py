"""Convolutions in a Sequential that pad before a stride and by "same" without one are one line, whatever is built."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.networks import randomise
from transpiler.capture.constructors import recording
from transpiler.code import Literal, Sequence
from transpiler.outline.alike import tuples_alike
from transpiler.port import Port, transpile


class ConvNormAct(nn.Sequential):
    def __init__(self, inp: int, oup: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inp, oup, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(oup),
            nn.ReLU(),
        )


class SpaceThenTime(nn.Sequential):
    def __init__(self, inp: int, oup: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv3d(inp, oup, (1, 3, 3), (1, stride, stride), (0, 1, 1)),
            nn.Conv3d(oup, oup, (3, 1, 1), (stride, 1, 1), (1, 0, 0)),
        )


class Images(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNormAct(3, 8, 3, stride=2)
        self.expand = ConvNormAct(8, 16, 1)
        self.depthwise = ConvNormAct(16, 16, 5, groups=16)
        self.down = ConvNormAct(16, 16, 3, stride=2, groups=16)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.depthwise(self.expand(self.stem(x))))


class Clips(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = SpaceThenTime(3, 4)
        self.second = SpaceThenTime(4, 5, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


def ported(cls: type[nn.Module], *shape: int) -> Port:
    with recording() as constructors:
        model = cls()
    randomise(model.eval(), 0)
    return transpile(model, (torch.randn(*shape),), constructors=constructors)


def test_padding_is_a_layer_beside_its_convolution() -> None:
    port = ported(Images, 1, 3, 17, 20)
    source = " ".join(port.source.split())
    assert source.count("keras.Sequential(") == 1
    assert "*([layers.ZeroPadding2D(kernel // 2)] if stride != 1 else []), layers.DepthwiseConv2D(" in source
    assert source.count('conv_padding = "same" if stride == 1 else "valid"') == 1
    assert source.count("padding=conv_padding") == 2
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5


def test_strides_along_some_axes_are_told_by_the_stride() -> None:
    port = ported(Clips, 1, 3, 6, 9, 8)
    source = " ".join(port.source.split())
    assert "strides=(1, stride, stride)" in source
    assert "strides=(stride, 1, 1)" in source
    assert port.verify(batches=(1, 2)).max_rel_err < 1e-5


@pytest.mark.parametrize(
    ("inp", "oup", "kernel", "stride", "groups"), [(4, 6, 3, 1, 1), (6, 6, 7, 1, 6), (6, 6, 5, 2, 6)]
)
def test_other_arguments_than_the_model_s_mean_the_same(
    inp: int, oup: int, kernel: int, stride: int, groups: int
) -> None:
    namespace: dict[str, object] = {}
    exec(ported(Images, 1, 3, 17, 20).source, namespace)  # noqa: S102  (what was just generated)
    layer = namespace["ConvNormAct"](inp, oup, kernel, stride=stride, groups=groups)  # type: ignore[operator]
    torchs = ConvNormAct(inp, oup, kernel, stride, groups)
    x = torch.randn(1, inp, 12, 15)
    assert tuple(layer(x.permute(0, 2, 3, 1).numpy()).shape) == tuple(torchs(x).permute(0, 2, 3, 1).shape)


def test_one_number_is_a_tuple_beside_tuples() -> None:
    pair = Sequence("tuple", (Literal(1), Literal(2)))
    assert tuples_alike("strides", [Literal(3), pair]) == [Sequence("tuple", (Literal(3), Literal(3))), pair]
    assert tuples_alike("strides", [Literal(None), pair]) == [Literal(None), pair]
    assert tuples_alike("units", [Literal(3), pair]) == [Literal(3), pair]
    assert tuples_alike("strides", [Literal(3), Literal(4)]) == [Literal(3), Literal(4)]
