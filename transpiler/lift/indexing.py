"""Indexing with tensors: as the tensor lies, or as one gather.

Indices that enumerate a dimension, `mask[batch[:, None], place[None, :]]`, gather nothing. transformers writes its
masks so, because `torch.vmap` is slow; `mask[:, None]` is what it comes to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import torch

from transpiler.lift.emission import Emission
from transpiler.lift.program import Size, Stored, Value
from transpiler.lift.scatter import Known
from transpiler.lift.simplify import sizes_in

aten = torch.ops.aten
_PLACED = (aten.unsqueeze.default, aten.view.default, aten.reshape.default, aten.slice.Tensor, aten.alias.default)


def indexed(
    node: torch.fx.Node, arguments: Mapping[str, Any], result: Value, known: Known, emit: Emission
) -> Value | None:
    """`x[i, j]` in simpler operators; None for other operators, and for one index, which rules serve as it is."""
    source = arguments.get("self")
    if node.target is not aten.index.Tensor or not isinstance(source, Value):
        return None
    enumerated = _enumerated(node, source, emit)
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
    value = _permuted(source, order, emit)
    for place in range(rank):
        if place not in places:
            shape = [*value.shape[:place], 1, *value.shape[place:]]
            value = emit(aten.unsqueeze.default, {"self": value, "dim": place}, shape)
    return value


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
    value = _permuted(source, order, emit)
    if len(dims) > 1:
        shape = [*value.shape[:first], math.prod(sizes), *value.shape[first + len(dims) :]]
        value = emit(aten.reshape.default, {"self": value, "shape": sizes_in(shape)}, shape)
    index = _joined([indices[dim] for dim in dims], sizes, known, emit)
    return emit(aten.index.Tensor, {"self": value, "indices": [None] * first + [index]}, result.shape)


def _permuted(value: Value, order: list[int], emit: Emission) -> Value:
    if order == sorted(order):
        return value
    return emit(aten.permute.default, {"self": value, "dims": order}, [value.shape[dim] for dim in order])


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
        shape = _broadcast(scaled.shape, index.shape)
        place = emit(aten.add.Tensor, {"self": scaled, "other": index}, shape, "int64")
    return place


def _broadcast(one: Sequence[Size], other: Sequence[Size]) -> tuple[Size, ...]:
    pairs = zip_longest(reversed(one), reversed(other), fillvalue=1)
    return tuple(b if a == 1 else a for a, b in pairs)[::-1]


def _constant(index: Value, known: Known) -> torch.Tensor | None:
    return index.tensor if isinstance(index, Stored) and not index.in_state_dict else known(index)


def _rank(index: Any) -> int:
    return len(index.meta["val"].shape) if isinstance(index, torch.fx.Node) else 0


def _counted(index: Any, size: Any, rank: int) -> int | None:
    """The dimension, of `rank` that the indices broadcast to, along which an index counts 0, 1, … size - 1."""
    if not isinstance(index, torch.fx.Node) or index.meta["val"].dtype == torch.bool:
        return None
    shape = index.meta["val"].shape
    wide = [dim for dim, length in enumerate(shape) if not _same(length, 1)]
    if len(wide) != 1 or not _same(shape[wide[0]], size) or not _counts(index):
        return None
    return rank - len(shape) + wide[0]


def _counts(node: Any) -> bool:
    """Whether a tensor with one dimension that is not 1 holds 0, 1, 2, … along it."""
    if not isinstance(node, torch.fx.Node):
        return False
    if node.target is aten.arange.default:
        return True
    source = node.args[0] if node.args else None
    if node.target is aten.add.Tensor:
        return isinstance(node.args[1], int) and node.args[1] == 0 and _counts(source)
    if node.target not in _PLACED or not isinstance(source, torch.fx.Node):
        return False
    whole = [_same(a, b) for a, b in zip(_wide(node), _wide(source), strict=False)]
    return whole == [True] and _counts(source)


def _wide(node: torch.fx.Node) -> list[Any]:
    return [size for size in node.meta["val"].shape if not _same(size, 1)]


def _same(one: Any, other: Any) -> bool:
    """Whether two sizes are the same for all inputs."""
    return bool(_expression(one) == _expression(other))


def _expression(size: Any) -> Any:
    return size.node.expr if isinstance(size, torch.SymInt) else size
