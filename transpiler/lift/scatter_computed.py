"""Writes to places that the model computes: `canvas[batch, places] = pillars`.

The dimensions that are indexed become one, and come first, so that one index into it says where each slice goes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from transpiler.lift.arranging import broadcast_shape, expanded, permuted
from transpiler.lift.emission import Emission
from transpiler.lift.program import Size, Value
from transpiler.lift.simplify import sizes_in

aten = torch.ops.aten


def written_where_computed(
    whole: Value, indices: Sequence[Value | None], values: Value, write: torch._ops.OpOverload, emit: Emission
) -> Value | None:
    """`whole` after `values` went to these places, by `aten.index_copy` or `aten.index_add`; None for masks."""
    dims = [dim for dim, index in enumerate(indices) if index is not None]
    given = [index for index in indices if index is not None]
    if any(index.dtype == "bool" for index in given):
        return None
    rest = [dim for dim in range(len(whole.shape)) if dim not in dims]
    sizes, beside = [whole.shape[dim] for dim in dims], [whole.shape[dim] for dim in rest]
    index, shape = _joined(given, sizes, emit)
    first = dims[0] if dims == list(range(dims[0], dims[0] + len(dims))) else 0
    between = [*beside[:first], *shape, *beside[first:]]  # the index's dimensions where torch has them
    values = expanded(values, between, emit)
    order = [*range(first, first + len(shape)), *range(first), *range(first + len(shape), len(between))]
    source = _reshaped(permuted(values, order, emit), [math.prod(shape), *beside], emit)
    turned = permuted(whole, [*dims, *rest], emit)
    flat = _reshaped(turned, [math.prod(sizes), *beside], emit)
    arguments = {"self": flat, "dim": 0, "index": index, "source": source}
    written = _reshaped(emit(write, arguments, flat.shape), [*sizes, *beside], emit)
    back = [[*dims, *rest].index(dim) for dim in range(len(whole.shape))]
    return permuted(written, back, emit)


def _joined(indices: Sequence[Value], sizes: Sequence[Size], emit: Emission) -> tuple[Value, tuple[Size, ...]]:
    """One index, flat, into several dimensions as they lie behind one another; and the shape that it had."""
    place, shape = _wrapped(indices[0], sizes[0], emit), tuple(indices[0].shape)
    for index, size in zip(indices[1:], sizes[1:], strict=True):
        scaled = emit(aten.mul.Tensor, {"self": place, "other": sizes_in([size])[0]}, shape, "int64")
        shape = broadcast_shape(shape, index.shape)
        place = emit(aten.add.Tensor, {"self": scaled, "other": _wrapped(index, size, emit)}, shape, "int64")
    return _reshaped(place, [math.prod(shape)], emit, "int64"), shape


def _wrapped(index: Value, size: Size, emit: Emission) -> Value:
    """Places that may be counted from the end."""
    return emit(aten.remainder.Scalar, {"self": index, "other": sizes_in([size])[0]}, index.shape, "int64")


def _reshaped(value: Value, shape: Sequence[Size], emit: Emission, dtype: str | None = None) -> Value:
    if tuple(value.shape) == tuple(shape):
        return value
    return emit(aten.reshape.default, {"self": value, "shape": sizes_in(shape)}, shape, dtype)
