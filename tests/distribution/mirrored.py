"""Run by test_distribution.py: a poured model on two logical CPUs under tf.distribute.MirroredStrategy."""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file

from transpiler.build import build_from_file
from transpiler.weights.plan_file import read_plan
from transpiler.weights.pour import pour, variables_by_path

folder = Path(sys.argv[1])
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
plan = read_plan(folder / "tf.weights.json")
with strategy.scope():
    model = build_from_file(folder / "tf.py")
    pour(model, plan, load_file(folder / "net.safetensors"))
    model.compile(optimizer=keras.optimizers.SGD(1e-3), loss="mse")
for variable in model.weights:
    copies = variable.value.values
    assert len(copies) == 2, variable.path
    assert {tf.DeviceSpec.from_string(copy.device).device_index for copy in copies} == {0, 1}, variable.path
    np.testing.assert_array_equal(copies[0], copies[1])

x = np.load(folder / "x.npy")
halves = strategy.experimental_distribute_values_from_function(
    lambda context: x[context.replica_id_in_sync_group * 4 :][:4]
)
outputs = strategy.run(tf.function(lambda given: model(given, training=False)), args=(halves,))
np.save(folder / "outputs.npy", np.concatenate([np.asarray(each) for each in outputs.values]))

before = variables_by_path(model, plan)
model.fit(x, np.ones((8, 8), np.float32), batch_size=8, verbose=0)
moved = [name for name, value in variables_by_path(model, plan).items() if not np.array_equal(value, before[name])]
assert len(moved) > len(before) // 2, moved
for variable in model.trainable_weights:  # each replica keeps statistics of its own, unless BatchNorm synchronizes them
    np.testing.assert_array_equal(*variable.value.values)
