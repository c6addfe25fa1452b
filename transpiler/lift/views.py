"""Views in torch's sense, tensors that share memory: found in the graph, and written back through.

A write to a view changes its base and all other views of it. Here values never change, so the base gets a new value,
put together from the old one and what was written, and views that are read later are taken again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from transpiler.errors import Diagnostic, ModelError
from transpiler.lift.program import Value

aten = torch.ops.aten
Emit: TypeAlias = Callable[[torch._ops.OpOverload, Mapping[str, Any], Sequence[Any]], Value]
"""Adds a call of an operator with these arguments by name, and a result of this shape; returns the result."""

_SAME = ("alias", "detach", "detach_", "lift_fresh", "contiguous", "to")
_RESHAPING = (
    "view",
    "reshape",
    "_unsafe_view",
    "unsqueeze",
    "squeeze",
    "flatten",
    "unflatten",
    "view_as",
    "reshape_as",
)
_SPLITTING = ("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk")
_END = torch.iinfo(torch.int64).max


@dataclass(frozen=True, slots=True)
class View:
    """One step from a tensor to a view of it."""

    node: torch.fx.Node
    """The operator; for one of several results, the operator that made them all."""
    index: int | None = None
    """Which of several results."""

    @property
    def name(self) -> str:
        """The operator's name without overload: "select"."""
        return str(self.node.target.overloadpacket.__name__)  # type: ignore[union-attr]

    def argument(self, name: str, default: Any = None) -> Any:
        """An argument of the operator, by its name in the schema."""
        schema = self.node.target._schema.arguments  # type: ignore[union-attr]
        given = dict(zip((entry.name for entry in schema), self.node.args, strict=False)) | dict(self.node.kwargs)
        return given.get(name, default)


def view_of(node: torch.fx.Node) -> tuple[View, torch.fx.Node] | None:
    """How `node` was made out of the tensor that it is a view of; an in-place result is the tensor itself."""
    if getattr(node.target, "__name__", "") == "getitem" and isinstance(node.args[0], torch.fx.Node):
        step = view_of(node.args[0])
        return None if step is None else (View(step[0].node, node.args[1]), step[1])  # type: ignore[arg-type]
    if not isinstance(node.target, torch._ops.OpOverload):
        return None
    for index, argument in enumerate(node.target._schema.arguments):
        shares = argument.alias_info and not argument.alias_info.is_write
        if shares and index < len(node.args) and isinstance(node.args[index], torch.fx.Node):
            return View(node), node.args[index]  # type: ignore[return-value]
    return None


def put_back(view: View, whole: Value, part: Value, emit: Emit) -> Value:
    """The tensor `whole` after `part` was written to its view.

    Raises:
        ModelError: torch refuses to write through such a view, or it has no counterpart here.
    """
    if view.name in _SAME:
        return part
    if view.name in _RESHAPING:
        return _reshaped(part, whole.shape, emit)
    dim = view.argument("dim", 0)
    if view.name == "select":
        return _select_back(whole, part, dim, view.argument("index"), emit)
    if view.name == "unbind":
        return _select_back(whole, part, dim, view.index, emit)
    if view.name == "slice":
        return _slice_back(view, whole, part, dim, emit)
    if view.name == "narrow" and isinstance(view.argument("start"), int):
        return _write_range(whole, part, dim % len(whole.shape), view.argument("start"), emit)
    if view.name in _SPLITTING:
        return _write_range(whole, part, dim % len(whole.shape), _offset(view, dim), emit)
    order = _order(view, len(whole.shape))
    if order is not None:
        return _permuted(part, [order.index(place) for place in range(len(order))], emit)
    raise ModelError(
        Diagnostic(
            f"a write through {view.node.target} has no counterpart in Keras",
            hint="write to a copy, or build the result with torch.cat or torch.where",
        )
    )


