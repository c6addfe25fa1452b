"""Parameters of ours, for numbers that torch's constructor does not know."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  (as torch calls it)
from torch import Tensor, nn

from tests.networks import randomise
from transpiler.capture.constructors import recording
from transpiler.port import transpile


class Level(nn.Module):
    """Rows of a size that nobody is told; one of the levels has one row only, and says so."""

    def __init__(self, dim: int, heads: int, pool: int = 1) -> None:
        super().__init__()
        self.pool = nn.AvgPool1d(pool) if pool > 1 else nn.Identity()
        self.fc = nn.Linear(dim, dim * heads)
        self.out = nn.Linear(dim * heads, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(x.transpose(1, 2)).transpose(1, 2)
        rows = x.shape[1] // 5
        if rows > 1:
            x = x.reshape(-1, rows, 5, x.shape[2]).cumsum(1).flip(1).reshape(-1, 5 * rows, x.shape[2])
        x = self.out(self.fc(x).softmax(2))
        return F.pad(x, (0, 0, rows, 0))[:, : 5 * rows]


class Levels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = Level(7, 3)
        self.b = Level(7, 5, 2)
        self.c = Level(7, 9, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.b(self.a(x)))


def test_what_only_some_instances_need_is_the_parameter_that_all_have() -> None:
    with recording() as constructors:
        model = Levels()
    randomise(model.eval(), 0)
    port = transpile(model, (torch.randn(1, 30, 7),), constructors=constructors)
    assert "size_2" not in port.source, port.source
    assert "self.c = Level(7, 9, size=1, pool=3)" in port.source, port.source
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5


class Groups(nn.Module):
    """Groups of 16 channels: half as many as the image has rows, which means nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 64, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y.unflatten(1, (-1, 16)).amax(1)


def test_half_of_the_image_is_no_number_of_channels() -> None:
    with recording() as constructors:
        model = Groups()
    port = transpile(model.eval(), (torch.randn(1, 3, 32, 20),), constructors=constructors)
    assert "// 2" not in port.source, port.source
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5
