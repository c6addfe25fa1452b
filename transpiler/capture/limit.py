"""Stops work that does not end."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator


class TimeLimitError(BaseException):
    """Raised in the thread whose time is over; no `except Exception` of a library holds it back."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Let the body run for so long, in any thread.

    Only Python code is interrupted: a call into C goes on until it returns.

    Raises:
        TimeLimitError: the time is over.
    """
    done = threading.Event()
    lock = threading.Lock()
    thread = threading.get_ident()

    def interrupt() -> None:
        with lock:
            if not done.is_set():
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TimeLimitError))

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            done.set()
        timer.cancel()
