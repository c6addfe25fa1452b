"""A generated model spread over devices: its variables are poured where they live, and it computes what torch does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from transpiler.commands import write_port
from transpiler.factory import load_factory
from transpiler.verify.randomise import randomise

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
JAX = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distribution")
    shutil.copy(HERE / "model.py", folder / "net.py")
    (folder / "net.rules").write_text('model "net.py:Net" { input x float32[batch, 3, 6, 8] }\n')
    torch.manual_seed(0)
    model = load_factory("net.py:Net", folder)().eval()
    randomise(model, 0)
    save_file(model.state_dict(), folder / "net.safetensors")
    x = torch.randn(8, 3, 6, 8)
    with torch.no_grad():
        np.save(folder / "expected.npy", model(x).numpy())
    np.save(folder / "x.npy", x.permute(0, 2, 3, 1).numpy())
    write_port(folder / "net.rules")
    return folder


def run(folder, script, *arguments, **environment):
    (folder / "outputs.npy").unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, HERE / script, folder, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    expected, found = np.load(folder / "expected.npy"), np.load(folder / "outputs.npy")
    assert np.abs(found - expected).max() / np.abs(expected).max() <= 1e-5


def test_mirrored_on_two_devices(folder):
    run(folder, "mirrored.py")


@pytest.mark.parametrize("kind", ["data", "model"])
def test_jax_on_four_devices(folder, kind):
    pytest.importorskip("jax")
    run(folder, "sharded.py", kind, **JAX)


def test_jax_on_one_device(folder):
    pytest.importorskip("jax")
    run(folder, "one_device.py", **(JAX | {"XLA_FLAGS": ""}))
