"""`keras.Sequential(a, b)` in anybody's file is found, torch's own form is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from transpiler.errors import ModelError
from transpiler.source_review import review_file


@pytest.mark.parametrize(
    ("source", "places"),
    [
        ("import keras\nm = keras.Sequential(a, b)\n", ["t.py:2:5"]),
        ("import tensorflow as tf\nx = 1\nm = tf.keras.Sequential(Conv(3), name='m')\n", ["t.py:3:5"]),
        ("from keras import Sequential\nSequential(*layers)\nSequential(A(1), B(2))\n", ["t.py:2:1", "t.py:3:1"]),
        ("import keras\nkeras.Sequential([a, b])\nkeras.Sequential(layers, name='m')\nkeras.Sequential()\n", []),
        ("import keras\nkeras.Sequential(list(blocks))\n", []),
        ("from torch import nn\nimport torch\nnn.Sequential(a, b)\ntorch.nn.Sequential(a, b)\n", []),
        ("import torch.nn as layers\nlayers.Sequential(a, b)\n", []),
    ],
)
def test_layers_as_arguments_are_found(tmp_path: Path, source: str, places: list[str]) -> None:
    file = tmp_path / "t.py"
    file.write_text(source)
    assert [problem.where for problem in review_file(file)] == places


def test_the_message_shows_the_line_and_the_cure(tmp_path: Path) -> None:
    file = tmp_path / "t.py"
    file.write_text("import keras\nself.conv = keras.Sequential(GSConv(c1, c_), GSConv(c_, c2))\n")
    (problem,) = review_file(file)
    assert str(problem).splitlines() == [
        "t.py:2:13: keras.Sequential takes one list of layers; a second argument is read as its name or as `trainable`",
        "  self.conv = keras.Sequential(GSConv(c1, c_), GSConv(c_, c2))",
        "              ^",
        "  write keras.Sequential([a, b])",
    ]


def test_what_is_no_python_is_one_message(tmp_path: Path) -> None:
    file = tmp_path / "t.py"
    file.write_text("def (")
    with pytest.raises(ModelError, match=r"t\.py: cannot be read as Python"):
        review_file(file)
