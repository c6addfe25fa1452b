"""Which lines of the model's own code are running, and which expression of each.

torch keeps a node's frames as text. What stands in it are the frames of the model's code alone, from the innermost one
to the `forward` of the module that runs, and where their functions' names would stand, the spans of the expressions.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
import traceback
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType

from transpiler.capture.trace import SourceFrame, Span

_HERE = str(Path(__file__).parent)
_WRITTEN = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<span>[\d:]*)')
_MOST = 8
"""Frames that are kept: recursion has no end."""


def running(depth: int = 1) -> SourceFrame | None:
    """The innermost line of the model's code that runs, with those that called it.

    Args:
        depth: frames of ours to leave out, this function's caller first.
    """
    found: list[SourceFrame] = []
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None and len(found) < _MOST:
        code = frame.f_code
        if found and code.co_name == "_call_impl" and code.co_filename.endswith("/torch/nn/modules/module.py"):
            break
        if _is_model_code(code.co_filename):
            found.append(SourceFrame(code.co_filename, frame.f_lineno, _span(code, frame.f_lasti)))
        frame = frame.f_back
    return _chained(found)


def as_text(_frames: traceback.StackSummary) -> traceback.StackSummary:
    """What torch is to keep of the frames that run now, in place of its own choice of them."""
    summaries = []
    frame = running(2)
    while frame is not None:
        span = ":".join(map(str, frame.span or ()))
        summaries.append(traceback.FrameSummary(frame.file, frame.line, span, lookup_line=False, line=""))
        frame = frame.outer
    return traceback.StackSummary.from_list(summaries)


def from_text(text: str) -> SourceFrame | None:
    """The frames that `as_text` has written, None if there are none."""
    found = []
    for file, line, span in _WRITTEN.findall(text):
        numbers = tuple(int(number) for number in span.split(":")) if span else ()
        found.append(SourceFrame(file, int(line), numbers if len(numbers) == 4 else None))
    return _chained(found)


def _chained(frames: list[SourceFrame]) -> SourceFrame | None:
    """Frames from the innermost one outwards as one."""
    outer: SourceFrame | None = None
    for frame in reversed(frames):
        outer = SourceFrame(frame.file, frame.line, frame.span, outer)
    return outer


@lru_cache(maxsize=8192)
def _span(code: CodeType, instruction: int) -> Span | None:
    place = next(itertools.islice(code.co_positions(), instruction // 2, None), None)
    if place is None:
        return None
    line, end_line, column, end_column = place
    if line is None or end_line is None or column is None or end_column is None:
        return None
    return line, column, end_line, end_column


def _is_model_code(file: str) -> bool:
    """The user's files, libraries of models, and torch's own modules; none of torch's machinery."""
    if "/torch/" not in file:
        return os.path.dirname(file) != _HERE  # noqa: PTH120  (for every frame of every node: a Path is slow)
    return "/torch/nn/modules/" in file and not file.endswith("/module.py")
