"""Models that write in place, through the whole port: the Keras model computes what torch computes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from transpiler.port import transpile


class Calls(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.conv(x))


class WritesInput(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x.mul_(2)
        x[:, 0] += 1
        return x + 0


def channels(x: Tensor) -> Tensor:
    x[:, 1:3] = x[:, 3:5] * 2
    x[..., 0] += 1
    return x


def masked(x: Tensor) -> Tensor:
    x[x > 0.5] = 0
    x[:, [True, False, False, True, False, True]] = 1.5
    return x


def places(x: Tensor) -> Tensor:
    x[:, [4, 0]] = x[:, 1:3] * 3
    return x


def views(x: Tensor) -> Tensor:
    first, second = x.chunk(2, 1)
    first.mul_(2)
    tail = x.permute(0, 2, 3, 1)[:, 1]
    second.add_(first)
    return x + tail.mean((1, 2), keepdim=True).unsqueeze(-1)


def diagonal(x: Tensor) -> Tensor:
    x.diagonal(1, 2, 3).add_(4)
    return x


def pillars(x: Tensor) -> Tensor:
    """To places that are computed, in a dimension behind another that is kept, of each of the batch."""
    index = x[:, 0, :, 0].argsort(1)
    canvas = x.new_zeros(x.shape[0], 9, x.shape[1])
    batch = torch.arange(x.shape[0])[:, None]
    canvas[batch, index] = x[..., 0].transpose(1, 2)
    return canvas.index_put((batch, index - 9), x[..., 1].transpose(1, 2), accumulate=True)


def first_places(x: Tensor) -> Tensor:
    x[:, x[0, :3, 0, 0].argsort()] = x[:, 3:] * 3
    return x


def some(x: Tensor) -> Tensor:
    return x.masked_scatter(x > 0, x * 2)


@pytest.mark.parametrize("function", [channels, masked, places, views, diagonal, pillars, first_places, some])
def test_writes_give_what_torch_gives(function: Callable[[Tensor], Tensor]) -> None:
    report = transpile(Calls(function).eval(), (torch.randn(2, 3, 6, 5),)).verify(batches=(3,))
    assert report.max_rel_err < 1e-5


@pytest.mark.parametrize("function", [channels, masked, places])
def test_writes_along_channels_move_no_axes(function: Callable[[Tensor], Tensor]) -> None:
    assert "transpose" not in transpile(Calls(function).eval(), (torch.randn(2, 3, 6, 5),)).source


def test_a_write_to_an_input_stays_in_the_model() -> None:
    report = transpile(WritesInput(), (torch.randn(2, 3, 4),)).verify(batches=(1, 3))
    assert report.max_rel_err == 0
