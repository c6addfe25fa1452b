"""Readers of files that anyone may have written: a checkpoint or one clear error, soon, and nothing else on the disk.

`make fuzz` tries 12,000 inputs; the ordinary tests try the same few each time.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from safetensors import safe_open
from safetensors.numpy import save, save_file

from tests.weights.mutations import changed_bytes, changed_json, safetensors_files
from transpiler.build import build_from_source
from transpiler.errors import CheckpointError
from transpiler.weights.blank import blank_models
from transpiler.weights.checkpoint import open_checkpoint
from transpiler.weights.plan import Dropped, PlanEntry, Tied, WeightPlan
from transpiler.weights.plan_file import parse_plan, plan_text, read_plan
from transpiler.weights.pour_files import pour_files

TRIES = int(os.environ.get("KERASCRIBE_FUZZ", "0"))
fuzzing = settings(
    max_examples=TRIES or 60,
    derandomize=not TRIES,
    deadline=dt.timedelta(seconds=5),  # no hang: an input takes milliseconds
    suppress_health_check=list(HealthCheck),  # the folder is emptied for each input
    database=None,
)

TENSORS = {"fc.weight": np.arange(12, dtype=np.float32).reshape(3, 4), "fc.bias": np.ones(3, np.float32)}
FLAT = save(TENSORS | {"n": np.array(3), "half": np.zeros((2, 2), np.float16)}, {"format": "np"})
INDEX = {
    "metadata": {"total_size": 60},
    "weight_map": {"fc.weight": "a.safetensors", "fc.bias": "a.safetensors", "n": "b.safetensors"},
}
SOURCE = """
import keras
from keras import layers


@keras.saving.register_keras_serializable(package="fuzz_test")
class Net(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.fc = layers.Dense(3)

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(2,), initializer="ones", trainable=False, name="scale")
        super().build(input_shape)

    def call(self, x):
        return self.fc(x)


def build_model():
    x = keras.Input((4,), name="x")
    return keras.Model(x, Net(name="model")(x), name="net")
"""
PLAN = WeightPlan(
    "Net",
    (
        PlanEntry(("fc.kernel",), "fc.weight", "o i -> i o", (), (3, 4), "float32", ((4, 3),)),
        PlanEntry(("fc.bias",), "fc.bias", "o -> o", (), (3,), "float32", ((3,),)),
        PlanEntry(("scale",), "scale", "(a b) -> (a b)", (("a", 2),), (2,), "float32", ((2,),), "AACAPwAAAEA="),
    ),
    (Dropped("n", "counts"),),
    (Tied("again", "fc.weight"),),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def blank():
    with blank_models():
        return build_from_source(SOURCE, "Net")


@contextlib.contextmanager
def nothing_written(folder, *files):
    """In the block, no file of the folder or of the one around it comes, goes or changes but `files`."""

    def listed():
        found = [path for path in folder.parent.rglob("*") if path.name not in files and path.is_file()]
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in found}

    before = listed()
    yield
    assert listed() == before


def check_shown(message):
    """A terminal can show it, whole and without obeying it."""
    assert message
    assert message.encode()
    assert "\x1b" not in message


def read_all(path):
    """Every tensor of a checkpoint; None if it is refused, with an error that can be shown."""
    try:
        checkpoint = open_checkpoint(path)
        return {key: checkpoint[key] for key in checkpoint}
    except CheckpointError as error:
        check_shown(str(error))
        return None


@fuzzing
@given(content=safetensors_files(FLAT))
def test_a_safetensors_file_is_read_or_refused(folder, content):
    path = folder / "net.safetensors"
    path.write_bytes(content)
    with nothing_written(folder):
        tensors = read_all(path)
    if tensors is None:
        return
    # Whatever is taken, the library reads in the same way.
    with safe_open(path, framework="numpy") as file:
        assert sorted(file.keys()) == sorted(tensors)
        for key, array in tensors.items():
            expected = file.get_tensor(key)
            assert expected.shape == array.shape
            if expected.dtype == array.dtype:  # bfloat16 is widened
                assert expected.tobytes() == array.tobytes()


@fuzzing
@given(text=changed_json(INDEX) | changed_bytes(json.dumps(INDEX).encode()))
def test_an_index_is_read_or_refused(folder, text):
    save_file(TENSORS, folder / "a.safetensors")
    save_file({"n": np.array(3)}, folder / "b.safetensors")
    (folder.parent / "x.safetensors").write_bytes(FLAT)
    path = folder / "net.safetensors.index.json"
    path.write_bytes(text)
    with nothing_written(folder):
        tensors = read_all(path)
    # A shard is taken as a whole or not at all.
    assert tensors is None or set(tensors) in ({"fc.weight", "fc.bias", "n"}, {"fc.weight", "fc.bias"}, {"n"})


@fuzzing
@given(text=changed_json(json.loads(plan_text(PLAN))) | changed_bytes(plan_text(PLAN).encode()))
def test_a_plan_is_read_or_refused_and_pours_nowhere_else(folder, blank, text):
    save_file(TENSORS, folder / "good.safetensors")
    (folder / "tf.weights.json").write_bytes(text)
    with nothing_written(folder, "poured.safetensors"):
        try:
            plan = read_plan(folder / "tf.weights.json")
            assert parse_plan(plan_text(plan)) == plan
            pour_files(blank, plan, open_checkpoint(folder / "good.safetensors"), [folder / "poured.safetensors"])
        except CheckpointError as error:
            check_shown(str(error))
