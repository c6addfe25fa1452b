"""A `.weights.h5` with room for every variable, laid out as Keras does it, to be filled tensor by tensor.

>>> slots = lay_out(model, Path("tf.weights.h5"))  # doctest: +SKIP
>>> slots[id(model.weights[0])].offset  # doctest: +SKIP
2048

Keras decides on the groups and their names: a blank model is saved with stand-ins for values, and the file that comes
out is copied with each stand-in replaced by an empty dataset of the variable's shape.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import h5py
import keras
import ml_dtypes
import numpy as np

from transpiler.errors import InternalError
from transpiler.weights.blank import Numbering
from transpiler.weights.slot import Slot

RECORD = "kerascribe"
"""Name of the dataset that holds the record; Keras asks for groups by name and never sees it."""


def lay_out(model: keras.Model, path: Path) -> dict[int, Slot]:
    """Write the file without its values; gives the room of each variable, by the variable's id.

    Args:
        model: may be blank.
        path: of the file to write.

    Raises:
        OSError: the file cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="kerascribe-") as folder, Numbering() as numbering:
        numbers = Path(folder) / "numbers.weights.h5"
        model.save_weights(numbers)
        with h5py.File(numbers, "r") as pattern, h5py.File(path, "w") as target:
            names = _copy_groups(pattern, target, "/")
            found = {name: numbering.variables[_number(pattern[name])] for name in names}
            for name, variable in found.items():
                _make_room(target, name, tuple(variable.shape), pattern[name])
    with h5py.File(path, "r") as written:
        return {id(variable): _slot(written[name], variable) for name, variable in found.items()}


def write_record(path: Path, text: str) -> None:
    """Add the record of how the values came into the file.

    Raises:
        OSError: the file cannot be written.
    """
    with h5py.File(path, "r+") as file:
        file.create_dataset(RECORD, data=np.frombuffer(text.encode(), np.uint8))


def _copy_groups(pattern: h5py.Group, target: h5py.Group, path: str) -> list[str]:
    """The groups below `path`; gives the names of the datasets in them."""
    target.require_group(path).attrs.update(pattern[path].attrs)
    names: list[str] = []
    for name, item in pattern[path].items():
        below = f"{path.rstrip('/')}/{name}"
        names += _copy_groups(pattern, target, below) if isinstance(item, h5py.Group) else [below]
    return names


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
