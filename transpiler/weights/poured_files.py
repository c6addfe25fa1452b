"""The files of one pour: laid out first, then filled tensor by tensor, then given their record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import keras
import numpy as np

from transpiler.weights import h5_layout, keras_archive, safetensors_file
from transpiler.weights.arrange import Array, views
from transpiler.weights.plan import PlanEntry
from transpiler.weights.record import RECORD
from transpiler.weights.slot import Slot, fill

H5, KERAS, SAFETENSORS = ".weights.h5", ".keras", ".safetensors"
SUFFIXES = (H5, KERAS, SAFETENSORS)
"""What the name of such a file ends with."""

Variables: TypeAlias = Mapping[PlanEntry, tuple[keras.Variable, ...]]
Use: TypeAlias = Callable[[PlanEntry, Array | None], None]
"""Takes an entry of the plan with its tensor; None for one that is allowed to be missing."""


class PouredFiles:
    """Files with room for every variable.

    >>> files = PouredFiles(model, variables, [Path("tf.weights.h5")], longest)  # doctest: +SKIP
    >>> with files.filling() as fill_entry:  # doctest: +SKIP
    ...     fill_entry(entry, tensor)
    >>> files.finish(record)  # doctest: +SKIP
    """

    def __init__(self, model: keras.Model, variables: Variables, paths: Sequence[Path], longest: str) -> None:
        """Lay the files out.

        Args:
            model: may be blank.
            variables: those of every entry of the plan.
            paths: the files to write, of the `SUFFIXES`.
            longest: a text that is at least as long as the record will be.
        """
        self._model = model
        self._variables = variables
        self._archives = [path for path in paths if path.name.endswith(KERAS)]
        self._weights = [path for path in paths if path.name.endswith(H5)]
        if self._archives and not self._weights:
            self._weights = [self._archives[0].with_name(keras_archive.WEIGHTS)]
        self._tensors = {
            name: (tuple(variable.shape), np.dtype(variable.dtype))
            for entry, filled in variables.items()
            for name, variable in zip(entry.variables, filled, strict=True)
        }
        self._flat = [path for path in paths if path.name.endswith(SAFETENSORS)]
        self._start = len(safetensors_file.header(self._tensors, {RECORD: longest})) if self._flat else 0
        self._slots = {path: h5_layout.lay_out(model, path) for path in self._weights}
        self._slots |= {path: self._lay_out_flat(path) for path in self._flat}

    @contextlib.contextmanager
    def filling(self) -> Iterator[Use]:
        """Takes entries with their tensors; what no entry speaks of is filled when the block ends."""
        with contextlib.ExitStack() as stack:
            files = [(stack.enter_context(path.open("r+b")).fileno(), slots) for path, slots in self._slots.items()]

            def put(variable: keras.Variable, value: Array) -> None:
                for file, slots in files:
                    if id(variable) in slots:
                        fill(file, slots[id(variable)], value)

            def use(entry: PlanEntry, array: Array | None) -> None:
                filled = self._variables[entry]
                values = tuple(map(_initial, filled)) if array is None else views(entry, array)
                for variable, value in zip(filled, values, strict=True):
                    put(variable, value)

            yield use
            planned = {id(variable) for filled in self._variables.values() for variable in filled}
            for variable in self._model.variables:  # the states of random generators
                if id(variable) not in planned:
                    put(variable, _initial(variable))

    def finish(self, record: str) -> None:
        """Add the record; the files are whole then.

        Raises:
            OSError: a file cannot be written.
        """
        for path in self._weights:
            h5_layout.write_record(path, record)
        for path in self._flat:
            header = safetensors_file.header(self._tensors, {RECORD: record}, self._start)
            with path.open("r+b") as file:
                file.write(header)
        for path in self._archives:
            keras_archive.write(self._model, self._weights[0], path)

    def _lay_out_flat(self, path: Path) -> dict[int, Slot]:
        slots = safetensors_file.lay_out(path, self._tensors, self._start)
        return {
            id(variable): slots[name]
            for entry, filled in self._variables.items()
            for name, variable in zip(entry.variables, filled, strict=True)
        }


def _initial(variable: keras.Variable) -> Array:
    """The value that Keras gives a variable."""
    value: Array = np.asarray(keras.ops.convert_to_numpy(variable))
    return value