def _order(view: View, rank: int) -> list[int] | None:
    """The order of dimensions that a permuting view gives."""
    if view.name == "permute":
        return [int(dim) % rank for dim in view.argument("dims")]
    if view.name in ("t", "numpy_T"):
        return list(reversed(range(rank)))
    names = {"transpose": ("dim0", "dim1"), "swapaxes": ("axis0", "axis1"), "swapdims": ("dim0", "dim1")}.get(view.name)
    if names is None:
        return None
    first, second = (view.argument(name) % rank for name in names)
    order = list(range(rank))
    order[first], order[second] = order[second], order[first]
    return order


def _reshaped(part: Value, shape: Sequence[Any], emit: Emit) -> Value:
    if tuple(part.shape) == tuple(shape):
        return part
    return emit(aten.view.default, {"self": part, "size": list(shape)}, shape)


def _permuted(part: Value, order: list[int], emit: Emit) -> Value:
    return emit(aten.permute.default, {"self": part, "dims": order}, [part.shape[dim] for dim in order])


def _select_back(whole: Value, part: Value, dim: int, index: Any, emit: Emit) -> Value:
    dim %= len(whole.shape)
    shape = [*whole.shape[:dim], 1, *whole.shape[dim + 1 :]]
    size = whole.shape[dim]
    if not isinstance(index, int) or (index < 0 and not isinstance(size, int)):
        raise ModelError(Diagnostic("a write to an element whose place is known only when the model runs"))
    start = index + size if index < 0 else index
    return _write_range(whole, _reshaped(part, shape, emit), dim, int(start), emit)


def _slice_back(view: View, whole: Value, part: Value, dim: int, emit: Emit) -> Value:
    dim %= len(whole.shape)
    start, step, size = view.argument("start"), view.argument("step", 1), whole.shape[dim]
    start = 0 if start is None else start
    if tuple(part.shape) == tuple(whole.shape):
        return part
    if not isinstance(start, int) or (start < 0 and not isinstance(size, int)):
        raise ModelError(Diagnostic("a write to a slice whose bounds are known only when the model runs"))
    first = max(0, int(start + size)) if start < 0 else start
    if step == 1:
        return _write_range(whole, part, dim, first, emit)
    if not isinstance(size, int) or not isinstance(part.shape[dim], int):
        raise ModelError(Diagnostic("a write to every n-th element of a dimension of dynamic size"))
    return _interleaved(whole, part, dim, range(first, size, step), emit)


def _interleaved(whole: Value, part: Value, dim: int, places: range, emit: Emit) -> Value:
    """Element by element: only stepped slices need it."""
    pieces = []
    for place in range(int(whole.shape[dim])):
        source, index = (part, places.index(place)) if place in places else (whole, place)
        pieces.append(_range(source, dim, index, index + 1, emit))
    return emit(aten.cat.default, {"tensors": pieces, "dim": dim}, whole.shape)


def _offset(view: View, dim: int) -> int:
    """Where the result of a split begins."""
    sizes = [fake.shape[dim] for fake in view.node.meta["val"][: view.index]]
    if not all(isinstance(size, int) for size in sizes):
        raise ModelError(Diagnostic("a write to a piece whose place is known only when the model runs"))
    return sum(sizes)


def _write_range(whole: Value, part: Value, dim: int, start: int, emit: Emit) -> Value:
    """`whole` with `part` from `start` on."""
    size, length = whole.shape[dim], part.shape[dim]
    if size == length:
        return part
    if not isinstance(length, int):
        raise ModelError(Diagnostic("a write to a slice of dynamic length"))
    pieces = [_range(whole, dim, 0, start, emit)] if start else []
    pieces.append(part)
    if not isinstance(size, int) or start + length < size:
        pieces.append(_range(whole, dim, start + length, None, emit))
    return emit(aten.cat.default, {"tensors": pieces, "dim": dim}, whole.shape)


def _range(whole: Value, dim: int, start: int, stop: int | None, emit: Emit) -> Value:
    end = whole.shape[dim] if stop is None else stop
    shape = [*whole.shape[:dim], end - start, *whole.shape[dim + 1 :]]
    arguments = {"self": whole, "dim": dim, "start": start, "end": _END if stop is None else stop}
    return emit(aten.slice.Tensor, arguments, shape)
