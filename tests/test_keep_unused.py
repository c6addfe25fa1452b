"""`keep_unused`: modules that `forward` never calls become layers with their weights, and change nothing."""

from __future__ import annotations

import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.networks import randomise
from tests.source_checks import check_source
from transpiler import transpile
from transpiler.port import Port
from transpiler.weights.pour import unpour


class Idle(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Conv2d(3, 4, 3, padding=1)
        self.idle = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.BatchNorm2d(5))
        self.same = nn.Identity()
        self.other_width = nn.Linear(7, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


def ported(tmp_path: Path, keep: str) -> tuple[nn.Module, Port]:
    rules = tmp_path / "idle.rules"
    rules.write_text(f'model "m.py:Idle" {{ input x float32[batch, 3, 8, 10]\n style {{ keep_unused = {keep} }} }}\n')
    torch.manual_seed(0)
    model = Idle().eval()
    randomise(model, seed=1)
    port = transpile(model, (torch.randn(1, 3, 8, 10),), rules=rules, name="Idle")
    check_source(port.source)
    return model, port


def test_kept_modules_have_their_weights_and_survive_saving(tmp_path: Path) -> None:
    model, port = ported(tmp_path, "true")
    assert "kept: idle, same" in port.source
    assert port.verify().max_rel_err <= 1e-5
    built = port.build()
    state = unpour(built, port.plan)
    for key in ("idle.0.weight", "idle.1.running_var"):
        np.testing.assert_array_equal(state[key], model.state_dict()[key].numpy())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        built.save(tmp_path / "m.keras")
        again = keras.models.load_model(tmp_path / "m.keras")
    for one, other in zip(built.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_what_cannot_be_called_like_its_parent_is_named_and_dropped(tmp_path: Path) -> None:
    _, port = ported(tmp_path, "true")
    assert "Never called in torch: other_width." in port.source
    assert "other_width.weight" in {drop.source for drop in port.plan.dropped}


@pytest.mark.parametrize("name", ["idle", "same"])
def test_by_default_they_are_left_out_and_named(tmp_path: Path, name: str) -> None:
    _, port = ported(tmp_path, "false")
    assert f"self.{name}" not in port.source
    assert "Never called in torch: idle, same, other_width." in port.source
