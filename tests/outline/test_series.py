"""Stages of different depth whose blocks differ from place to place are one class with a comprehension."""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
