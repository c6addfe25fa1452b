"""Stages of different depth whose blocks differ from place to place are one class with a comprehension."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.networks import randomise
from transpiler.capture.constructors import recording
from transpiler.port import Port, transpile


class Block(nn.Module):
    def __init__(self, dim: int, rate: float, kernel: int, gated: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, kernel, padding=kernel // 2)
        self.gate = nn.Conv2d(dim, dim, 1) if gated else None
        self.drop = nn.Dropout(rate)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if self.gate is not None:
            y = y * torch.sigmoid(self.gate(x))
        return x + self.drop(y)


class Stage(nn.Module):
    def __init__(self, dim: int, depth: int, rates: list[float], kernel: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(dim, rates[i], 1 if i == 0 else kernel, gated=i % 2 == 1) for i in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = Stage(4, 2, [0.0, 0.1], 3)
        self.second = Stage(4, 5, [0.2, 0.3, 0.35, 0.4, 0.5], 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


def ported() -> Port:
    torch.manual_seed(0)
    with recording() as constructors:
        model = Net()
    return transpile(model.eval(), (torch.randn(2, 4, 7, 9),), constructors=constructors)


def test_elements_are_told_by_their_place() -> None:
    port = ported()
    assert port.source.count("class Stage") == 1
    line = "Block(dim, rates[i], 1 if i == 0 else kernel, gated=i % 2 != 0) for i in range(depth)"
    assert line in " ".join(port.source.split())
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5


class Mixed(nn.Module):
    """Blocks of one kind, fewer or more, or a pair of others."""

    def __init__(self, dim: int, rates: list[float], pair: bool = False) -> None:
        super().__init__()
        blocks = [Block(dim, rate, 3) for rate in rates]
        self.blocks = nn.Sequential(*([nn.Linear(9, 9), nn.Tanh()] if pair else blocks))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)


def test_lists_of_one_kind_are_a_series_beside_other_lists() -> None:
    torch.manual_seed(0)
    with recording() as constructors:
        model = nn.Sequential(Mixed(4, [], pair=True), Mixed(4, [0.1, 0.2]), Mixed(4, [0.3, 0.35, 0.4, 0.5]))
    port = transpile(model.eval(), (torch.randn(2, 4, 7, 9),), constructors=constructors)
    assert port.source.count("Block(dim, ") == 1
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5


class SplitConv(nn.Module):
    """Convolutions with kernels of several sizes, each for its share of the channels."""

    def __init__(self, dim: int, kernel_sizes: list[int], stride: int = 1) -> None:
        super().__init__()
        self.share = dim // len(kernel_sizes)
        self.convs = nn.ModuleList(
            nn.Conv2d(self.share, self.share, size, stride, size // 2, groups=self.share) for size in kernel_sizes
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([conv(part) for conv, part in zip(self.convs, x.split(self.share, 1), strict=True)], 1)


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            SplitConv(12, [3, 5, 7], 2),
            SplitConv(12, [3, 5]),
            SplitConv(12, [3, 5, 7, 9]),
            SplitConv(12, [9, 3, 5, 7], 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)


def test_layers_of_keras_are_made_over_the_list_that_torch_was_given() -> None:
    with recording() as constructors:
        model = Mixer()
    randomise(model.eval(), 0)
    port = transpile(model, (torch.randn(1, 12, 20, 24),), constructors=constructors)
    assert port.source.count("class SplitConv") == 1
    written = " ".join(port.source.split())
    assert (
        "layers.ZeroPadding2D(kernel_sizes[i] // 2), layers.DepthwiseConv2D(kernel_sizes[i], strides=stride)" in written
    )
    assert 'layers.DepthwiseConv2D(kernel_sizes[i], padding="same") for i in range(' in written
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5


class Head(nn.Module):
    def __init__(self, before: int, dim: int, heads: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, dim, 3, padding=1)
        self.gates = nn.Conv2d(dim, heads, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x))
        return x + self.gates(x).mean(1, keepdim=True)


class Pyramid(nn.Module):
    def __init__(self, dims: list[int], num_heads: list[int]) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        for i in range(len(dims)):
            self.stages.append(Head(3 if i == 0 else dims[i - 1], dims[i], num_heads[i]))

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            x = stage(x)
        return x


def test_what_torch_takes_from_a_list_in_turn_is_taken_from_it_here() -> None:
    with recording() as constructors:
        model = Pyramid([10, 17, 24], [3, 6, 7])
    randomise(model.eval(), 0)
    port = transpile(model, (torch.randn(1, 3, 8, 6),), constructors=constructors)
    assert "[Head(dims[i], num_heads[i]) for i in range(len(dims))]" in port.source
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5
