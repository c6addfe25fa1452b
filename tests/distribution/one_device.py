"""Run by test_distribution.py: a poured model on JAX as it comes, written, and read back."""

import sys
from pathlib import Path

import keras
import numpy as np
from safetensors.numpy import load_file

from transpiler.artefacts.write import write_artefacts
from transpiler.build import build_from_file
from transpiler.formats import target
from transpiler.weights.plan_file import read_plan
from transpiler.weights.pour import pour, unpour

folder = Path(sys.argv[1])
plan = read_plan(folder / "tf.weights.json")
tensors = load_file(folder / "net.safetensors")
model = build_from_file(folder / "tf.py")
pour(model, plan, tensors)
for key, value in unpour(model, plan).items():
    np.testing.assert_array_equal(value, tensors[key])
write_artefacts(model, plan, [target(name, folder / "tf.py") for name in ("weights.h5", "keras", "safetensors")])
loaded = keras.models.load_model(folder / "tf.keras")
np.save(folder / "outputs.npy", np.asarray(loaded(np.load(folder / "x.npy"), training=False)))
