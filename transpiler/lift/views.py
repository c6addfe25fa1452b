"""Views in torch's sense, tensors that share memory: found in the graph, and written back through.

A write to a view changes its base and all other views of it. Here values never change, so the base gets a new value,
put together from the old one and what was written, and views that are read later are taken again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from transpiler.errors import Diagnostic, ModelError
from transpiler.lift.emission import Emission
from transpiler.lift.program import Value

aten = torch.ops.aten
Emit: TypeAlias = Emission

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
        return write_element(whole, part, dim, view.argument("index"), emit)
    if view.name == "unbind":
        return write_element(whole, part, dim, view.index, emit)
    if view.name == "slice":
        return write_slice(whole, part, dim, view.argument("start"), view.argument("step", 1), emit)
    if view.name == "narrow" and isinstance(view.argument("start"), int):
        return write_slice(whole, part, dim, view.argument("start"), 1, emit)
    if view.name in _SPLITTING:
        return write_range(whole, part, dim % len(whole.shape), _offset(view, dim), emit)
    if view.name == "diagonal":
        offset, first, second = (view.argument(name, place) for place, name in enumerate(("offset", "dim1", "dim2")))
        return write_diagonal(whole, part, offset, first, second, emit)
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
    for earlier in emit.reshaped_from(part):
        if tuple(earlier.shape) == tuple(shape):
            return earlier
    return emit(aten.reshape.default, {"self": part, "shape": list(shape)}, shape)


def _permuted(part: Value, order: list[int], emit: Emit) -> Value:
    return emit(aten.permute.default, {"self": part, "dims": order}, [part.shape[dim] for dim in order])


def write_element(whole: Value, part: Value, dim: int, index: Any, emit: Emit) -> Value:
    """`whole` with `part` as the element `index` of `dim`."""
    dim %= len(whole.shape)
    shape = [*whole.shape[:dim], 1, *whole.shape[dim + 1 :]]
    size = whole.shape[dim]
    if not isinstance(index, int) or (index < 0 and not isinstance(size, int)):
        raise ModelError(Diagnostic("a write to an element whose place is known only when the model runs"))
    start = index + size if index < 0 else index
    return write_range(whole, _reshaped(part, shape, emit), dim, int(start), emit)


def write_slice(whole: Value, part: Value, dim: int, start: Any, step: int, emit: Emit) -> Value:
    """`whole` with `part` as the slice of `dim` from `start` on; `start` as in Python, None and below zero, too."""
    dim %= len(whole.shape)
    size = whole.shape[dim]
    start = 0 if start is None else start
    if tuple(part.shape) == tuple(whole.shape):
        return part
    if not isinstance(start, int) or (start < 0 and not isinstance(size, int)):
        raise ModelError(Diagnostic("a write to a slice whose bounds are known only when the model runs"))
    first = max(0, int(start + size)) if start < 0 else start
    if step == 1 or part.shape[dim] == 1:
        return write_range(whole, part, dim, first, emit)
    if not isinstance(size, int) or not isinstance(part.shape[dim], int):
        raise ModelError(Diagnostic("a write to every n-th element of a dimension of dynamic size"))
    size = min(size, first + step * part.shape[dim])  # what lies behind the last written element stays
    changed = _stepped(whole, size, part, dim, first, step, emit)
    return _joined(whole.shape, [*changed, *_range(whole, dim, size, None, emit)], dim, emit)


def _stepped(whole: Value, size: int, part: Value, dim: int, start: int, step: int, emit: Emit) -> list[Value]:
    """The first `size` elements with `part` at every `step`-th place: groups of `step` get a dimension of their own."""
    begin, column = start // step, start % step
    groups, rest = size // step - begin, size % step
    pieces = _range(whole, dim, 0, begin * step, emit)
    if groups:
        old = _joined(
            _resized(whole, dim, groups * step), _range(whole, dim, begin * step, size - rest, emit), dim, emit
        )
        grouped = _reshaped(old, [*whole.shape[:dim], groups, step, *whole.shape[dim + 1 :]], emit)
        new = _joined(_resized(part, dim, groups), _range(part, dim, 0, groups, emit), dim, emit)
        column_shape = [*part.shape[:dim], groups, 1, *part.shape[dim + 1 :]]
        written = write_range(grouped, _reshaped(new, column_shape, emit), dim + 1, column, emit)
        pieces.append(_reshaped(written, old.shape, emit))
    if column < rest:
        pieces += _range(whole, dim, size - rest, size - rest + column, emit)
        pieces += _range(part, dim, groups, groups + 1, emit)
        pieces += _range(whole, dim, size - rest + column + 1, size, emit)
    else:
        pieces += _range(whole, dim, size - rest, size, emit)
    return pieces


def write_diagonal(whole: Value, part: Value, offset: int, dim1: int, dim2: int, emit: Emit) -> Value:
    """`whole` with `part`, whose last dimension runs along the diagonal, written to a diagonal."""
    rank = len(whole.shape)
    row, column = dim1 % rank, dim2 % rank
    rows, columns, length = whole.shape[row], whole.shape[column], part.shape[-1]
    if not (isinstance(rows, int) and isinstance(columns, int) and isinstance(length, int)):
        raise ModelError(Diagnostic("a write to a diagonal of a dimension of dynamic size"))
    order = [place for place in range(rank) if place not in (row, column)] + [row, column]
    above = max(0, -offset)
    padding = [above, rows - above - length]
    if any(padding):
        arguments = {"self": part, "pad": padding, "mode": "constant", "value": 0.0}
        part = emit(aten.pad.default, arguments, [*part.shape[:-1], rows])
    turned = _permuted(whole, order, emit)
    mask = torch.zeros(rows, columns, dtype=torch.bool)
    mask.diagonal(offset).logical_not_()
    spread = emit(aten.unsqueeze.default, {"self": part, "dim": -1}, [*part.shape, 1])
    arguments = {"condition": emit.constant(mask, "diagonal"), "self": spread, "other": turned}
    written = emit(aten.where.self, arguments, turned.shape)
    return _permuted(written, [order.index(place) for place in range(rank)], emit)


def _offset(view: View, dim: int) -> int:
    """Where the result of a split begins."""
    sizes = [fake.shape[dim] for fake in view.node.meta["val"][: view.index]]
    if not all(isinstance(size, int) for size in sizes):
        raise ModelError(Diagnostic("a write to a piece whose place is known only when the model runs"))
    return sum(sizes)


def write_range(whole: Value, part: Value, dim: int, start: int, emit: Emit) -> Value:
    """`whole` with `part` from `start` on."""
    size, length = whole.shape[dim], part.shape[dim]
    if size == length:
        return part
    if not isinstance(length, int):
        raise ModelError(Diagnostic("a write to a slice of dynamic length"))
    before = _range(whole, dim, 0, start, emit)
    behind = _range(whole, dim, start + length, None, emit)
    return _joined(whole.shape, [*before, part, *behind], dim, emit)


def _joined(shape: Sequence[Any], pieces: list[Value], dim: int, emit: Emit) -> Value:
    if len(pieces) == 1:
        return pieces[0]
    return emit(aten.cat.default, {"tensors": pieces, "dim": dim}, shape)


def _resized(value: Value, dim: int, size: Any) -> list[Any]:
    """The shape of `value` with another size of `dim`."""
    return [*value.shape[:dim], size, *value.shape[dim + 1 :]]


def _range(whole: Value, dim: int, start: int, stop: int | None, emit: Emit) -> list[Value]:
    """Elements from `start` to `stop` as pieces to join: what an earlier write joined is not cut out again."""
    pieces = emit.pieces(whole, dim)
    if not all(isinstance(piece.shape[dim], int) for piece in pieces):
        return [_cut(whole, dim, start, stop, emit)] if stop is None or start < stop else []
    found, begin = [], 0
    for piece in pieces:
        size = int(piece.shape[dim])
        first, last = max(start - begin, 0), size if stop is None else min(stop - begin, size)
        if first < last:
            found.append(piece if (first, last) == (0, size) else _cut(piece, dim, first, last, emit))
        begin += size
    return found


def _cut(whole: Value, dim: int, start: int, stop: int | None, emit: Emit) -> Value:
    size = whole.shape[dim] if stop is None else stop
    source, begin = emit.window(whole, dim)
    if stop is None and begin + size != source.shape[dim]:
        source, begin = whole, 0
    end = _END if begin + size == source.shape[dim] else begin + size
    arguments = {"self": source, "dim": dim, "start": begin + start, "end": end}
    return emit(aten.slice.Tensor, arguments, _resized(whole, dim, size - start))
