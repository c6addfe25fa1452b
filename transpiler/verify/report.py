"""What a comparison found: one row for each output and batch size."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

TOLERANCE = 1e-5
"""Largest relative error that float32 arithmetic in another order of summation makes on the networks we know."""


@dataclass(frozen=True, slots=True)
class Row:
    """One output of one run; errors are infinite where the shapes differ."""

    name: str
    batch: int
    shape: tuple[int, ...]
    """Shape of Keras's output."""
    max_abs_err: float
    max_rel_err: float
    """max |a - b| / max |a|, where a is torch's output."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of `compare`.

    >>> report = port.verify()  # doctest: +SKIP
    >>> report.ok()  # doctest: +SKIP
    True
    """

    rows: tuple[Row, ...]
    divergence: str = ""
    """The first module whose output differs and the rule that made it, where one was looked for."""

    @property
    def max_rel_err(self) -> float:
        """The largest relative error of all outputs."""
        return max((row.max_rel_err for row in self.rows), default=math.inf)

    @property
    def outputs(self) -> dict[str, Row]:
        """For every output by name, its worst row."""
        worst: dict[str, Row] = {}
        for row in self.rows:
            if row.name not in worst or row.max_rel_err > worst[row.name].max_rel_err:
                worst[row.name] = row
        return worst

    def ok(self, tolerance: float = TOLERANCE) -> bool:
        """True if every output agrees to `tolerance`, relative to the output's largest value."""
        return self.max_rel_err <= tolerance

    def table(self, tolerance: float = TOLERANCE) -> Table:
        """The rows as a table for a terminal."""
        table = Table("output", "batch", "shape", "max_abs_err", "max_rel_err", "")
        for row in self.rows:
            verdict = "same" if row.max_rel_err <= tolerance else "differs"
            table.add_row(
                row.name,
                str(row.batch),
                " x ".join(map(str, row.shape)),
                f"{row.max_abs_err:.2e}",
                f"{row.max_rel_err:.2e}",
                f"{verdict}: {row.note}" if row.note else verdict,
                style="" if row.max_rel_err <= tolerance else "red",
            )
        return table

    def __str__(self) -> str:
        console = Console(file=io.StringIO(), width=120, color_system=None)
        with console.capture() as capture:
            console.print(self.table())
        return capture.get() + (f"{self.divergence}\n" if self.divergence else "")
