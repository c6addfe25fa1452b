from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transpiler.errors import CheckpointError
from transpiler.weights.arrange import arrangement, to_keras, to_torch
from transpiler.weights.plan import PlanEntry

ROUND_TRIPS = [
    ("o i h w -> h w i o", (), (6, 3, 7, 5), ((7, 5, 3, 6),)),
    ("(c m) 1 h w -> h w c m", (("m", 2),), (8, 1, 3, 5), ((3, 5, 4, 2),)),
    ("o i ... -> ... i o", (), (4, 3, 2, 5, 7), ((2, 5, 7, 3, 4),)),
    ("o (c h w) -> (h w c) o", (("h", 2), ("w", 4)), (5, 24), ((24, 5),)),
    ("c 1 1 -> c", (), (4, 1, 1), ((4,),)),
    ("c -> 1 c", (), (4,), ((1, 4),)),
    ("(t h d) e -> t e h d", (("t", 3), ("h", 2)), (24, 5), ((5, 2, 4),) * 3),
    (" -> ", (), (), ((),)),
    ("... -> ...", (), (2, 3), ((2, 3),)),
]


def entry(pattern, sizes, source_shape, shapes):
    names = tuple(f"layer.v{number}" for number in range(len(shapes)))
    return PlanEntry(names, "layer.weight", pattern, sizes, source_shape, "float32", shapes)


@pytest.mark.parametrize(("pattern", "sizes", "source_shape", "shapes"), ROUND_TRIPS)
def test_there_and_back(pattern, sizes, source_shape, shapes):
    line = entry(pattern, sizes, source_shape, shapes)
    weight = np.random.default_rng(0).normal(size=source_shape)
    poured = to_keras(line, weight)
    assert tuple(array.shape for array in poured) == shapes
    np.testing.assert_array_equal(to_torch(line, poured), weight)


def test_a_flattened_kernel_reads_its_columns_in_channels_last_order():
    # torch flattens c h w, Keras h w c: the same pixel must meet the same weight.
    image = np.random.default_rng(0).normal(size=(3, 2, 4))
    weight = np.random.default_rng(1).normal(size=(5, 24))
    (kernel,) = to_keras(entry("o (c h w) -> (h w c) o", (("h", 2), ("w", 4)), (5, 24), ((24, 5),)), weight)
    # float64, sums of 24 products: 1e-12 is far above rounding and far below a wrong column.
    np.testing.assert_allclose(image.transpose(1, 2, 0).reshape(-1) @ kernel, weight @ image.reshape(-1), rtol=1e-12)


def test_several_variables_take_the_slices_of_the_first_axis():
    packed = np.arange(12).reshape(6, 2)
    parts = to_keras(entry("(t d) e -> t e d", (("t", 3),), (6, 2), ((2, 2),) * 3), packed)
    for number, part in enumerate(parts):
        np.testing.assert_array_equal(part, packed[2 * number : 2 * number + 2].T)


@given(st.permutations("abcd"), st.lists(st.integers(1, 4), min_size=4, max_size=4))
def test_any_permutation_is_what_numpy_gives(letters, sizes):
    shape = tuple(sizes)
    result_shape = tuple(sizes["abcd".index(letter)] for letter in letters)
    line = entry(f"a b c d -> {' '.join(letters)}", (), shape, (result_shape,))
    weight = np.arange(np.prod(shape)).reshape(shape)
    (poured,) = to_keras(line, weight)
    np.testing.assert_array_equal(poured, weight.transpose(["abcd".index(letter) for letter in letters]))
    np.testing.assert_array_equal(to_torch(line, (poured,)), weight)


@pytest.mark.parametrize(
    ("pattern", "sizes", "source_shape", "shapes", "message"),
    [
        ("o i", (), (2, 3), ((3, 2),), "pattern 'o i' needs one '->'"),
        (
            "o i -> i",
            (),
            (2, 3),
            ((3,),),
            "pattern 'o i -> i' is no bijection: both sides need the same letters, once each",
        ),
        (
            "o o -> o o",
            (),
            (2, 2),
            ((2, 2),),
            "pattern 'o o -> o o': Indexing expression contains duplicate dimension \"o\"",
        ),
        ("o 3 -> o 3", (), (2, 3), ((2, 3),), "pattern 'o 3 -> o 3': an axis is a letter, 1 or '...'"),
        (
            "(o i -> i o",
            (),
            (2, 3),
            ((3, 2),),
            "pattern '(o i -> i o': Imbalanced parentheses in expression: \"(o i \"",
        ),
        ("o i -> i o", (), (2, 3, 4), ((3, 2),), "pattern 'o i -> i o' does not name the axes of a tensor of rank 3"),
        ("(a b) -> a b", (), (6,), ((2, 3),), "pattern '(a b) -> a b' leaves the sizes of a, b open"),
        ("(a b) -> a b", (("a", 4),), (6,), ((4, 1),), "pattern '(a b) -> a b' does not fit the shape [6]"),
        ("a 1 -> a", (), (6, 2), ((6,),), "pattern 'a 1 -> a' does not fit the shape [6, 2]"),
        ("a -> a", (("b", 4),), (6,), ((6,),), "pattern 'a -> a' has no letter b, though a size is given"),
        (
            "o i -> i o",
            (),
            (2, 3),
            ((2, 3),),
            "pattern 'o i -> i o' turns [2, 3] into [3, 2], but 1 variable(s) of [2, 3] are planned",
        ),
    ],
)
def test_an_unsound_entry_says_what_is_wrong(pattern, sizes, source_shape, shapes, message):
    with pytest.raises(CheckpointError) as caught:
        arrangement(entry(pattern, sizes, source_shape, shapes))
    assert str(caught.value) == message


def test_arrays_of_another_shape_are_refused():
    line = entry("o i -> i o", (), (2, 3), ((3, 2),))
    with pytest.raises(CheckpointError, match=r"^layer.weight has shape \[3, 2\], planned is \[2, 3\]$"):
        to_keras(line, np.zeros((3, 2)))
    with pytest.raises(
        CheckpointError, match=r"^the variables of layer.weight have shapes \[2, 3\], planned are \[3, 2\]$"
    ):
        to_torch(line, (np.zeros((2, 3)),))
