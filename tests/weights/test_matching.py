from __future__ import annotations

import numpy as np
import pytest

from transpiler.errors import CheckpointError
from transpiler.weights.matching import match_checkpoint
from transpiler.weights.plan import Dropped, PlanEntry, Tied, WeightPlan


def line(source, shape, dtype="float32", constant=None):
    letters = " ".join("abcd"[: len(shape)])
    return PlanEntry((f"x.{source}",), source, f"{letters} -> {letters}", (), shape, dtype, (shape,), constant)


PLAN = WeightPlan(
    "Net",
    (
        line("conv.weight", (2, 3)),
        line("conv.bias", (2,)),
        line("mask", (2, 2)),
        line("scale", (1,), constant="AACAPw=="),
    ),
    (Dropped("bn.num_batches_tracked", "Keras counts none"),),
    (Tied("head.weight", "conv.weight"),),
)


def tensors(**changes):
    good = {
        "conv.weight": np.ones((2, 3), np.float32),
        "conv.bias": np.zeros(2, np.float32),
        "mask": np.array([[0, -np.inf], [0, 0]], np.float32),
    }
    return {key.replace("__", "."): value for key, value in {**good, **changes}.items() if value is not None}


def test_a_checkpoint_that_fits_gives_every_source_and_the_constants():
    found = match_checkpoint(PLAN, tensors(**{"bn.num_batches_tracked": np.array(3)}))
    assert sorted(found) == ["conv.bias", "conv.weight", "mask", "scale"]
    np.testing.assert_array_equal(found["scale"], [1.0])


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_another_precision_is_no_fault(dtype):
    assert match_checkpoint(PLAN, tensors(**{"conv.bias": np.zeros(2, dtype)}))["conv.bias"].dtype == dtype


def test_a_tied_key_stands_in_for_the_one_that_the_file_left_out():
    weight = np.full((2, 3), 5, np.float32)
    assert match_checkpoint(PLAN, tensors(**{"conv.weight": None, "head.weight": weight}))["conv.weight"] is weight


def test_everything_that_does_not_fit_is_listed_at_once():
    bad = tensors(
        **{
            "conv.weight": np.ones((3, 2), np.float32),
            "conv.bias": None,
            "conv.biases": np.zeros(2, np.float32),
            "mask": np.array([[np.nan, 1], [np.inf, 0]], np.float32),
            "zzz": np.zeros(1),
        }
    )
    with pytest.raises(CheckpointError) as caught:
        match_checkpoint(PLAN, bad, "net.pt")
    assert str(caught.value) == "\n".join(
        [
            "net.pt: 'conv.weight' has shape [3, 2], the model needs [2, 3]",
            "net.pt: missing: 'conv.bias' [2]",
            "  the checkpoint has 'conv.biases' instead",
            "net.pt: left over: 'conv.biases'",
            "  the model has 'conv.bias'",
            "net.pt: left over: 'zzz'",
            "net.pt: 'mask' holds 2 value(s) that are infinite or not a number",
        ]
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv.bias": np.zeros(2, np.int64)}, "'conv.bias' is int64, the model needs float32"),
        ({"conv.bias": np.array([1, -np.inf])}, "'conv.bias' holds 1 value(s) that are infinite or not a number"),
        ({"head.weight": np.zeros((2, 3))}, "'head.weight' differs from 'conv.weight', which the model ties to it"),
    ],
)
def test_one_fault_is_one_line(changes, message):
    with pytest.raises(CheckpointError) as caught:
        match_checkpoint(PLAN, tensors(**changes))
    assert str(caught.value) == message
