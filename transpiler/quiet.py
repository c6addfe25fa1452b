"""Keeps what TensorFlow's C++ writes to standard error off the screen.

It comes before any setting is read, or in spite of them, so only the file descriptor can be kept from it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing that is written to standard error within the block is seen; exceptions are raised as ever."""
    sys.stderr.flush()
    stderr = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
