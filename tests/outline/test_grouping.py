"""Of instances that are too different for one class, those that go together share one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.networks import randomise, relative_errors
from transpiler.capture.constructors import recording
from transpiler.port import Port, transpile


class Mixer(nn.Module):
    """Blocks with an optional norm, and one that computes something else altogether."""

    def __init__(self, dim: int, kind: str = "plain", norm: bool = False) -> None:
        super().__init__()
        self.kind = kind
        self.norm = nn.BatchNorm2d(dim) if norm else None
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "gated":
            gate = torch.sigmoid(x.mean((2, 3), keepdim=True))
            first, second = self.conv(x * gate).chunk(2, dim=1)
            return torch.cat([second.tanh(), first.exp()], dim=1) * gate
        y = self.conv(x)
        if self.norm is not None:
            y = self.norm(y)
        return x + y.relu()


class ByAnotherLine(nn.Module):
    """Two ways to run that look alike by chance: an addition is written in either."""

    def __init__(self, dim: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.conv = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "before":
            x = x + x.mean(1, keepdim=True)
            return self.conv(x).relu()
        if self.kind == "after":
            y = self.conv(x)
            return (y + y.mean(1, keepdim=True)).relu()
        gate = x.sigmoid()
        return torch.cat([gate * x, gate.tanh(), self.conv(gate).exp()], dim=1)


class Chain(nn.Module):
    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        for number, block in enumerate(blocks):
            setattr(self, f"block{'abcd'[number]}", block)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.children():
            x = block(x)
        return x


def ported(make: type[nn.Module], *arguments: tuple[object, ...]) -> tuple[nn.Module, Port]:
    with recording() as constructors:
        model = Chain(*(make(*given) for given in arguments))
    randomise(model.eval(), 0)
    return model, transpile(model, (torch.randn(1, 4, 8, 8),), constructors=constructors)


def classes_of(port: Port, name: str) -> int:
    return port.source.count(f'"""{name} (')


def test_instances_that_go_together_share_a_class_beside_one_that_does_not():
    model, port = ported(Mixer, (4,), (4, "gated"), (4, "plain", True))
    assert classes_of(port, "Mixer") == 2, port.source
    assert "self.norm is not None" in port.source
    (error,) = relative_errors(model, port.build(), port.signature, (torch.randn(2, 4, 8, 8),))
    assert error < 1e-5


def test_statements_of_different_lines_are_not_one():
    model, port = ported(ByAnotherLine, (4, "before"), (4, "after"), (4, "else"))
    assert classes_of(port, "ByAnotherLine") == 3, port.source
    (error,) = relative_errors(model, port.build(), port.signature, (torch.randn(2, 4, 8, 8),))
    assert error < 1e-5
