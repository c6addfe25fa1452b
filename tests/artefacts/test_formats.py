"""Every format that `pour` writes: read as its users read it, it gives the outputs of the torch model."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

from transpiler.artefacts.write import write_artefacts
from transpiler.commands import Poured, pour_checkpoint, write_port
from transpiler.errors import CheckpointError, ModelError
from transpiler.factory import load_factory
from transpiler.formats import FORMATS, target
from transpiler.verify.randomise import randomise
from transpiler.weights.plan import WeightPlan

HERE = Path(__file__).parent
FLOAT, HALF, EIGHT_BITS = 1e-5, 2e-3, 5e-2
"""Relative errors: of float32; of float16, whose values have 11 bits; of int8, with 256 values over the whole range."""

KERAS_ALONE = """
import sys
for absent in ("torch", "transpiler", "kerascribe", "lark", "jinja2"):
    sys.modules[absent] = None  # importing it raises ImportError
import keras, numpy as np
import tf  # the generated source, whose classes it registers
given = np.load("given.npz")
model = keras.models.load_model("tf.keras")
np.savez("found.npz", **model([given["ids"], given["x"]]))
"""
TENSORFLOW_ALONE = """
import sys
for absent in ("torch", "transpiler", "kerascribe", "keras"):
    sys.modules[absent] = None
