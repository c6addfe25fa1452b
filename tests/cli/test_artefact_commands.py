"""`pour --to` and `unpour` as a user meets them, and bars only where there is someone to see them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

MODEL = "from torch import nn\n\n\ndef Net():\n    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))\n"
RULES = 'model "some_net.py:Net" { input x float32[batch, 4] weights "net.safetensors" }\n'


@pytest.fixture
def folder(tmp_path, run):
    (tmp_path / "some_net.py").write_text(MODEL)
    (tmp_path / "net.rules").write_text(RULES)
    torch.manual_seed(0)
    save_file(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).state_dict(), tmp_path / "net.safetensors")
    assert run("generate", tmp_path / "net.rules")[0] == 0
    return tmp_path


def test_formats_by_name_and_by_place_and_back_again(run, folder):
    rules = folder / "net.rules"
    code, out, err = run("pour", rules, "--to", "safetensors", "--to", f"keras={folder / 'a.keras'}")
    assert (code, out, err) == (0, f"wrote {folder / 'tf.safetensors'}\nwrote {folder / 'a.keras'}\n", "")
    code, out, err = run("unpour", rules, "--weights", folder / "tf.safetensors", "--output", folder / "back.pt")
    assert (code, out, err) == (0, f"wrote {folder / 'back.pt'}\n", "")
    back, given = torch.load(folder / "back.pt", weights_only=True), load_file(folder / "net.safetensors")
    assert sorted(back) == sorted(given)
    assert all(torch.equal(back[key], given[key]) for key in given)


def test_a_checkpoint_is_not_needed_where_keras_has_everything(run, folder):
    rules = folder / "net.rules"
    run("pour", rules)
    rules.write_text(RULES.replace(' weights "net.safetensors"', ""))
    (folder / "other.weights.h5").write_bytes((folder / "tf.weights.h5").read_bytes())
    code, out, _ = run("unpour", rules, "--weights", folder / "other.weights.h5", "--output", folder / "back.pt")
    assert (code, out) == (0, f"wrote {folder / 'back.pt'}\n")


def test_mistakes_are_one_message_each_and_code_2(run, folder):
    before = sorted(folder.iterdir())
    code, out, err = run("pour", folder / "net.rules", "--to", "tflit", "--to", "keras=none/a.keras")
    assert (code, out) == (2, "")
    assert err == "unknown format 'tflit'\n  did you mean 'tflite'?\nnone: there is no such folder\n"
    code, out, err = run("pour", folder / "net.rules", "--to", "tflite-int8")
    assert (code, out) == (2, "")
    assert err.startswith("tflite-int8: needs a folder of representative data\n  name it with --representative FOLDER")
    code, out, err = run("unpour", folder / "net.rules", "--output", folder / "back.pt")
    assert (code, out) == (2, "")
    assert err.startswith("tf.weights.h5: there are no weights\n  kerascribe pour")
    assert sorted(folder.iterdir()) == before


BARS = """
import time
from transpiler.progress import bars
with bars() as track:
    for _ in track(range(3), "pouring"):
        time.sleep(0.15)
print("done")
"""


def test_bars_on_a_terminal_and_nothing_elsewhere():
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "xterm"}
    command = [sys.executable, "-c", BARS]
    silent = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert (silent.stdout, silent.stderr) == ("done\n", "")
    ours, theirs = pty.openpty()
    shown = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=theirs, text=True, check=True)
    os.close(theirs)
    assert shown.stdout == "done\n"
    assert b"pouring" in os.read(ours, 10000)
    os.close(ours)
