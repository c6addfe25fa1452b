"""The yardsticks themselves: each finds the fault that it is there for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from scripts.tables import markdown
from tests.networks import calibrate, constant_tensors, leaves, randomise, relative_error, transpose_count
from tests.source_checks import check_source

GOOD = """import keras
from keras import layers


def build_model():
    return keras.Sequential([layers.Dense(3)])
"""


def test_good_source_passes() -> None:
    check_source(GOOD)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (("import keras\n", "import keras\nimport torch\n"), "imports torch"),
        (("import keras\n", "import keras\nfrom transpiler import port\n"), "imports transpiler"),
        (("from keras import layers\n", "from . import layers\n"), r"imports \."),
        (("[layers.Dense(3)]", "layers.Dense(3), layers.Dense(4)"), "line 6: .* one argument, a list"),
        (("[layers.Dense(3)]", "layers.Dense(3)"), "one argument, a list"),
        (("layers.Dense(3)", "layers.Lambda(len)"), r"Lambda layers at lines \[6\]"),
        (("from keras import layers\n", "from keras import layers, ops\n"), "F401"),
        (("    return keras", "    return  keras"), "ruff format"),
    ],
)
def test_faults_in_source_are_found(fault: tuple[str, str], message: str) -> None:
    assert fault[0] in GOOD
    with pytest.raises(AssertionError, match=message):
        check_source(GOOD.replace(*fault))


@pytest.mark.parametrize(
    ("expected", "actual", "error"),
    [
        ([2.0, -4.0], [2.0, -4.0], 0.0),
        ([2.0, -4.0], [3.0, -4.0], 0.25),
        ([2.0, -4.0], [2.0], np.inf),
        ([2.0, -4.0], [2.0, np.nan], np.inf),
        ([2.0, np.nan], [2.0, np.nan], np.inf),
    ],
)
def test_relative_error(expected: list[float], actual: list[float], error: float) -> None:
    assert relative_error(np.array(expected), np.array(actual)) == error


def test_leaves_come_in_the_order_of_sorted_keys() -> None:
    assert list(leaves({"out": 1, "aux": [2, (3,)]})) == [2, 3, 1]


def test_transposes_are_counted_inside_called_functions() -> None:
    import keras
    import tensorflow as tf

    class Inner(keras.layers.Layer):
        @tf.function
        def call(self, x):
            return tf.transpose(x, [0, 2, 1])

    x = keras.Input((4, 5))
    assert transpose_count(keras.Model(x, keras.layers.Conv1D(3, 1)(x))) == 0
    assert transpose_count(keras.Model(x, Inner()(x))) == 1
    assert transpose_count(keras.Model(x, Inner()(keras.layers.Permute((2, 1))(x)))) == 2


def test_randomise_leaves_nothing_constant_and_calibrate_keeps_the_scale() -> None:
    layers = [layer for _ in range(40) for layer in (nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Conv2d(6, 6, 1)).eval()
    x = torch.randn(4, 6, 9, 11, generator=torch.Generator().manual_seed(0))
    assert constant_tensors(model)
    randomise(model, seed=0)
    assert constant_tensors(model) == []
    calibrate(model, x)
    with torch.no_grad():
        assert model(x).std() == pytest.approx(1, abs=1e-3)


def test_randomise_is_the_same_for_the_same_seed() -> None:
    first, second = nn.Linear(3, 4), nn.Linear(3, 4)
    randomise(first, seed=0)
    randomise(second, seed=0)
    assert torch.equal(first.weight, second.weight)
    randomise(second, seed=1)
    assert not torch.equal(first.weight, second.weight)


def test_markdown_aligns_columns() -> None:
    assert markdown(["model", "ms"], [["a", "1"], ["resnet50", "56"]]).splitlines() == [
        "| model    | ms |",
        "|:---------|---:|",
        "| a        |  1 |",
        "| resnet50 | 56 |",
    ]
