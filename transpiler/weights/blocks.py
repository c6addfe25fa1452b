"""Large arrays in small blocks: copied fast whatever their order, hashed and written without a copy of the whole.

>>> list(blocks((4, 6), 12))
[(slice(0, 2, None), slice(0, 6, None)), (slice(2, 4, None), slice(0, 6, None))]
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

from transpiler.weights.arrange import Array

Block: TypeAlias = tuple[slice, ...]

_TILE = 1 << 16
"""Values in a block that is copied at once: the lines that it reads and those that it writes fit into the cache."""


def blocks(shape: tuple[int, ...], limit: int) -> Iterator[Block]:
    """Blocks of at most `limit` values that make up an array of `shape`; its last axis stays whole where possible.

    Halving the longest axis keeps both the reads and the writes of a transposition in long runs.
    """
    yield from _halved(tuple(slice(0, size) for size in shape), limit, keep_rows=True)


def runs(shape: tuple[int, ...], limit: int) -> Iterator[Block]:
    """Blocks of at most `limit` values that follow each other in C order.

    >>> [block[0] for block in runs((5, 2), 4)]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    if math.prod(shape) <= limit:
        yield tuple(slice(0, size) for size in shape)
        return
    row = math.prod(shape[1:])
    if row > limit:
        for place in range(shape[0]):
            yield from ((slice(place, place + 1), *rest) for rest in runs(shape[1:], limit))
        return
    step = limit // row
    for start in range(0, shape[0], step):
        yield (slice(start, min(start + step, shape[0])), *(slice(0, size) for size in shape[1:]))


def copy(target: Array, source: Array) -> None:
    """`target[...] = source`, with a cast, in tiles: several times as fast where the order of the axes differs.

    Args:
        target: any shape.
        source: of the same shape, with any strides.
    """
    if source.flags.c_contiguous and target.flags.c_contiguous:
        np.copyto(target, source, casting="unsafe")
        return
    for tile in _halved(tuple(slice(0, size) for size in target.shape), _TILE, keep_rows=False):
        # Rows that lie a multiple of a page apart push each other out of the cache; gathered first, they don't.
        np.copyto(target[tile], source[tile].copy(order="K"), casting="unsafe")


def write_block(file: int, offset: int, shape: tuple[int, ...], block: Block, values: Array) -> None:
    """Write a block of a C-ordered array that begins at `offset` of a file.

    Args:
        file: a file descriptor, open for writing.
        offset: bytes.
        shape: of the whole array.
        block: its place in the array.
        values: the block, C-contiguous.

    Raises:
        OSError: the disk is full, or the like.
    """
    whole = len(shape)  # the first axis from which on the block is as long as the array
    while whole and block[whole - 1] == slice(0, shape[whole - 1]):
        whole -= 1
    outer = max(whole - 1, 0)
    strides = [math.prod(shape[axis + 1 :]) * values.itemsize for axis in range(len(shape))]
    start = offset + sum(each.start * stride for each, stride in zip(block, strides, strict=True))
    for place in itertools.product(*(range(values.shape[axis]) for axis in range(outer))):
        run = np.ascontiguousarray(values[place]).reshape(-1).view(np.uint8)
        _write_all(file, run.data, start + sum(i * s for i, s in zip(place, strides, strict=False)))


def _write_all(file: int, content: memoryview, offset: int) -> None:
    while content:
        written = os.pwrite(file, content, offset)
        content, offset = content[written:], offset + written


def _halved(block: Block, limit: int, *, keep_rows: bool) -> Iterator[Block]:
    lengths = [each.stop - each.start for each in block]
    if math.prod(lengths) <= limit:
        yield block
        return
    eligible = lengths[:-1] if keep_rows and max(lengths[:-1], default=1) > 1 else lengths
    axis = eligible.index(max(eligible))
    start, stop = block[axis].start, block[axis].stop
    middle = start + (stop - start) // 2
    for half in (slice(start, middle), slice(middle, stop)):
        yield from _halved((*block[:axis], half, *block[axis + 1 :]), limit, keep_rows=keep_rows)
