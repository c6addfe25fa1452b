"""Calls that say more simply what they do: what changes nothing, and what only repeats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from transpiler.lift.program import Size, Stored, SymbolicSize, Value
from transpiler.lift.views import Emit

aten = torch.ops.aten
_SAME = tuple(f"aten.{name}" for name in ("alias", "detach", "detach_", "lift_fresh_copy", "contiguous", "clone", "to"))
_DROPOUTS = ("aten.dropout", "aten.feature_dropout", "aten.alpha_dropout")
_FILLS = ("aten.zeros", "aten.ones", "aten.full", "aten.new_zeros", "aten.new_ones", "aten.new_full")
_NEUTRAL = {"aten.add.Tensor": 0, "aten.sub.Tensor": 0, "aten.mul.Tensor": 1, "aten.div.Tensor": 1}


def same_tensor(operator: torch._ops.OpOverload, arguments: Mapping[str, Any], result: Value) -> Value | None:
    """The argument that an operator returns as it is, so that export takes the one's name for the other."""
    name = str(operator).rsplit(".", 1)[0]
    source = next(iter(arguments.values()), None)
    if not isinstance(source, Value):
        return None
    if name in _DROPOUTS:
        return None if arguments.get("train") else source
    return source if name in _SAME and source.dtype == result.dtype else None


def neutral(operator: torch._ops.OpOverload, arguments: Mapping[str, Any], result: Value) -> Value | None:
    """The argument that adding 0 to, or multiplying by 1, gives back: scales that a configuration left at 1."""
    name, source = str(operator), arguments.get("self")
    if not isinstance(source, Value) or (source.dtype, source.shape) != (result.dtype, result.shape):
        return None
    return source if name in _NEUTRAL and _is_number(arguments.get("other"), _NEUTRAL[name]) else None


def rate_of(node: torch.fx.Node) -> Any:
    """The rate at which a node drops in training; None for what drops nothing."""
    if str(node.target).rsplit(".", 1)[0] not in _DROPOUTS:
        return None
    return node.args[1] if len(node.args) > 1 else node.kwargs.get("p")


def drops_nothing(operator: torch._ops.OpOverload, arguments: Mapping[str, Any]) -> bool:
    """Whether it is a dropout at a rate of 0."""
    return str(operator).rsplit(".", 1)[0] in _DROPOUTS and arguments.get("p") == 0


_FEW = 4
"""Overlapping windows that are written as slices."""


def unchanged(operator: torch._ops.OpOverload, arguments: Mapping[str, Any], result: Value) -> Stored | None:
    """The stored tensor that an operator returns as it is: `weight.float()` of a float32 weight."""
    name = str(operator).rsplit(".", 1)[0]
    source = arguments.get("self")
    same = name in _SAME and isinstance(source, Stored) and source.dtype == result.dtype
    return source if same else None


def repeated(operator: torch._ops.OpOverload, arguments: Mapping[str, Any], result: Value, emit: Emit) -> Value | None:
    """`repeat` of dimensions of size 1 as an `expand` that copies, fills of dynamic size as one that costs nothing."""
    name = str(operator).rsplit(".", 1)[0]
    if name in ("aten.repeat", "aten.tile") and _repeats_units(arguments["self"], result.shape):
        size = sizes_in(result.shape)
        return emit(aten.expand_copy.default, {"self": arguments["self"], "size": size}, result.shape)
    if name in _FILLS and any(not isinstance(size, int) for size in result.shape):
        shape = [size if isinstance(size, int) else 1 for size in result.shape]
        filled = emit(operator, {**arguments, "size": shape}, shape)
        return emit(aten.expand.default, {"self": filled, "size": sizes_in(result.shape)}, result.shape)
    if name == "aten.scaled_dot_product_attention" and len(result.shape) == 4:
        return _attention_of_all_heads(operator, arguments, result, emit)
    if name == "aten.unfold":
        return _windows(arguments, result, emit)
    if name == "aten.roll" and not arguments.get("dims"):
        return _rolled_flat(arguments, result, emit)
    if name == "aten.gather":
        return _gathered_from_less(operator, arguments, result, emit)
    return None


def _rolled_flat(arguments: Mapping[str, Any], result: Value, emit: Emit) -> Value | None:
    """`roll` without dimensions: of all elements in a row."""
    source = arguments["self"]
    count = math.prod(source.shape)
    flat = emit(aten.reshape.default, {"self": source, "shape": sizes_in([count])}, [count])
    flat = emit(aten.roll.default, {**arguments, "self": flat, "dims": [0]}, [count])
    return emit(aten.reshape.default, {"self": flat, "shape": sizes_in(result.shape)}, result.shape)


