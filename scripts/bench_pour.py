"""Pouring 2 GiB, against copying the file: `python -m scripts.bench_pour` in the repository's root.

Everything is made below a temporary folder, 9 GB at most, and taken away again. Time is a ratio within one run, in
turns. Memory is the peak of the resident set (VmHWM), counted from what the process holds once everything is imported;
pages of the checkpoint that are mapped count in it.
"""

# ruff: noqa: T201  (printing is what it is for)

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scripts.tables import markdown
from transpiler.weights.plan_file import read_plan
from transpiler.weights.safetensors_file import header

TIME_LIMIT = 2.0
"""A pour may take this many times as long as copying the checkpoint."""
MEMORY_FACTOR, MEMORY_EXTRA = 1.3, 300e6
"""Its memory may peak at MEMORY_FACTOR times the largest tensor, and MEMORY_EXTRA bytes more."""
WAYS = (
    ("big.safetensors", "tf.weights.h5"),
    ("big.safetensors", "tf.safetensors"),
    ("big.pt", "tf.weights.h5"),
)
"""From which checkpoint into which file."""

RULES = """\
use torch.nn
use torch.aten

model "big_model.py:Big" {
    input x float32[batch, 3648, 5, 6]
    input y float32[batch, 640, 2, 8]
    weights "big.safetensors"
}
"""
_PIECE = 1 << 22
"""Values of the checkpoint that are made at a time."""


def make(folder: Path) -> None:
    """Write the model, its rules, its generated source and a checkpoint of random values."""
    shutil.copy(Path(__file__).with_name("big_model.py"), folder)
    rules = folder / "big.rules"
    rules.write_text(RULES, encoding="utf-8")
    run = "import sys; from transpiler.cli import main; sys.argv[1:1] = ['generate']; main()"
    subprocess.run([sys.executable, "-c", run, str(rules)], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    plan = read_plan(folder / "tf.weights.json")
    tensors = {entry.source: (entry.source_shape, np.dtype(np.float32)) for entry in plan.entries}
    random = np.random.default_rng(0)
    with (folder / "big.safetensors").open("wb") as file:
        file.write(header(tensors, {}))
        left = sum(math.prod(shape) for shape, _ in tensors.values())
        while left:
            values = random.standard_normal(min(left, _PIECE), np.float32)
            file.write(values.data)
            left -= values.size


def save_pickle(folder: Path) -> None:
    """In a process of its own: the same tensors as torch saves them."""
    import torch  # noqa: PLC0415  (only the child imports torch)
    from safetensors.torch import load_file  # noqa: PLC0415  (as above)

    torch.save(load_file(folder / "big.safetensors"), folder / "big.pt")


def measure(folder: Path, checkpoint: str, name: str, rounds: int) -> None:
    """In a process of its own: pour and copy in turns; prints seconds and bytes as JSON."""
    from transpiler.commands import load_keras  # noqa: PLC0415  (only the child imports Keras)

    load_keras()

    from transpiler.build import build_from_file  # noqa: PLC0415  (as above)
    from transpiler.weights.blank import blank_models  # noqa: PLC0415  (as above)
    from transpiler.weights.checkpoint import open_checkpoint  # noqa: PLC0415  (as above)
    from transpiler.weights.pour_files import pour_files  # noqa: PLC0415  (as above)

    source = folder / checkpoint
    if source.suffix == ".pt":
        import torch  # noqa: PLC0415  (part of what counts as imported)

    def pour() -> None:
        with blank_models():
            model = build_from_file(folder / "tf.py")
        pour_files(model, read_plan(folder / "tf.weights.json"), open_checkpoint(source), [folder / name])

    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak begins anew
    pour()
    peak = memory("VmHWM") - before
    pours, copies = [], []
    for _ in range(rounds):
        copies.append(seconds(lambda: shutil.copyfile(source, folder / "copy")))
        pours.append(seconds(pour))
    torch = "torch" in sys.modules
    print(json.dumps({"peak": peak, "pour": pours, "copy": copies, "torch": torch}))


def seconds(job: object) -> float:
    """How long it takes, until the disk has everything: else the one pays for what the other left behind."""
    os.sync()
    start = time.perf_counter()
    job()  # type: ignore[operator]
    os.sync()
    return time.perf_counter() - start


def memory(field: str) -> int:
    """Bytes, from /proc/self/status."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def child(*arguments: str) -> str:
    """What this script prints, run with other arguments."""
    command = [sys.executable, "-m", "scripts.bench_pour", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603


def row(folder: Path, way: tuple[str, str], rounds: int, largest: int) -> Sequence[str]:
    """One line of the table."""
    printed = child("--folder", str(folder), "--way", *way, "--rounds", str(rounds))
    found = json.loads(printed.splitlines()[-1])
    pour, copy = statistics.median(found["pour"]), statistics.median(found["copy"])
    limit = MEMORY_FACTOR * largest + MEMORY_EXTRA
    good = pour <= TIME_LIMIT * copy and found["peak"] <= limit and found["torch"] == (way[0] == "big.pt")
    return [
        *way,
        f"{copy:.1f}",
        f"{pour:.1f}",
        f"{pour / copy:.2f}",
        f"{found['peak'] / 1e6:.0f}",
        f"{limit / 1e6:.0f}",
        "yes" if good else "NO",
    ]


def main() -> None:
    """Makes a checkpoint, pours it and prints a table."""
    parser = argparse.ArgumentParser(description="Measure the speed and the memory of pouring 2 GiB.")
    parser.add_argument("--rounds", type=int, default=3, help="pours and copies (3)")
    parser.add_argument("--below", type=Path, default=None, help="where the temporary folder is made")
    parser.add_argument("--folder", type=Path, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--way", nargs=2, default=(), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder and options.way:
        measure(options.folder, *options.way, options.rounds)
        return
    if options.folder:
        save_pickle(options.folder)
        return
    with tempfile.TemporaryDirectory(prefix="kerascribe-", dir=options.below) as name:
        folder = Path(name)
        make(folder)
        child("--folder", name)
        size = (folder / "big.safetensors").stat().st_size
        largest = max(4 * math.prod(entry.source_shape) for entry in read_plan(folder / "tf.weights.json").entries)
        print(f"A checkpoint of {size / 1e9:.2f} GB, largest tensor {largest / 1e6:.0f} MB\n")
        titles = [
            "from",
            "into",
            "copy, s",
            "pour, s",
            f"ratio (limit {TIME_LIMIT})",
            "peak, MB",
            "limit, MB",
            "within",
        ]
        print(markdown(titles, [row(folder, way, options.rounds, largest) for way in WAYS]))


if __name__ == "__main__":
    main()
