from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from transpiler.errors import CheckpointError
from transpiler.weights.checkpoint import open_checkpoint

HINT = "save the weights alone: torch.save(model.state_dict(), …), or a .safetensors file"


class Config:
    """Something that only running its pickle would bring back."""


class Hostile:
    def __reduce__(self):
        return exec, ("raise SystemExit('it ran')",)


@pytest.fixture
def state():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).state_dict()


def assert_same(checkpoint, state):
    assert list(checkpoint) == list(state) or sorted(checkpoint) == sorted(state)
    for key, tensor in state.items():
        np.testing.assert_array_equal(checkpoint[key], tensor.float().numpy() if tensor.is_floating_point() else tensor)


def test_safetensors_are_read(tmp_path, state):
    save_file(state, tmp_path / "net.safetensors")
    assert_same(open_checkpoint(tmp_path / "net.safetensors"), state)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_is_read(tmp_path, state, zipped):
    torch.save(state, tmp_path / "net.pt", _use_new_zipfile_serialization=zipped)
    checkpoint = open_checkpoint(tmp_path / "net.pt")
    assert_same(checkpoint, state)
    assert checkpoint.notes == ()


@pytest.mark.parametrize("name", ["net.safetensors", "net.pt"])
def test_bfloat16_comes_as_float32(tmp_path, name):
    weights = {"w": torch.randn(3, 4).bfloat16()}
    save_file(weights, tmp_path / name) if name.endswith("safetensors") else torch.save(weights, tmp_path / name)
    value = open_checkpoint(tmp_path / name)["w"]
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, weights["w"].float().numpy())


def test_what_training_scripts_wrap_around_is_taken_off_and_told(tmp_path, state):
    wrapped = {f"module._orig_mod.{key}": tensor for key, tensor in state.items()}
    torch.save({"epoch": 3, "model": wrapped, "ema": state}, tmp_path / "last.pt")
    checkpoint = open_checkpoint(tmp_path / "last.pt")
    assert_same(checkpoint, state)
    assert checkpoint.notes == (
        "read from its 'model'; its 'ema' is not read",
        "the prefix 'module.' is left out of every key",
        "the prefix '_orig_mod.' is left out of every key",
    )


def test_a_prefix_that_the_model_has_itself_stays(tmp_path):
    torch.save({"module.weight": torch.zeros(2)}, tmp_path / "net.pt")
    assert list(open_checkpoint(tmp_path / "net.pt", wanted=["module.weight"])) == ["module.weight"]


BAD = {
    "module.pt": (nn.Linear(2, 2), "to load it, torch.nn.modules.linear.Linear would have to be run"),
    "config.pt": ({"a": Config()}, f"to load it, {Config.__module__}.Config would have to be run"),
    "number.pt": ({"epoch": 1, "w": torch.ones(2)}, "'epoch' is no tensor with a name"),
    "list.pt": ([1], "it is a list"),
    "empty.pt": ({}, "it is empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_pickle_that_is_no_plain_state_dict_is_refused(tmp_path, name):
    content, reason = BAD[name]
    torch.save(content, tmp_path / name)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(tmp_path / name)
    assert str(caught.value) == f"{name}: not a plain state dict: {reason}\n  {HINT}"


UNREADABLE = "torch cannot read it without running what it contains, or it is damaged"


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps(Hostile()), pickle.dumps({"a": 1})[:-2]])
def test_a_damaged_or_hostile_pickle_is_refused_and_never_run(tmp_path, content):
    (tmp_path / "net.pt").write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(tmp_path / "net.pt")
    assert str(caught.value) == f"net.pt: not a plain state dict: {UNREADABLE}\n  {HINT}"


@pytest.mark.parametrize("name", ["net.pt", "net.safetensors"])
def test_a_truncated_file_is_refused(tmp_path, state, name):
    path = tmp_path / name
    save_file(state, path) if name.endswith("safetensors") else torch.save(state, path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=rf"^{name}: not a "):
        open_checkpoint(path)


@pytest.mark.parametrize("name", ["none.pt", "none.safetensors", "."])
def test_a_missing_file_is_said_to_be_missing(tmp_path, name):
    with pytest.raises(CheckpointError, match=r"there is no such checkpoint$"):
        open_checkpoint(tmp_path / name)


def test_a_type_that_numpy_lacks_is_named(tmp_path):
    save_file({"w": torch.ones(2).to(torch.float8_e4m3fn)}, tmp_path / "net.safetensors")
    checkpoint = open_checkpoint(tmp_path / "net.safetensors")
    with pytest.raises(CheckpointError, match=r"^net.safetensors: 'w' cannot be read: it is of type F8_E4M3$"):
        checkpoint["w"]


def test_safetensors_need_no_torch(tmp_path, state):
    save_file(state, tmp_path / "net.safetensors")
    script = (
        "import sys; from pathlib import Path; from transpiler.weights.checkpoint import open_checkpoint;"
        "list(open_checkpoint(Path(sys.argv[1])).values()); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "net.safetensors")], check=True)
