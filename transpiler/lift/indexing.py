"""Indices that enumerate a dimension, `mask[batch[:, None], place[None, :]]`: no gather, but the tensor as it lies.

transformers writes its masks so, because `torch.vmap` is slow; `mask[:, None]` is what it comes to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from transpiler.lift.program import Value
from transpiler.lift.views import Emit

aten = torch.ops.aten
_PLACED = (aten.unsqueeze.default, aten.view.default, aten.reshape.default, aten.slice.Tensor, aten.alias.default)


def enumerated(node: torch.fx.Node, arguments: Mapping[str, Any], emit: Emit) -> Value | None:
    """`x[i, j]`, each index counting a whole leading dimension of `x` along a dimension of its own: `x` permuted.

    None for all other calls.
    """
    source = arguments.get("self")
    if node.target is not aten.index.Tensor or not isinstance(source, Value):
        return None
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
    value = source
    if order != sorted(order):
        shape = [source.shape[dim] for dim in order]
        value = emit(aten.permute.default, {"self": value, "dims": order}, shape)
    for place in range(rank):
        if place not in places:
            shape = [*value.shape[:place], 1, *value.shape[place:]]
            value = emit(aten.unsqueeze.default, {"self": value, "dim": place}, shape)
    return value


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
