from __future__ import annotations

import hashlib

import ml_dtypes
import numpy as np
import pytest

from transpiler.weights import examine as module
from transpiler.weights.examine import examine, same_values, sha256_of

F16, F32, F64 = (np.dtype(name) for name in ("float16", "float32", "float64"))
BF16 = np.dtype(ml_dtypes.bfloat16)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(module, "_PIECE", 7)


def sha256(array):
    return hashlib.sha256(array.tobytes()).hexdigest()


@pytest.mark.parametrize("dtype", [F16, F32, F64, BF16, np.dtype("int64"), np.dtype("bool")])
def test_the_digest_is_that_of_the_bytes_in_c_order(dtype):
    array = np.random.default_rng(0).normal(size=(5, 3, 4)).astype(dtype)
    for each in (array, array.transpose(2, 0, 1), array[::2], array[0, 0, 0], array[:0]):
        assert sha256_of(each) == sha256(each)
        assert sha256_of(each, F64) == sha256(each.astype(F64))


@pytest.mark.parametrize(
    ("values", "own", "target", "nonfinite", "rounded", "exact"),
    [
        ([1.0, 1 / 3], F32, F32, 0, 0, True),
        ([1.0, 1 / 3], F32, F64, 0, 0, True),
        ([1.0, 1 / 3], F64, F32, 0, 1, False),
        ([1.0, 1e300], F64, F32, 0, 1, False),
        ([1.0, 1e-300, 0.5], F64, F32, 0, 1, False),
        ([1.0, 0.5, -0.0], F64, F32, 0, 0, True),
        ([1.0, 1 / 3], BF16, F32, 0, 0, True),
        ([1.0, 1 / 3], F16, F32, 0, 0, True),
        ([1.0, 1 / 3], F16, BF16, 0, 1, False),
        ([np.nan, np.inf, -np.inf, 1.0], F32, F32, 3, 0, True),
        ([np.inf, 1.0], F64, F32, 1, 0, True),
        ([0.0, -np.inf] * 10, F32, F32, 0, 0, True),
        ([0.0, -np.inf] * 10 + [np.nan], F32, F32, 11, 0, True),
        ([0, 1 << 40], np.dtype("int64"), np.dtype("int32"), 0, 1, False),
        ([0, 1 << 20], np.dtype("int64"), np.dtype("int32"), 0, 0, True),
    ],
)
def test_what_pouring_would_lose_is_counted(values, own, target, nonfinite, rounded, exact):
    array = np.array(values).astype(own)
    found = examine(array, target)
    assert (found.nonfinite, found.rounded, found.poured_sha256 is None) == (nonfinite, rounded, exact)
    assert found.sha256 == sha256(array)
    if not exact:
        with np.errstate(all="ignore"):
            assert found.poured_sha256 == sha256(array.astype(target))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_a_single_bound_may_be_infinite_and_not_a_number_may_not(value):
    assert examine(np.array(value, F32), F32).nonfinite == 0
    assert examine(np.array(np.nan, F32), F32).nonfinite == 1


def test_numbers_are_the_same_whatever_their_type():
    array = np.arange(12.0).reshape(3, 4)
    assert same_values(array, array.astype(np.float16))
    assert same_values(np.full(9, np.nan), np.full(9, np.nan, np.float32))
    assert not same_values(array, np.where(array == 11, 0, array))
