"""A poured file is proven by the digests that it carries: with neither the torch model nor torch."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from transpiler.build import build_from_source
from transpiler.errors import CheckpointError
from transpiler.weights.allowances import parse_allowances
from transpiler.weights.blank import blank_models
from transpiler.weights.checkpoint import open_checkpoint
from transpiler.weights.plan import PlanEntry, WeightPlan
from transpiler.weights.plan_file import write_plan
from transpiler.weights.pour_files import pour_files
from transpiler.weights.proof import prove

SOURCE = """
import keras
from keras import layers


@keras.saving.register_keras_serializable(package="proof_test")
class Net(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.fc = layers.Dense(3)
        self.attn = layers.MultiHeadAttention(2, 2, use_bias=False)

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(2,), initializer="ones", trainable=False, name="scale")
        super().build(input_shape)

    def call(self, x):
        return self.attn(self.fc(x), self.fc(x))


def build_model():
    x = keras.Input((5, 4), name="x")
    return keras.Model(x, Net(name="model")(x), name="net")
"""


def line(variables, source, pattern, source_shape, shapes, sizes=(), constant=None):
    return PlanEntry(variables, source, pattern, sizes, source_shape, "float32", shapes, constant)


HEADS = (("t", 3), ("h", 2), ("d", 2))
PLAN = WeightPlan(
    "Net",
    (
        line(("fc.kernel",), "fc.weight", "o i -> i o", (3, 4), ((4, 3),)),
        line(("fc.bias",), "fc.bias", "o -> o", (3,), ((3,),)),
        line(
            ("attn.query.kernel", "attn.key.kernel", "attn.value.kernel"),
            "attn.in_proj_weight",
            "(t h d) e -> t e h d",
            (12, 3),
            ((3, 2, 2),) * 3,
            HEADS,
        ),
        line(("attn.attention_output.kernel",), "attn.out", "o (h d) -> h d o", (3, 4), ((2, 2, 3),), (("h", 2),)),
        line(("scale",), "scale", "a -> a", (2,), ((2,),), constant="AACAPwAAAEA="),
    ),
    (),
)
FILES = ["tf.weights.h5", "tf.keras", "tf.safetensors"]


def state(**changes):
    generator = np.random.default_rng(0)
    values = {
        entry.source: generator.normal(size=entry.source_shape).astype(np.float32)
        for entry in PLAN.entries
        if entry.constant is None
    }
    return values | {key.replace("__", "."): value for key, value in changes.items()}


@pytest.fixture(scope="module")
def blank():
    with blank_models():
        return build_from_source(SOURCE, "Net")


def poured(folder, blank, tensors, allow=()):
    save_file(tensors, folder / "net.safetensors")
    checkpoint = open_checkpoint(folder / "net.safetensors")
    pour_files(blank, PLAN, checkpoint, [folder / name for name in FILES], parse_allowances(allow))
    return checkpoint


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_every_file_is_proven_with_the_checkpoint_and_without(blank, tmp_path, dtype):
    checkpoint = poured(tmp_path, blank, state(attn__out=np.ones((3, 4)).astype(dtype) / 3))
    for name in FILES:
        for given in (None, checkpoint):
            proof = prove(tmp_path / name, blank, PLAN, given)
            assert str(proof) == f"{name}: 4 tensors are those of net.safetensors, bit for bit"
            assert not proof.faults


def change_h5(path, index=0):
    with h5py.File(path, "r+") as file:
        file["layers/net/fc/vars/0"][0, index] += 1e-7  # below what bfloat16 can tell


def change_keras(path):
    inner = path.with_name("inner.h5")
    with zipfile.ZipFile(path) as archive:
        rest = {name: archive.read(name) for name in archive.namelist() if not name.endswith(".h5")}
        inner.write_bytes(archive.read("model.weights.h5"))
    change_h5(inner)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(inner, "model.weights.h5")
        for name, text in rest.items():
            archive.writestr(name, text)


def change_safetensors(path):
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors["fc.kernel"] = tensors["fc.kernel"] + np.float32(1e-7)
    save_file(tensors, path, metadata)


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize(
    ("name", "change"), [(FILES[0], change_h5), (FILES[1], change_keras), (FILES[2], change_safetensors)]
)
def test_a_changed_value_is_found(blank, tmp_path, name, change, dtype):
    poured(tmp_path, blank, state(fc__weight=np.ones((3, 4)).astype(dtype)))
    change(tmp_path / name)
    assert prove(tmp_path / name, blank, PLAN).faults == ("'fc.weight' is not what was poured",)


def test_a_changed_constant_is_found(blank, tmp_path):
    poured(tmp_path, blank, state())
    with h5py.File(tmp_path / "tf.weights.h5", "r+") as file:
        file["layers/net/vars/0"][1] = 3
    assert prove(tmp_path / "tf.weights.h5", blank, PLAN).faults == ("'scale' is not the plan's constant",)


def test_another_checkpoint_is_found(blank, tmp_path):
    poured(tmp_path, blank, state())
    save_file(state(fc__bias=np.zeros(3, np.float32)), tmp_path / "net.safetensors")
    proof = prove(tmp_path / "tf.weights.h5", blank, PLAN, open_checkpoint(tmp_path / "net.safetensors"))
    assert proof.faults == ("'fc.bias' of net.safetensors is another one than was poured",)


def test_what_was_allowed_is_told(blank, tmp_path):
    tensors = state(fc__weight=np.full((3, 4), 1 / 3), fc__bias=np.array([np.nan, np.inf, 1], np.float32))
    del tensors["attn.out"]
    poured(tmp_path, blank, tensors, ["narrowing:*", "nonfinite:fc.bias", "missing:attn.out"])
    for name in FILES:
        assert str(prove(tmp_path / name, blank, PLAN)) == "\n".join(
            [
                f"{name}: 2 tensors are those of net.safetensors, bit for bit",
                f"{name}: 'fc.weight' is that of net.safetensors, rounded",
                f"{name}: 'attn.out' was left as Keras makes it",
            ]
        )


def drop_record(path):
    with h5py.File(path, "r+") as file:
        del file["kerascribe"]


def drop_variable(path):
    with h5py.File(path, "r+") as file:
        del file["layers/net/fc/vars/1"]


def drop_half(path):
    path.write_bytes(path.read_bytes()[:3000])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_record, "tf.weights.h5: carries no record of what was poured\n  write it with"),
        (drop_half, "tf.weights.h5: cannot be read: "),
        (Path.unlink, "tf.weights.h5: there is no such file"),
    ],
)
def test_a_file_that_cannot_be_proven_says_why(blank, tmp_path, change, message):
    poured(tmp_path, blank, state())
    change(tmp_path / "tf.weights.h5")
    with pytest.raises(CheckpointError) as caught:
        prove(tmp_path / "tf.weights.h5", blank, PLAN)
    assert str(caught.value).startswith(message)


def test_a_variable_that_is_gone_is_a_fault(blank, tmp_path):
    poured(tmp_path, blank, state())
    drop_variable(tmp_path / "tf.weights.h5")
    assert prove(tmp_path / "tf.weights.h5", blank, PLAN).faults == ("has no variable 'fc.bias'",)


RULES = """\
use torch.nn
use torch.aten
model "gone.py:Net" {
    input x float32[batch, 5, 4]
    weights "net.safetensors"
}
"""
COMMAND = (
    "import sys; sys.argv[0] = 'kerascribe'\nfrom transpiler.cli import main\n"
    "try: main()\nfinally: assert 'torch' not in sys.modules"
)


def test_the_commands_need_neither_the_torch_model_nor_torch(tmp_path):
    (tmp_path / "net.rules").write_text(RULES)
    (tmp_path / "tf.py").write_text(SOURCE)
    write_plan(tmp_path / "tf.weights.json", PLAN)
    save_file(state(head__weight=np.zeros(2)), tmp_path / "net.safetensors")

    def run(*arguments):
        command = [sys.executable, "-c", COMMAND, *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = run("pour", "net.rules", "--allow", "extra:head.*", "--allow", "missing:x")
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [
            "--allow extra:head.* has let pass: 'head.weight'",
            "--allow missing:x has let pass: nothing, it was not needed",
            "wrote tf.weights.h5",
            "wrote tf.keras",
        ],
    ), done.stderr
    done = run("verify", "net.rules", "--weights")
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [f"{name}: 4 tensors are those of net.safetensors, bit for bit" for name in FILES[:2]],
    ), done.stderr
    change_h5(tmp_path / "tf.weights.h5")
    done = run("verify", "net.rules", "--artefact", "tf.weights.h5")
    assert (done.returncode, done.stdout) == (1, "tf.weights.h5: 'fc.weight' is not what was poured\n")
