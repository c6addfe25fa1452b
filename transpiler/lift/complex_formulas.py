"""What operators on complex tensors are on real and imaginary parts.

A formula takes the call's arguments, complex tensors in them as pairs, the shape of the result, and a function that
emits calls of operators on real tensors. It gives a pair, a real tensor, or None for a setting that it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch

from transpiler.lift import fourier
from transpiler.lift.arranging import expanded
from transpiler.lift.emission import Emission
from transpiler.lift.fourier import Pair
from transpiler.lift.program import Size, Value

aten = torch.ops.aten
Shape: TypeAlias = Sequence[Size]
Result: TypeAlias = "Pair | Value | None"
Formula: TypeAlias = Callable[[Mapping[str, Any], Shape, Emission], Result]

LINEAR = frozenset(
    {
        "alias",
        "cat",
        "chunk",
        "clone",
        "concat",
        "constant_pad_nd",
        "contiguous",
        "cumsum",
        "detach",
        "diagonal",
        "diagonal_scatter",
        "empty",
        "expand",
        "expand_as",
        "expand_copy",
        "flatten",
        "flip",
        "gather",
        "index",
        "index_select",
        "lift_fresh_copy",
        "mean",
        "movedim",
        "narrow",
        "neg",
        "new_empty",
        "new_zeros",
        "numpy_T",
        "pad",
        "permute",
        "ravel",
        "repeat",
        "repeat_interleave",
        "reshape",
        "roll",
        "select",
        "slice",
        "split",
        "split_with_sizes",
        "squeeze",
        "stack",
        "sum",
        "swapaxes",
        "swapdims",
        "t",
        "tile",
        "transpose",
        "tril",
        "triu",
        "unbind",
        "unflatten",
        "unsqueeze",
        "view",
        "view_as",
        "where",
        "zeros",
        "zeros_like",
    }
)
"""Operators that do the same to both parts. Real operands, such as indices and conditions, stay as they are."""
MULTILINEAR = frozenset(["bmm", "dot", "einsum", "matmul", "mm", "mul", "mv"])
"""Operators whose result is a sum of products, linear in each operand."""


def _parts(operand: Any) -> tuple[Any, Any]:
    """Real and imaginary part of a pair, a real tensor or a number; None for an imaginary part that is zero."""
    if isinstance(operand, tuple):
        return operand
    if isinstance(operand, complex):
        return operand.real, operand.imag or None
    return operand, None


def _call(emit: Emission, operator: Any, shape: Shape, one: Any, other: Any = None) -> Value:
    """An operator on one or two operands, a tensor first where the operator asks for one."""
    arguments = {"self": one} if other is None else {"self": one, "other": other}
    return emit(operator, arguments, shape)


def _added(arguments: Mapping[str, Any], shape: Shape, emit: Emission) -> Result:
    return _combined(arguments, shape, emit, aten.add.Tensor)


def _subtracted(arguments: Mapping[str, Any], shape: Shape, emit: Emission) -> Result:
    return _combined(arguments, shape, emit, aten.sub.Tensor)


def _combined(arguments: Mapping[str, Any], shape: Shape, emit: Emission, operator: Any) -> Result:
    if arguments.get("alpha", 1) != 1:
        return None
    (re, im), (re_2, im_2) = _parts(arguments["self"]), _parts(arguments["other"])
    real = _call(emit, operator, shape, re, re_2)
    if im_2 is None:
        return real, expanded(im, shape, emit)
    if not isinstance(im_2, Value):
        return real, _call(emit, operator, shape, im, im_2)
    if im is None:
        im_2 = im_2 if operator is aten.add.Tensor else _call(emit, aten.neg.default, im_2.shape, im_2)
        return real, expanded(im_2, shape, emit)
    return real, _call(emit, operator, shape, im, im_2)


def _squared_norm(pair: Pair, emit: Emission) -> Value:
    shape = pair[0].shape
    squares = [_call(emit, aten.mul.Tensor, shape, part, part) for part in pair]
    return _call(emit, aten.add.Tensor, shape, *squares)


def _divided(arguments: Mapping[str, Any], shape: Shape, emit: Emission) -> Result:
    one, other = arguments["self"], arguments["other"]
    if arguments.get("rounding_mode") is not None or isinstance(other, complex):
        return None
    (re, im), (re_2, im_2) = _parts(one), _parts(other)
    if im_2 is None:
        return _call(emit, aten.div.Tensor, shape, re, re_2), _call(emit, aten.div.Tensor, shape, im, re_2)
    norm = _squared_norm(other, emit)
    real = _call(emit, aten.mul.Tensor, shape, re, re_2)
    imaginary = _call(emit, aten.neg.default, shape, _call(emit, aten.mul.Tensor, shape, re, im_2))
    if im is not None:
        real = _call(emit, aten.add.Tensor, shape, real, _call(emit, aten.mul.Tensor, shape, im, im_2))
        crossed = _call(emit, aten.mul.Tensor, shape, im, re_2)
        imaginary = _call(emit, aten.add.Tensor, shape, imaginary, crossed)
    return _call(emit, aten.div.Tensor, shape, real, norm), _call(emit, aten.div.Tensor, shape, imaginary, norm)


def _inverse(arguments: Mapping[str, Any], shape: Shape, emit: Emission) -> Result:
    norm = _squared_norm(arguments["self"], emit)
    re, im = _conjugated(arguments, shape, emit)
    return _call(emit, aten.div.Tensor, shape, re, norm), _call(emit, aten.div.Tensor, shape, im, norm)


def _conjugated(arguments: Mapping[str, Any], shape: Shape, emit: Emission) -> Pair:
    re, im = arguments["self"]
    return re, _call(emit, aten.neg.default, shape, im)


def _same(arguments: Mapping[str, Any], _: Shape, __: Emission) -> Result:
    pair: Pair = arguments["self"]
    return pair


def _real(arguments: Mapping[str, Any], _: Shape, __: Emission) -> Result:
    re, _im = arguments["self"]
    return re  # type: ignore[no-any-return]


def _imaginary(arguments: Mapping[str, Any], _: Shape, __: Emission) -> Result:
    _re, im = arguments["self"]
    return im  # type: ignore[no-any-return]


def _absolute(arguments: Mapping[str, Any], shape: Shape, emit: Emission) -> Result:
    return _call(emit, aten.sqrt.default, shape, _squared_norm(arguments["self"], emit))


def _angle(arguments: Mapping[str, Any], shape: Shape, emit: Emission) -> Result:
    re, im = arguments["self"]
    return _call(emit, aten.atan2.default, shape, im, re)


def _as_real(arguments: Mapping[str, Any], shape: Shape, emit: Emission) -> Result:
    return emit(aten.stack.default, {"tensors": list(arguments["self"]), "dim": len(shape) - 1}, shape)


def _as_complex(arguments: Mapping[str, Any], shape: Shape, emit: Emission) -> Result:
    x = arguments["self"]
    re, im = (emit(aten.select.int, {"self": x, "dim": len(shape), "index": index}, shape) for index in (0, 1))
    return re, im


def _put_together(arguments: Mapping[str, Any], shape: Shape, emit: Emission) -> Result:
    return expanded(arguments["real"], shape, emit), expanded(arguments["imag"], shape, emit)


def _polar(arguments: Mapping[str, Any], shape: Shape, emit: Emission) -> Result:
    return _turned(arguments["abs"], arguments["angle"], shape, emit)


def _turned(length: Value, angle: Value, shape: Shape, emit: Emission) -> Pair:
    cosine, sine = (_call(emit, each, angle.shape, angle) for each in (aten.cos.default, aten.sin.default))
    return _call(emit, aten.mul.Tensor, shape, length, cosine), _call(emit, aten.mul.Tensor, shape, length, sine)


def _exponential(arguments: Mapping[str, Any], shape: Shape, emit: Emission) -> Result:
    re, im = arguments["self"]
    return _turned(_call(emit, aten.exp.default, shape, re), im, shape, emit)


def _cast(arguments: Mapping[str, Any], shape: Shape, emit: Emission) -> Result:
    """To another type: both parts are cast, the imaginary one of a real tensor is zero."""
    x, kind = arguments["self"], arguments.get("dtype")
    if isinstance(x, tuple):
        if not isinstance(kind, torch.dtype):
            return x
        re, im = (_to(part, kind, emit) for part in x)
        return (re, im) if kind.is_complex else re
    assert isinstance(kind, torch.dtype)
    re = _to(x, kind, emit)
    return re, emit(aten.zeros_like.default, {"self": re}, shape)


def _to(part: Value, kind: torch.dtype, emit: Emission) -> Value:
    kind = kind.to_real()
    name = str(kind).removeprefix("torch.")
    return part if part.dtype == name else emit(aten.to.dtype, {"self": part, "dtype": kind}, part.shape, name)


def _filled(arguments: Mapping[str, Any], shape: Shape, emit: Emission) -> Result:
    re, im = _parts(arguments.get("fill_value", 1.0))
    kind = emit.dtype
    rest = {"size": list(arguments["size"]), "dtype": getattr(torch, kind)}
    parts = [emit(aten.full.default, {**rest, "fill_value": float(part or 0)}, shape) for part in (re, im)]
    return parts[0], parts[1]


def _fft_c2c(arguments: Mapping[str, Any], _: Shape, emit: Emission) -> Result:
    dims, mode = arguments["dim"], arguments["normalization"]
    return fourier.c2c(arguments["self"], dims, mode, emit, forward=arguments["forward"])


def _fft_r2c(arguments: Mapping[str, Any], _: Shape, emit: Emission) -> Result:
    dims, mode = arguments["dim"], arguments["normalization"]
    return fourier.r2c(arguments["self"], dims, mode, emit, onesided=arguments["onesided"])


def _fft_c2r(arguments: Mapping[str, Any], _: Shape, emit: Emission) -> Result:
    dims, mode = arguments["dim"], arguments["normalization"]
    return fourier.c2r(arguments["self"], dims, mode, arguments["last_dim_size"], emit)


FORMULAS: Mapping[str, Formula] = {
    "_conj": _conjugated,
    "_conj_physical": _conjugated,
    "_fft_c2c": _fft_c2c,
    "_fft_c2r": _fft_c2r,
    "_fft_r2c": _fft_r2c,
    "_to_copy": _cast,
    "abs": _absolute,
    "add": _added,
    "angle": _angle,
    "complex": _put_together,
    "conj": _conjugated,
    "conj_physical": _conjugated,
    "div": _divided,
    "exp": _exponential,
    "full": _filled,
    "imag": _imaginary,
    "ones": _filled,
    "polar": _polar,
    "real": _real,
    "reciprocal": _inverse,
    "resolve_conj": _same,
    "resolve_neg": _same,
    "sub": _subtracted,
    "to": _cast,
    "view_as_complex": _as_complex,
    "view_as_real": _as_real,
}
"""By the operator's name without its overload."""
