from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from transpiler.weights import blocks as module
from transpiler.weights.blocks import blocks, copy, runs, write_block

shapes = st.lists(st.integers(0, 7), max_size=4).map(tuple)


def size(block):
    return math.prod(each.stop - each.start for each in block)


@given(shapes, st.integers(1, 40))
def test_blocks_make_up_the_array_and_are_small(shape, limit):
    seen = np.zeros(shape, int)
    for block in blocks(shape, limit):
        assert size(block) <= limit
        seen[block] += 1
    assert (seen == 1).all()


@given(shapes, st.integers(1, 40))
def test_runs_follow_each_other(shape, limit):
    array = np.arange(math.prod(shape)).reshape(shape)
    pieces = [array[run] for run in runs(shape, limit)]
    assert all(piece.size <= limit for piece in pieces)
    np.testing.assert_array_equal(np.concatenate([piece.reshape(-1) for piece in pieces] or [[]]), array.reshape(-1))


@given(shapes, st.data())
def test_a_copy_of_any_order_is_the_same(shape, data):
    array = np.arange(math.prod(shape), dtype=np.float64).reshape(shape)
    turned = array.transpose(data.draw(st.permutations(range(len(shape)))))
    target = np.empty(turned.shape, np.float32)
    with_small_tiles(copy, target, turned)
    np.testing.assert_array_equal(target, turned)


def with_small_tiles(function, *arguments):
    tile, module._TILE = module._TILE, 8
    try:
        function(*arguments)
    finally:
        module._TILE = tile


@given(shapes, st.integers(1, 40))
def test_blocks_are_written_where_they_belong(tmp_path_factory, shape, limit):
    array = np.arange(math.prod(shape), dtype=np.int16).reshape(shape)
    path = tmp_path_factory.mktemp("blocks") / "array"
    path.write_bytes(b"head" + b"?" * array.nbytes + b"tail")
    with path.open("r+b") as file:
        for block in blocks(shape, limit):
            write_block(file.fileno(), 4, shape, block, np.ascontiguousarray(array[block]))
    assert path.read_bytes() == b"head" + array.tobytes() + b"tail"
