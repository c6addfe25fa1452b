"""`keep_unused`: modules that `forward` never calls become layers with their weights, and change nothing."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.networks import SLIMNECK, images, outputs_of_keras, randomise, slimneck_module
from tests.source_checks import check_source
from transpiler import transpile
from transpiler.capture.constructors import recording
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


# ── children that some instances call, lack, or cannot build ───────────────────────────────────────────────────────


class Shortcut(nn.Module):
    def __init__(self, c: int, short: bool) -> None:
        super().__init__()
        self.a = nn.Conv2d(c, c, 3, padding=1)
        self.s = nn.Conv2d(c, c, 1)
        self.short = short

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x) + self.s(x) if self.short else self.a(x)


class Optional(nn.Module):
    def __init__(self, c: int, flag: bool) -> None:
        super().__init__()
        self.a = nn.Conv2d(c, c, 1)
        self.s = nn.Conv2d(c, c, 1) if flag else None

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x)


class Partial(nn.Module):
    def __init__(self, c: int, k: int) -> None:
        super().__init__()
        self.a = nn.Conv2d(c, c, 1)
        self.s = nn.Conv2d(k, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x)


class Views(nn.Module):
    """What needs more than a layer called on the parent's tensor: a transpose before it, or no layer at all."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3)
        self.over_width = nn.LayerNorm(10)
        self.flat = nn.Flatten()
        self.unshuffle = nn.PixelUnshuffle(2)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x)


def kept_port(tmp_path: Path, make: Callable[[], nn.Module]) -> tuple[nn.Module, Port]:
    rules = tmp_path / "kept.rules"
    rules.write_text('model "m.py:Kept" { input x float32[batch, 3, 8, 10]\n style { keep_unused = true } }\n')
    with recording() as constructors:
        model = make()
    randomise(model.eval(), seed=1)
    x = torch.randn(1, 3, 8, 10, generator=torch.Generator().manual_seed(0))
    port = transpile(model, (x,), rules=rules, name="Kept", constructors=constructors)
    check_source(port.source)
    return model, port


PAIRS: dict[str, Callable[[], nn.Module]] = {
    "one instance calls it": lambda: nn.Sequential(Shortcut(3, True), Shortcut(3, False)),
    "one instance lacks it": lambda: nn.Sequential(Optional(3, True), Optional(3, False)),
    "one instance cannot call it": lambda: nn.Sequential(Partial(3, 3), Partial(3, 7)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_child_is_kept_in_all_instances_of_a_class_or_in_none(tmp_path: Path, name: str) -> None:
    model, port = kept_port(tmp_path, PAIRS[name])
    assert port.verify().max_rel_err <= 1e-5
    poured = {entry.source for entry in port.plan.entries}
    dropped = {drop.source for drop in port.plan.dropped}
    assert poured | dropped == set(model.state_dict())


def test_only_what_is_called_on_the_parents_tensor_as_it_is_is_kept(tmp_path: Path) -> None:
    _, port = kept_port(tmp_path, Views)
    assert "Never called in torch: over_width, flat, unshuffle." in port.source
    assert "Never called in torch, and kept: relu." in port.source
    assert "self.flat" not in port.source
    assert {drop.source for drop in port.plan.dropped} == {"over_width.weight", "over_width.bias"}
    assert port.verify().max_rel_err <= 1e-5


# ── the slim neck ──────────────────────────────────────────────────────────────────────────────────────────────────

SIZE = (64, 96)


def slim_neck(folder: Path, keep: str) -> tuple[nn.Module, Port]:
    text = (SLIMNECK / "slimneck.rules").read_text(encoding="utf-8")
    assert "keep_unused = false" in text
    rules = folder / f"{keep}.rules"
    rules.write_text(text.replace("keep_unused = false", f"keep_unused = {keep}").replace("192, 256", "64, 96"))
    with recording() as constructors:
        model = slimneck_module("model").SlimNeck(nc=3)
    randomise(model.eval(), seed=1)
    x = images(1, SIZE, seed=0)
    return model, transpile(model, (x,), rules=rules, name="SlimNeck", constructors=constructors)


def idle_keys(model: nn.Module) -> list[str]:
    """Tensors of `GSBottleneck.conv`, which `forward` never calls; BatchNorm's counters have no Keras variable."""
    owners = [f"{name}.conv." for name, module in model.named_modules() if type(module).__name__ == "GSBottleneck"]
    keys = [key for key in model.state_dict() if key.startswith(tuple(owners))]
    return [key for key in keys if not key.endswith("num_batches_tracked")]


def test_the_slim_neck_keeps_what_its_bottlenecks_never_call(tmp_path: Path) -> None:
    model, kept = slim_neck(tmp_path, "true")
    keys = idle_keys(model)
    assert keys
    assert "Never called in torch, and kept: conv, shortcut." in kept.source
    assert "self.shortcut = layers.Identity()" in kept.source
    entries = {entry.source: entry for entry in kept.plan.entries}
    assert set(keys) <= set(entries)
    for key in keys:
        (variable,) = entries[key].variables
        owner = re.match(r".*gsb\.\d+\.conv\.\d+\.", key)
        assert owner is not None, key
        assert variable.startswith(owner[0]), variable
    built = kept.build()
    state = unpour(built, kept.plan)
    for key in keys:
        np.testing.assert_array_equal(state[key], model.state_dict()[key].numpy(), err_msg=key)
    x = images(2, SIZE, seed=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        built.save(tmp_path / "m.keras")
        again = keras.models.load_model(tmp_path / "m.keras")
    _, plain = slim_neck(tmp_path, "false")
    expected = outputs_of_keras(plain.build(), plain.signature, (x,))
    for other in (built, again):
        for one, two in zip(expected, outputs_of_keras(other, kept.signature, (x,)), strict=True):
            np.testing.assert_array_equal(one, two)


def test_the_slim_neck_leaves_them_out_by_default(tmp_path: Path) -> None:
    model, port = slim_neck(tmp_path, "false")
    assert "Never called in torch: conv, shortcut." in port.source
    dropped = {drop.source: drop.reason for drop in port.plan.dropped}
    assert all(dropped.get(key) for key in idle_keys(model))
    assert not set(idle_keys(model)) & {entry.source for entry in port.plan.entries}
