"""Ports every network of the table, each in a process of its own: `make zoo`, or `python -m scripts.zoo [NAME …]`.

Writes docs/zoo.md when all networks ran, and exits with 1 if one of them fails. A process of its own keeps the figures
for memory apart, and a network that hangs or runs out of memory costs only its own row.
"""

# ruff: noqa: T201  (printing is what it is for)

from __future__ import annotations

import argparse
import ast
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import torch

from scripts.tables import markdown
from tests.networks import ROOT, Network, images, network, networks, prepared, relative_errors, transpose_count
from transpiler import transpile

TOLERANCE = 1e-5
PAGE = ROOT / "docs" / "zoo.md"

HEADER = [
    "model",
    "ok",
    "max_rel_err",
    "transposes",
    "export s",
    "transpile s",
    "build s",
    "peak MB",
    "classes",
    "lines",
]

INTRODUCTION = f"""# The zoo

Networks that kerascribe ports, with figures of one run of `make zoo`: random weights (no tensor is constant, BatchNorm
statistics included), at each size below, batch 1 and 3.

- **ok**: every output within {TOLERANCE:g} of torch's, relative to its largest value, and no more transposes than
  allowed (0; one for each of ShuffleNet's 16 shuffles; in the slim neck one for its one such shuffle and one for each
  of Detect's three scales).
- **max_rel_err**: the largest of these errors. float32 itself is good for about 1e-6 here.
- **transposes**: `Transpose` nodes in the TensorFlow graph of the built model.
- **export, transpile, build**: seconds of `torch.export.export` alone, of `transpile()` and of `port.build()`, once
  each, on the machine of that run.
- **peak MB**: memory of the whole process, PyTorch and TensorFlow included.
- **classes, lines**: of the generated source.
"""


@dataclass(frozen=True, slots=True)
class Result:
    """One row. The largest figure of all sizes; source figures are those of the first size."""

    name: str
    problem: str = ""
    max_rel_err: float = 0.0
    transposes: int = 0
    export_seconds: float = 0.0
    transpile_seconds: float = 0.0
    build_seconds: float = 0.0
    peak_megabytes: int = 0
    classes: int = 0
    lines: int = 0

    def cells(self) -> list[str]:
        """The row's cells for `HEADER`; a network that failed has only its problem, below the table."""
        if not self.lines:
            return [self.name, "no", *[""] * (len(HEADER) - 2)]
        seconds = (self.export_seconds, self.transpile_seconds, self.build_seconds)
        return [
            self.name,
            "no" if self.problem else "yes",
            f"{self.max_rel_err:.1e}",
            str(self.transposes),
            *(f"{taken:.1f}" for taken in seconds),
            *(str(count) for count in (self.peak_megabytes, self.classes, self.lines)),
        ]


def examine(row: Network) -> Result:
    """Ports one network at each of its sizes, in this process."""
    worst, transposes, sources = 0.0, 0, []
    exporting, writing, building = [], [], []
    for size in row.sizes:
        model, x = prepared(row, size), images(1, size, seed=1)
        two = torch.cat([x, x])  # export takes a batch of 1 for a constant
        start = time.perf_counter()
        torch.export.export(model, (two,), strict=False, dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
        exported = time.perf_counter()
        port = transpile(model, (x,), name="Network")
        written = time.perf_counter()
        keras_model = port.build()
        built = time.perf_counter()

        exporting.append(exported - start)
        writing.append(written - exported)
        building.append(built - written)
        sources.append(port.source)
        for batch in (1, 3):
            fresh = images(batch, size, seed=10 + batch)
            worst = max(worst, *relative_errors(model, keras_model, port.signature, (fresh,)))
        transposes = max(transposes, transpose_count(keras_model))

    problems = []
    if worst > TOLERANCE:
        problems.append(f"outputs differ by {worst:.1e}")
    if transposes > row.transposes:
        problems.append(f"{transposes} transposes, {row.transposes} allowed")
    return Result(
        row.name,
        "; ".join(problems),
        worst,
        transposes,
        max(exporting),
        max(writing),
        max(building),
        peak_megabytes(),
        sum(isinstance(node, ast.ClassDef) for node in ast.parse(sources[0]).body),
        len(sources[0].splitlines()),
    )


def peak_megabytes() -> int:
    """The most memory that this process has held."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 1_000_000


def examine_apart(name: str, limit: float) -> Result:
    """`examine` in a new process, for at most `limit` seconds."""
    command = [sys.executable, "-m", "scripts.zoo", "--here", name]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(  # noqa: S603  (our own command)
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return Result(name, f"not done after {limit:g} s")
    if done.returncode != 0:
        message = done.stderr.strip().splitlines()
        return Result(name, message[-1] if message else f"the process ended with {done.returncode}")
    return Result(**json.loads(done.stdout.splitlines()[-1]))


def page(results: list[Result]) -> str:
    """docs/zoo.md."""
    sizes = [
        f"- {row.name}: {', '.join(f'{height}x{width}' for height, width in row.sizes)}"
        for row in networks()
        if row.sizes != ((64, 96), (75, 107))
    ]
    sizes = ["Sizes: 64x96 and 75x107, but for", "", *sizes]
    problems = [f"- {result.name}: {result.problem}" for result in results if result.problem]
    failed = ["", "Not yet:", "", *problems] if problems else []
    table = markdown(HEADER, [result.cells() for result in results])
    return "\n".join([INTRODUCTION, table, *failed, "", *sizes, ""])


def main() -> int:
    """Examines the networks named, or all of them."""
    parser = argparse.ArgumentParser(description="Port every network of the zoo and write docs/zoo.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these, and leave docs/zoo.md alone")
    parser.add_argument("--limit", type=float, default=600, help="seconds for each network (600)")
    parser.add_argument("--here", action="store_true", help="in this process, result as JSON")
    options = parser.parse_args()
    if options.here:
        for name in options.names:
            print(json.dumps(asdict(examine(network(name)))))
        return 0

    results = []
    for name in options.names or [row.name for row in networks()]:
        results.append(examine_apart(name, options.limit))
        print(name, "ok" if not results[-1].problem else results[-1].problem, flush=True)
    if not options.names:
        PAGE.write_text(page(results), encoding="utf-8")
    print(markdown(HEADER, [result.cells() for result in results]))
    return 1 if any(result.problem for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
