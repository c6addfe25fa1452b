"""One number and as many equal ones are the same size to torch: they are one parameter."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.networks import randomise
from transpiler.capture.constructors import recording
from transpiler.outline.squares import one_number
from transpiler.port import transpile


class ConvNorm(nn.Module):
    def __init__(self, inp: int, oup: int, kernel_size: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        pads = tuple(k // 2 for k in kernel_size) if isinstance(kernel_size, tuple) else kernel_size // 2
        self.conv = nn.Conv2d(inp, oup, kernel_size, stride, pads, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(oup)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 8, 3, 2)
        self.expand = ConvNorm(8, 12)
        self.depthwise = ConvNorm(12, 12, 5, groups=12)
        self.down = ConvNorm(12, 16, (3, 3), (2, 2))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.depthwise(self.expand(self.stem(x))))


def test_a_square_is_the_number_that_others_give() -> None:
    with recording() as constructors:
        model = Network()
    randomise(model.eval(), 0)
    port = transpile(model, (torch.randn(1, 3, 17, 20),), constructors=constructors)
    assert "self.down = ConvNorm(12, 16, 3, 2)" in port.source
    namespace: dict[str, object] = {}
    exec(port.source, namespace)  # noqa: S102  (what was just generated)
    layer = namespace["ConvNorm"](4, 6, 7, stride=3)  # type: ignore[operator]
    torchs = ConvNorm(4, 6, 7, 3)
    x = torch.randn(1, 4, 19, 22)
    assert tuple(layer(x.permute(0, 2, 3, 1).numpy()).shape) == tuple(torchs(x).permute(0, 2, 3, 1).shape)
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5


def test_what_is_no_square_stays() -> None:
    assert one_number([3, (5, 5), [1, 1]]) == (3, 5, 1)
    assert one_number([3, (5, 1)]) == (3, (5, 1))
    assert one_number([(3, 3), (5, 5)]) == ((3, 3), (5, 5))
    assert one_number([True, (1, 1)]) == (True, (1, 1))
