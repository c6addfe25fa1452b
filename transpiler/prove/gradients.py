"""Compares the gradients that both models pass back to their inputs, and the kinds of numbers they put out.

Values may agree where derivatives do not (a rounding with a straight-through gradient, an operation that stops it), and
a ported model is trained as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import torch
from torch import nn

from transpiler.lowered import Signature
from transpiler.verify.compare import Array, errors, to_keras_order
from transpiler.verify.inputs import Case
from transpiler.verify.report import TOLERANCE
from transpiler.verify.structure import pair

SEED = 7


def gradient_problems(module: nn.Module, built: keras.Model, signature: Signature, case: Case) -> list[str]:
    """What differs in one run with gradients; nothing, for outputs that depend on no float input.

    The gradient is that of the outputs' sum, weighted at random: a plain sum has none for a softmax.

    Args:
        module: in evaluation mode.
        built: the Keras model, weights poured.
        signature: order and patterns of inputs and outputs.
        case: the inputs, in torch's order.
    """
    inputs = [tensor.clone().requires_grad_(tensor.is_floating_point()) for tensor in case.inputs]
    arrays = [
        tf.convert_to_tensor(to_keras_order(tensor.numpy(), declared.pattern))
        for tensor, declared in zip(case.inputs, signature.inputs, strict=True)
    ]
    expected = module(*inputs)
    with tf.GradientTape() as tape:
        tape.watch([array for array in arrays if array.dtype.is_floating])
        given = built(arrays if len(arrays) > 1 else arrays[0], training=False)
        pairs = pair(expected, given) or []
        weights = _weights([left for left, _ in pairs])
        goal = _keras_goal([right for _, right in pairs], weights, signature)
    problems = _kind_problems(pairs)
    gradients = tape.gradient(goal, arrays) if goal is not None else [None] * len(arrays)
    try:
        reference = _torch_gradients([left for left, _ in pairs], weights, inputs)
    except RuntimeError as error:
        if "derivative" in str(error) and "not implemented" in str(error):  # aten.native_channel_shuffle
            return problems
        raise
    for declared, array, left, right in zip(signature.inputs, arrays, reference, gradients, strict=True):
        # No gradient is one of zeros.
        wanted = np.zeros(array.shape) if left is None else to_keras_order(left, declared.pattern)
        found = np.zeros(array.shape) if right is None else keras.ops.convert_to_numpy(tf.convert_to_tensor(right))
        _, relative = errors(wanted, found)
        if relative > TOLERANCE:
            problems.append(f"the gradient of {declared.name} differs by {relative:.1e} of its largest value")
    return problems


def _weights(outputs: Sequence[Any]) -> list[torch.Tensor | None]:
    # Not the seed of the inputs: weighted with its own input, a normalisation has a gradient of nearly nothing.
    generator = torch.Generator().manual_seed(SEED)
    return [
        torch.randn(output.shape, generator=generator, dtype=output.dtype) if output.is_floating_point() else None
        for output in outputs
    ]


def _keras_goal(outputs: Sequence[Any], weights: Sequence[torch.Tensor | None], signature: Signature) -> Any:
    terms = [
        tf.reduce_sum(output * to_keras_order(weight.numpy(), declared.pattern))
        for output, weight, declared in zip(outputs, weights, signature.outputs, strict=True)
        if weight is not None and output.dtype.is_floating
    ]
    return tf.add_n(terms) if terms else None


def _torch_gradients(
    outputs: Sequence[Any], weights: Sequence[torch.Tensor | None], inputs: Sequence[torch.Tensor]
) -> list[Array | None]:
    terms = [
        (output * weight).sum()
        for output, weight in zip(outputs, weights, strict=True)
        if weight is not None and output.requires_grad
    ]
    asked = [tensor for tensor in inputs if tensor.requires_grad]
    if not terms or not asked:
        return [None] * len(inputs)
    found = iter(torch.autograd.grad(sum(terms[1:], start=terms[0]), asked, allow_unused=True))
    gradients = [next(found) if tensor.requires_grad else None for tensor in inputs]
    return [None if gradient is None else gradient.numpy() for gradient in gradients]


def _kind_problems(pairs: Sequence[tuple[Any, Any]]) -> list[str]:
    """Floats must stay floats, whole numbers whole, booleans boolean."""
    kinds = [(left.numpy(force=True).dtype, np.dtype(right.dtype.as_numpy_dtype)) for left, right in pairs]
    return [f"torch gives {left}, Keras {right}" for left, right in kinds if left.kind != right.kind]
