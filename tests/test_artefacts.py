"""What is generated lives without PyTorch and without kerascribe, and goes where Keras models go."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.networks import SLIMNECK, images, outputs_of_keras, randomise, relative_error, slimneck_module
from transpiler import transpile
from transpiler.capture.constructors import recording
from transpiler.port import Port

SIZE = (192, 256)

ALONE = """
import sys
for absent in ("torch", "transpiler", "lark", "jinja2"):
    sys.modules[absent] = None  # importing it raises ImportError
import importlib.util
import numpy as np
spec = importlib.util.spec_from_file_location("tf_source", "tf.py")
module = importlib.util.module_from_spec(spec)
sys.modules["tf_source"] = module
spec.loader.exec_module(module)
model = module.build_model()
model.load_weights("tf.weights.h5")
np.save("result.npy", np.asarray(model(np.load("x.npy"))))
"""


@pytest.fixture(scope="module")
def port() -> Port:
    with recording() as constructors:
        model = slimneck_module("model").SlimNeck(nc=3)
    randomise(model.eval(), seed=1)
    return transpile(
        model, (images(1, SIZE, seed=0),), rules=SLIMNECK / "slimneck.rules", name="SlimNeck", constructors=constructors
    )


@pytest.fixture(scope="module")
def built(port: Port) -> keras.Model:
    return port.build()


def test_the_source_runs_where_torch_and_kerascribe_are_not_installed(
    port: Port, built: keras.Model, tmp_path: Path
) -> None:
    x = np.random.default_rng(0).standard_normal((2, *SIZE, 3), dtype=np.float32)
    port.write(tmp_path / "tf.py")
    built.save_weights(tmp_path / "tf.weights.h5")
    np.save(tmp_path / "x.npy", x)
    done = subprocess.run([sys.executable, "-c", ALONE], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    np.testing.assert_array_equal(np.load(tmp_path / "result.npy"), np.asarray(built(x)))


def test_tflite_gives_the_same_outputs(port: Port, built: keras.Model, tmp_path: Path) -> None:
    import tensorflow as tf

    built.export(tmp_path / "saved", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    x = images(1, SIZE, seed=3)
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], [1, *SIZE, 3])
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], x.permute(0, 2, 3, 1).numpy())
    interpreter.invoke()
    (expected,) = outputs_of_keras(built, port.signature, (x,))
    assert relative_error(expected, interpreter.get_tensor(found["index"])) <= 1e-4
