"""Reads a poured file back: its record, and the values of its variables, one at a time.

>>> with open_poured(Path("tf.weights.h5"), plan, blank) as poured:  # doctest: +SKIP
...     poured.record.checkpoint, poured.values(plan.entries[0])[0].shape
('slimneck.safetensors', (6, 6, 3, 32))
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from transpiler.errors import CheckpointError, Diagnostic
from transpiler.weights.allowances import Allowance
from transpiler.weights.arrange import Array
from transpiler.weights.plan import PlanEntry
from transpiler.weights.record import RECORD, Record, parse_record
from transpiler.weights.safetensors_file import read_metadata, read_sources

if TYPE_CHECKING:
    import keras

_HINT = "write it with `kerascribe pour`; what Keras saves after training carries no record"
_LARGEST = 1 << 28
"""Bytes of a record."""


@dataclass(frozen=True, slots=True)
class PouredValues:
    """An open file; good for as long as the block that opened it."""

    record: Record
    _read: Callable[[PlanEntry], tuple[Array, ...]]
    where: str

    def values(self, entry: PlanEntry) -> tuple[Array, ...]:
        """The values of the entry's variables, of the planned shapes.

        Raises:
            CheckpointError: the file lacks one, or it has another shape.
        """
        try:
            return self._read(entry)
        except KeyError as error:
            message = f"has no variable {', '.join(map(repr, entry.variables))}"
            raise CheckpointError(Diagnostic(message, where=self.where)) from error


@contextlib.contextmanager
def open_poured(
    path: Path, variables: Mapping[PlanEntry, tuple[keras.Variable, ...]], names: Callable[[], Mapping[int, str]]
) -> Iterator[PouredValues]:
    """Open a `.weights.h5`, `.keras` or `.safetensors` file that was poured.

    Args:
        path: the file.
        variables: of a model, blank or not, by the entries of its plan.
        names: gives the names of the model's variables in an HDF5 file (`dataset_names`).

    Raises:
        CheckpointError: the file is missing, damaged, or carries no record.
    """
    if not path.is_file():
        raise CheckpointError(Diagnostic("there is no such file", where=path.name, hint=_HINT))
    if path.name.endswith(".safetensors"):
        yield _open_flat(path)
        return
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(_open_h5(path, stack))
            record = _h5_record(file, path.name)
        except (OSError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
            raise CheckpointError(Diagnostic(f"cannot be read: {error}", where=path.name)) from error
        known = names()

        def read(entry: PlanEntry) -> tuple[Array, ...]:
            pairs = zip(variables[entry], entry.shapes, strict=True)
            return tuple(_dataset(file, known[id(variable)], variable, shape, path.name) for variable, shape in pairs)

        yield PouredValues(record, read, path.name)


def recorded_allowances(path: Path) -> tuple[Allowance, ...]:
    """What was let pass when a `.weights.h5` was poured; nothing, if it carries no record.

    Raises:
        CheckpointError: the file is damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            record = _h5_record(file, path.name) if RECORD in file else None
    except OSError as error:
        raise CheckpointError(Diagnostic(f"cannot be read: {error}", where=path.name)) from error
    return () if record is None else tuple(each.allowance for each in record.allowed)


def _open_flat(path: Path) -> PouredValues:
    text = read_metadata(path).get(RECORD)
    if text is None:
        raise CheckpointError(Diagnostic("carries no record of what was poured", where=path.name, hint=_HINT))
    sources = read_sources(path)

    def read(entry: PlanEntry) -> tuple[Array, ...]:
        found = [sources[name] for name in entry.variables]
        for name, source, shape in zip(entry.variables, found, entry.shapes, strict=True):
            _check_shape(name, source.shape, shape, path.name)
        return tuple(source.read() for source in found)

    return PouredValues(parse_record(text, path.name), read, path.name)


def _open_h5(path: Path, stack: contextlib.ExitStack) -> h5py.File:
    if not path.name.endswith(".keras"):
        return h5py.File(path, "r")
    archive = stack.enter_context(zipfile.ZipFile(path))
    member = archive.getinfo("model.weights.h5")
    if member.compress_type != zipfile.ZIP_STORED:
        raise OSError("its weights are compressed, which Keras never does")
    return h5py.File(stack.enter_context(archive.open(member)), "r")


def _h5_record(file: h5py.File, where: str) -> Record:
    found = file.get(RECORD)
    if not isinstance(found, h5py.Dataset) or found.dtype != np.uint8 or found.ndim != 1 or found.size > _LARGEST:
        raise CheckpointError(Diagnostic("carries no record of what was poured", where=where, hint=_HINT))
    return parse_record(found[()].tobytes().decode(errors="backslashreplace"), where)


def _dataset(file: h5py.File, name: str, variable: keras.Variable, shape: tuple[int, ...], where: str) -> Array:
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise KeyError(name)
    _check_shape(name, found.shape, shape, where)
    values: Array = np.asarray(found[()])
    return values.view(np.dtype(variable.dtype)) if values.dtype.kind == "V" else values  # bfloat16


def _check_shape(name: str, found: tuple[int, ...], planned: tuple[int, ...], where: str) -> None:
    if found != planned:
        raise CheckpointError(Diagnostic(f"{name!r} has shape {found}, planned is {planned}", where=where))
