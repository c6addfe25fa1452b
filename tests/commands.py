"""What a run of the command line gives."""

from __future__ import annotations

from typing import NamedTuple


class Run(NamedTuple):
    """What a command ended with and printed."""

    code: int
    out: str
    err: str
