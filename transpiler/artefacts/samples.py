"""Reads representative data: a folder of `.npy` files, by which full integer models are scaled.

>>> samples = open_samples(Path("samples"), model)  # doctest: +SKIP
>>> len(samples), samples[0]["x"].shape  # doctest: +SKIP
(100, (1, 192, 256, 3))

A file holds one array in Keras's order of axes, samples along the first one, in the input's own type. `x.npy` belongs
to the input `x`, and so do `x.0.npy`, `x.1.npy` …, in the order of their names; of a model with a single input, all
files are that input's, whatever they are called.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, overload

import keras
import numpy as np
from numpy.typing import NDArray

from transpiler.errors import CheckpointError, Diagnostic

Array: TypeAlias = NDArray[Any]

_HINT = "samples along the first axis, the others as in Keras: np.save('samples/x.npy', array)"


class Samples(Sequence[Mapping[str, Array]]):
    """Inputs for one call after the other, by the names of the inputs; arrays stay on disk until they are read."""

    def __init__(self, arrays: Mapping[str, Sequence[Array]], batch: int) -> None:
        self._batch = batch
        self._places = {
            name: [(array, row) for array in given for row in range(0, len(array) - batch + 1, batch)]
            for name, given in arrays.items()
        }

    def __len__(self) -> int:
        return min(len(rows) for rows in self._places.values())

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Array]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Array]]: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Array] | Sequence[Mapping[str, Array]]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        rows = {name: rows[index] for name, rows in self._places.items()}
        return {name: np.ascontiguousarray(array[row : row + self._batch]) for name, (array, row) in rows.items()}


def open_samples(folder: Path, model: keras.Model) -> Samples:
    """The representative data in `folder`, checked against the inputs of `model`.

    Raises:
        CheckpointError: no such folder, no files, files that belong to no input or to not all of them, or arrays of
            another shape, another type, or with values that are not finite; all is listed.
    """
    inputs = {tensor.name: tensor for tensor in model.inputs}
    files = sorted(folder.glob("*.npy"), key=_in_order) if folder.is_dir() else []
    if not files:
        reason = "there are no .npy files in it" if folder.is_dir() else "there is no such folder"
        raise CheckpointError(Diagnostic(f"{reason}, so no representative data", where=str(folder), hint=_HINT))
    problems: list[Diagnostic] = []
    arrays: dict[str, list[Array]] = {name: [] for name in inputs}
    for path in files:
        try:
            name = _input_of(path, inputs)
            arrays[name].append(_read(path, inputs[name]))
        except CheckpointError as error:
            problems.extend(error.diagnostics)
    batch = max((int(tensor.shape[0]) for tensor in inputs.values() if tensor.shape[0] is not None), default=1)
    if not problems:
        problems.extend(_miscounted(arrays, batch, folder))
    if problems:
        raise CheckpointError(problems)
    return Samples(arrays, batch)


def _in_order(path: Path) -> tuple[tuple[int, int | str], ...]:
    # "x.2" before "x.10", as people count
    parts = re.split(r"(\d+)", path.name)
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts)


def _input_of(path: Path, inputs: Mapping[str, Any]) -> str:
    if len(inputs) == 1:
        return next(iter(inputs))
    name = path.name.partition(".")[0]
    if name in inputs:
        return name
    near = difflib.get_close_matches(name, inputs, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the inputs are {', '.join(inputs)}"
    raise CheckpointError(Diagnostic(f"the model has no input {name!r}", where=path.name, hint=hint))


def _read(path: Path, declared: Any) -> Array:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise CheckpointError(Diagnostic(f"not a readable .npy file: {error}", where=path.name)) from error
    faults = tuple(_faults(array, declared))
    if faults:
        raise CheckpointError([Diagnostic(fault, where=path.name, hint=_HINT) for fault in faults])
    return array  # type: ignore[no-any-return]


def _faults(array: Array, declared: Any) -> Iterator[str]:
    shape = tuple(declared.shape)
    fits = len(array.shape) == len(shape) and all(
        wanted in (None, size) for wanted, size in zip(shape[1:], array.shape[1:], strict=True)
    )
    if not fits or not array.shape[0]:
        wanted = ", ".join("any" if size is None else str(size) for size in shape[1:])
        yield f"has shape {list(array.shape)}, input {declared.name!r} takes [samples, {wanted}]"
    if array.dtype.name != declared.dtype:
        yield f"is {array.dtype.name}, input {declared.name!r} is {declared.dtype}"
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        yield f"holds {int(array.size - np.isfinite(array).sum())} value(s) that are infinite or not a number"


def _miscounted(arrays: Mapping[str, Sequence[Array]], batch: int, folder: Path) -> Iterator[Diagnostic]:
    counts = {name: sum(map(len, given)) for name, given in arrays.items()}
    said = ", ".join(f"{count} of {name!r}" for name, count in counts.items())
    if len(set(counts.values())) > 1:
        hint = "every input needs as many samples as the others, in the same order"
        yield Diagnostic(f"samples are missing: there are {said}", where=str(folder), hint=hint)
    if min(counts.values()) < batch:
        yield Diagnostic(f"too few samples: there are {said}, the model takes {batch} at a time", where=str(folder))
