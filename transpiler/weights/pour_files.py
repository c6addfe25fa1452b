"""Pours a checkpoint straight into files: a tensor at a time, mapped, reordered in small blocks, never held as a whole.

>>> with blank_models():  # doctest: +SKIP
...     model = build_from_file(Path("tf.py"))
>>> pour_files(model, plan, checkpoint, [Path("tf.weights.h5")])  # doctest: +SKIP

Each tensor is judged while it is written, so that the checkpoint is read once. The files take their places when all of
them are whole; a checkpoint that does not fit leaves no trace.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from transpiler.atomic import writing
from transpiler.errors import CheckpointError, Diagnostic
from transpiler.progress import Track, silent
from transpiler.weights.allowances import Allowance, Allowed, Tally
from transpiler.weights.arrange import Array, as_real
from transpiler.weights.checkpoint import Checkpoint
from transpiler.weights.examine import examine, same_values, sha256_of
from transpiler.weights.matching import Pairing, judge, judge_tie, pair
from transpiler.weights.plan import PlanEntry, WeightPlan
from transpiler.weights.plan_file import constant_value
from transpiler.weights.pour import planned_variables
from transpiler.weights.poured_files import PouredFiles, Use, Variables
from transpiler.weights.record import Digest, Poured, Record, record_text


def pour_files(
    model: keras.Model,
    plan: WeightPlan,
    checkpoint: Checkpoint,
    paths: Sequence[Path],
    allowances: Sequence[Allowance] = (),
    track: Track = silent,
) -> Record:
    """Write the model's weights as the checkpoint has them, to every path, or to none.

    Args:
        model: what the generated `build_model()` gives; blank, if memory matters (see `blank_models`).
        plan: its weight plan.
        checkpoint: the torch tensors.
        paths: files to write, of the `SUFFIXES`.
        allowances: faults that may pass.
        track: shows how far it is.

    Returns:
        The record that stands in every file.

    Raises:
        CheckpointError: the checkpoint does not fit the plan, or the plan does not fit the model; all is listed.
        OSError: a file cannot be written; those that were there stay as they were.
    """
    job = _Job(plan, planned_variables(model, plan), checkpoint, Tally(allowances), track)
    pairing = pair(plan, checkpoint.sources, job.tally, checkpoint.where, checkpoint.twins)
    if job.tally.problems:
        _judge_all(job, pairing, "reading", lambda _entry, _array: None)
        job.tally.raise_problems()
    with contextlib.ExitStack() as stack:
        temporary = [stack.enter_context(writing(path)) for path in paths]
        files = PouredFiles(model, job.variables, temporary, record_text(_fullest_record(job, pairing)))
        with files.filling() as use:
            tensors = _judge_all(job, pairing, "pouring", use)
        job.tally.raise_problems()
        record = Record(plan.model, checkpoint.where, job.tally.allowed, tensors)
        files.finish(record_text(record))
    return record


@dataclass(frozen=True, slots=True)
class _Job:
    plan: WeightPlan
    variables: Variables
    checkpoint: Checkpoint
    tally: Tally
    track: Track

    def dtype(self, entry: PlanEntry) -> np.dtype[np.generic]:
        """The type that the entry's tensor is poured into."""
        dtype: np.dtype[np.generic] = np.dtype(self.variables[entry][0].dtype)
        return dtype

    def read(self, key: str) -> Array:
        """The tensor of the checkpoint."""
        try:
            return self.checkpoint.sources[key].read()
        except (TypeError, RuntimeError, OSError) as error:
            message = f"{key!r} cannot be read: {error}"
            raise CheckpointError(Diagnostic(message, where=self.checkpoint.where)) from error


def _judge_all(job: _Job, pairing: Pairing, what: str, use: Use) -> tuple[Poured, ...]:
    """Hand every tensor to `use` and look at its values meanwhile; what is wrong with them goes into the tally."""
    poured: list[Poured] = []
    with ThreadPoolExecutor(1) as beside:
        for entry in job.track(job.plan.entries, what):
            key = pairing.keys.get(entry.source)
            if key is None:
                use(entry, None if entry.constant is None else constant_value(entry))
                continue
            array, dtype = job.read(key), job.dtype(entry)
            if np.iscomplexobj(array):
                array = as_real(array)
            looking = beside.submit(examine, array, dtype)
            use(entry, array)
            examined = looking.result()
            judge(key, array.dtype, examined, dtype, job.tally, job.checkpoint.where)
            rounded = None if examined.poured_sha256 is None else Digest(str(dtype), examined.poured_sha256)
            poured.append(Poured(entry.source, Digest(str(array.dtype), examined.sha256), rounded))
    for kept, other in pairing.ties:
        judge_tie(kept, other, _same(job, kept, other), job.tally, job.checkpoint.where)
    return tuple(poured)


def _fullest_record(job: _Job, pairing: Pairing) -> Record:
    """No record of this pour has a longer text: what is to be found out is taken to be there."""
    digest = "0" * 64
    tensors = [
        Poured(
            entry.source,
            Digest(job.checkpoint.sources[pairing.keys[entry.source]].type_name, digest),
            Digest(str(job.dtype(entry)), digest),
        )
        for entry in job.plan.entries
        if entry.source in pairing.keys
    ]
    keys = [*pairing.keys.values(), *(other for _, other in pairing.ties)]
    allowed = [
        Allowed(
            each.allowance, (*each.keys, *(key for key in keys if each.allowance.covers(each.allowance.fault, key)))
        )
        for each in job.tally.allowed
    ]
    return Record(job.plan.model, job.checkpoint.where, tuple(allowed), tuple(tensors))


def _same(job: _Job, kept: str, other: str) -> bool:
    one, two = job.checkpoint.sources[kept], job.checkpoint.sources[other]
    if one.shape != two.shape or two.dtype is None:
        return False
    # By their digests, one after the other: each may be the largest tensor of the file.
    if one.dtype == two.dtype and sha256_of(job.read(kept)) == sha256_of(job.read(other)):
        return True
    return same_values(job.read(kept), job.read(other))
