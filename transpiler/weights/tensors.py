"""Tensors by name in a `.safetensors` file: the weights of a Keras model under the names that its plan gives them.

>>> write_tensors(Path("tf.safetensors"), variables_by_path(model, plan))  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from transpiler.errors import CheckpointError, Diagnostic
from transpiler.weights.arrange import Array
from transpiler.weights.plan import WeightPlan


def write_tensors(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write `tensors` to the safetensors file `path`, each in its own type; the same tensors, the same bytes.

    Raises:
        OSError: the file cannot be written.
    """
    # safetensors takes the bytes as they lie in memory.
    save_file({name: np.require(array, requirements="C") for name, array in tensors.items()}, path)


def read_tensors(path: Path, plan: WeightPlan) -> dict[str, Array]:
    """The values of all Keras variables of the plan, from a file that `write_tensors` wrote.

    Raises:
        CheckpointError: the file is damaged, or has not just the variables of the plan; all is listed.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, KeyError) as error:
        raise CheckpointError(Diagnostic(f"not a readable safetensors file: {error}", where=path.name)) from error
    names = [name for entry in plan.entries for name in entry.variables]
    problems = [Diagnostic(f"missing: {name!r}", where=path.name) for name in names if name not in tensors]
    problems += [Diagnostic(f"left over: {name!r}", where=path.name) for name in tensors if name not in names]
    if problems:
        raise CheckpointError(problems)
    return {name: tensors[name] for name in names}
