"""Layers that torch's constructor is handed are handed in where a class would have to be told how to make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
from torch import Tensor, nn

from tests.networks import randomise
from transpiler.capture.constructors import recording
from transpiler.port import Port, transpile


class Mix(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=1e-3)
        self.fc = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(x)).tanh()


class Gate(nn.Module):
    def __init__(self, dim: int, ratio: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(dim, dim * ratio)
        self.excite = nn.Linear(dim * ratio, dim)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.excite(self.squeeze(x.mean(1, keepdim=True)).relu()).sigmoid()


class Residual(nn.Module):
    def __init__(self, module: nn.Module, scale: float = 1.0, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.module = module
        self.scale = scale
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.module(x) * self.scale
        return y if self.shortcut is None else y + self.shortcut(x)


class Parts(nn.Sequential):
    """Hands on pairs."""

    def forward(self, x: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        for module in self:
            x = module(x)
        return x


class Swap(nn.Module):
    def __init__(self, dim: int, twice: bool = False) -> None:
        super().__init__()
        self.fc = nn.Linear(dim, dim)
        self.other = nn.Linear(dim, dim) if twice else None

    def forward(self, pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        a, b = pair
        return (b if self.other is None else self.other(b)), self.fc(a) + b


class Wide(nn.Module):
    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(dim, width)
        self.down = nn.Linear(width, dim)

    def forward(self, pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        a, b = pair
        return self.down(self.up(a).relu()), b


class Network(nn.Module):
    def __init__(self, dim: int = 6) -> None:
        super().__init__()
        self.first = Residual(Mix(dim), 0.5, nn.Linear(dim, dim))
        self.second = Residual(nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim)))
        self.third = Residual(nn.Linear(dim, dim, bias=False), 2.0)
        self.fourth = Residual(Gate(dim, 4), 2.0)
        self.fifth = Residual(Gate(dim, 2), 0.5)
        self.early = Parts(Swap(dim), Swap(dim), Wide(dim, 3))
        self.late = Parts(Swap(dim, twice=True), Wide(dim, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.fifth(self.fourth(self.third(self.second(self.first(x)))))
        a, b = self.late(self.early((x, x.exp())))
        return a * b


class Block(nn.Module):
    """As residual networks have them: what is handed in follows from the other arguments."""

    def __init__(self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        return (self.conv(x) + identity).relu()


class Blocks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = Block(4, 8, 2, nn.Conv2d(4, 8, 1, 2, bias=False))
        self.b = Block(8, 8)
        self.c = Block(8, 12, 2, nn.Conv2d(8, 12, 1, 2, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.b(self.a(x)))


def ported(make: type[nn.Module], *shape: int) -> Port:
    with recording() as constructors:
        model = make()
    randomise(model.eval(), 0)
    return transpile(model, (torch.randn(shape),), constructors=constructors)


def names_of(port: Port) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(port.source, namespace)  # noqa: S102  (what was just generated)
    return namespace


def test_layers_of_different_kinds_are_handed_in() -> None:
    port = ported(Network, 1, 5, 6)
    assert "def __init__(self, module, scale=1.0, shortcut=None, branch=False, **kwargs):" in port.source
    assert 'layers.EinsumDense("bli,io->blo", (None, dim)), 2.0, branch=True' in port.source
    assert "self.first = Residual(Mix(dim), 0.5," in port.source
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5


def test_the_modules_of_a_list_are_handed_in_and_called_in_a_loop() -> None:
    source = ported(Network, 1, 5, 6).source
    assert source.count('"""Parts (') == 1
    assert "for module in self.sequence:\n            x = module(x)\n" in source
    assert "self.late = Parts([SwapOther(dim), Wide(dim, 5)])" in source


def test_a_layer_that_was_handed_layers_is_saved_with_them(tmp_path: Path) -> None:
    names = names_of(ported(Network, 1, 5, 6))
    x = keras.Input((5, 6))
    made = keras.Model(x, names["Residual"](names["Mix"](6), 0.5, keras.layers.Dense(6))(x))
    made.save(tmp_path / "made.keras")
    again = keras.saving.load_model(tmp_path / "made.keras")
    values = np.random.default_rng(0).normal(size=(3, 5, 6)).astype("float32")
    np.testing.assert_array_equal(again(values), made(values))
    assert again.layers[1].scale == 0.5


def test_what_follows_from_the_other_arguments_is_made_in_the_class() -> None:
    port = ported(Blocks, 1, 4, 8, 8)
    assert "def __init__(self, planes, stride=1, downsample=False, **kwargs):" in port.source
    assert "get_config" not in port.source
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5