import numpy as np, tensorflow as tf
given = np.load("given.npz")
serve = tf.saved_model.load("tf.saved_model").signatures["serving_default"]
np.savez("found.npz", **serve(ids=tf.constant(given["ids"]), x=tf.constant(given["x"])))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The model generated, and its checkpoint and representative data."""
    folder = tmp_path_factory.mktemp("formats")
    for name in ("two_inputs.py", "two_inputs.rules"):
        shutil.copy(HERE / name, folder / name)
    torch.manual_seed(0)
    model = load_factory("two_inputs.py:TwoInputs", folder)().eval()
    randomise(model, 0)
    save_file(model.state_dict(), folder / "two_inputs.safetensors")
    ids, x = torch.randint(0, 20, (7, 5)), torch.randn(7, 5, 6)
    with torch.no_grad():
        expected = model(ids, x)
    np.savez(folder / "given.npz", ids=ids.numpy(), x=x.numpy())
    np.savez(folder / "expected.npz", **{name: value.numpy() for name, value in expected.items()})
    (folder / "samples").mkdir()
    np.save(folder / "samples" / "ids.npy", torch.randint(0, 20, (50, 5)).numpy())
    np.save(folder / "samples" / "x.1.npy", torch.randn(30, 5, 6).numpy())
    np.save(folder / "samples" / "x.2.npy", torch.randn(20, 5, 6).numpy())
    write_port(folder / "two_inputs.rules")
    return folder


@pytest.fixture(scope="module")
def poured(folder) -> Poured:
    return pour_checkpoint(folder / "two_inputs.rules", [each.name for each in FORMATS])


def check(folder, found, tolerance):
    expected = np.load(folder / "expected.npz")
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        assert found[name].shape == value.shape
        assert np.abs(found[name] - value).max() / np.abs(value).max() <= tolerance, name


def run_alone(folder, script):
    (folder / "found.npz").unlink(missing_ok=True)
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return np.load(folder / "found.npz")


def test_all_are_written_beside_the_source_and_nothing_else(folder, poured):
    assert [path.name for path in poured.written] == [
        *("tf.weights.h5", "tf.keras", "tf.safetensors", "tf.saved_model"),
        *("tf.tflite", "tf.float16.tflite", "tf.dynamic.tflite", "tf.int8.tflite"),
    ]
    assert all(path.exists() for path in poured.written)
    assert poured.notes == ()
    assert list(folder.glob(".*")) == []


def test_keras_weights(folder, poured):
    from transpiler.build import build_from_file

    model = build_from_file(folder / "tf.py")
    model.load_weights(folder / "tf.weights.h5")
    given = np.load(folder / "given.npz")
    check(folder, {name: np.asarray(value) for name, value in model([given["ids"], given["x"]]).items()}, FLOAT)


def test_a_keras_model_where_neither_torch_nor_kerascribe_can_be_imported(folder, poured):
    check(folder, run_alone(folder, KERAS_ALONE), FLOAT)


def test_a_saved_model_where_not_even_keras_can_be_imported(folder, poured):
    check(folder, run_alone(folder, TENSORFLOW_ALONE), FLOAT)


def test_safetensors_under_the_names_of_the_plan(folder, poured):
    tensors, source = load_file(folder / "tf.safetensors"), load_file(folder / "two_inputs.safetensors")
    np.testing.assert_array_equal(tensors["lin.kernel"], source["lin.weight"].T)
    np.testing.assert_array_equal(tensors["conv.kernel"], source["conv.weight"].transpose(2, 1, 0))
    assert sorted(tensors) == [
        *("bn.beta", "bn.gamma", "bn.moving_mean", "bn.moving_variance"),
        *("conv.bias", "conv.kernel", "emb.embeddings", "lin.bias", "lin.kernel"),
    ]


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("tf", FLOAT), ("tf.float16", HALF), ("tf.dynamic", EIGHT_BITS), ("tf.int8", EIGHT_BITS)],
)
def test_tflite(folder, poured, name, tolerance):
    from transpiler.artefacts.run_tflite import tflite_runner

    given = np.load(folder / "given.npz")
    outputs = tflite_runner((folder / f"{name}.tflite").read_bytes())({"ids": given["ids"], "x": given["x"]})
    check(folder, outputs, tolerance)


def test_full_int8_has_integers_outside_and_inside(folder, poured):
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(str(folder / "tf.int8.tflite"))
    types = {each["dtype"].__name__ for each in interpreter.get_output_details()}
    assert types == {"int8"}
    assert sorted(each["dtype"].__name__ for each in interpreter.get_input_details()) == ["int64", "int8"]
    interpreter.allocate_tensors()
    assert [each["name"] for each in interpreter.get_tensor_details() if each["dtype"] is np.float32] == []


def test_the_rules_say_what_is_written_and_the_command_line_has_the_last_word(folder):
    rules = (folder / "two_inputs.rules").read_text()
    (folder / "declared.rules").write_text(
        rules.replace("representative", 'output "net.py" artefacts "keras=other.keras", "safetensors" representative')
    )
    write_port(folder / "declared.rules")
    declared = pour_checkpoint(folder / "declared.rules")
    assert [path.name for path in declared.written] == ["other.keras", "net.safetensors"]
    asked = pour_checkpoint(folder / "declared.rules", [f"weights.h5={folder / 'a.weights.h5'}"])
    assert asked.written == (folder / "a.weights.h5",)


def keras_model(call):
    import keras

    class Calls(keras.layers.Layer):
        def call(self, x):
            return call(keras.ops, x)

    x = keras.Input((6,), name="x")
    return keras.Model(x, Calls()(x))


def written(tmp_path, call, name):
    (tmp_path / "samples").mkdir()
    np.save(tmp_path / "samples" / "x.npy", np.random.default_rng(0).random((4, 6), np.float32))
    targets = [target(name, tmp_path / "tf.py")]
    return write_artefacts(keras_model(call), WeightPlan("x", (), ()), targets, tmp_path / "samples")


def test_operators_that_need_the_flex_delegate_are_told(tmp_path):
    notes = written(tmp_path, lambda ops, x: ops.erf(x) + 1, "tflite")
    assert notes == ("tf.tflite needs TFLite's Flex delegate, for Erf",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tflite", r"^tflite: cannot be converted: TFLite has no Erfinv\n  end the model before it"),
        ("tflite-int8", r"^tflite-int8: cannot be converted: TFLite has no Erfinv of integers\n"),
    ],
)
def test_operators_that_tflite_lacks_are_named_and_nothing_is_written(tmp_path, name, message):
    with pytest.raises(ModelError, match=message):
        written(tmp_path, lambda ops, x: ops.erfinv(x), name)
    assert [path.name for path in tmp_path.iterdir()] == ["samples"]


def test_full_int8_of_a_model_of_any_size(tmp_path):
    import keras

    from transpiler.artefacts.run_tflite import tflite_runner

    x = keras.Input((None, None, 3), name="x")
    model = keras.Model(x, keras.layers.Conv2D(4, 3, padding="same", activation="relu")(x))
    random = np.random.default_rng(0)
    for number, size in enumerate([(8, 6), (8, 6), (12, 10)]):
        np.save(tmp_path / f"{number}.npy", random.standard_normal((9, *size, 3)).astype(np.float32))
    write_artefacts(model, WeightPlan("x", (), ()), [target("tflite-int8", tmp_path / "tf.py")], tmp_path)
    given = random.standard_normal((1, 9, 7, 3)).astype(np.float32)
    expected = np.asarray(model(given))
    (found,) = tflite_runner((tmp_path / "tf.int8.tflite").read_bytes())({"x": given}).values()
    assert np.abs(found - expected).max() / np.abs(expected).max() <= EIGHT_BITS


def test_full_int8_needs_samples(folder):
    targets = [target("tflite-int8", folder / "tf.py")]
    with pytest.raises(CheckpointError, match=r"^tflite-int8: needs a folder of representative data\n"):
        write_artefacts(keras_model(lambda ops, x: x + 1), WeightPlan("x", (), ()), targets)


def test_another_backend_writes_what_it_can(monkeypatch, tmp_path):
    from transpiler.artefacts import write

    monkeypatch.setattr(write.keras, "backend", SimpleNamespace(backend=lambda: "jax"))
    targets = [target(name, tmp_path / "tf.py") for name in ("keras", "tflite", "saved_model")]
    with pytest.raises(ModelError, match=r"^tflite, saved_model: written by Keras on TensorFlow only, .* on jax\n"):
        write_artefacts(keras_model(lambda ops, x: x + 1), WeightPlan("x", (), ()), targets)
    assert list(tmp_path.iterdir()) == []
