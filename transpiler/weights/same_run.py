"""Whether a weight plan and a generated source are of one run.

They are two files, renamed one after the other: who is killed in between leaves a new one beside an old one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from transpiler.errors import CheckpointError, Diagnostic
from transpiler.weights.plan import WeightPlan


def digest(texts: Iterable[str]) -> str:
    """By which a plan knows its source: one file, or those of a folder by their names.

    >>> digest(["import keras"])[:8]
    '30986e63'
    """
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def require_pair(plan: WeightPlan, plan_file: Path, source: Path) -> None:
    """Let pass what one run has written; a missing source, too, for those who read it to tell of.

    Raises:
        CheckpointError: the source is another one, of another run or changed since.
    """
    files = sorted(source.glob("*.py")) if source.is_dir() else [source]
    if not plan.source_digest or not all(path.is_file() for path in files):
        return
    # Text, not bytes: git may have given the file the line ends of its system.
    if digest(path.read_text(encoding="utf-8", errors="replace") for path in files) != plan.source_digest:
        message = f"does not belong to {source.name}: one of them is of another run, or was changed since"
        hint = "write both anew with `kerascribe generate`; what is to change belongs in the rules"
        raise CheckpointError(Diagnostic(message, where=plan_file.name, hint=hint))
