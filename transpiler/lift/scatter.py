"""Writes to places that are known when the code is generated, as joins, one gather, or a choice by a mask.

`index_put` and its kin scatter in torch. Scattering needs the tensor in torch's order and is slow in TensorFlow; where
the places are constants, the result is joined from pieces or gathered from the old tensor and the new one side by side.
Diagonals are such places, to be read, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from transpiler.lift.emission import Emission
from transpiler.lift.program import Value
from transpiler.lift.scatter_computed import written_where_computed
from transpiler.lift.views import write_diagonal, write_element, write_range, write_slice

aten = torch.ops.aten
Known: TypeAlias = Callable[[Value], torch.Tensor | None]
"""The tensor behind a value that neither inputs nor weights flow into."""


def scattered(
    operator: torch._ops.OpOverload, arguments: Mapping[str, Any], known: Known, emit: Emission
) -> Value | None:
    """A functional scatter, or a diagonal, in simpler operators.

    None for other operators, and for places that are not known.

    Raises:
        ModelError: the places are a slice with bounds that are known only when the model runs.
    """
    whole = arguments.get("self")
    if not isinstance(whole, Value):
        return None
    name = operator.overloadpacket.__name__
    written = _view_written(name, whole, arguments, emit)
    return _index_written(name, whole, arguments, known, emit) if written is None else written


def _view_written(name: str, whole: Value, arguments: Mapping[str, Any], emit: Emission) -> Value | None:
    dim = arguments.get("dim", 0)
    diagonal = (arguments.get("offset", 0), arguments.get("dim1", 0), arguments.get("dim2", 1))
    match name:
        case "slice_scatter":
            return write_slice(whole, arguments["src"], dim, arguments.get("start"), arguments.get("step", 1), emit)
        case "select_scatter":
            return write_element(whole, arguments["src"], dim, arguments["index"], emit)
        case "diagonal_scatter":
            return write_diagonal(whole, arguments["src"], *diagonal, emit)
        case "diagonal":
            return _diagonal(whole, *diagonal, emit)
    return None


def _index_written(name: str, whole: Value, arguments: Mapping[str, Any], known: Known, emit: Emission) -> Value | None:
    dim = arguments.get("dim", 0)
    match name:
        case "index_put":
            write = _added if arguments.get("accumulate") else _put
            return write(whole, arguments["indices"], arguments["values"], known, emit)
        case "index_copy" if known(arguments["index"]) is not None:
            return _put(whole, _along(whole, dim, arguments["index"]), arguments["source"], known, emit)
        case "index_add" if arguments.get("alpha", 1) == 1 and known(arguments["index"]) is not None:
            return _added(whole, _along(whole, dim, arguments["index"]), arguments["source"], known, emit)
        case "index_fill":
            places = known(arguments["index"])
            return None if places is None else _filled(whole, dim, places, arguments["value"], emit)
        case "scatter" if "reduce" not in arguments:
            return _scattered_one(whole, dim, arguments["index"], arguments, emit)
    return None


@dataclass(frozen=True, slots=True)
class _Places:
    """Elements in neighbouring dimensions of static size."""

    first: int
    sizes: tuple[int, ...]
    flat: torch.Tensor
    """The elements, counted as if the dimensions were one; its shape is that of the indices."""

    @property
    def count(self) -> int:
        """How many elements the dimensions have."""
        return math.prod(self.sizes)


def _put(whole: Value, indices: Sequence[Value | None], values: Value, known: Known, emit: Emission) -> Value | None:
    single = [(place, index) for place, index in enumerate(indices) if index is not None]
    if len(single) == 1 and single[0][1].dtype == "bool" and _is_number(values):
        place, given = single[0]
        return _chosen(whole, _trailing(given, len(whole.shape) - place, known, emit), values, emit)
    places = _places(whole, indices, known)
    if places is None:
        return written_where_computed(whole, indices, values, aten.index_copy.default, emit)
    if _is_number(values):
        mask = torch.zeros(places.count, dtype=torch.bool)
        mask[places.flat.reshape(-1)] = True
        behind = len(whole.shape) - places.first - len(places.sizes)
        return _chosen(whole, emit.constant(mask.reshape(*places.sizes, *[1] * behind), "written"), values, emit)
    old, new = _in_one_dimension(whole, values, places, emit)
    return _viewed(_placed(old, new, places, emit), whole.shape, emit)


def _added(whole: Value, indices: Sequence[Value | None], values: Value, known: Known, emit: Emission) -> Value | None:
    places = _places(whole, indices, known)
    if places is None or len(set(places.flat.reshape(-1).tolist())) < places.flat.numel():
        return written_where_computed(whole, indices, values, aten.index_add.default, emit)
    old, new = _in_one_dimension(whole, values, places, emit)
    index = emit.constant(places.flat.reshape(-1), "places")
    present = emit(aten.index_select.default, {"self": old, "dim": places.first, "index": index}, new.shape)
    total = emit(aten.add.Tensor, {"self": present, "other": new}, new.shape)
    return _viewed(_placed(old, total, places, emit), whole.shape, emit)


def _along(whole: Value, dim: int, index: Value) -> list[Value | None]:
    return [*[None] * (dim % len(whole.shape)), index]


def _places(whole: Value, indices: Sequence[Value | None], known: Known) -> _Places | None:
    """None if an index is not known, another dimension lies between two, or a size is dynamic."""
    first = next(place for place, index in enumerate(indices) if index is not None)
    found: list[torch.Tensor] = []
    for index in indices[first:]:
        tensor = None if index is None else known(index)
        if tensor is None:
            return None
        found += tensor.nonzero(as_tuple=True) if tensor.dtype == torch.bool else (tensor.long(),)
    sizes = tuple(size for size in whole.shape[first : first + len(found)] if isinstance(size, int))
    if len(sizes) < len(found):
        return None
    flat = torch.zeros((), dtype=torch.long)
    for tensor, size in zip(found, sizes, strict=True):
        flat = flat * size + torch.where(tensor < 0, tensor + size, tensor)
    return _Places(first, sizes, flat)


def _in_one_dimension(whole: Value, values: Value, places: _Places, emit: Emission) -> tuple[Value, Value]:
    """Both tensors with the dimensions that are indexed as one, the values broadcast."""
    before, behind = whole.shape[: places.first], whole.shape[places.first + len(places.sizes) :]
    new = values
    if tuple(new.shape) != (shape := (*before, *places.flat.shape, *behind)):
        new = emit(aten.expand.default, {"self": new, "size": list(shape)}, shape)
    old = _viewed(whole, [*before, places.count, *behind], emit)
    return old, _viewed(new, [*before, places.flat.numel(), *behind], emit)


def _placed(old: Value, new: Value, places: _Places, emit: Emission) -> Value:
    """`old` with the elements of `new` at these places; the last one wins where a place is named twice."""
    dim, listed = places.first, places.flat.reshape(-1).tolist()
    if not listed:
        return old
    if listed == list(range(listed[0], listed[0] + len(listed))):
        return write_range(old, new, dim, listed[0], emit)
    source = torch.arange(places.count)
    for index, place in enumerate(listed):
        source[place] = places.count + index
    shape = [*old.shape[:dim], places.count + len(listed), *old.shape[dim + 1 :]]
    both = emit(aten.cat.default, {"tensors": [old, new], "dim": dim}, shape)
    arguments = {"self": both, "dim": dim, "index": emit.constant(source, "places")}
    return emit(aten.index_select.default, arguments, old.shape)


def _diagonal(whole: Value, offset: int, dim1: int, dim2: int, emit: Emission) -> Value | None:
    """The diagonal, gathered from both dimensions as one: TensorFlow Lite lacks an operator for it."""
    rank = len(whole.shape)
    order = [place for place in range(rank) if place not in (dim1 % rank, dim2 % rank)] + [dim1 % rank, dim2 % rank]
    shape = [whole.shape[place] for place in order]
    rows, columns = shape[-2:]
    if not (isinstance(rows, int) and isinstance(columns, int)):
        return None
    places = torch.arange(rows * columns).reshape(rows, columns).diagonal(offset)
    turned = emit(aten.permute.default, {"self": whole, "dims": order}, shape)
    flat = _viewed(turned, [*shape[:-2], rows * columns], emit)
    arguments = {"self": flat, "dim": rank - 2, "index": emit.constant(places.contiguous(), "places")}
    return emit(aten.index_select.default, arguments, [*shape[:-2], places.numel()])


def _filled(whole: Value, dim: int, places: torch.Tensor, value: Any, emit: Emission) -> Value | None:
    rank, dim = len(whole.shape), dim % len(whole.shape)
    size = whole.shape[dim]
    if not isinstance(size, int):
        return None
    mask = torch.zeros(size, dtype=torch.bool)
    mask[places] = True
    return _chosen(whole, emit.constant(mask.reshape(size, *[1] * (rank - dim - 1)), "written"), value, emit)


def _scattered_one(whole: Value, dim: int, index: Value, arguments: Mapping[str, Any], emit: Emission) -> Value | None:
    """One element along `dim`, at a place that is computed: where a range of numbers equals the place."""
    dim %= len(whole.shape)
    size = whole.shape[dim]
    fits = tuple(index.shape) == (*whole.shape[:dim], 1, *whole.shape[dim + 1 :])
    value = arguments.get("value", arguments.get("src"))
    if not fits or not isinstance(size, int) or (isinstance(value, Value) and tuple(value.shape) != tuple(index.shape)):
        return None
    numbers = emit.constant(torch.arange(size).reshape(*[1] * dim, size, *[1] * (len(whole.shape) - dim - 1)), "places")
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
        return emit.constant(tensor.reshape(tuple(tensor.shape) + (1,) * (rank - tensor.ndim)), "written")
    if len(shape) == len(mask.shape):
        return mask
    return emit(aten.reshape.default, {"self": mask, "shape": shape}, shape, "bool")


def _is_number(value: Value) -> bool:
    return all(size == 1 for size in value.shape)


def _viewed(value: Value, shape: Sequence[Any], emit: Emission) -> Value:
    if tuple(value.shape) == tuple(shape):
        return value
    return emit(aten.reshape.default, {"self": value, "shape": list(shape)}, shape)
