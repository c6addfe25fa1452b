"""A Keras model without values: all layers, variables and shapes, and no memory for a single weight.

>>> with blank_models():  # doctest: +SKIP
...     model = build_from_file(Path("tf.py"))
...     places = numbered(model, Path("numbers.weights.h5"))

Keras builds like this itself when it works out shapes: inside a `keras.StatelessScope`, variables are promised and
made later. Here, nothing makes them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
from keras.src.backend.common import global_state

_PROMISED = "uninitialized_variables"


@contextlib.contextmanager
def blank_models() -> Iterator[None]:
    """Models that are built in the block get variables without values.

    Asked for its value, such a variable gives what its initializer makes, anew each time.
    """
    before = list(global_state.get_global_attribute(_PROMISED) or ())
    with keras.StatelessScope(initialize_variables=False):
        try:
            yield
        finally:
            # Else the next symbolic call of any model would make the promised variables; Keras has no public way.
            global_state.set_global_attribute(_PROMISED, before)


class Numbering(keras.StatelessScope):  # type: ignore[misc]  # Keras ships no types
    """Gives every variable that is read in its block a number, and that number's binary digits for a value.

    >>> with Numbering() as numbering:  # doctest: +SKIP
    ...     model.save_weights("numbers.weights.h5")

    What Keras saves meanwhile shows where each variable goes, in the variable's own type and in no room.
    """

    DIGITS = 32

    def __init__(self) -> None:
        super().__init__(initialize_variables=False)
        self.variables: list[keras.Variable] = []
        self._numbers: dict[int, int] = {}

    def get_current_value(self, variable: keras.Variable) -> Any:
        """Called by Keras."""
        number = self._numbers.setdefault(id(variable), len(self.variables))
        if number == len(self.variables):
            self.variables.append(variable)
        digits = [(number >> place) & 1 for place in range(self.DIGITS)]
        return keras.ops.cast(keras.ops.convert_to_tensor(digits, "int32"), variable.dtype)
