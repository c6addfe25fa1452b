"""Values in another order or shape, where that changes anything."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import torch

from transpiler.lift.emission import Emission
from transpiler.lift.program import Size, Value
from transpiler.lift.simplify import sizes_in

aten = torch.ops.aten


def broadcast_shape(one: Sequence[Size], other: Sequence[Size]) -> tuple[Size, ...]:
    """The shape that two shapes broadcast to.

    >>> broadcast_shape((4, 1), (3,))
    (4, 3)
    """
    pairs = zip_longest(reversed(one), reversed(other), fillvalue=1)
    return tuple(b if a == 1 else a for a, b in pairs)[::-1]


def expanded(value: Value, shape: Sequence[Size], emit: Emission) -> Value:
    """The value broadcast to this shape."""
    if tuple(value.shape) == tuple(shape):
        return value
    return emit(aten.expand.default, {"self": value, "size": sizes_in(shape)}, shape)


def permuted(value: Value, order: Sequence[int], emit: Emission) -> Value:
    """The value with its dimensions in this order."""
    if list(order) == sorted(order):
        return value
    shape = [value.shape[dim] for dim in order]
    return emit(aten.permute.default, {"self": value, "dims": list(order)}, shape)
