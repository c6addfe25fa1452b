"""Whether a weight plan and a generated source are of one run.

They are two files, renamed one after the other: who is killed in between leaves a new one beside an old one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from transpiler.errors import CheckpointError, Diagnostic
from transpiler.weights.plan import WeightPlan


def digest(source: str) -> str:
    """By which a plan knows its source.

    >>> digest("import keras")[:8]
    '30986e63'
    """
    return hashlib.sha256(source.encode()).hexdigest()


def require_pair(plan: WeightPlan, plan_file: Path, source: Path) -> None:
    """Let pass what one run has written; a missing source, too, for those who read it to tell of.

    Raises:
        CheckpointError: the source is another one, of another run or changed since.
    """
    if not plan.source_digest or not source.is_file():
        return
    # Text, not bytes: git may have given the file the line ends of its system.
    if digest(source.read_text(encoding="utf-8", errors="replace")) != plan.source_digest:
        message = f"does not belong to {source.name}: one of them is of another run, or was changed since"
        hint = "write both anew with `kerascribe generate`; what is to change belongs in the rules"
        raise CheckpointError(Diagnostic(message, where=plan_file.name, hint=hint))
