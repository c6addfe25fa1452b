"""What lowering a whole program gives: the bodies for outline, and the weight plan."""

from __future__ import annotations

from dataclasses import dataclass

from transpiler.lowered import Body, Signature
from transpiler.weights.plan import Dropped, PlanEntry, Tied


@dataclass(frozen=True, slots=True)
class LaidOut:
    """The root body, the model's inputs and outputs, and where every variable comes from."""

    root: Body
    signature: Signature
    entries: tuple[PlanEntry, ...]
    dropped: tuple[Dropped, ...]
    tied: tuple[Tied, ...]
