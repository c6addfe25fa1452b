from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import torch
from torch import nn

from transpiler.errors import InternalError
from transpiler.lowered import ModelInput, ModelOutput, Signature
from transpiler.verify.compare import compare, errors
from transpiler.verify.inputs import fresh_cases
from transpiler.verify.report import Report, Row


class TorchNet(nn.Module):
    """A strided convolution and two further outputs, one of them made of whole numbers."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.drop = nn.Dropout(0.5)

    def forward(self, x, index):
        y = self.drop(self.conv(x))
        return {"map": y, "also": (y.mean((2, 3)), index + 1)}


SIGNATURE = Signature(
    inputs=(
        ModelInput("x", "float32", (None, 3, 9, 13), (None, 9, 13, 3), "n c h w -> n h w c"),
        ModelInput("index", "int64", (None, 2), (None, 2), "b i -> b i"),
    ),
    outputs=(
        ModelOutput("map", "float32", (None, 4, 4, 6), "n c h w -> n h w c"),
        ModelOutput("also.0", "float32", (None, 4), "b c -> b c"),
        ModelOutput("also.1", "int64", (None, 2), "b i -> b i"),
    ),
)
EXAMPLES = (torch.zeros(2, 3, 9, 13), torch.tensor([[0, 5], [2, 3]]))


@pytest.fixture
def torch_net():
    torch.manual_seed(0)
    return TorchNet().train()


def keras_net(torch_net):
    x, index = keras.Input((9, 13, 3), name="x"), keras.Input((2,), dtype="int64", name="index")
    conv = keras.layers.Conv2D(4, 3, strides=2)
    y = conv(x)
    outputs = {"also": (keras.ops.mean(y, axis=(1, 2)), index + 1), "map": y}
    model = keras.Model([x, index], outputs)
    conv.kernel.assign(torch_net.conv.weight.detach().numpy().transpose(2, 3, 1, 0))
    conv.bias.assign(torch_net.conv.bias.detach().numpy())
    return model, conv


def test_equal_models_agree_at_every_batch_and_the_mode_is_restored(torch_net):
    model, _ = keras_net(torch_net)
    report = compare(torch_net, model, SIGNATURE, fresh_cases(SIGNATURE, EXAMPLES))
    assert [(row.name, row.batch, row.shape) for row in report.rows] == [
        ("map", 1, (1, 4, 6, 4)),
        ("also.0", 1, (1, 4)),
        ("also.1", 1, (1, 2)),
        ("map", 3, (3, 4, 6, 4)),
        ("also.0", 3, (3, 4)),
        ("also.1", 3, (3, 2)),
    ]
    # Sums of 27 float32 products in another order.
    assert report.ok(1e-5)
    assert not report.ok(0)
    assert torch_net.training
    assert torch_net.drop.training


def test_one_wrong_weight_is_seen_where_it_shows(torch_net):
    model, conv = keras_net(torch_net)
    kernel = keras.ops.convert_to_numpy(conv.kernel).copy()
    kernel[0, 0, 0, 0] += 0.1
    conv.kernel.assign(kernel)
    report = compare(torch_net, model, SIGNATURE, fresh_cases(SIGNATURE, EXAMPLES))
    assert not report.ok()
    assert [row.name for row in report.rows if row.max_rel_err > 1e-5] == ["map", "also.0"] * 2


def test_another_number_of_outputs_is_our_mistake(torch_net):
    model, _ = keras_net(torch_net)
    short = Signature(SIGNATURE.inputs, SIGNATURE.outputs[:2])
    with pytest.raises(InternalError, match="torch gives 3 outputs, Keras 3, the signature names 2"):
        compare(torch_net, model, short, fresh_cases(SIGNATURE, EXAMPLES))


def test_inputs_are_fresh_and_whole_numbers_stay_in_range():
    cases = list(fresh_cases(SIGNATURE, EXAMPLES, batches=(1, 64), seed=1))
    assert [case.inputs[0].shape for case in cases] == [(1, 3, 9, 13), (64, 3, 9, 13)]
    assert set(cases[1].inputs[1].unique().tolist()) == {0, 1, 2, 3, 4, 5}
    assert cases[1].inputs[0].min() < 0
    again = list(fresh_cases(SIGNATURE, EXAMPLES, batches=(1, 64), seed=1))
    other = list(fresh_cases(SIGNATURE, EXAMPLES, batches=(1, 64), seed=2))
    assert torch.equal(cases[1].inputs[0], again[1].inputs[0])
    assert not torch.equal(cases[1].inputs[0], other[1].inputs[0])


def test_a_model_that_fixes_its_batch_is_run_at_that_one():
    fixed = Signature((ModelInput("x", "float32", (2, 3, 9, 13), (2, 9, 13, 3), "n c h w -> n h w c"),), ())
    assert [case.batch for case in fresh_cases(fixed, EXAMPLES[:1])] == [2]


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ([1.0, -4.0], [1.0, -3.0], (1.0, 0.25)),
        ([0.0, 0.0], [0.0, 0.0], (0.0, 0.0)),
        ([0.0, 0.0], [0.0, 1e-9], (1e-9, math.inf)),
        ([math.nan, 2.0], [math.nan, 2.0], (0.0, 0.0)),
        ([math.inf, 2.0], [math.inf, 1.0], (1.0, 0.5)),
        ([math.inf, 2.0], [-math.inf, 2.0], (math.inf, math.inf)),
        ([1.0, 2.0], [math.nan, 2.0], (math.inf, math.inf)),
        ([1.0, 2.0], [1.0, 2.0, 3.0], (math.inf, math.inf)),
        ([], [], (0.0, 0.0)),
    ],
)
def test_errors(left, right, expected):
    assert errors(np.array(left), np.array(right)) == expected


def test_whole_numbers_do_not_wrap_around():
    assert errors(np.array([0, 4], np.uint8), np.array([1, 4], np.uint8)) == (1.0, 0.25)


def test_the_table_shows_every_row_and_what_it_is_worth():
    report = Report((Row("y", 3, (3, 4), 1e-7, 2e-7), Row("z", 3, (3, 5), 0.5, 0.25, "torch's shape is 3 x 6")))
    lines = [line.split("│")[1:-1] for line in str(report).splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in line] for line in lines] == [
        ["y", "3", "3 x 4", "1.00e-07", "2.00e-07", "same"],
        ["z", "3", "3 x 5", "5.00e-01", "2.50e-01", "differs: torch's shape is 3 x 6"],
    ]
    assert report.max_rel_err == 0.25


def test_a_report_without_rows_proves_nothing():
    assert not Report(()).ok()
