"""How files on disk differ from what the rules give: unified diffs, for people and for the logs of CI."""

from __future__ import annotations

import difflib
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

LONGEST_PLAN = 40
"""Lines of a plan's diff that are shown: a plan has one for each tensor."""

WIDEST_PLAN = 240
_CONSTANT = re.compile(r'"constant": "([A-Za-z0-9+/=]{48,})"')


def differences(wanted: Mapping[Path, str], left: Iterable[Path], plan: Path, given_by: str) -> Iterator[str]:
    """One text for each file that is not as it should be, none if all are.

    Args:
        wanted: texts by path, as the rules give them.
        left: files that the rules give no more.
        plan: which of the paths is the weight plan; its diff is kept short.
        given_by: the name of the rules, for the heads of the diffs.
    """
    names = _shown_names([*wanted, *left])
    for path, text in wanted.items():
        found = _found(path)
        if found == text:
            continue
        if found is None:
            yield f"{names[path]}: there is no such file"
        elif isinstance(found, bytes):
            yield f"{names[path]}: is no UTF-8 text"
        elif found.replace("\r\n", "\n") == text:
            yield f"{names[path]}: its lines end in \\r\\n instead of \\n"
        else:
            lines = _plan_diff(found, text) if path == plan else _diff(found, text)
            yield "".join([f"--- {names[path]}\n", f"+++ {names[path]}, as {given_by} gives it\n", *lines]).rstrip("\n")
    for path in left:
        yield f"{names[path]}: {given_by} gives no such file any more"


def _shown_names(paths: list[Path]) -> dict[Path, str]:
    """The paths below the folder that all of them are in."""
    base = min((path.parent for path in paths), key=lambda folder: len(folder.parts))
    return {path: path.relative_to(base).as_posix() if path.is_relative_to(base) else path.name for path in paths}


def _found(path: Path) -> str | bytes | None:
    """The text of a file; its bytes if these are no text; None if it is not there."""
    if not path.is_file():
        return None
    raw = path.read_bytes()
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _diff(found: str, wanted: str, context: int = 3) -> list[str]:
    old, new = (io.StringIO(text.replace("\r\n", "\n"), newline="\n").readlines() for text in (found, wanted))
    lines = list(difflib.unified_diff(old, new, n=context))[2:]
    return [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]


def _plan_diff(found: str, wanted: str) -> list[str]:
    """As `_diff`; constants as their digests, long lines and long diffs cut."""
    lines = _diff(_without_constants(found), _without_constants(wanted), context=0)
    shown = [line if len(line) <= WIDEST_PLAN else f"{line[:WIDEST_PLAN]}…\n" for line in lines[:LONGEST_PLAN]]
    rest = sum(line.startswith(("+", "-")) for line in lines[LONGEST_PLAN:])
    return [*shown, f"… and {rest} more lines that differ\n"] if rest else shown


def _without_constants(plan: str) -> str:
    return _CONSTANT.sub(lambda found: f'"constant": "sha256 {_digest(found.group(1))}"', plan)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
