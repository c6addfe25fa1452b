"""Gives a Keras variable its value where the variable lives.

Keras on JAX brings a value to the first device as a whole before it is spread over the others, where a variable that is
sharded because no device can hold it has no room. Here every device is given its own part, straight from the host.
On TensorFlow a mirrored variable takes the value on each of its devices by itself.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from transpiler.weights.arrange import Array


def assign(variable: keras.Variable, value: Array) -> None:
    """Set `variable` to `value`, which has its shape and may be of another precision.

    >>> assign(layer.kernel, np.zeros((3, 3, 8, 16), np.float32))  # doctest: +SKIP
    """
    variable.assign(_placed(variable, value) if keras.backend.backend() == "jax" else value)


def _placed(variable: keras.Variable, value: Array) -> Any:
    import jax  # noqa: PLC0415  (there only if Keras runs on it)

    now = variable.value

    def part(index: tuple[slice, ...]) -> Array:
        return np.asarray(value[index], dtype=now.dtype)

    return jax.make_array_from_callback(value.shape, now.sharding, part)
