"""Reads a tensor once, in pieces: its digest, and what pouring it into a variable of another type would lose.

>>> examine(np.array([1, np.nan], np.float32), np.dtype("float32")).nonfinite
1
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from transpiler.weights.arrange import Array
from transpiler.weights.blocks import runs

_PIECE = 1 << 20
"""Values that are looked at together."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What is known of a tensor once it has been read."""

    sha256: str
    """Of its bytes: its own type, little-endian, C order."""
    poured_sha256: str | None
    """The same of what it becomes in the variable's type; None if that is the same, bit for bit, once turned back."""
    nonfinite: int
    """How many values are infinite or not a number; 0 for an additive attention mask, which may hold -inf."""
    rounded: int
    """How many finite values the variable's type cannot hold."""


def examine(array: Array, dtype: np.dtype[np.generic]) -> Examined:
    """Look at every value of `array`, which is to be poured into variables of type `dtype`.

    Args:
        array: any shape; it may be mapped from a file, of which no more than a few megabytes are copied.
        dtype: of the Keras variables.
    """
    nonfinite = rounded = 0
    exact = True
    # Pieces only where something has to be copied: they cost time, above all while another thread writes.
    for piece in () if array.dtype == dtype and _all_finite(array) else _pieces(array):
        finite = _finite(piece)
        nonfinite += int(piece.size - np.count_nonzero(finite))
        if array.dtype == dtype:
            continue
        kept, same = _kept(piece, dtype)
        rounded += int(np.count_nonzero(finite & ~kept))
        exact = exact and same
    return Examined(
        sha256_of(array),
        None if exact else sha256_of(array, dtype),
        0 if nonfinite and _is_mask(array) else nonfinite,
        rounded,
    )


def sha256_of(array: Array, dtype: np.dtype[np.generic] | None = None) -> str:
    """The digest of the array's values in C order, little-endian.

    >>> sha256_of(np.zeros(0))[:8]
    'e3b0c442'

    Args:
        array: any shape, any strides.
        dtype: the type to turn them into first; their own by default.
    """
    digest = hashlib.sha256()
    whole = dtype is None and array.flags.c_contiguous and array.dtype == array.dtype.newbyteorder("<")
    for piece in (array,) if whole else _pieces(array):
        digest.update(_little(piece if dtype is None else _cast(piece, dtype)))
    return digest.hexdigest()


def same_values(one: Array, other: Array) -> bool:
    """Whether two arrays of one shape hold the same numbers; not-a-number is the same as itself."""
    pairs = zip(_pieces(one), _pieces(other), strict=True)
    return all(np.array_equal(_wide(a), _wide(b), equal_nan=_wide(a).dtype.kind in "fc") for a, b in pairs)


def _pieces(array: Array) -> Iterator[Array]:
    for place in runs(array.shape, _PIECE):
        yield array[place]


def _little(piece: Array) -> memoryview:
    plain = np.ascontiguousarray(piece.astype(piece.dtype.newbyteorder("<"), copy=False))
    return plain.reshape(-1).view(np.uint8).data


def _cast(piece: Array, dtype: np.dtype[np.generic]) -> Array:
    with np.errstate(all="ignore"):  # what is lost is counted
        return piece.astype(dtype)


def _wide(piece: Array) -> Array:
    # Types of half precision are slow to look at, and bfloat16 is no float to numpy.
    return piece.astype(np.float32) if piece.dtype.kind == "V" or piece.dtype == np.float16 else piece


def _all_finite(array: Array) -> bool:
    """Whether the extremes show that all values are finite, without an array of booleans; for fast types alone."""
    if array.dtype.kind in "iub" or not array.size:
        return True
    return array.dtype in (np.float32, np.float64) and bool(np.isfinite(array.max()) and np.isfinite(array.min()))


def _finite(piece: Array) -> Array:
    wide = _wide(piece)
    if _all_finite(wide):
        return np.broadcast_to(np.True_, piece.shape)
    return np.isfinite(wide)


def _kept(piece: Array, dtype: np.dtype[np.generic]) -> tuple[Array, bool]:
    """Which values `dtype` can hold, and whether turning all of them back gives the same bits."""
    back = _cast(_cast(piece, dtype), piece.dtype)
    return back == piece, _little(back) == _little(piece)


def _is_mask(array: Array) -> bool:
    # An additive attention mask is made of 0 and -inf, and of nothing else; a bound is one number, or none at all.
    if array.ndim == 0:
        return not np.isnan(_wide(array))
    return all(bool(np.all((wide == 0) | (wide == -np.inf))) for wide in map(_wide, _pieces(array)))