def _gathered_from_less(
    operator: torch._ops.OpOverload, arguments: Mapping[str, Any], result: Value, emit: Emit
) -> Value | None:
    """`gather` with an index that is smaller along other dimensions: what it does not reach is cut off first."""
    source, index = arguments["self"], arguments["index"]
    dim = arguments["dim"] % max(len(source.shape), 1)
    shape = list(source.shape)
    for place, (had, wanted) in enumerate(zip(source.shape, index.shape, strict=True)):
        if place != dim and isinstance(wanted, int) and had != wanted:
            shape[place] = wanted
            source = emit(aten.slice.Tensor, {"self": source, "dim": place, "start": 0, "end": wanted}, shape)
    if source is arguments["self"]:
        return None
    return emit(operator, {**arguments, "self": source}, result.shape)


def _attention_of_all_heads(
    operator: torch._ops.OpOverload, arguments: Mapping[str, Any], result: Value, emit: Emit
) -> Value | None:
    """Attention whose queries share keys and values: these are repeated, since Keras has a key for each query.

    Several heads share one (`enable_gqa`; Ainslie et al. 2023, arXiv:2305.13245), or all of a dimension do.
    """
    batch, heads = result.shape[:2]
    changed = {
        name: _repeated_heads(value, (batch, heads), emit)
        for name in ("query", "key", "value")
        if (value := arguments[name]).shape[:2] != (batch, heads)
    }
    rest = {name: value for name, value in arguments.items() if name != "enable_gqa"}
    return emit(operator, rest | changed, result.shape) if changed else None


def _repeated_heads(value: Value, wanted: tuple[Size, Size], emit: Emit) -> Value:
    batch, heads = wanted
    had, rest = value.shape[1], value.shape[2:]
    if had in (1, heads):
        shape = (batch, heads, *rest)
        return emit(aten.expand.default, {"self": value, "size": sizes_in(shape)}, shape)
    assert isinstance(had, int)
    assert isinstance(heads, int)
    each = emit(aten.unsqueeze.default, {"self": value, "dim": 2}, (value.shape[0], had, 1, *rest))
    shape = (batch, had, heads // had, *rest)
    each = emit(aten.expand.default, {"self": each, "size": sizes_in(shape)}, shape)
    shape = (batch, heads, *rest)
    return emit(aten.reshape.default, {"self": each, "shape": sizes_in(shape)}, shape)


def _windows(arguments: Mapping[str, Any], result: Value, emit: Emit) -> Value | None:
    """`unfold`: windows side by side are a view, a few that overlap are slices that are stacked, many are sequences."""
    source, dim = arguments["self"], arguments["dimension"] % len(arguments["self"].shape)
    count, size, step = result.shape[dim], arguments["size"], arguments["step"]
    before, behind = source.shape[:dim], source.shape[dim + 1 :]
    if isinstance(count, int) and step == size:
        used = {"self": source, "dim": dim, "start": 0, "end": count * size}
        whole = emit(aten.slice.Tensor, used, (*before, count * size, *behind))
        shape = (*before, count, size, *behind)
        split = emit(aten.reshape.default, {"self": whole, "shape": sizes_in(shape)}, shape)
        return _moved_last(split, dim + 1, emit)
    if isinstance(count, int) and count <= _FEW:
        windows = [
            emit(
                aten.slice.Tensor,
                {"self": source, "dim": dim, "start": first, "end": first + size},
                (*before, size, *behind),
            )
            for first in range(0, count * step, step)
        ]
        stacked = emit(aten.stack.default, {"tensors": windows, "dim": dim}, (*before, count, size, *behind))
        return _moved_last(stacked, dim + 1, emit)
    last = len(source.shape) - 1
    if dim == last:
        return None  # for a rule
    given = {**arguments, "self": _moved_last(source, dim, emit), "dimension": last}
    windows_last = emit(aten.unfold.default, given, (*before, *behind, count, size))
    order = [*range(dim), last, *range(dim, last), last + 1]
    return emit(aten.permute.default, {"self": windows_last, "dims": order}, result.shape)


def _moved_last(value: Value, dim: int, emit: Emit) -> Value:
    order = [place for place in range(len(value.shape)) if place != dim] + [dim]
    return emit(aten.permute.default, {"self": value, "dims": order}, [value.shape[place] for place in order])


def _repeats_units(source: Value, shape: tuple[Size, ...]) -> bool:
    before = (1,) * (len(shape) - len(source.shape)) + tuple(source.shape)
    return all(old in (1, new) for old, new in zip(before, shape, strict=True))


def _is_number(argument: Any, number: int) -> bool:
    return isinstance(argument, int | float) and argument == number


def sizes_in(shape: Sequence[Size]) -> list[Any]:
    """A shape as an argument of an operator."""
    return [size if isinstance(size, int) else SymbolicSize(size) for size in shape]
