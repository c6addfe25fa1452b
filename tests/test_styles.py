"""Styles of the generated source: names of classes, how Keras is imported, one file or several."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys

import pytest
import torch

from tests.source_checks import check_ruff, classes
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


@pytest.mark.parametrize("split", ["false", "true"])
def test_lines_are_as_long_as_the_style_allows(folder, split):
    def texts(line_length):
        port = ported(folder, f"line_length = {line_length}, split = {split}")
        return [port.source] if split == "false" else list(port.package.values())

    longest = {}
    for line_length in (88, 320):
        for source in texts(line_length):
            check_ruff(source, line_length=line_length)
        longest[line_length] = max(len(line) for source in texts(line_length) for line in source.splitlines())
    assert longest[88] < longest[320]


# ── one file or several ────────────────────────────────────────────────────────────────────────────────────────────


def files_of(place):
    return {path.name: path.read_text() for path in sorted(place.glob("*.py"))}


def test_a_split_source_has_a_file_for_each_torch_module_and_one_for_helpers(folder):
    port = ported(folder, 'prefix = "TF", split = true')
    port.write(folder / "tf.py")
    files = files_of(folder / "tf")
    assert list(files) == ["__init__.py", "blocks.py", "helpers.py", "net.py"]
    assert not (folder / "tf.py").exists()
    assert set(classes(files["blocks.py"])) == {"TFUnit2", "TFStack"}
    assert set(classes(files["net.py"])) == {"TFUnit", "TFNet"}
    assert set(classes(files["helpers.py"])) == {"GroupedConv2D"}
    assert '__all__ = ["TFNet", "TFStack", "TFUnit", "TFUnit2", "build_model"]' in files["__init__.py"]
    assert port.verify().ok()


def check_package(files):
    """Every file passes ruff's default rules and format, all imports are used, and they run one way."""
    imports = {}
    for name, text in files.items():
        check_ruff(text, name)
        nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and node.level]
        imports[name] = {f"{node.module}.py" for node in nodes}
    assert set().union(*imports.values()) <= imports.keys()
    waiting = dict(imports)
    while waiting:
        ready = [name for name, others in waiting.items() if not others & waiting.keys()]
        assert ready, f"imports in a circle: {waiting}"
        for name in ready:
            del waiting[name]


def check_reloads(place, shape):
    """In a process that has neither torch nor kerascribe, the package builds, saves and loads without a warning."""
    script = f"""
import sys, warnings
for absent in ("torch", "transpiler", "lark", "jinja2"):
    sys.modules[absent] = None
warnings.simplefilter("error")
warnings.filterwarnings("ignore", "__array__")  # of Keras itself
sys.path.insert(0, ".")
import keras, numpy as np
from {place.name} import build_model
model = build_model()
x = np.random.default_rng(0).standard_normal({shape}, dtype=np.float32)
model.save("saved.keras")
again = keras.models.load_model("saved.keras")
np.testing.assert_array_equal(model(x).numpy(), again(x).numpy())
model.save_weights("saved.weights.h5")
again.load_weights("saved.weights.h5")
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=place.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("framework", ["keras", "tf.keras"])
def test_a_split_source_is_clean_and_saves_and_reloads(folder, framework):
    ported(folder, f'split = true, framework = "{framework}"').write(folder / "tf")
    check_package(files_of(folder / "tf"))
    check_reloads(folder / "tf", (2, 8, 10, 3))


def test_modules_whose_classes_use_one_another_share_a_file(folder):
    (folder / "net.py").write_text(MODEL.replace("blocks.Stack(width, 2)", "blocks.Holder(Unit(width, width))"))
    (folder / "blocks.py").write_text(
        BLOCKS
        + """

class Holder(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x) * 2
"""
    )
    port = ported(folder, "split = true")
    port.write(folder / "tf")
    files = files_of(folder / "tf")
    assert list(files) == ["__init__.py", "helpers.py", "net.py"]
    assert "the classes of `blocks` and `net`." in " ".join(files["net.py"].split())
    check_package(files)
    assert port.verify().ok()


def test_the_other_form_is_replaced(folder):
    port = ported(folder, "")
    port.write(folder / "tf.py")
    assert port.split().write(folder / "tf.py") == [folder / "tf.py"]
    (folder / "tf" / "__pycache__").mkdir()
    old = folder / "tf" / "old.py"
    old.write_text((folder / "tf" / "blocks.py").read_text())
    assert port.split().write(folder / "tf.py") == [old]
    removed = port.write(folder / "tf.py")
    assert [path.name for path in removed] == ["__init__.py", "blocks.py", "helpers.py", "net.py"]
    assert sorted(path.name for path in folder.glob("tf*")) == ["tf.py", "tf.weights.json"]


def test_what_others_wrote_is_left_alone(folder):
    port = ported(folder, "").split()
    (folder / "tf").mkdir()
    (folder / "tf" / "net.py").write_text("mine = 1\n")
    (folder / "tf.py").write_text("mine = 2\n")
    with pytest.raises(RulesError) as caught:
        port.write(folder / "tf")
    assert [str(diagnostic) for diagnostic in caught.value.diagnostics] == [
        "tf/: tf.py stands beside it, which Python would not read any more\n  choose another output, or remove it",
        "tf/net.py: is there and was not written for this model\n  remove it",
    ]
    assert sorted(path.name for path in folder.glob("tf*")) == ["tf", "tf.py"]
    assert files_of(folder / "tf") == {"net.py": "mine = 1\n"}
    (folder / "tf" / "__init__.py").write_text("")
    with pytest.raises(RulesError, match=r"^tf.py: the folder tf stands beside it, which Python would read instead"):
        ported(folder, "").write(folder / "tf.py")


def test_a_file_of_the_users_in_the_folder_stays(folder):
    port = ported(folder, "").split()
    port.write(folder / "tf")
    (folder / "tf" / "training.py").write_text("epochs = 3\n")
    port.write(folder / "tf")
    ported(folder, "").write(folder / "tf.py")
    assert files_of(folder / "tf") == {"training.py": "epochs = 3\n"}


# ── contents ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_contents_show_which_class_uses_which(folder):
    docstring = ast.get_docstring(ast.parse(ported(folder, "split = true").package["__init__.py"]))
    assert docstring is not None
    assert docstring.splitlines()[-5:] == [
        "Classes, each below the uppermost that uses it, with what it uses besides:",
        "    Net",
        "        Unit",
        "        Unit2",
        "        Stack: Unit2",
    ]
    assert "Classes, each" not in ported(folder, "").source
