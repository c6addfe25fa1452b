"""What torch repeats for each sample before a loop lies as the loop's tensors do: its first turn is like the others."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from tests.networks import randomise
from transpiler import transpile
from transpiler.capture.constructors import recording


class Update(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim + 2, 2, 3, padding=1)

    def forward(self, context: Tensor, flow: Tensor) -> Tensor:
        return torch.tanh(self.conv(torch.cat([context, flow], dim=1)))


class Flow(nn.Module):
    """As optical flow begins: a grid of coordinates that every round moves."""

    def __init__(self, dim: int, rounds: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, dim, 3, padding=1)
        self.update = Update(dim)
        self.rounds = rounds

    def forward(self, x: Tensor) -> Tensor:
        context = self.stem(x)
        batch, _, height, width = context.shape
        grid = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).float()
        first = grid[None].repeat(batch, 1, 1, 1)
        coords = grid[None].repeat(batch, 1, 1, 1)
        for _ in range(self.rounds):
            coords = coords + self.update(context, coords - first)
        return coords - first


def test_a_module_that_is_called_in_rounds_is_one_layer_in_a_loop() -> None:
    with recording() as constructors:
        model = Flow(4, 5)
    randomise(model.eval(), 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # "it becomes several layers"
        port = transpile(model, (torch.randn(1, 3, 6, 8),), constructors=constructors)
    assert "for _ in range(self.rounds):" in port.source
    assert port.source.count("self.update = ") == 1
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5


class Positions(nn.Module):
    """Returns what depends on no tensor that has a batch."""

    def forward(self, batch: int) -> Tensor:
        return torch.arange(6.0).view(1, 2, 1, 3).repeat(batch, 1, 4, 1)


class Placed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.positions = Positions()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.positions(x.shape[0])


@pytest.mark.parametrize("batches", [(1,), (1, 3)])
def test_a_batch_that_no_tensor_in_scope_has_is_left_to_broadcasting(batches: tuple[int, ...]) -> None:
    port = transpile(Placed().eval(), (torch.randn(1, 2, 4, 3),))
    assert port.verify(batches=batches).max_rel_err < 1e-6
