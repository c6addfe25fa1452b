"""Dense layers say the rows they multiply by letters, unless one class serves several ranks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.networks import relative_errors
from transpiler.capture.constructors import recording
from transpiler.port import Port, transpile


class Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(torch.relu(self.fc1(x)))  # type: ignore[no-any-return]


class Net(nn.Module):
    def __init__(self, grid: tuple[int, ...]) -> None:
        super().__init__()
        self.grid = grid
        self.first = Mlp(8, 16)
        self.second = Mlp(8, 24)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).unflatten(1, self.grid)
        x = x + x.mean(-2, keepdim=True)
        return self.second(x).flatten(1, -2)


def checked(grid: tuple[int, ...]) -> Port:
    torch.manual_seed(0)
    with recording() as constructors:
        model = Net(grid).eval()
    port = transpile(model, (torch.randn(1, 6, 8),), constructors=constructors)
    assert max(relative_errors(model, port.build(), port.signature, (torch.randn(3, 6, 8),))) <= 1e-5
    return port


def test_rows_of_sequences_have_letters() -> None:
    source = checked((6,)).source
    assert 'EinsumDense("bli,io->blo", (None, hidden), bias_axes="o")' in source
    assert 'EinsumDense("bli,io->blo", (None, dim), bias_axes="o")' in source


def test_one_class_for_sequences_and_images() -> None:
    source = checked((2, 3)).source
    assert source.count("class Mlp") == 1
    assert 'EinsumDense("...i,io->...o", hidden, bias_axes="o")' in source
