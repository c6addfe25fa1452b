"""Runs both models on the same inputs and measures how far their outputs lie apart.

>>> report = compare(torch_model, keras_model, port.signature, fresh_cases(port.signature, (x,)))  # doctest: +SKIP
>>> report.max_rel_err  # doctest: +SKIP
3.1e-07
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray

from transpiler.errors import InternalError
from transpiler.lowered import ModelInput, ModelOutput, Signature
from transpiler.verify.inputs import Case
from transpiler.verify.report import Report, Row
from transpiler.verify.structure import flatten, pair

if TYPE_CHECKING:
    from torch import nn

Array: TypeAlias = NDArray[Any]
Caller: TypeAlias = "Callable[[nn.Module, tuple[torch.Tensor, ...]], object]"


def call_flat(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> object:
    """Call a torch model whose arguments are the inputs themselves, not nested in lists or dicts."""
    return model(*inputs)


def compare(
    torch_model: nn.Module,
    keras_model: keras.Model,
    signature: Signature,
    cases: Iterable[Case],
    call: Caller = call_flat,
) -> Report:
    """Both models on every case, each output brought to Keras's order before it is compared.

    Args:
        torch_model: run in evaluation mode; its mode is restored afterwards.
        keras_model: the built model, weights poured.
        signature: order, names and patterns of inputs and outputs.
        cases: the inputs, as `fresh_cases` makes them.
        call: calls the torch model with a case's inputs, where its arguments are nested.

    Raises:
        InternalError: the models have different numbers of outputs.
    """
    rows: list[Row] = []
    with evaluation(torch_model):
        for case in cases:
            reference = call(torch_model, case.copies())
            rows.extend(_rows(reference, run_keras(keras_model, signature, case), signature, case))
    return Report(tuple(rows))


@contextlib.contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; every module's own mode is restored."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def run_keras(model: keras.Model, signature: Signature, case: Case) -> object:
    """Keras's outputs, in Keras's order, for a case in torch's order."""
    arrays = [
        to_keras_order(tensor.numpy(), declared.pattern)
        for tensor, declared in zip(case.inputs, signature.inputs, strict=True)
    ]
    return model(_feed(model, signature.inputs, arrays), training=False)


def to_keras_order(array: Array, pattern: str) -> Array:
    """`array` rearranged by a pattern such as "n c h w -> n h w c"; a pattern without an arrow moves nothing."""
    if "->" not in pattern:
        return array
    result: Array = rearrange(array, pattern)
    return result


def errors(reference: Array, other: Array) -> tuple[float, float]:
    """The largest absolute error, and the same relative to the largest |reference|.

    Equal infinities and NaN in the same places are no error; any other value that is not finite is an infinite one.

    >>> errors(np.array([1.0, -4.0]), np.array([1.0, -3.0]))
    (1.0, 0.25)
    """
    if reference.shape != other.shape:
        return np.inf, np.inf
    left, right = _wide(reference), _wide(other)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    if same.all():
        return 0.0, 0.0
    if not (np.isfinite(left[~same]).all() and np.isfinite(right[~same]).all()):
        return np.inf, np.inf
    largest = float(np.abs(left[np.isfinite(left)]).max())
    absolute = float(np.abs(left[~same] - right[~same]).max())
    return absolute, absolute / largest if largest else np.inf


def _wide(array: Array) -> Array:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _feed(model: keras.Model, inputs: Sequence[ModelInput], arrays: Sequence[Array]) -> object:
    structure = model.input
    if isinstance(structure, Mapping):
        return {declared.name: array for declared, array in zip(inputs, arrays, strict=True)}
    return list(arrays) if isinstance(structure, list | tuple) else arrays[0]


def _rows(torch_output: object, keras_output: object, signature: Signature, case: Case) -> Iterator[Row]:
    pairs = pair(torch_output, keras_output)
    if pairs is None or len(pairs) != len(signature.outputs):
        counts = len(flatten(torch_output)), len(flatten(keras_output)), len(signature.outputs)
        raise InternalError("torch gives {} outputs, Keras {}, the signature names {}".format(*counts))
    for declared, (left, right) in zip(signature.outputs, pairs, strict=True):
        yield _row(declared, _torch_array(left), keras.ops.convert_to_numpy(right), case.batch)


def _torch_array(value: object) -> Array:
    array: Array = value.numpy(force=True) if isinstance(value, torch.Tensor) else np.asarray(value)
    return array


def _row(declared: ModelOutput, reference: Array, other: Array, batch: int) -> Row:
    left, arrow, _ = (declared.pattern or "").partition("->")
    rank = len(left.split()) if arrow else other.ndim
    dropped = reference.ndim == rank - 1 and batch == 1
    if dropped:
        reference = reference[None]
    expected = to_keras_order(reference, declared.pattern) if reference.ndim == rank else reference
    absolute, relative = errors(expected, other)
    note = "torch drops a batch of 1 here (squeeze without a dimension?), Keras keeps it" if dropped else ""
    return Row(declared.name, batch, other.shape, absolute, relative, note or _note(expected, other))


def _note(expected: Array, other: Array) -> str:
    if expected.shape != other.shape:
        return f"torch's shape is {' x '.join(map(str, expected.shape))}"
    if expected.size > 1 and (expected == expected.flat[0]).all():
        return "every value is the same, so this proves little"
    return ""
