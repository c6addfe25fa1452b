"""Proves that a poured file holds the tensors of its checkpoint: by digests, without the torch model and without torch.

The patterns of the plan are inverted, the values turned back into the checkpoint's own types, and the digests compared
with those of the record; with those of the checkpoint itself, too, where it is at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import ml_dtypes  # noqa: F401  (teaches numpy the name bfloat16)
import numpy as np

from transpiler.errors import CheckpointError
from transpiler.progress import Track, silent
from transpiler.weights.allowances import Fault, Tally
from transpiler.weights.arrange import Array, to_torch
from transpiler.weights.checkpoint import Checkpoint
from transpiler.weights.examine import examine, sha256_of
from transpiler.weights.h5_layout import dataset_names
from transpiler.weights.matching import pair
from transpiler.weights.plan import PlanEntry, WeightPlan
from transpiler.weights.plan_file import constant_value
from transpiler.weights.pour import planned_variables
from transpiler.weights.poured_values import PouredValues, open_poured
from transpiler.weights.record import Digest, Poured


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found in one file."""

    where: str
    checkpoint: str
    exact: int
    """Tensors that are the checkpoint's, bit for bit."""
    rounded: tuple[str, ...]
    """Those that are the checkpoint's but for rounding, which was allowed."""
    initial: tuple[str, ...]
    """Those whose variables were allowed to keep Keras's values."""
    faults: tuple[str, ...]
    """What is not as it should be; empty if the file is proven."""

    def __str__(self) -> str:
        if self.faults:
            return "\n".join(f"{self.where}: {fault}" for fault in self.faults)
        notes = [f"{self.where}: {self.exact} tensors are those of {self.checkpoint}, bit for bit"]
        notes += [f"{self.where}: {source!r} is that of {self.checkpoint}, rounded" for source in self.rounded]
        notes += [f"{self.where}: {source!r} was left as Keras makes it" for source in self.initial]
        return "\n".join(notes)


def prove(
    path: Path, model: keras.Model, plan: WeightPlan, checkpoint: Checkpoint | None = None, track: Track = silent
) -> Proof:
    """Compare a poured file with its record, and with the checkpoint if that is given.

    >>> print(prove(Path("tf.weights.h5"), blank, plan))  # doctest: +SKIP
    tf.weights.h5: 412 tensors are those of slimneck.safetensors, bit for bit

    Args:
        path: a `.weights.h5`, `.keras` or `.safetensors` file.
        model: what the generated `build_model()` gives; it may be blank, and is not changed.
        plan: its weight plan.
        checkpoint: the torch tensors.
        track: shows how far it is.

    Raises:
        CheckpointError: the file cannot be read or carries no record, or the plan does not fit the model.
    """
    variables = planned_variables(model, plan)
    with open_poured(path, variables, lambda: dataset_names(model)) as poured:
        recorded = {tensor.source: tensor for tensor in poured.record.tensors}
        initial = _initial(poured)
        keys = _keys(plan, poured, checkpoint)
        faults: list[str] = []
        for entry in track(plan.entries, f"proving {path.name}"):
            if entry.source in initial and entry.constant is None:
                continue
            faults += _faults(poured, entry, recorded.get(entry.source))
            tensor = recorded.get(entry.source)
            if checkpoint is not None and tensor is not None:
                faults += _changed(checkpoint, keys.get(entry.source), tensor)
        sources = {entry.source for entry in plan.entries}
        faults += [f"{source!r} is in the record and not in the plan" for source in recorded.keys() - sources]
        rounded = tuple(tensor.source for tensor in recorded.values() if tensor.rounded is not None)
        where = poured.record.checkpoint
    return Proof(path.name, where, len(recorded) - len(rounded), rounded, initial, tuple(faults))


def _initial(poured: PouredValues) -> tuple[str, ...]:
    kinds = (Fault.MISSING, Fault.SHAPE)
    return tuple(key for each in poured.record.allowed if each.allowance.fault in kinds for key in each.keys)


def _faults(poured: PouredValues, entry: PlanEntry, tensor: Poured | None) -> Iterator[str]:
    if entry.constant is None and tensor is None:
        yield f"{entry.source!r} is not in the record"
        return
    try:
        array = to_torch(entry, poured.values(entry))
    except CheckpointError as error:
        yield from (problem.message for problem in error.diagnostics)
        return
    if entry.constant is not None:
        constant = constant_value(entry)
        if sha256_of(array) != sha256_of(constant, array.dtype):
            yield f"{entry.source!r} is not the plan's constant"
        return
    assert tensor is not None  # else it would have been told
    if not _has(array, tensor.rounded or tensor.original):
        yield f"{entry.source!r} is not what was poured"


def _has(array: Array, digest: Digest) -> bool:
    try:
        dtype = np.dtype(digest.dtype)
    except TypeError:
        return False
    # Turned back, the values must be the same: else bits beyond the original's precision could be anything.
    return sha256_of(array, dtype) == digest.sha256 and examine(array, dtype).poured_sha256 is None


def _keys(plan: WeightPlan, poured: PouredValues, checkpoint: Checkpoint | None) -> dict[str, str]:
    if checkpoint is None:
        return {}
    # What does not fit is told below, tensor by tensor.
    return dict(pair(plan, checkpoint.sources, Tally(), poured.where).keys)


def _changed(checkpoint: Checkpoint, key: str | None, tensor: Poured) -> Iterator[str]:
    source = checkpoint.sources[key] if key is not None else None
    if source is None or source.type_name != tensor.original.dtype:
        yield f"{checkpoint.where} has no {tensor.source!r} of the type that was poured"
    elif sha256_of(source.read()) != tensor.original.sha256:
        yield f"{tensor.source!r} of {checkpoint.where} is another one than was poured"
