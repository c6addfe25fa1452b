"""Keeps torch from loading Triton into a process that TensorFlow is in.

Both bring an LLVM of their own, and Triton's, loaded second, ends the process with a segmentation fault (seen with
torch 2.14, Triton 3.8 and TensorFlow 2.21 on Linux). The other order is harmless. torch.export imports Triton where it
finds it, but needs it for nothing that we do.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without_triton() -> Iterator[None]:
    """Make `import triton` fail inside the block if it would end the process; torch then does without.

    >>> with without_triton():  # doctest: +SKIP
    ...     exported = torch.export.export(model, args)
    """
    if "tensorflow" not in sys.modules or "triton" in sys.modules:
        yield
        return
    sys.modules["triton"] = None  # type: ignore[assignment]  # how Python marks a module that must not be imported
    try:
        yield
    finally:
        del sys.modules["triton"]
