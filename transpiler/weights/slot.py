"""Room for one tensor in a file that is being written."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np

from transpiler.weights.arrange import Array
from transpiler.weights.blocks import Block, blocks, copy, write_block

_BLOCK = 1 << 20
"""Values that are reordered and written together."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a tensor goes: C order, little-endian."""

    offset: int
    """Bytes from the file's beginning."""
    dtype: np.dtype[np.generic]


def fill(file: int, slot: Slot, values: Array, workers: Executor) -> None:
    """Write `values` into their room, turned into its type; no more than a few megabytes are copied at a time.

    Args:
        file: a file descriptor, open for writing.
        slot: the room.
        values: any strides; the bytes are written in its C order.
        workers: threads that share the work.

    Raises:
        OSError: the disk is full, or the like.
    """
    # list(): to see what the workers raise.
    list(workers.map(partial(_fill_block, file, slot, values), blocks(values.shape, _BLOCK)))


def _fill_block(file: int, slot: Slot, values: Array, block: Block) -> None:
    source = values[block]
    buffer: Array = np.empty(source.shape, slot.dtype)
    copy(buffer, source)
    write_block(file, slot.offset, values.shape, block, buffer)
