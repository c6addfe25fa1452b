"""Run by test_distribution.py on JAX with four virtual CPUs: a poured model under keras.distribution."""

import sys
from pathlib import Path

import jax
import keras
import numpy as np
from safetensors.numpy import load_file

from transpiler.build import build_from_file
from transpiler.weights.plan_file import read_plan
from transpiler.weights.pour import pour, variables_by_path

folder, kind = Path(sys.argv[1]), sys.argv[2]
devices = keras.distribution.list_devices("cpu")
assert len(devices) == 4
if kind == "data":
    distribution = keras.distribution.DataParallel(devices=devices)
else:
    mesh = keras.distribution.DeviceMesh((2, 2), ["batch", "model"], devices)
    layout = keras.distribution.LayoutMap(mesh)
    layout[".*dense.*kernel"] = (None, "model")
    layout[".*conv2d.*kernel"] = (None, None, None, "model")
    distribution = keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch")
keras.distribution.set_distribution(distribution)

plan = read_plan(folder / "tf.weights.json")
model = build_from_file(folder / "tf.py")
layouts = {variable.path: variable.value.sharding for variable in model.weights}
put = jax.device_put


def watched_put(value: object, *args: object, **kwargs: object) -> object:
    """No whole tensor is moved to a device that shall hold a part of it."""
    assert not isinstance(value, jax.Array) or len(value.sharding.device_set) > 1 or value.ndim == 0, value.shape
    return put(value, *args, **kwargs)


jax.device_put = watched_put
pour(model, plan, load_file(folder / "net.safetensors"))
jax.device_put = put

split = 0
for variable in model.weights:
    value = variable.value
    assert value.sharding.is_equivalent_to(layouts[variable.path], value.ndim), variable.path
    assert len(value.sharding.device_set) == 4, variable.path
    parts = {shard.data.shape for shard in value.addressable_shards}
    split += parts != {value.shape}
assert split == (0 if kind == "data" else 3), split

x = np.load(folder / "x.npy")
np.save(folder / "outputs.npy", np.asarray(model.predict(x, batch_size=8, verbose=0)))
before = variables_by_path(model, plan)
model.compile(optimizer=keras.optimizers.SGD(1e-3), loss="mse")
model.fit(x, np.ones((8, 8), np.float32), batch_size=8, verbose=0)
moved = [name for name, value in variables_by_path(model, plan).items() if not np.array_equal(value, before[name])]
assert len(moved) > len(before) // 2, moved
