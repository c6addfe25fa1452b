"""Progress of long work: bars on a terminal, nothing anywhere else.

>>> with bars() as track:  # doctest: +SKIP
...     for entry in track(plan.entries, "pouring"):
...         ...
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from rich.console import Console
from rich.progress import Progress

T = TypeVar("T")

_ALONE: dict[str, Any] = {"redirect_stdout": False, "redirect_stderr": False}
"""Standard output may be a file, and is left alone."""


class Track(Protocol):
    """Goes through items and shows how far it is."""

    def __call__(self, items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
        """The same items; `total` counts those of an iterable without a length."""


def silent(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:  # noqa: ARG001  (a Track)
    """Shows nothing: for use as a library."""
    return items


@contextlib.contextmanager
def bars() -> Iterator[Track]:
    """Bars on standard error, one below the other, gone when the block ends; nothing where that is no terminal.

    They keep a descriptor of their own: what TensorFlow says in between is kept off the terminal's.
    """
    if not sys.stderr.isatty():
        yield silent
        return
    with (
        os.fdopen(os.dup(sys.stderr.fileno()), "w") as screen,
        # Standard output may be a file, and is left alone.
        Progress(
            console=Console(file=screen), transient=True, redirect_stdout=False, redirect_stderr=False
        ) as progress,
    ):

        def track(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
            length = len(items) if isinstance(items, Sequence) else total
            return progress.track(items, total=length, description=what)

        yield track
