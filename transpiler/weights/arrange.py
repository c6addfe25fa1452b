"""Brings a torch tensor into the order of its Keras variables, and back.

>>> entry = PlanEntry(("kernel",), "weight", "o i h w -> h w i o", (), (64, 3, 7, 5), "float32", ((7, 5, 3, 64),))
>>> to_keras(entry, np.zeros((64, 3, 7, 5)))[0].shape
(7, 5, 3, 64)

einops moves the data; this module checks first that the pattern is a bijection that fits the entry's shapes, so that
the way back exists and a plan that someone edited fails with a reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from einops import EinopsError, rearrange
from einops.parsing import AnonymousAxis, ParsedExpression
from numpy.typing import NDArray

from transpiler.errors import CheckpointError
from transpiler.weights.plan import PlanEntry

Array: TypeAlias = NDArray[Any]
_Side: TypeAlias = tuple[tuple[str, ...], ...]

MOST_AXES = 32
"""Of an array, and of a pattern with all groups apart: numpy has room for 64, HDF5 for 32."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A pattern with the size of every letter: enough to go both ways."""

    left: _Side
    right: _Side
    sizes: tuple[tuple[str, int], ...]

    @property
    def forward(self) -> str:
        """The pattern from torch to Keras."""
        return f"{_text(self.left)} -> {_text(self.right)}"

    @property
    def inverse(self) -> str:
        """The pattern from Keras to torch."""
        return f"{_text(self.right)} -> {_text(self.left)}"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that the pattern gives."""
        sizes = dict(self.sizes)
        return tuple(math.prod(sizes[letter] for letter in axis) for axis in self.right)


def to_keras(entry: PlanEntry, array: Array) -> tuple[Array, ...]:
    """The values of the entry's variables, in the entry's order.

    >>> entry = PlanEntry(("a", "b"), "packed", "(t d) e -> t e d", (("t", 2),), (6, 4), "float32", ((4, 3), (4, 3)))
    >>> [part.shape for part in to_keras(entry, np.zeros((6, 4)))]
    [(4, 3), (4, 3)]

    Args:
        entry: the line of the plan.
        array: the torch tensor, of shape `entry.source_shape`; a complex one lacks the last axis, of two.

    Raises:
        CheckpointError: the array has another shape, or the entry is not sound (see `arrangement`).
    """
    plan = arrangement(entry)
    array = as_real(array) if array.dtype.kind == "c" else array
    if array.shape != entry.source_shape:
        raise CheckpointError(f"{entry.source} has shape {_show(array.shape)}, planned is {_show(entry.source_shape)}")
    result = rearrange(array, plan.forward, **dict(plan.sizes))
    return (result,) if len(entry.variables) == 1 else tuple(result)


def views(entry: PlanEntry, array: Array) -> tuple[Array, ...]:
    """What `to_keras` gives, as views of `array`: nothing is copied, but the axes of `(a b)` stay apart.

    >>> entry = PlanEntry(("w",), "fc", "o (c h) -> (h c) o", (("h", 2),), (5, 6), "float32", ((6, 5),))
    >>> views(entry, np.zeros((5, 6)))[0].shape
    (2, 3, 5)

    Written in C order, a view has the bytes of its variable.

    Raises:
        CheckpointError: as for `to_keras`.
    """
    plan = arrangement(entry)
    if array.shape != entry.source_shape:
        raise CheckpointError(f"{entry.source} has shape {_show(array.shape)}, planned is {_show(entry.source_shape)}")
    sizes, left = dict(plan.sizes), _letters(plan.left)
    apart = array.reshape([sizes[letter] for letter in left])
    result = apart.transpose([left.index(letter) for letter in _letters(plan.right)])
    return (result,) if len(entry.variables) == 1 else tuple(result)


def to_torch(entry: PlanEntry, arrays: tuple[Array, ...]) -> Array:
    """The torch tensor that `arrays`, the values of the entry's variables, came from.

    >>> to_torch(entry, to_keras(entry, weight)) is weight  # equal, not the same  # doctest: +SKIP

    Raises:
        CheckpointError: an array has another shape than the plan says, or the entry is not sound.
    """
    plan = arrangement(entry)
    shapes = tuple(array.shape for array in arrays)
    if shapes != entry.shapes:
        given, planned = (", ".join(map(_show, each)) for each in (shapes, entry.shapes))
        raise CheckpointError(f"the variables of {entry.source} have shapes {given}, planned are {planned}")
    joined = arrays[0] if len(arrays) == 1 else np.stack(arrays)
    result: Array = rearrange(joined, plan.inverse, **dict(plan.sizes))
    return _as_complex(result) if entry.dtype.startswith("complex") else result


def as_real(array: Array) -> Array:
    """A complex array as a real one with real and imaginary parts along a last axis.

    >>> as_real(np.array([1 + 2j])).tolist()
    [[1.0, 2.0]]
    """
    return np.stack([array.real, array.imag], axis=-1)


def _as_complex(array: Array) -> Array:
    result: Array = array[..., 0] + 1j * array[..., 1]
    return result


def arrangement(entry: PlanEntry) -> Arrangement:
    """The entry's pattern with all sizes, checked against the entry's shapes.

    >>> arrangement(PlanEntry(("gamma",), "scale", "c 1 1 -> c", (), (8, 1, 1), "float32", ((8,),))).sizes
    (('c', 8),)

    Raises:
        CheckpointError: the pattern can't be read, is no bijection, leaves a size open, or doesn't fit the shapes.
    """
    left, right = _parse(entry.pattern, len(entry.source_shape))
    if sorted(_letters(left)) != sorted(_letters(right)) or len(set(_letters(left))) != len(_letters(left)):
        raise CheckpointError(f"pattern {entry.pattern!r} is no bijection: both sides need the same letters, once each")
    if len(_letters(left)) > MOST_AXES:
        raise CheckpointError(f"pattern {entry.pattern!r} has more than {MOST_AXES} letters")
    sizes = _bind(entry, left)
    plan = Arrangement(left, right, tuple(sizes.items()))
    expected = entry.shapes if len(entry.variables) == 1 else ((len(entry.variables), *entry.shapes[0]),)
    if len(set(entry.shapes)) != 1 or plan.shape != expected[0]:
        wanted = ", ".join(map(_show, entry.shapes))
        raise CheckpointError(
            f"pattern {entry.pattern!r} turns {_show(entry.source_shape)} into {_show(plan.shape)}, "
            f"but {len(entry.variables)} variable(s) of {wanted} are planned"
        )
    return plan


def _parse(pattern: str, rank: int) -> tuple[_Side, _Side]:
    sides = pattern.split("->")
    if len(sides) != 2:
        raise CheckpointError(f"pattern {pattern!r} needs one '->'")
    left, right = (_parse_side(pattern, side) for side in sides)
    rest = rank - sum(axis != ("...",) for axis in left)
    if rest < 0 or (rest > 0 and ("...",) not in left):
        raise CheckpointError(f"pattern {pattern!r} does not name the axes of a tensor of rank {rank}")
    return _expand(left, rest), _expand(right, rest)


def _parse_side(pattern: str, text: str) -> _Side:
    try:
        axes = ParsedExpression(text).composition
    except EinopsError as error:
        raise CheckpointError(f"pattern {pattern!r}: {str(error).splitlines()[0]}") from error
    side = tuple(("...",) if axis == "…" else tuple(axis) for axis in axes)
    if any(isinstance(letter, AnonymousAxis) or letter == "…" for axis in side for letter in axis):
        raise CheckpointError(f"pattern {pattern!r}: an axis is a letter, 1 or '...'")
    return side


def _expand(side: _Side, count: int) -> _Side:
    dots: _Side = tuple((f"rest{number}",) for number in range(count))
    return tuple(each for axis in side for each in (dots if axis == ("...",) else (axis,)))


def _bind(entry: PlanEntry, left: _Side) -> dict[str, int]:
    given = dict(entry.sizes)
    unknown = sorted(given.keys() - set(_letters(left)))
    if unknown:
        raise CheckpointError(f"pattern {entry.pattern!r} has no letter {', '.join(unknown)}, though a size is given")
    sizes: dict[str, int] = {}
    for axis, size in zip(left, entry.source_shape, strict=True):
        open_letters = [letter for letter in axis if letter not in given]
        known = math.prod(given[letter] for letter in axis if letter in given)
        if len(open_letters) > 1:
            raise CheckpointError(f"pattern {entry.pattern!r} leaves the sizes of {', '.join(open_letters)} open")
        fits = size == known if not open_letters else known > 0 and size % known == 0
        if not fits:
            raise CheckpointError(f"pattern {entry.pattern!r} does not fit the shape {_show(entry.source_shape)}")
        sizes.update({letter: given.get(letter, size // known if known else 0) for letter in axis})
    return sizes


def _letters(side: _Side) -> list[str]:
    return [letter for axis in side for letter in axis]


def _text(side: _Side) -> str:
    return " ".join(axis[0] if len(axis) == 1 else f"({' '.join(axis)})" for axis in side)


def _show(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"
