"""Markdown tables for the benchmark and the zoo."""

from __future__ import annotations

from collections.abc import Sequence


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The rows as an aligned Markdown table, the first column to the left, the others to the right.

    >>> print(markdown(["model", "ms"], [["resnet50", "56"]]))
    | model    | ms |
    |:---------|---:|
    | resnet50 | 56 |
    """
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    rule = [":" + "-" * (widths[0] + 1), *("-" * (width + 1) + ":" for width in widths[1:])]
    return "\n".join([_line(header, widths), f"|{'|'.join(rule)}|", *(_line(row, widths) for row in rows)])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"
