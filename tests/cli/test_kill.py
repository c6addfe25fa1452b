"""Killed at any moment, a command leaves old files or new ones, each whole, and nothing that stays in the way."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file
from torch import nn

from transpiler.commands import pour_checkpoint, write_port
from transpiler.errors import CheckpointError

COMMAND = "import sys; sys.argv = ['kerascribe', *sys.argv[1:]]\nfrom transpiler.cli import main\nmain()"
MODEL = """\
from torch import nn


class Net(nn.Module):
    def __init__(self, width=300):
        super().__init__()
        self.first = nn.Linear(400, width)
        self.second = nn.Linear(width, 500)
        self.third = nn.Linear(500, 700)

    def forward(self, x):
        return self.third(self.second(self.first(x)).relu())
"""
RULES = """\
model "net.py:Net" {{
    input x float32[batch, 400]
    weights "net.safetensors"
    style {{ prefix = "{}" }}
}}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "net.py").write_text(MODEL)
    change_rules(tmp_path, "Old")
    change_weights(tmp_path, 1)
    write_port(tmp_path / "net.rules")
    return tmp_path


def change_rules(folder, prefix):
    (folder / "net.rules").write_text(RULES.format(prefix))


def change_weights(folder, seed):
    torch.manual_seed(seed)
    layers = {"first": nn.Linear(400, 300), "second": nn.Linear(300, 500), "third": nn.Linear(500, 700)}
    save_file(nn.ModuleDict(layers).state_dict(), folder / "net.safetensors")


def start(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", COMMAND, *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def litter(folder):
    return list(folder.glob(".kerascribe-*"))


def wait_for(process, ready):
    """Wait until something is so, or the process has ended."""
    while process.poll() is None and not ready():
        time.sleep(0.0003)


def until_it_writes(process, folder):
    """What killed processes have left counts for nothing."""
    before = {path.name for path in litter(folder)}
    wait_for(process, lambda: {path.name for path in litter(folder)} - before)


def measured(folder, *arguments):
    """Seconds from the start to the first temporary folder, and from there to the end of the last."""
    begun = time.monotonic()
    process = start(folder, *arguments)
    until_it_writes(process, folder)
    writes = time.monotonic()
    wait_for(process, lambda: not litter(folder))
    written = time.monotonic()
    assert process.wait() == 0, process.stderr.read().decode()
    return writes - begun, written - writes


def kill_often(
    folder: Path, arguments: tuple[str, ...], kills: int, look: Callable[[], dict[str, Any]], old: dict[str, bytes]
) -> Counter[str]:
    """Kill the command time and again, three times out of four while it writes; what it leaves is old or new.

    Args:
        folder: where the command runs.
        arguments: of the command.
        kills: how often.
        look: reads all files whole; fails if one is not.
        old: the files that the command replaces, put back before every run.

    Returns:
        How often the kill met a process that was starting, writing, or done with it.
    """
    put_back(folder, old)
    before = look()
    starting, writing = measured(folder, *arguments)
    after = look()
    assert not any(same(before[name], after[name]) for name in before)
    chance = random.Random(0)  # noqa: S311  (no secret)
    met: Counter[str] = Counter()
    for number in range(kills):
        put_back(folder, old)
        process = start(folder, *arguments)
        if number % 4 == 3:
            time.sleep(chance.uniform(0, starting))
            met["starting"] += 1
        else:
            until_it_writes(process, folder)
            time.sleep(chance.uniform(0, writing))
        process.kill()
        process.wait()
        if number % 4 != 3:
            met["writing" if litter(folder) else "done"] += 1
        for name, content in look().items():
            assert same(content, before[name]) or same(content, after[name]), f"{name} after kill {number}"
    assert start(folder, *arguments).wait() == 0
    assert litter(folder) == []
    for name, content in look().items():
        assert same(content, after[name]), name
    return met


def put_back(folder, files):
    for name, content in files.items():
        (folder / name).write_bytes(content)


def same(left, right):
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(np.array_equal(left[key], right[key]) for key in left)
    return left == right


def arrays(file):
    found = {}
    with h5py.File(file, "r") as store:
        store.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return found


def weights_of(folder):
    with zipfile.ZipFile(folder / "tf.keras") as archive:
        assert archive.testzip() is None
        inner = arrays(io.BytesIO(archive.read("model.weights.h5")))
    return {
        "tf.weights.h5": arrays(folder / "tf.weights.h5"),
        "tf.keras": inner,
        "tf.safetensors": load_file(folder / "tf.safetensors"),
    }


FEW = pytest.param(1, id="few")
MANY = pytest.param(25, id="many", marks=pytest.mark.zoo)


@pytest.mark.parametrize("kills", [FEW, MANY])
def test_generate(folder, kills):
    def look():
        return {name: (folder / name).read_bytes() for name in ("tf.py", "tf.weights.json")}

    old = look()
    change_rules(folder, "New")
    print(kill_often(folder, ("generate", "net.rules"), kills, look, old))


@pytest.mark.parametrize("kills", [FEW, MANY])
def test_pour(folder, kills):
    formats = ("weights.h5", "keras", "safetensors")
    poured = pour_checkpoint(folder / "net.rules", formats)
    old = {path.name: path.read_bytes() for path in poured.written}
    change_weights(folder, 2)
    arguments = ("pour", "net.rules", *(f"--to={name}" for name in formats))
    met = kill_often(folder, arguments, kills, lambda: weights_of(folder), old)
    print(met)
    assert kills < 10 or met["writing"] > 0  # a single kill may come too late


def test_a_source_and_a_plan_of_different_runs_are_refused(folder):
    old = (folder / "tf.py").read_bytes()
    change_rules(folder, "New")
    write_port(folder / "net.rules")
    (folder / "tf.py").write_bytes(old)  # as a kill between the two renames would leave it
    with pytest.raises(CheckpointError, match=r"^tf.weights.json: does not belong to tf.py: one of them is of another"):
        pour_checkpoint(folder / "net.rules")
    write_port(folder / "net.rules")
    (folder / "tf.py").write_bytes((folder / "tf.py").read_bytes().replace(b"\n", b"\r\n"))  # as git does on Windows
    pour_checkpoint(folder / "net.rules")
