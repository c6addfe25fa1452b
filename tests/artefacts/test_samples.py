"""Representative data: what is read, in which order, and everything that can be wrong with it."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from transpiler.artefacts.samples import open_samples
from transpiler.errors import CheckpointError


def model(*shapes, dtype="float32"):
    inputs = [keras.Input(batch_shape=shape, name=name, dtype=dtype) for name, shape in zip("xy", shapes, strict=False)]
    return keras.Model(inputs, keras.layers.Concatenate()(inputs) if len(inputs) > 1 else inputs[0] + 1)


@pytest.fixture
def save(tmp_path):
    def saved(**arrays):
        for name, array in arrays.items():
            np.save(tmp_path / f"{name.replace('_', '.')}.npy", array)
        return tmp_path

    return saved


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


def test_files_are_joined_in_the_order_in_which_people_count(save):
    folder = save(x_10=ones(1, 3) * 10, x_2=np.stack([ones(3) * 2, ones(3) * 3]), y=ones(3, 4))
    samples = open_samples(folder, model((None, 3), (None, 4)))
    assert [sample["x"][0, 0] for sample in samples] == [2, 3, 10]
    assert samples[0]["x"].shape == (1, 3)
    assert samples[0]["y"].shape == (1, 4)


def test_with_a_single_input_any_name_will_do(save):
    assert len(open_samples(save(img_1=ones(2, 3), other=ones(1, 3)), model((None, 3)))) == 3


def test_a_model_of_a_fixed_batch_is_given_as_many_at_a_time(save):
    samples = open_samples(save(x=ones(5, 3)), model((2, 3)))
    assert [sample["x"].shape for sample in samples] == [(2, 3), (2, 3)]


def test_dynamic_axes_take_any_size(save):
    samples = open_samples(save(x_0=ones(1, 3, 4), x_1=ones(1, 7, 4)), model((None, None, 4)))
    assert [sample["x"].shape for sample in samples] == [(1, 3, 4), (1, 7, 4)]


HINT = "\n  samples along the first axis, the others as in Keras: np.save('samples/x.npy', array)"


@pytest.mark.parametrize(
    ("arrays", "messages"),
    [
        ({}, ["there are no .npy files in it, so no representative data"]),
        ({"x": ones(2, 3), "z": ones(2, 3)}, ["z.npy: the model has no input 'z'\n  the inputs are x, y"]),
        ({"x": ones(2, 4), "y": ones(2, 4)}, ["x.npy: has shape [2, 4], input 'x' takes [samples, 3]" + HINT]),
        ({"x": ones(3), "y": ones(2, 4)}, ["x.npy: has shape [3], input 'x' takes [samples, 3]" + HINT]),
        ({"x": np.float32(1), "y": ones(2, 4)}, ["x.npy: has shape [], input 'x' takes [samples, 3]" + HINT]),
        ({"x": ones(0, 3), "y": ones(2, 4)}, ["x.npy: has shape [0, 3], input 'x' takes [samples, 3]" + HINT]),
        ({"x": ones(2, 3, dtype=np.float64), "y": ones(2, 4)}, ["x.npy: is float64, input 'x' is float32" + HINT]),
        (
            {"x": ones(2, 3) * np.array([1, np.nan, np.inf], "f"), "y": ones(2, 4)},
            ["x.npy: holds 4 value(s) that are infinite or not a number"],
        ),
        ({"x": ones(2, 3), "y": ones(3, 4)}, ["samples are missing: there are 2 of 'x', 3 of 'y'"]),
        ({"x": ones(2, 3)}, ["samples are missing: there are 2 of 'x', 0 of 'y'", "too few samples: "]),
        ({"x": np.array([None]), "y": ones(2, 4)}, ["x.npy: not a readable .npy file: "]),
        ({"x": ones(2, 5), "y": ones(2, 4, dtype=np.int32)}, ["x.npy: has shape [2, 5]", "y.npy: is int32"]),
    ],
)
def test_what_does_not_fit_is_told_all_at_once(save, arrays, messages):
    with pytest.raises(CheckpointError) as caught:
        open_samples(save(**arrays), model((None, 3), (None, 4)))
    assert len(caught.value.diagnostics) == len(messages)
    for message in messages:
        assert message in str(caught.value)


def test_files_that_are_no_arrays_and_folders_that_are_not_there(tmp_path):
    with pytest.raises(CheckpointError, match="there is no such folder, so no representative data"):
        open_samples(tmp_path / "none", model((None, 3)))
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01")
    with pytest.raises(CheckpointError, match=r"^x.npy: not a readable .npy file"):
        open_samples(tmp_path, model((None, 3)))
    (tmp_path / "x.npy").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"^x.npy: not a readable .npy file"):
        open_samples(tmp_path, model((None, 3)))
