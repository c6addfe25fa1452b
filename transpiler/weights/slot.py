"""Room for one tensor in a file that is being written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transpiler.weights.arrange import Array
from transpiler.weights.blocks import blocks, copy, write_block

_BLOCK = 1 << 20
"""Values that are reordered and written together."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a tensor goes: C order, little-endian."""

    offset: int
    """Bytes from the file's beginning."""
    dtype: np.dtype[np.generic]


def fill(file: int, slot: Slot, values: Array) -> None:
    """Write `values` into their room, turned into its type; no more than a few megabytes are copied at a time.

    Args:
        file: a file descriptor, open for writing.
        slot: the room.
        values: any strides; the bytes are written in its C order.

    Raises:
        OSError: the disk is full, or the like.
    """
    room: Array = np.empty(min(values.size, _BLOCK), slot.dtype)
    for block in blocks(values.shape, _BLOCK):
        source = values[block]
        buffer = room[: source.size].reshape(source.shape)
        copy(buffer, source)
        write_block(file, slot.offset, values.shape, block, buffer)
