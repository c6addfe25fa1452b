"""Tensors by name in a `.safetensors` file: the weights of a Keras model under the names that its plan gives them.

>>> write_tensors(Path("tf.safetensors"), keras_tensors(model, plan))  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from safetensors.numpy import save_file

from transpiler.weights.arrange import Array
from transpiler.weights.plan import WeightPlan
from transpiler.weights.variables import find_variable, top_layer


def keras_tensors(model: keras.Model, plan: WeightPlan) -> dict[str, Array]:
    """The values of all variables by their paths in the plan: `stem.conv.kernel`.

    Raises:
        CheckpointError: the model has not the variables of the plan.
    """
    root = top_layer(model)
    names = (name for entry in plan.entries for name in entry.variables)
    return {name: keras.ops.convert_to_numpy(find_variable(root, name)) for name in names}


def write_tensors(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write `tensors` to the safetensors file `path`, each in its own type; the same tensors, the same bytes.

    Raises:
        OSError: the file cannot be written.
    """
    # safetensors takes the bytes as they lie in memory.
    save_file({name: np.require(array, requirements="C") for name, array in tensors.items()}, path)
