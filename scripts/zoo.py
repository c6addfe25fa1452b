"""Ports every model of zoo_models.txt, each in a process of its own: `make zoo`, or `python -m scripts.zoo [NAME …]`.

Writes docs/zoo.md when all have run, and exits with 1 if one of them fails. A process of its own keeps the figures for
memory apart, and a model that hangs or runs out of memory costs only its own row. Rows are kept in a file as they come:
a run that was stopped goes on where it was with `--resume`.
"""

# ruff: noqa: T201  (printing is what it is for)

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from scripts.tables import markdown
from scripts.zoo_row import TOLERANCE, Row, examine
from tests.networks import ROOT

MODELS = Path(__file__).with_name("zoo_models.txt")
PAGE = ROOT / "docs" / "zoo.md"
KEPT = ROOT / ".zoo.jsonl"

LONG = 1.3
"""Lines of a generated class by those of its torch class from which on it is long."""

HEADER = ["model", "ok", "max_rel_err", "transposes", "permutes", "export s", "transpile s", "build s", "peak MB"]
HEADER += ["classes", "torch's", "lines"]

INTRODUCTION = f"""# The zoo

Models that kerascribe ports without a word from the user: torchvision, and one model of each module of timm. Figures of
one run of `make zoo`: random weights (no tensor is constant, BatchNorm statistics included), traced with a batch of 1,
compared with a batch of 2.

- **ok**: every output within {TOLERANCE:g} of torch's, relative to its largest value.
- **transposes**: `Transpose` nodes of the frozen TensorFlow graph whose value depends on an input, channels-last;
  **permutes**: those that the torch model itself has (`permute`, `transpose`, …).
- **export, transpile, build**: seconds of `torch.export.export` alone, of `transpile()` and of `port.build()`.
- **peak MB**: memory of the whole process, PyTorch and TensorFlow included.
- **classes**: generated from torch classes; **torch's**: those that the trace enters; **lines**: of the whole source.
"""


def models() -> list[str]:
    """Those in zoo_models.txt: `torchvision.` or `timm.`, and what the library calls the model."""
    lines = (line.strip() for line in MODELS.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def examine_apart(name: str, limit: float) -> Row:
    """`examine` in a new process, for at most `limit` seconds."""
    command = [sys.executable, "-m", "scripts.zoo", "--here", name]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}  # one core for each process
    try:
        done = subprocess.run(  # noqa: S603  (our own command)
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return Row(name, f"not done after {limit:g} s")
    if done.returncode != 0:
        message = done.stderr.strip().splitlines()
        return Row(name, message[-1][:300] if message else f"the process ended with {done.returncode}")
    return Row(**json.loads(done.stdout.splitlines()[-1]))


def _examined(names: list[str], limit: float, jobs: int) -> Iterator[Row]:
    """Rows as they come, `jobs` models at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        for done in as_completed([pool.submit(examine_apart, name, limit) for name in names]):
            yield done.result()


def cells(row: Row) -> list[str]:
    """The row's cells for `HEADER`; a model that failed has only its problem, below the table."""
    if not row.lines:
        return [row.name, "no", *[""] * (len(HEADER) - 2)]
    seconds = (row.export_seconds, row.transpile_seconds, row.build_seconds)
    counts = (row.peak_megabytes, row.classes, row.torch_classes, row.lines)
    return [
        row.name,
        "no" if row.problem else "yes",
        f"{row.max_rel_err:.1e}",
        str(row.transposes),
        str(row.permutes),
        *(f"{taken:.1f}" for taken in seconds),
        *(str(count) for count in counts),
    ]


def page(rows: list[Row]) -> str:
    """docs/zoo.md."""
    taken = [row for row in rows if not row.refused]
    done = sum(not row.problem for row in taken)
    parts = [INTRODUCTION, f"{done} of the {len(taken)} models that torch.export takes.", *_ratios(taken), ""]
    parts.append(markdown(HEADER, [cells(row) for row in taken]))
    problems = [f"- {row.name}: {row.problem}" for row in taken if row.problem]
    refused = [f"- {row.name}: {row.problem}" for row in rows if row.refused]
    parts += ["", "Not yet:", "", *problems] if problems else []
    parts += ["", "torch.export refuses:", "", *refused] if refused else []
    return "\n".join([*parts, ""])


def _ratios(rows: list[Row]) -> list[str]:
    """Transpiling against exporting alone, over the models that were built."""
    ratios = [row.transpile_seconds / row.export_seconds for row in rows if row.lines]
    if not ratios:
        return []
    return [f"Median of transpile / export: {statistics.median(ratios):.2f}.", *_nearness(rows)]


def _nearness(rows: list[Row]) -> list[str]:
    """How near the sources are to torch's."""
    made, entered = sum(row.classes for row in rows), sum(row.torch_classes for row in rows)
    lines = [ratio for row in rows for ratio in row.line_ratios]
    names, invented = sum(row.names for row in rows), sum(row.invented for row in rows)
    long = sum(ratio > LONG for ratio in lines)
    return [
        f"Generated classes / torch classes that the traces enter: {made} / {entered} = {made / entered:.2f}.",
        f"Lines of a generated class / of its torch class: median {statistics.median(lines):.2f}.",
        f"More than {LONG} for {long} of {len(lines)}.",
        f"Local variables whose names do not occur in torch's source: {invented} of {names}.",
    ]


def main() -> int:
    """Examines the models named, or all of them."""
    parser = argparse.ArgumentParser(description="Port every model of the zoo and write docs/zoo.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these, and leave docs/zoo.md alone")
    parser.add_argument("--limit", type=float, default=900, help="seconds for each model (900)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="models at the same time (one a core)")
    parser.add_argument("--resume", action="store_true", help="keep the rows of a run that was stopped")
    parser.add_argument("--here", action="store_true", help="in this process, result as JSON")
    options = parser.parse_args()
    if options.here:
        for name in options.names:
            print(json.dumps(asdict(examine(name))))
        return 0

    names = options.names or models()
    known = [Row(**json.loads(line)) for line in KEPT.read_text().splitlines()] if options.resume else []
    rows = {row.name: row for row in known}
    if not options.names and not options.resume:
        KEPT.unlink(missing_ok=True)
    left = [name for name in names if name not in rows]
    for row in _examined(left, options.limit, options.jobs):
        rows[row.name] = row
        print(row.name, row.problem or "ok", flush=True)
        if not options.names:
            with KEPT.open("a", encoding="utf-8") as kept:
                kept.write(json.dumps(asdict(row)) + "\n")
    ordered = [rows[name] for name in names]
    if not options.names:
        PAGE.write_text(page(ordered), encoding="utf-8")
    print(markdown(HEADER, [cells(row) for row in ordered]))
    return 1 if any(row.problem and not row.refused for row in ordered) else 0


if __name__ == "__main__":
    sys.exit(main())
