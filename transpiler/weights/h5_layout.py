"""A `.weights.h5` with room for every variable, laid out as Keras does it, to be filled tensor by tensor.

>>> slots = lay_out(model, Path("tf.weights.h5"))  # doctest: +SKIP
>>> slots[id(model.weights[0])].offset  # doctest: +SKIP
2048

Keras decides on the groups and their names: a blank model is saved with stand-ins for values, and the file that comes
out is copied with each stand-in replaced by an empty dataset of the variable's shape.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras
import ml_dtypes
import numpy as np

from transpiler.errors import InternalError
from transpiler.weights.blank import Numbering
from transpiler.weights.record import RECORD
from transpiler.weights.slot import Slot


def lay_out(model: keras.Model, path: Path) -> dict[int, Slot]:
    """Write the file without its values; gives the room of each variable, by the variable's id.

    Args:
        model: may be blank.
        path: of the file to write.

    Raises:
        OSError: the file cannot be written.
    """
    with _pattern(model) as (pattern, found), h5py.File(path, "w") as target:
        _copy_groups(pattern, target)
        for name, variable in found.items():
            _make_room(target, name, tuple(variable.shape), pattern[name])
    with h5py.File(path, "r") as written:
        return {id(variable): _slot(written[name], variable) for name, variable in found.items()}


def dataset_names(model: keras.Model) -> dict[int, str]:
    """Under which name Keras saves each variable, by the variable's id.

    >>> dataset_names(model)[id(model.weights[0])]  # doctest: +SKIP
    '/layers/slim_neck/stem/conv/vars/0'
    """
    with _pattern(model) as (_, found):
        return {id(variable): name for name, variable in found.items()}


def write_record(path: Path, text: str) -> None:
    """Add the record of how the values came into the file.

    Raises:
        OSError: the file cannot be written.
    """
    with h5py.File(path, "r+") as file:
        file.create_dataset(RECORD, data=np.frombuffer(text.encode(), np.uint8))


@contextlib.contextmanager
def _pattern(model: keras.Model) -> Iterator[tuple[h5py.File, dict[str, keras.Variable]]]:
    """What Keras saves of a model whose variables hold their numbers, and which variable each dataset is."""
    with tempfile.TemporaryDirectory(prefix="kerascribe-") as folder, Numbering() as numbering:
        path = Path(folder) / "numbers.weights.h5"
        model.save_weights(path)
        with h5py.File(path, "r") as file:
            datasets = [item for item in _items(file) if isinstance(item, h5py.Dataset)]
            yield file, {item.name: numbering.variables[_number(item)] for item in datasets}


def _items(group: h5py.Group) -> Iterator[h5py.Group | h5py.Dataset]:
    for item in group.values():
        yield item
        if isinstance(item, h5py.Group):
            yield from _items(item)


def _copy_groups(pattern: h5py.File, target: h5py.File) -> None:
    for item in _items(pattern):
        if isinstance(item, h5py.Group):
            target.require_group(item.name).attrs.update(item.attrs)


def _make_room(target: h5py.File, name: str, shape: tuple[int, ...], like: h5py.Dataset) -> None:
    if shape:
        at_once = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        at_once.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)  # else the room has no place before it is written
        dataset = target.create_dataset(name, shape, like.dtype, dcpl=at_once, fill_time="never")
    else:  # a single value has none even then
        dataset = target.create_dataset(name, data=np.zeros((), like.dtype))
    dataset.attrs.update(like.attrs)


def _number(digits: h5py.Dataset) -> int:
    values = np.array(digits)
    if values.dtype.kind == "V":  # bfloat16, to h5py: so many bytes
        values = values.view(ml_dtypes.bfloat16)
    if values.shape != (Numbering.DIGITS,):
        raise InternalError(f"{digits.name} is not saved as it stands: Keras has made {values.shape} of a stand-in")
    return sum(1 << place for place, digit in enumerate(values.tolist()) if digit)


def _slot(dataset: h5py.Dataset, variable: keras.Variable) -> Slot:
    offset = dataset.id.get_offset()
    if offset is None and dataset.size:
        raise InternalError(f"HDF5 has given {dataset.name} no place in the file")
    return Slot(offset or 0, np.dtype(variable.dtype))  # where there are no values, nothing is written
