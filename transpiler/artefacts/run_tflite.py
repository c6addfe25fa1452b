"""Runs a TFLite model on arrays of ordinary numbers, whatever it computes with itself.

>>> run = tflite_runner(Path("tf.int8.tflite").read_bytes())  # doctest: +SKIP
>>> run({"x": image})["output_0"].shape  # doctest: +SKIP
(1, 3024, 85)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


def tflite_runner(content: bytes) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
    """A function from inputs to outputs, both by name, integers of a quantised model scaled.

    Args:
        content: the `.tflite` file.

    Returns:
        A function of one array for each input, in Keras's order of axes.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's interpreter is to move to another package
        runner = tf.lite.Interpreter(model_content=content).get_signature_runner()
    given, made = runner.get_input_details(), runner.get_output_details()

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        outputs = runner(**{name: _scaled(array, given[name]) for name, array in inputs.items()})
        return {name: _restored(array, made[name]) for name, array in outputs.items()}

    return run


def _scaled(array: Array, details: Mapping[str, Any]) -> Array:
    scale, zero = details["quantization"]
    if not scale:
        return array.astype(details["dtype"])
    bounds = np.iinfo(details["dtype"])
    scaled: Array = np.clip(np.round(array / scale + zero), bounds.min, bounds.max)
    return scaled.astype(details["dtype"])


def _restored(array: Array, details: Mapping[str, Any]) -> Array:
    scale, zero = details["quantization"]
    return (array.astype(np.float32) - zero) * scale if scale else array
