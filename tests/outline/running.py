"""Imports generated source and builds its model, as a user's process would."""

from __future__ import annotations

import sys
import types
import warnings
from pathlib import Path

import numpy as np


def load(source: str, name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)  # noqa: S102 — running what was generated is the test
    return module


def check_runs(source: str, shapes: list[tuple[int, ...]], folder: Path, name: str) -> None:
    """Build, run, save and reload without a warning, with the same outputs."""
    import keras

    model = load(source, f"generated_{name}").build_model()
    generator = np.random.default_rng(0)
    for variable in model.variables:
        if variable.dtype == "float32":
            variable.assign(np.abs(generator.normal(size=variable.shape)) * 0.5)
    inputs = [generator.normal(size=shape).astype("float32") for shape in shapes]
    given = inputs[0] if len(inputs) == 1 else inputs
    expected = keras.tree.flatten(model(given))
    assert any(float(np.abs(np.asarray(value)).max()) > 0 for value in expected)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.save(folder / "model.keras")
        again = keras.models.load_model(folder / "model.keras")
        got = keras.tree.flatten(again(given))
    ours = [str(warning.message) for warning in caught if "__array__" not in str(warning.message)]
    assert not ours
    for one, other in zip(expected, got, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
