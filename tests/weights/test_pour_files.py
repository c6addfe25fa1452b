"""What is poured straight into files is what Keras would have written after an ordinary pour."""

from __future__ import annotations

import re
import zipfile

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from transpiler.build import build_from_source
from transpiler.errors import CheckpointError
from transpiler.weights.allowances import Tally, parse_allowances
from transpiler.weights.blank import blank_models
from transpiler.weights.checkpoint import open_checkpoint
from transpiler.weights.matching import match_checkpoint, pair
from transpiler.weights.plan import PlanEntry, Tied, WeightPlan
from transpiler.weights.pour import pour
from transpiler.weights.pour_files import pour_files

SOURCE = """
import keras
from keras import layers


@keras.saving.register_keras_serializable(package="pour_files_test")
class Block(layers.Layer):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(width, 3, padding="same")
        self.bn = layers.BatchNormalization()

    def call(self, x):
        return self.bn(self.conv(x))


@keras.saving.register_keras_serializable(package="pour_files_test")
class Net(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.m = [Block(4) for _ in range(2)]
        self.drop = layers.Dropout(0.5)
        self.fc = keras.Sequential([layers.Flatten(), layers.Dense(3, use_bias=False)])
        self.attn = layers.MultiHeadAttention(2, 2, use_bias=False)

    def build(self, input_shape):
        self.steps = self.add_weight(shape=(2, 3), dtype="int64", initializer="zeros", trainable=False, name="steps")
        self.half = self.add_weight(shape=(5,), dtype="bfloat16", initializer="zeros", trainable=False, name="half")
        self.on = self.add_weight(shape=(), dtype="bool", initializer="zeros", trainable=False, name="on")
        super().build(input_shape)

    def call(self, x):
        for block in self.m:
            x = block(x)
        return self.attn(self.drop(self.fc(x))[:, None], self.fc(x)[:, None])


def build_model():
    x = keras.Input((5, 7, 4), name="x")
    return keras.Model(x, Net(name="model")(x), name="net")
"""


def line(variables, source, pattern, source_shape, shapes, sizes=(), **kept):
    return PlanEntry(
        variables, source, pattern, sizes, source_shape, kept.get("dtype", "float32"), shapes, kept.get("constant")
    )


def block(number):
    name = f"m.{number}"
    yield line((f"{name}.conv.kernel",), f"{name}.conv.weight", "o i h w -> h w i o", (4, 4, 3, 3), ((3, 3, 4, 4),))
    yield line((f"{name}.conv.bias",), f"{name}.conv.bias", "o -> o", (4,), ((4,),))
    for ours, torchs in [
        ("gamma", "weight"),
        ("beta", "bias"),
        ("moving_mean", "running_mean"),
        ("moving_variance", "running_var"),
    ]:
        yield line((f"{name}.bn.{ours}",), f"{name}.bn.{torchs}", "c -> c", (4,), ((4,),))


PLAN = WeightPlan(
    "Net",
    (
        *block(0),
        *block(1),
        line(
            ("fc.1.kernel",),
            "fc.weight",
            "o (c h w) -> (h w c) o",
            (3, 140),
            ((140, 3),),
            sizes=(("c", 4), ("h", 5), ("w", 7)),
        ),
        line(
            ("attn.query.kernel", "attn.key.kernel", "attn.value.kernel"),
            "attn.in_proj_weight",
            "(t h d) e -> t e h d",
            (12, 3),
            ((3, 2, 2),) * 3,
            sizes=(("t", 3), ("h", 2), ("d", 2)),
        ),
        line(("attn.attention_output.kernel",), "attn.out", "o (h d) -> h d o", (3, 4), ((2, 2, 3),), (("h", 2),)),
        line(("steps",), "steps", "a b -> b a", (3, 2), ((2, 3),), dtype="int64"),
        line(("half",), "half", "a -> a", (5,), ((5,),), dtype="bfloat16"),
        line(("on",), "on", " -> ", (), ((),), dtype="bool", constant="AQ=="),
    ),
    (),
    (Tied("head.weight", "fc.weight"),),
)


def state():
    generator = np.random.default_rng(0)
    values = {
        entry.source: generator.normal(size=entry.source_shape).astype(entry.dtype)
        for entry in PLAN.entries
        if entry.constant is None
    }
    return values | {"steps": np.arange(6).reshape(3, 2)}


def opened(folder, tensors):
    save_file(tensors, folder / "net.safetensors")
    return open_checkpoint(folder / "net.safetensors")


@pytest.fixture(scope="module")
def blank():
    with blank_models():
        return build_from_source(SOURCE, "Net")


