"""What the operating system offers for files: locks that end with their process, two names exchanged at once."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

_POSIX = os.name == "posix"  # Windows cannot even open a folder
if _POSIX:
    import fcntl

_HERE = -100  # AT_FDCWD
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux and RENAME_SWAP of macOS alike


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a lock on `folder`; the system releases it when the process ends, however it ends.

    Raises:
        BlockingIOError: another process holds it.
        FileNotFoundError: there is no such folder.
    """
    if not _POSIX:
        yield
        return
    with _opened(folder) as handle:
        with contextlib.suppress(_NoLocks):
            _lock(handle)
        yield


def is_abandoned(folder: Path) -> bool:
    """Whether no process that lives holds the lock of `folder`."""
    if not _POSIX:
        return False
    try:
        with _opened(folder) as handle:
            _lock(handle)
    except (OSError, _NoLocks):  # held, or gone by now, or there is no telling
        return False
    return True


def exchange(first: Path, second: Path) -> None:
    """Let two files or folders swap their names.

    Linux and macOS do so in one step. Elsewhere, and on file systems that cannot, `second` is missing for a moment.

    Raises:
        OSError: one of them is missing.
    """
    if _exchanged_at_once(first, second):
        return
    aside = first.with_name(f"{first.name}.old")
    second.rename(aside)
    first.rename(second)
    aside.rename(first)


def _exchanged_at_once(first: Path, second: Path) -> bool:
    if not _POSIX:
        return False
    library = ctypes.CDLL(None)
    names = os.fsencode(first), os.fsencode(second)
    if hasattr(library, "renamex_np"):  # macOS
        return bool(library.renamex_np(*names, _EXCHANGE) == 0)
    if hasattr(library, "renameat2"):  # Linux
        return bool(library.renameat2(_HERE, names[0], _HERE, names[1], _EXCHANGE) == 0)
    return False


class _NoLocks(Exception):  # noqa: N818  (no error)
    """Neither Windows nor some network file systems lock folders: nothing is ever cleared away there."""


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        raise _NoLocks from error
