"""Styles of the generated source: names of classes, how Keras is imported, one file or several."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys

import pytest
import torch

from tests.source_checks import classes
from transpiler import transpile
from transpiler.errors import RulesError

MODEL = """\
import torch
from torch import nn

import blocks


class Unit(nn.Module):
    def __init__(self, c1, c2):
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, 3, padding=1)

    def forward(self, x):
        return torch.tanh(self.conv(x))


class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.stem = Unit(3, width)
        self.body = blocks.Unit(width)
        self.extra = blocks.Stack(width, 2)

    def forward(self, x):
        x = self.extra(self.body(self.stem(x)))
        return nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
"""
BLOCKS = """\
from torch import nn


class Unit(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv = nn.Conv2d(c, c, 1)

    def forward(self, x):
        return x + self.conv(x)


class Stack(nn.Module):
    def __init__(self, c, n):
        super().__init__()
        self.m = nn.Sequential(*(Unit(c) for _ in range(n)))
        self.unit = nn.Conv2d(c, c, 3, groups=2, padding=1)

    def forward(self, x):
        return self.unit(self.m(x))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "net.py").write_text(MODEL)
    (tmp_path / "blocks.py").write_text(BLOCKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("net", "blocks"):
        sys.modules.pop(name, None)
    yield tmp_path
    for name in ("net", "blocks"):
        sys.modules.pop(name, None)


def ported(folder, style):
    rules = folder / "net.rules"
    rules.write_text(f'model "net.py:Net" {{\n    input x float32[batch, 3, 8, 10]\n    style {{ {style} }}\n}}\n')
    torch.manual_seed(0)
    model = importlib.import_module("net").Net().eval()
    return transpile(model, (torch.rand(2, 3, 8, 10),), rules=rules, name="Net")


@pytest.mark.parametrize(
    ("style", "names"),
    [
        ('prefix = "TF"', {"TFUnit", "TFUnit2", "TFStack", "TFNet"}),
        ('rename.net.Unit = "Stem", rename.blocks.Unit = "Residual"', {"Stem", "Residual", "Stack", "Net"}),
        ('prefix = "TF", rename.Net = "Detector"', {"TFUnit", "TFUnit2", "TFStack", "Detector"}),
        ('prefix = "TF", rename.Stack = "TFBlocks"', {"TFUnit", "TFUnit2", "TFBlocks", "TFNet"}),
    ],
)
def test_names_of_classes(folder, style, names):
    port = ported(folder, style)
    assert names == {name for name in classes(port.source) if classes(port.source)[name].bases[0].attr == "Layer"}
    assert port.verify().ok()


@pytest.mark.parametrize(
    ("style", "message", "caret", "hint"),
    [
        ('rename.Stak = "Blocks"', "no class of the model is named 'Stak'", '"Blocks"', "did you mean 'Stack'?"),
        ('rename.Conv2d = "C"', "no class of the model is named 'Conv2d'", '"C"', "there are: Net, Stack, Unit"),
        (
            'rename.Stack = "Unit"',
            "the class of net.Unit is named 'Unit', too",
            '"Unit"',
            "give one of them another name",
        ),
        (
            'prefix = "TF", rename.Net = "TFStack"',
            "the class of blocks.Stack is named 'TFStack', too",
            '"TFStack"',
            "give one of them another name",
        ),
        (
            'rename.Stack = "GroupedConv2D"',
            "'GroupedConv2D' is the name of a helper of ours",
            '"GroupedConv2D"',
            "choose another name",
        ),
        (
            'rename.Unit = "Block"',
            "'Unit' may be net.Unit and blocks.Unit",
            '"Block"',
            "say more of its path, as in: rename.net.Unit",
        ),
    ],
)
def test_a_rename_that_does_not_fit_the_model(folder, style, message, caret, hint):
    with pytest.raises(RulesError) as caught:
        ported(folder, style)
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.message, diagnostic.hint) == (message, hint)
    line, below = diagnostic.excerpt.split("\n")
    assert line[below.index("^") : below.rindex("^") + 1] == caret


def test_a_package_stands_in_every_registered_name(folder):
    import keras

    model = ported(folder, 'package = "vision.nets"').build()
    assert {keras.saving.get_registered_name(type(layer)) for layer in model.layers} >= {"vision.nets>Net"}


TF_KERAS = """
import sys, warnings
warnings.simplefilter("error")
warnings.filterwarnings("ignore", "__array__")  # of Keras itself
sys.path.insert(0, ".")
import tf as ported
import numpy as np
from tensorflow import keras
model = ported.build_model()
assert isinstance(model, keras.Model)
x = np.random.default_rng(0).standard_normal((2, 8, 10, 3), dtype=np.float32)
model.save("saved.keras")
again = keras.models.load_model("saved.keras")
np.testing.assert_array_equal(model(x).numpy(), again(x).numpy())
"""


def test_tf_keras_is_imported_from_tensorflow_and_saves_and_reloads(folder):
    port = ported(folder, 'framework = "tf.keras"')
    imports = [
        ast.unparse(node) for node in ast.parse(port.source).body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert imports == ["from tensorflow import keras", "from tensorflow.keras import layers, ops"]
    assert port.verify().ok()
    port.write(folder / "tf.py")
    done = subprocess.run([sys.executable, "-c", TF_KERAS], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_framework_changes_nothing_but_the_imports(folder):
    ours, theirs = (ported(folder, f'framework = "{name}"').source.splitlines() for name in ("keras", "tf.keras"))
    differing = [line for line in theirs if line not in ours and "sha256" not in line and "Do not edit" not in line]
    assert differing == [
        "from tensorflow import keras",
        "from tensorflow.keras import layers, ops",
        'serializable = keras.utils.register_keras_serializable(package="net")',
    ]