@pytest.fixture(scope="module")
def ordinary():
    model = build_from_source(SOURCE, "Net")
    pour(model, PLAN, state())
    return model


def content(file):
    """Every dataset and every group's attributes, but for what Keras never sees and what is random."""
    found = {}

    def visit(name, item):
        if name == "kerascribe":
            return
        value = (item.dtype, item.shape, item[()].tobytes()) if isinstance(item, h5py.Dataset) else None
        # Keras numbers the names of layers through all models of a process.
        attributes = {key: re.sub(r"_\d+$", "", value) for key, value in item.attrs.items()}
        found[name] = (attributes, None if "seed_generator" in name else value)

    file.visititems(visit)
    return found


def test_an_h5_file_is_the_one_that_keras_writes(blank, ordinary, tmp_path):
    pour_files(blank, PLAN, opened(tmp_path, state()), [tmp_path / "tf.weights.h5"])
    ordinary.save_weights(tmp_path / "keras.weights.h5")
    with h5py.File(tmp_path / "tf.weights.h5") as ours, h5py.File(tmp_path / "keras.weights.h5") as theirs:
        assert content(ours) == content(theirs)
    fresh = build_from_source(SOURCE, "Net")
    fresh.load_weights(tmp_path / "tf.weights.h5")
    for variable, expected in zip(fresh.weights, ordinary.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(variable), np.asarray(expected))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keras.weights.h5", "net.safetensors", "tf.weights.h5"]


def test_a_keras_file_is_whole_and_loads(blank, ordinary, tmp_path):
    pour_files(blank, PLAN, opened(tmp_path, state()), [tmp_path / "tf.keras"])
    ordinary.save(tmp_path / "keras.keras")
    with zipfile.ZipFile(tmp_path / "tf.keras") as ours, zipfile.ZipFile(tmp_path / "keras.keras") as theirs:
        assert sorted(ours.namelist()) == sorted(theirs.namelist())
        with ours.open("model.weights.h5") as one, theirs.open("model.weights.h5") as other:
            assert content(h5py.File(one)) == content(h5py.File(other))
    x = np.random.default_rng(1).normal(size=(2, 5, 7, 4)).astype(np.float32)
    loaded = keras.models.load_model(tmp_path / "tf.keras")
    # The same graph on the same weights: bit for bit.
    np.testing.assert_array_equal(np.asarray(loaded(x)), np.asarray(ordinary(x)))


def test_safetensors_bear_the_names_of_the_plan(blank, ordinary, tmp_path):
    pour_files(blank, PLAN, opened(tmp_path, state()), [tmp_path / "tf.safetensors"])
    with safe_open(tmp_path / "tf.safetensors", framework="numpy") as file:
        assert sorted(file.keys()) == sorted(name for entry in PLAN.entries for name in entry.variables)
        kernel = np.asarray(ordinary.layers[1].fc.layers[1].kernel)
        np.testing.assert_array_equal(file.get_tensor("fc.1.kernel"), kernel)
        assert file.get_tensor("on") == np.True_
        assert '"source": "fc.weight", "dtype": "float32", "sha256": ' in file.metadata()["kerascribe"]


def test_no_variable_of_a_blank_model_is_ever_made(blank, tmp_path):
    pour_files(blank, PLAN, opened(tmp_path, state()), [tmp_path / "tf.weights.h5"])
    with keras.StatelessScope():  # leaving it, Keras makes what was promised
        pass
    assert all(variable._value is None for variable in blank.variables)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16])
def test_every_precision_comes_in(blank, tmp_path, dtype):
    tensors = state()
    exact = tensors["fc.weight"].astype(np.float16 if dtype == np.float16 else ml_dtypes.bfloat16).astype(dtype)
    pour_files(blank, PLAN, opened(tmp_path, tensors | {"fc.weight": exact}), [tmp_path / "tf.safetensors"])
    with safe_open(tmp_path / "tf.safetensors", framework="numpy") as file:
        expected = exact.astype(np.float32).reshape(3, 4, 35).transpose(2, 1, 0).reshape(140, 3)
        np.testing.assert_array_equal(file.get_tensor("fc.1.kernel"), expected)


def faulty():
    tensors = state()
    tensors["fc.weight"] = tensors["fc.weight"].astype(np.float64) + 1e-12
    tensors["m.0.bn.weight"][1] = np.nan
    tensors["m.1.conv.bias"] = np.zeros(7, np.float32)
    tensors["m.1.conv.biases"] = np.zeros(4, np.float32)
    tensors["head.weight"] = tensors["fc.weight"] + 1
    del tensors["attn.out"]
    return tensors


