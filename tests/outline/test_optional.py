"""An argument that some calls leave out may be left out of the class, and is no reason for a second one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from transpiler.port import transpile


class Block(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(dim, dim, 3, padding=1)
        self.second = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        if shortcut is None:
            shortcut = x
        return torch.relu(self.second(torch.relu(self.first(x))) + shortcut)


class Root(nn.Module):
    """Children are a list that may be missing."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.block = Block(dim)
        self.scale = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor, extra: Tensor | None = None) -> Tensor:
        y = self.block(x)
        if extra is not None:  # noqa: SIM108  (as people write it)
            y = y * torch.sigmoid(self.scale(extra))
        else:
            y = y + torch.tanh(self.scale(x))
        return torch.relu(y)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = Block(4), Block(4)
        self.c, self.d = Root(4), Root(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.b(self.a(x), x)
        return self.d(self.c(y), x)


def test_an_argument_may_be_left_out() -> None:
    torch.manual_seed(0)
    port = transpile(Net().eval(), (torch.randn(2, 4, 6, 9),))
    assert port.source.count("@serializable\nclass") == 3
    assert "def call(self, x, shortcut=None):" in port.source
    assert "if shortcut is None:\n            shortcut = x\n" in port.source
    assert "def call(self, x, extra=None):" in port.source
    assert " if extra is None else " in port.source
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5
