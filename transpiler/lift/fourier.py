"""Fourier transforms on pairs of real tensors, along the last one or two dimensions, as Keras has them.

torch's transforms take any dimensions, in one direction or the other, with three normalisations. All come to
`kerascribe::fft`, `fft2`, `rfft` and `irfft`: dimensions are permuted last, which costs nothing in itself; the
backward transform is the forward one with real and imaginary parts exchanged, before and after; and a factor is left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from transpiler.errors import Diagnostic, ModelError
from transpiler.lift.emission import Emission
from transpiler.lift.program import Size, SymbolicSize, Value

Pair: TypeAlias = tuple[Value, Value]
"""Real and imaginary part."""

aten = torch.ops.aten
_BY_N = 2
_POWERS = {0: 0.0, 1: -0.5, _BY_N: -1.0}
"""torch's `fft_norm_mode`: by the power of the number of elements that the sum is multiplied with."""


def _fft(re: Tensor, im: Tensor) -> tuple[Tensor, Tensor]:
    return _parts(torch.fft.fft(torch.complex(re, im)))


def _fft2(re: Tensor, im: Tensor) -> tuple[Tensor, Tensor]:
    return _parts(torch.fft.fft2(torch.complex(re, im)))


def _rfft(x: Tensor) -> tuple[Tensor, Tensor]:
    return _parts(torch.fft.rfft(x))


def _irfft(re: Tensor, im: Tensor, n: int) -> Tensor:
    result: Tensor = torch.fft.irfft(torch.complex(re, im), n)
    return result


def _parts(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.real.clone(), x.imag.clone()


_LIBRARY: Any = torch.library.Library("kerascribe", "FRAGMENT")  # type: ignore[no-untyped-call]
for _schema, _function in (
    ("fft(Tensor re, Tensor im) -> (Tensor, Tensor)", _fft),
    ("fft2(Tensor re, Tensor im) -> (Tensor, Tensor)", _fft2),
    ("rfft(Tensor x) -> (Tensor, Tensor)", _rfft),
    ("irfft(Tensor re, Tensor im, SymInt n) -> Tensor", _irfft),
):
    _LIBRARY.define(_schema)
    _LIBRARY.impl(_schema.partition("(")[0], _function, "CompositeImplicitAutograd")


def c2c(pair: Pair, dims: Sequence[int], mode: int, emit: Emission, *, forward: bool) -> Pair:
    """`aten._fft_c2c`."""
    found = _summed(pair, dims, emit, forward=forward)
    return _scaled(found, _factor(pair[0].shape, dims, mode), emit)


def r2c(x: Value, dims: Sequence[int], mode: int, emit: Emission, *, onesided: bool) -> Pair:
    """`aten._fft_r2c`: of a real tensor, all of the result or the half that says it all."""
    if not onesided:
        zero = emit(aten.zeros_like.default, {"self": x}, x.shape)
        return c2c((x, zero), dims, mode, emit, forward=True)
    last = dims[-1]
    size = x.shape[last]
    half = [*x.shape[:last], size // 2 + 1, *x.shape[last + 1 :]]
    (turned,), back = _last([x], [last], emit)
    shape = _turned(half, [last])
    re, im = emit.several(torch.ops.kerascribe.rfft.default, {"x": turned}, (shape, shape))
    found = _summed((back(re, half), back(im, half)), dims[:-1], emit, forward=True)
    return _scaled(found, _factor(x.shape, dims, mode), emit)


def c2r(pair: Pair, dims: Sequence[int], mode: int, size: Any, emit: Emission) -> Value:
    """`aten._fft_c2r`: the real tensor, of this size along the last of `dims`, that `pair` is half the transform of."""
    whole = list(pair[0].shape)
    last = dims[-1]
    whole[last] = size.expression if isinstance(size, SymbolicSize) else size
    parts, back = _last(_summed(pair, dims[:-1], emit, forward=False), [last], emit)
    arguments = {"re": parts[0], "im": parts[1], "n": size}
    result = back(emit(torch.ops.kerascribe.irfft.default, arguments, _turned(whole, [last])), whole)
    if mode == _BY_N:  # Keras's has divided by the last size already
        return _times(result, _factor(whole, dims[:-1], mode), emit)
    return _times(result, _factor(whole, dims, mode) * _count(whole, dims[-1:]), emit)


def _summed(pair: Pair, dims: Sequence[int], emit: Emission, *, forward: bool) -> Pair:
    """The sums alone, without a factor."""
    if not dims:
        return pair
    ahead, dims = dims[:-2], dims[-2:]
    re, im = _summed(pair, ahead, emit, forward=forward)
    parts, back = _last([re, im] if forward else [im, re], dims, emit)
    operator = torch.ops.kerascribe.fft.default if len(dims) == 1 else torch.ops.kerascribe.fft2.default
    shape = parts[0].shape
    first, second = emit.several(operator, {"re": parts[0], "im": parts[1]}, (shape, shape))
    first, second = back(first, re.shape), back(second, re.shape)
    return (first, second) if forward else (second, first)


def _last(values: Sequence[Value], dims: Sequence[int], emit: Emission) -> tuple[list[Value], Any]:
    """The values with these dimensions last, and a function that takes a result back to where they stood."""
    rank = len(values[0].shape)
    order = [dim for dim in range(rank) if dim not in dims] + list(dims)
    inverse = [order.index(dim) for dim in range(rank)]

    def permuted(value: Value, places: list[int], shape: Sequence[Size]) -> Value:
        if places == sorted(places):
            return value
        return emit(aten.permute.default, {"self": value, "dims": places}, shape, value.dtype)

    def back(value: Value, shape: Sequence[Size]) -> Value:
        return permuted(value, inverse, shape)

    return [permuted(value, order, _turned(value.shape, dims)) for value in values], back


def _turned(shape: Sequence[Size], dims: Sequence[int]) -> list[Size]:
    return [size for dim, size in enumerate(shape) if dim not in dims] + [shape[dim] for dim in dims]


def _factor(shape: Sequence[Size], dims: Sequence[int], mode: int) -> float:
    return 1.0 if _POWERS[mode] == 0 else _count(shape, dims) ** _POWERS[mode]


def _count(shape: Sequence[Size], dims: Sequence[int]) -> int:
    sizes = [shape[dim] for dim in dims]
    if not all(isinstance(size, int) for size in sizes):
        raise ModelError(
            Diagnostic(
                "a Fourier transform along a dynamic dimension is divided by its size",
                hint='declare a number for this size, or use norm="backward" for the forward transform',
            )
        )
    return math.prod(int(size) for size in sizes)


def _scaled(pair: Pair, factor: float, emit: Emission) -> Pair:
    return _times(pair[0], factor, emit), _times(pair[1], factor, emit)


def _times(value: Value, factor: float, emit: Emission) -> Value:
    if math.isclose(factor, 1.0):
        return value
    return emit(aten.mul.Tensor, {"self": value, "other": factor}, value.shape, value.dtype)
