"""Pours a checkpoint straight into files: a tensor at a time, mapped, reordered in small blocks, never held as a whole.

>>> with blank_models():  # doctest: +SKIP
...     model = build_from_file(Path("tf.py"))
>>> pour_files(model, plan, checkpoint, [Path("tf.weights.h5")])  # doctest: +SKIP

First everything is read and judged, then everything is written: a checkpoint that does not fit leaves no trace. The
files take their places when all of them are whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from transpiler.atomic import writing
from transpiler.errors import CheckpointError, Diagnostic
from transpiler.progress import Track, silent
from transpiler.weights import h5_layout, keras_archive, safetensors_file
from transpiler.weights.allowances import Allowance, Tally
from transpiler.weights.arrange import Array, views
from transpiler.weights.checkpoint import Checkpoint
from transpiler.weights.examine import Examined, examine, same_values
from transpiler.weights.matching import Pairing, judge, judge_tie, pair
from transpiler.weights.plan import PlanEntry, WeightPlan
from transpiler.weights.plan_file import constant_value
from transpiler.weights.pour import planned_variables
from transpiler.weights.record import Digest, Poured, Record, record_text
from transpiler.weights.slot import Slot, fill

H5, SAFETENSORS, KERAS = ".weights.h5", ".safetensors", ".keras"
SUFFIXES = (H5, KERAS, SAFETENSORS)

Targets = Mapping[PlanEntry, tuple[keras.Variable, ...]]
_THREADS = 2
"""One reorders while the other writes."""


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
    variables = planned_variables(model, plan)
    tally = Tally(allowances)
    pairing = pair(plan, checkpoint.sources, tally, checkpoint.where, checkpoint.twins)
    tensors = tuple(_judged(plan, variables, pairing, checkpoint, tally, track))
    tally.raise_problems()
    record = Record(plan.model, checkpoint.where, tally.allowed, tensors)
    with contextlib.ExitStack() as stack:
        temporary = {path: stack.enter_context(writing(path)) for path in paths}
        _write(model, variables, _Values(pairing, checkpoint), record, tuple(temporary.values()), track)
    return record


@dataclass(frozen=True, slots=True)
class _Values:
    pairing: Pairing
    checkpoint: Checkpoint

    def of(self, entry: PlanEntry, variables: tuple[keras.Variable, ...]) -> tuple[Array, ...]:
        """What the entry's variables get, its axes as they lie."""
        if entry.constant is not None:
            return views(entry, constant_value(entry))
        key = self.pairing.keys.get(entry.source)
        if key is None:  # allowed to be missing
            return tuple(initial(variable) for variable in variables)
        return views(entry, _read(self.checkpoint, key))


def initial(variable: keras.Variable) -> Array:
    """The value that Keras gives a variable."""
    value: Array = np.asarray(keras.ops.convert_to_numpy(variable))
    return value


def _judged(
    plan: WeightPlan,
    variables: Targets,
    pairing: Pairing,
    checkpoint: Checkpoint,
    tally: Tally,
    track: Track,
) -> Iterator[Poured]:
    digests: dict[str, str] = {}
    for entry in track(plan.entries, "reading"):
        key = pairing.keys.get(entry.source)
        if key is not None:
            dtype = np.dtype(variables[entry][0].dtype)
            own, examined = _examined(checkpoint, key, dtype)
            judge(key, own, examined, dtype, tally, checkpoint.where)
            digests[key] = examined.sha256
            rounded = None if examined.poured_sha256 is None else Digest(str(dtype), examined.poured_sha256)
            yield Poured(entry.source, Digest(str(own), examined.sha256), rounded)
    for kept, other in pairing.ties:
        judge_tie(kept, other, _same(checkpoint, kept, other, digests[kept]), tally, checkpoint.where)


def _examined(checkpoint: Checkpoint, key: str, dtype: np.dtype[np.generic]) -> tuple[np.dtype[np.generic], Examined]:
    array = _read(checkpoint, key)
    return array.dtype, examine(array, dtype)


def _same(checkpoint: Checkpoint, kept: str, other: str, sha256: str) -> bool:
    one, two = checkpoint.sources[kept], checkpoint.sources[other]
    if one.shape != two.shape or two.dtype is None:
        return False
    # One after the other, as each may be the largest of the file.
    if one.dtype == two.dtype and _examined(checkpoint, other, two.dtype)[1].sha256 == sha256:
        return True
    return same_values(_read(checkpoint, kept), _read(checkpoint, other))


def _read(checkpoint: Checkpoint, key: str) -> Array:
    try:
        return checkpoint.sources[key].read()
    except (TypeError, RuntimeError, OSError) as error:
        raise CheckpointError(Diagnostic(f"{key!r} cannot be read: {error}", where=checkpoint.where)) from error


def _write(
    model: keras.Model,
    variables: Targets,
    values: _Values,
    record: Record,
    paths: Sequence[Path],
    track: Track,
) -> None:
    text = record_text(record)
    archives = [path for path in paths if path.name.endswith(KERAS)]
    weights = [path for path in paths if path.name.endswith(H5)]
    if archives and not weights:
        weights = [archives[0].with_name(keras_archive.WEIGHTS)]
    layouts = [(path, h5_layout.lay_out(model, path)) for path in weights]
    layouts += [(path, _header(path, variables, text)) for path in paths if path.name.endswith(SAFETENSORS)]
    _fill_all(layouts, model, variables, values, track)
    for path in weights:
        h5_layout.write_record(path, text)
    for path in archives:
        keras_archive.write(model, weights[0], path)


def _header(path: Path, variables: Targets, text: str) -> dict[int, Slot]:
    named = {
        name: variable for entry in variables for name, variable in zip(entry.variables, variables[entry], strict=True)
    }
    tensors = {name: (tuple(variable.shape), np.dtype(variable.dtype)) for name, variable in named.items()}
    slots = safetensors_file.write_header(path, tensors, {h5_layout.RECORD: text})
    return {id(variable): slots[name] for name, variable in named.items()}


def _fill_all(
    layouts: Sequence[tuple[Path, Mapping[int, Slot]]],
    model: keras.Model,
    variables: Targets,
    values: _Values,
    track: Track,
) -> None:
    with contextlib.ExitStack() as stack:
        workers = stack.enter_context(ThreadPoolExecutor(_THREADS))
        files = [(stack.enter_context(path.open("r+b")).fileno(), slots) for path, slots in layouts]

        def put(variable: keras.Variable, value: Array) -> None:
            for file, slots in files:
                if id(variable) in slots:
                    fill(file, slots[id(variable)], value, workers)

        for entry, filled in track(tuple(variables.items()), "pouring"):
            for variable, value in zip(filled, values.of(entry, filled), strict=True):
                put(variable, value)
            planned = {id(variable) for filled in variables.values() for variable in filled}
        for variable in model.variables:  # the states of random generators, which no plan speaks of
            if id(variable) not in planned:
                put(variable, initial(variable))
