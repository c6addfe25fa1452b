from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from transpiler.artefacts.write import write_artefacts
from transpiler.build import build_from_source
from transpiler.errors import CheckpointError
from transpiler.formats import target
from transpiler.weights.plan import PlanEntry, WeightPlan
from transpiler.weights.pour import pour, unpour

SOURCE = """
import keras
from keras import layers


@keras.saving.register_keras_serializable(package="pour_test")
class Block(layers.Layer):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.lin = layers.Dense(width)

    def call(self, x):
        return self.lin(x)


@keras.saving.register_keras_serializable(package="pour_test")
class Net(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.m = [Block(4) for _ in range(2)]
        self.seq = keras.Sequential([layers.Dropout(0.5), layers.Dense(3, use_bias=False)])
        self.attn = layers.MultiHeadAttention(2, 2, use_bias=False)

    def call(self, x):
        for block in self.m:
            x = block(x)
        return self.seq(self.attn(x, x))


def build_model():
    x = keras.Input((5, 4), name="x")
    return keras.Model(x, Net(name="model")(x), name="net")
"""


def dense(path, source, rows, columns):
    return PlanEntry((f"{path}.kernel",), source, "o i -> i o", (), (columns, rows), "float32", ((rows, columns),))


PLAN = WeightPlan(
    "Net",
    (
        dense("m.0.lin", "m.0.lin.weight", 4, 4),
        PlanEntry(("m.0.lin.bias",), "m.0.lin.bias", "o -> o", (), (4,), "float32", ((4,),)),
        dense("m.1.lin", "m.1.lin.weight", 4, 4),
        PlanEntry(("m.1.lin.bias",), "m.1.lin.bias", "o -> o", (), (4,), "float32", ((4,),)),
        dense("seq.1", "seq.1.weight", 4, 3),
        PlanEntry(
            ("attn.query.kernel", "attn.key.kernel", "attn.value.kernel"),
            "attn.in_proj_weight",
            "(t h d) e -> t e h d",
            (("t", 3), ("h", 2)),
            (12, 4),
            "float32",
            ((4, 2, 2),) * 3,
        ),
        PlanEntry(
            ("attn.attention_output.kernel",),
            "attn.out_proj.weight",
            "o (h d) -> h d o",
            (("h", 2),),
            (4, 4),
            "float32",
            ((2, 2, 4),),
        ),
    ),
    (),
)


def state():
    generator = np.random.default_rng(0)
    return {entry.source: generator.normal(size=entry.source_shape).astype(np.float32) for entry in PLAN.entries}


@pytest.fixture(scope="module")
def model():
    return build_from_source(SOURCE, "Net")


def test_every_variable_is_filled_and_can_be_read_back(model):
    tensors = state()
    pour(model, PLAN, tensors)
    kernel = keras.ops.convert_to_numpy(model.layers[1].m[1].lin.kernel)
    np.testing.assert_array_equal(kernel, tensors["m.1.lin.weight"].T)
    back = unpour(model, PLAN)
    assert back.keys() == tensors.keys()
    for key, value in tensors.items():
        np.testing.assert_array_equal(back[key], value)


def targets(folder):
    return [target(name, folder / "tf.py") for name in ("weights.h5", "keras", "safetensors")]


def test_artefacts_hold_the_weights(model, tmp_path):
    pour(model, PLAN, state())
    write_artefacts(model, PLAN, targets(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tf.keras", "tf.safetensors", "tf.weights.h5"]
    x = np.random.default_rng(1).normal(size=(2, 5, 4)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(model(x))
    fresh = build_from_source(SOURCE, "Net")
    fresh.load_weights(tmp_path / "tf.weights.h5")
    # The same graph on the same weights: bit for bit.
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(fresh(x)), expected)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(keras.models.load_model(tmp_path / "tf.keras")(x)), expected
    )


def test_a_failure_leaves_the_files_that_were_there(model, tmp_path, monkeypatch):
    (tmp_path / "tf.weights.h5").write_text("old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(model, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        write_artefacts(model, PLAN, targets(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["tf.weights.h5"]
    assert (tmp_path / "tf.weights.h5").read_text() == "old"


def test_a_bad_checkpoint_changes_nothing(model):
    pour(model, PLAN, state())
    before = [keras.ops.convert_to_numpy(variable).copy() for variable in model.weights]
    bad = {key: value + 1 for key, value in state().items() if key != "attn.out_proj.weight"}
    with pytest.raises(CheckpointError, match=r"^net.pt: missing: 'attn.out_proj.weight' \[4, 4\]$"):
        pour(model, PLAN, bad, "net.pt")
    for variable, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)


STALE = "\n  tf.py and its weight plan belong to different runs: write both anew with `kerascribe generate`"


@pytest.mark.parametrize(
    ("number", "change", "message"),
    [
        (0, {"variables": ("m.0.nope.kernel",)}, "no Keras variable 'm.0.nope.kernel': Block has no 'nope'"),
        (0, {"variables": ("m.2.lin.kernel",)}, "no Keras variable 'm.2.lin.kernel': TrackedList has no '2'"),
        (4, {"variables": ("seq.0.kernel",)}, "no Keras variable 'seq.0.kernel': Dropout has no 'kernel'"),
        (0, {"variables": ("m.0.lin",)}, "'m.0.lin' is a Dense, not a Keras variable"),
    ],
)
def test_a_plan_of_another_model_is_refused(model, number, change, message):
    entries = list(PLAN.entries)
    entries[number] = dataclasses.replace(entries[number], **change)
    with pytest.raises(CheckpointError) as caught:
        pour(model, dataclasses.replace(PLAN, entries=tuple(entries)), state())
    assert caught.value.diagnostics[0].message == message


def test_a_variable_that_the_plan_leaves_out_is_named(model):
    plan = dataclasses.replace(PLAN, entries=tuple(entry for entry in PLAN.entries if entry.source != "seq.1.weight"))
    with pytest.raises(CheckpointError) as caught:
        pour(model, plan, state())
    assert len(caught.value.diagnostics) == 1
    assert str(caught.value).startswith("no entry of the plan fills model/sequential")
    assert str(caught.value).endswith(STALE)


def test_a_variable_of_another_shape_is_named(model):
    entries = (dense("m.0.lin", "m.0.lin.weight", 4, 5), *PLAN.entries[1:])
    with pytest.raises(CheckpointError) as caught:
        pour(model, dataclasses.replace(PLAN, entries=entries), state())
    assert str(caught.value) == f"m.0.lin.kernel has shape (4, 4), planned is (4, 5){STALE}"