FAULTS = """\
net.safetensors: 'm.1.conv.bias' has shape [7], the model needs [4]
net.safetensors: missing: 'attn.out' [3, 4]
net.safetensors: left over: 'm.1.conv.biases'
  the model has 'm.1.conv.bias'
net.safetensors: 'm.0.bn.weight' holds 1 value(s) that are infinite or not a number
net.safetensors: 'fc.weight' holds 420 value(s) of float64 that float32 cannot hold
net.safetensors: 'head.weight' differs from 'fc.weight', which the model ties to it
what is meant can be let pass: kerascribe pour … --allow shape:PATTERN --allow missing:PATTERN --allow extra:PATTERN \
--allow nonfinite:PATTERN --allow narrowing:PATTERN --allow tied:PATTERN"""


def test_all_faults_are_told_at_once_and_nothing_is_written(blank, tmp_path):
    checkpoint = opened(tmp_path, faulty())
    with pytest.raises(CheckpointError) as caught:
        pour_files(blank, PLAN, checkpoint, [tmp_path / "tf.weights.h5"])
    assert str(caught.value) == FAULTS
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


def test_what_is_allowed_passes_and_is_recorded(blank, tmp_path):
    texts = ["shape:*", "missing:attn.*", "extra:m.1.*", "nonfinite:m.0.*", "narrowing:fc.*", "tied:head.*"]
    checkpoint = opened(tmp_path, faulty())
    record = pour_files(blank, PLAN, checkpoint, [tmp_path / "tf.safetensors"], parse_allowances(texts))
    assert {str(each.allowance): each.keys for each in record.allowed} == {
        "shape:*": ("m.1.conv.bias",),
        "missing:attn.*": ("attn.out",),
        "extra:m.1.*": ("m.1.conv.biases",),
        "nonfinite:m.0.*": ("m.0.bn.weight",),
        "narrowing:fc.*": ("fc.weight",),
        "tied:head.*": ("head.weight",),
    }
    assert [tensor.source for tensor in record.tensors if tensor.rounded] == ["fc.weight"]
    with safe_open(tmp_path / "tf.safetensors", framework="numpy") as file:
        np.testing.assert_array_equal(file.get_tensor("m.1.conv.bias"), np.zeros(4))  # as Keras begins
        assert np.isnan(file.get_tensor("m.0.bn.gamma")[1])


@pytest.mark.parametrize("text", ["missing", "missing:", "missin:x", ":x", ""])
def test_an_allowance_has_a_kind_and_a_pattern(text):
    with pytest.raises(CheckpointError, match="is not KIND:PATTERN"):
        parse_allowances(["extra:*", text])


@pytest.mark.parametrize(("tied", "allow"), [(True, ()), (False, ("tied:copy",))])
def test_a_pt_file_with_one_tensor_under_two_names_fits_a_model_that_ties_them(tmp_path, tied, allow):
    import torch

    shared = torch.rand(3, 4)
    torch.save({"fc": shared, "copy": shared}, tmp_path / "net.pt")
    checkpoint = open_checkpoint(tmp_path / "net.pt")
    assert checkpoint.twins == (("fc", "copy"),)
    entries = tuple(line((f"{name}.kernel",), name, "o i -> i o", (3, 4), ((4, 3),)) for name in ("fc", "copy"))
    plan = WeightPlan("Net", entries, (), (Tied("copy", "fc"),) if tied else ())
    tally = Tally()
    pair(plan, checkpoint.sources, tally, "net.pt", checkpoint.twins)
    expected = [] if tied else ["net.pt: 'copy' is the same tensor as 'fc', the model has two"]
    assert list(map(str, tally.problems)) == expected
    tally = Tally(parse_allowances(allow))
    pair(plan, checkpoint.sources, tally, "net.pt", checkpoint.twins)
    assert tally.problems == []


def test_of_a_tensor_that_two_layers_share_the_file_may_have_either_name():
    entries = tuple(line((f"{name}.kernel",), name, "o i -> i o", (3, 4), ((4, 3),)) for name in ("a", "b"))
    plan = WeightPlan("Net", entries, (), (Tied("a", "b"),))
    weight = np.ones((3, 4), np.float32)
    for name in ("a", "b"):
        found = match_checkpoint(plan, {name: weight})
        assert found["a"] is found["b"] is weight
    with pytest.raises(CheckpointError, match="'a' differs from 'b', which the model ties to it"):
        match_checkpoint(plan, {"a": weight, "b": weight + 1})
