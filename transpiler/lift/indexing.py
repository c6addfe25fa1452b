"""Indexing with tensors: as the tensor lies, or as one gather.

Indices that enumerate a dimension, `mask[batch[:, None], place[None, :]]`, gather nothing. transformers writes its
masks so, because `torch.vmap` is slow; `mask[:, None]` is what it comes to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from transpiler.lift.arranging import broadcast_shape, permuted
from transpiler.lift.emission import Emission
from transpiler.lift.program import Stored, Value
from transpiler.lift.scatter import Known
from transpiler.lift.simplify import sizes_in

aten = torch.ops.aten
_PLACED = (
    aten.unsqueeze.default,
    aten.view.default,
    aten.reshape.default,
    aten.slice.Tensor,
    aten.alias.default,
    aten.expand.default,
    aten.repeat.default,
)


def indexed(
    node: torch.fx.Node, arguments: Mapping[str, Any], result: Value, known: Known, emit: Emission
) -> Value | None:
    """`x[i, j]` in simpler operators; None for other operators, and for one index, which rules serve as it is."""
    source = arguments.get("self")
    if node.target is not aten.index.Tensor or not isinstance(source, Value):
        return None
    enumerated = _enumerated(node, source, emit)
    if enumerated is None:
        enumerated = _one_of_each(node, source, arguments["indices"], emit)
    return _gathered(source, arguments["indices"], result, known, emit) if enumerated is None else enumerated


def _enumerated(node: torch.fx.Node, source: Value, emit: Emission) -> Value | None:
    """`x[i, j]`, each index counting a whole leading dimension of `x` along a dimension of its own: `x` permuted."""
    indices = node.args[1]
    assert isinstance(indices, list | tuple)
    rank = max((_rank(index) for index in indices), default=0)
    places = [
        _counted(index, size, rank)
        for index, size in zip(indices, node.args[0].meta["val"].shape, strict=False)  # type: ignore[union-attr]
    ]
    if None in places or len(set(places)) < len(places):
        return None
    rest = range(len(places), len(source.shape))
    order = [*sorted(range(len(places)), key=lambda dim: places[dim]), *rest]  # type: ignore[arg-type,return-value]
    value = permuted(source, order, emit)
    for place in range(rank):
        if place not in places:
            shape = [*value.shape[:place], 1, *value.shape[place:]]
            value = emit(aten.unsqueeze.default, {"self": value, "dim": place}, shape)
    return value


def _one_of_each(node: torch.fx.Node, source: Value, given: list[Any], emit: Emission) -> Value | None:
    """`x[torch.arange(batch), i]`, and `x[:, i]` with an own `i` for each of the batch: a `gather` along one dimension.

    All indices but the last count whole dimensions of `x`, in their order, along the first dimensions of the last.
    """
    indices = node.args[1]
    assert isinstance(indices, list | tuple)
    dims = [dim for dim, index in enumerate(indices) if index is not None]
    if len(dims) < 2 or given[dims[-1]].dtype == "bool":
        return None
    rank = max(_rank(index) for index in indices if index is not None)
    shape = node.args[0].meta["val"].shape  # type: ignore[union-attr]
    places = [_counted(indices[dim], shape[dim], rank) for dim in dims[:-1]]
    index = given[dims[-1]]
    if places != list(range(len(places))) or len(index.shape) != rank:
        return None
    if any(not _same(size, shape[dim]) for size, dim in zip(_shape(indices[dims[-1]]), dims[:-1], strict=False)):
        return None
    rest = [dim for dim in range(len(source.shape)) if dim not in dims]
    value = permuted(source, [*dims, *rest], emit)
    each, beside = index.shape[: len(places)], [source.shape[dim] for dim in rest]
    wide = [*each, math.prod(index.shape[len(places) :]), *[1] * len(rest)]
    index = emit(aten.reshape.default, {"self": index, "shape": sizes_in(wide)}, wide, "int64")
    wide = [*wide[: len(places) + 1], *beside]
    index = emit(aten.expand.default, {"self": index, "size": sizes_in(wide)}, wide, "int64")
    value = emit(aten.gather.default, {"self": value, "dim": len(places), "index": index}, wide)
    first = dims[0] if dims == list(range(dims[0], dims[-1] + 1)) else 0
    behind = [*given[dims[-1]].shape, *beside]
    value = emit(aten.reshape.default, {"self": value, "shape": sizes_in(behind)}, behind)
    return permuted(value, [*range(rank, rank + first), *range(rank), *range(rank + first, len(behind))], emit)


def _gathered(source: Value, given: list[Any], result: Value, known: Known, emit: Emission) -> Value | None:
    """`x[i, :, j]` with several indices, as one index into their dimensions, joined.

    Masks must be known when the code is generated, and so must the sizes of the dimensions.
    """
    indices = _without_masks(given, known, emit)
    dims = [dim for dim, index in enumerate(indices) if index is not None]
    sizes = [source.shape[dim] for dim in dims]
    if len(dims) < 1 or (len(dims) < 2 and indices == given) or not all(isinstance(size, int) for size in sizes):
        return None
    together = dims == list(range(dims[0], dims[0] + len(dims)))
    first = dims[0] if together else 0  # torch puts them in front where a dimension lies between
    rest = [dim for dim in range(len(source.shape)) if dim not in dims]
    order = [*rest[:first], *dims, *rest[first:]]
    value = permuted(source, order, emit)
    if len(dims) > 1:
        shape = [*value.shape[:first], math.prod(sizes), *value.shape[first + len(dims) :]]
        value = emit(aten.reshape.default, {"self": value, "shape": sizes_in(shape)}, shape)
    index = _joined([indices[dim] for dim in dims], sizes, known, emit)
    return emit(aten.index.Tensor, {"self": value, "indices": [None] * first + [index]}, result.shape)


def _without_masks(given: list[Any], known: Known, emit: Emission) -> list[Any]:
    """The indices, a mask as the places where it holds."""
    found: list[Any] = []
    for index in given:
        mask = known(index) if isinstance(index, Value) and index.dtype == "bool" else None
        if mask is None:
            found.append(index)
        else:
            found += [emit.constant(places, "places") for places in mask.nonzero(as_tuple=True)]
    return found


def _joined(indices: list[Any], sizes: list[Any], known: Known, emit: Emission) -> Value:
    """One index for several: the place in the dimensions as they lie behind one another."""
    tensors = [_constant(index, known) for index in indices]
    if all(tensor is not None for tensor in tensors):
        total = torch.zeros((), dtype=torch.long)
        for tensor, size in zip(tensors, sizes, strict=True):
            total = total * size + tensor.remainder(size)  # type: ignore[union-attr]
        return emit.constant(total, "places")
    wrapped = [
        emit(aten.remainder.Scalar, {"self": index, "other": size}, index.shape, index.dtype)
        for index, size in zip(indices, sizes, strict=True)
    ]
    place = wrapped[0]
    for index, size in zip(wrapped[1:], sizes[1:], strict=True):
        scaled = emit(aten.mul.Tensor, {"self": place, "other": size}, place.shape, "int64")
        shape = broadcast_shape(scaled.shape, index.shape)
        place = emit(aten.add.Tensor, {"self": scaled, "other": index}, shape, "int64")
    return place


def _constant(index: Value, known: Known) -> torch.Tensor | None:
    return index.tensor if isinstance(index, Stored) and not index.in_state_dict else known(index)


def _rank(index: Any) -> int:
    return len(index.meta["val"].shape) if isinstance(index, torch.fx.Node) else 0


def _counted(index: Any, size: Any, rank: int) -> int | None:
    """The dimension, of `rank` that the indices broadcast to, along which an index counts 0, 1, … size - 1."""
    place = _counting(index)
    if place is None or not _same(_shape(index)[place], size):
        return None
    return rank - len(_shape(index)) + place


def _counting(node: Any) -> int | None:
    """The dimension along which a tensor holds 0, 1, 2, …, the same in all others."""
    if not isinstance(node, torch.fx.Node):
        return None
    source = node.args[0] if node.args else None
    if node.target is aten.arange.default:
        return 0
    if node.target in (aten.arange.start, aten.arange.start_step):
        return 0 if source == 0 and all(step == 1 for step in node.args[2:3]) else None
    if node.target is aten.add.Tensor:
        return _counting(source) if isinstance(node.args[1], int) and node.args[1] == 0 else None
    if node.target not in _PLACED or (place := _counting(source)) is None:
        return None
    return _moved(node, _shape(source), place)


def _moved(node: torch.fx.Node, before: Sequence[Any], place: int) -> int | None:
    """Where a view has the dimension `place` of its source of shape `before`; None if not whole."""
    shape = _shape(node)
    if node.target in (aten.expand.default, aten.repeat.default):
        moved = place + len(shape) - len(before)
    elif node.target in (aten.view.default, aten.reshape.default):
        # row by row, the elements before a dimension are what the ones before it make
        ahead = math.prod(before[:place])
        same = (_same(math.prod(shape[:dim]), ahead) and _same(size, before[place]) for dim, size in enumerate(shape))
        moved = next((dim for dim, found in enumerate(same) if found), -1)
    elif node.target is aten.unsqueeze.default:
        moved = place + (int(node.args[1]) % len(shape) <= place)  # type: ignore[arg-type]
    else:
        moved = place
    return moved if moved >= 0 and _same(shape[moved], before[place]) else None


def _shape(node: Any) -> Sequence[Any]:
    shape: Sequence[Any] = node.meta["val"].shape
    return shape


def _same(one: Any, other: Any) -> bool:
    """Whether two sizes are the same for all inputs."""
    return bool(_expression(one) == _expression(other))


def _expression(size: Any) -> Any:
    return size.node.expr if isinstance(size, torch.SymInt) else size
