"""Writes to places that are known when the code is generated, as joins, one gather, or a choice by a mask.

`index_put` and its kin scatter in torch. Scattering needs the tensor in torch's order and is slow in TensorFlow; where
the places are constants, the result is joined from pieces or gathered from the old tensor and the new one side by side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch

from transpiler.lift.emission import Emission
from transpiler.lift.program import Value
from transpiler.lift.views import write_diagonal, write_element, write_range, write_slice

aten = torch.ops.aten
Known: TypeAlias = Callable[[Value], torch.Tensor | None]
"""The tensor behind a value that neither inputs nor weights flow into."""


def scattered(
    operator: torch._ops.OpOverload, arguments: Mapping[str, Any], known: Known, emit: Emission
) -> Value | None:
    """A functional scatter in simpler operators; None for other operators and for places that are not known.

    Raises:
        ModelError: the places are a slice with bounds that are known only when the model runs.
    """
    whole, dim = arguments.get("self"), arguments.get("dim", 0)
    if not isinstance(whole, Value):
        return None
    match operator.overloadpacket.__name__:
        case "slice_scatter":
            start, step = arguments.get("start"), arguments.get("step", 1)
            return write_slice(whole, arguments["src"], dim, start, step, emit)
        case "select_scatter":
            return write_element(whole, arguments["src"], dim, arguments["index"], emit)
        case "diagonal_scatter":
            place = (arguments.get("offset", 0), arguments.get("dim1", 0), arguments.get("dim2", 1))
            return write_diagonal(whole, arguments["src"], *place, emit)
        case "index_put":
            accumulate = bool(arguments.get("accumulate", False))
            return _put(whole, arguments["indices"], arguments["values"], accumulate, known, emit)
        case "index_copy":
            indices = [None] * (dim % len(whole.shape)) + [arguments["index"]]
            return _put(whole, indices, arguments["source"], False, known, emit)
        case "index_add" if arguments.get("alpha", 1) == 1:
            indices = [None] * (dim % len(whole.shape)) + [arguments["index"]]
            return _put(whole, indices, arguments["source"], True, known, emit)
        case "index_fill":
            places = known(arguments["index"])
            return None if places is None else _filled(whole, dim, places, arguments["value"], emit)
        case "scatter" if "reduce" not in arguments:
            return _scattered_one(whole, dim, arguments["index"], arguments, emit)
    return None


def _put(
    whole: Value,
    indices: Sequence[Value | None],
    values: Value,
    accumulate: bool,
    known: Known,
    emit: Emission,
) -> Value | None:
    single = [(place, index) for place, index in enumerate(indices) if index is not None]
    if len(single) == 1 and single[0][1].dtype == "bool" and _is_number(values) and not accumulate:
        place, mask = single[0]
        return _chosen(whole, _trailing(mask, len(whole.shape) - place, known, emit), values, emit)
    places = _places(indices, known)
    if places is None:
        return None
    first, tensors = places
    count = len(tensors)
    sizes = whole.shape[first : first + count]
    if not all(isinstance(size, int) for size in sizes):
        return None
    flat = _flat(torch.broadcast_tensors(*tensors), [int(size) for size in sizes])
    rank_left = len(whole.shape) - first - count
    if _is_number(values) and not accumulate:
        mask = torch.zeros(math.prod(int(size) for size in sizes), dtype=torch.bool)
        mask[flat.reshape(-1)] = True
        return _chosen(whole, emit.constant(mask.reshape(*map(int, sizes), *[1] * rank_left), "written"), values, emit)
    before, behind = whole.shape[:first], whole.shape[first + count :]
    new = _expanded(values, [*before, *flat.shape, *behind], emit)
    new = _viewed(new, [*before, flat.numel(), *behind], emit)
    old = _viewed(whole, [*before, math.prod(int(size) for size in sizes), *behind], emit)
    written = _placed(old, new, first, flat.reshape(-1), accumulate, emit)
    return None if written is None else _viewed(written, whole.shape, emit)


def _places(indices: Sequence[Value | None], known: Known) -> tuple[int, list[torch.Tensor]] | None:
    """The first dimension that is indexed, and whole numbers for it and those behind it; None if they have gaps."""
    found: list[torch.Tensor] = []
    first = 0
    for place, index in enumerate(indices):
        if index is None:
            continue
        tensor = known(index)
        if tensor is None or (found and place != last + 1):
            return None
        first = first if found else place
        last = place
        found += tensor.nonzero(as_tuple=True) if tensor.dtype == torch.bool else (tensor.long(),)
    if any(tensor.dtype == torch.bool for tensor in found) or not found:
        return None
    return first, found


def _flat(tensors: Sequence[torch.Tensor], sizes: Sequence[int]) -> torch.Tensor:
    """Places in several dimensions as places in one that holds them all; none is below zero."""
    flat = torch.zeros_like(tensors[0])
    for tensor, size in zip(tensors, sizes, strict=True):
        flat = flat * size + torch.where(tensor < 0, tensor + size, tensor)
    return flat


def _placed(
    old: Value, new: Value, dim: int, places: torch.Tensor, accumulate: bool, emit: Emission
) -> Value | None:
    """`old` with the elements of `new` at these places of `dim`; the last one wins where a place is named twice."""
    size, count = int(old.shape[dim]), int(places.numel())
    listed = places.tolist()
    if accumulate:
        if len(set(listed)) != count:
            return None
        present = emit(aten.index_select.default, {"self": old, "dim": dim, "index": emit.constant(places, "places")}, new.shape)
        new = emit(aten.add.Tensor, {"self": present, "other": new}, new.shape)
    if listed == list(range(listed[0], listed[0] + count)) if listed else True:
        return write_range(old, new, dim, listed[0], emit) if listed else old
    source = torch.arange(size)
    for index, place in enumerate(listed):
        source[place] = size + index
    both = emit(aten.cat.default, {"tensors": [old, new], "dim": dim}, _sized(old, dim, size + count))
    arguments = {"self": both, "dim": dim, "index": emit.constant(source, "places")}
    return emit(aten.index_select.default, arguments, old.shape)


def _filled(whole: Value, dim: int, places: torch.Tensor, value: Any, emit: Emission) -> Value | None:
    rank, dim = len(whole.shape), dim % len(whole.shape)
    size = whole.shape[dim]
    if not isinstance(size, int):
        return None
    mask = torch.zeros(size, dtype=torch.bool)
    mask[places] = True
    return _chosen(whole, emit.constant(mask.reshape(size, *[1] * (rank - dim - 1)), "written"), value, emit)


def _scattered_one(
    whole: Value, dim: int, index: Value, arguments: Mapping[str, Any], emit: Emission
) -> Value | None:
    """One element along `dim`, at a place that is computed: where a range of numbers equals the place."""
    dim %= len(whole.shape)
    size = whole.shape[dim]
    fits = tuple(index.shape) == (*whole.shape[:dim], 1, *whole.shape[dim + 1 :])
    value = arguments.get("value", arguments.get("src"))
    if not fits or not isinstance(size, int) or (isinstance(value, Value) and tuple(value.shape) != tuple(index.shape)):
        return None
    numbers = emit.constant(torch.arange(size).reshape(size, *[1] * (len(whole.shape) - dim - 1)), "places")
    mask = emit(aten.eq.Tensor, {"self": index, "other": numbers}, whole.shape, "bool")
    return _chosen(whole, mask, value, emit)


def _chosen(whole: Value, mask: Value, value: Any, emit: Emission) -> Value:
    """`value` where the mask says so, `whole` elsewhere; both broadcast."""
    if not isinstance(value, Value):
        return emit(aten.masked_fill.Scalar, {"self": whole, "mask": mask, "value": value}, whole.shape)
    return emit(aten.where.self, {"condition": mask, "self": value, "other": whole}, whole.shape)


def _trailing(mask: Value, rank: int, known: Known, emit: Emission) -> Value:
    """The mask with dimensions of size 1 behind its own, so that it broadcasts along what it does not look at."""
    shape = [*mask.shape, *[1] * (rank - len(mask.shape))]
    tensor = known(mask)
    if tensor is not None:
        return emit.constant(tensor.reshape(tuple(map(int, shape))), "written")
    return mask if tuple(shape) == tuple(mask.shape) else emit(aten.view.default, {"self": mask, "size": shape}, shape, "bool")


def _is_number(value: Value) -> bool:
    return all(size == 1 for size in value.shape)


def _expanded(value: Value, shape: Sequence[Any], emit: Emission) -> Value:
    return value if tuple(value.shape) == tuple(shape) else emit(aten.expand.default, {"self": value, "size": list(shape)}, shape)


def _viewed(value: Value, shape: Sequence[Any], emit: Emission) -> Value:
    return value if tuple(value.shape) == tuple(shape) else emit(aten.view.default, {"self": value, "size": list(shape)}, shape)


def _sized(value: Value, dim: int, size: Any) -> list[Any]:
    return [*value.shape[:dim], size, *value.shape[dim + 1 :]]
