"""Names the first module whose output differs, so that nobody has to search a deep network from its end.

>>> first_divergence(torch_model, keras_model, port.signature, case)  # doctest: +SKIP
Divergence(path='model.4.cv2', torch_class='GSConv', max_rel_err=0.83)

Modules are matched by their path: a generated class keeps torch's attribute names. A module that Keras has not, or
whose output Keras keeps in a shape of its own, is passed over.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, TypeAlias

import keras
import numpy as np
import torch
from torch import nn

from transpiler.lowered import Signature
from transpiler.match.program import MatchedProgram, rule_for_module
from transpiler.verify.compare import Array, Caller, call_flat, errors, evaluation, run_keras
from transpiler.verify.inputs import Case
from transpiler.verify.report import TOLERANCE
from transpiler.verify.structure import flatten
from transpiler.weights.variables import find_child, top_layer

_Outputs: TypeAlias = dict[str, list[list[Array]]]
"""By module path: for each call, the arrays that came out."""

_ORDERS = {3: ((0, 1, 2), (0, 2, 1)), 4: ((0, 2, 3, 1), (0, 1, 2, 3)), 5: ((0, 2, 3, 4, 1), (0, 1, 2, 3, 4))}
"""How Keras may keep a tensor of torch's, by rank."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where the two models part."""

    path: str
    torch_class: str
    max_rel_err: float
    rule: str = ""
    """Where the rule that made the module's layer stands; "" where its body became a class."""

    def __str__(self) -> str:
        made = f", made by the rule at {self.rule}" if self.rule else ""
        return f"first difference: {self.path} ({self.torch_class}), max_rel_err {self.max_rel_err:.2e}{made}"


def with_rule(divergence: Divergence | None, program: MatchedProgram) -> Divergence | None:
    """The divergence with the rule that serves its module."""
    rule = rule_for_module(program, divergence.path) if divergence else None
    return replace(divergence, rule=str(rule.position)) if divergence and rule else divergence


def first_divergence(
    torch_model: nn.Module,
    keras_model: keras.Model,
    signature: Signature,
    case: Case,
    tolerance: float = TOLERANCE,
    call: Caller = call_flat,
) -> Divergence | None:
    """The first module, in the order in which torch finishes them, whose output differs; None if none does.

    Args:
        torch_model: run in evaluation mode.
        keras_model: the built model, weights poured.
        signature: as for `compare`.
        case: one set of inputs.
        tolerance: largest relative error that counts as the same.
        call: as for `compare`.
    """
    paths = {path: module for path, module in torch_model.named_modules() if path}
    with evaluation(torch_model), _torch_outputs(paths) as reference:
        call(torch_model, case.copies())
    with _keras_outputs(_layers(top_layer(keras_model), paths)) as other:
        run_keras(keras_model, signature, case)
    for path, calls in reference.items():
        error = _error(calls, other.get(path, []), tolerance)
        if error > tolerance:
            return Divergence(path, type(paths[path]).__name__, error)
    return None


def _layers(root: keras.Layer, paths: dict[str, nn.Module]) -> dict[int, str]:
    found: dict[int, str] = {}
    for path in paths:
        place: object | None = root
        for step in path.split("."):
            place = None if place is None else find_child(place, step)
        if isinstance(place, keras.Layer):
            found[id(place)] = path
    return found


@contextlib.contextmanager
def _torch_outputs(paths: dict[str, nn.Module]) -> Iterator[_Outputs]:
    outputs: _Outputs = defaultdict(list)
    with contextlib.ExitStack() as hooks:
        for path, module in paths.items():

            def record(_module: nn.Module, _inputs: object, output: object, path: str = path) -> None:
                leaves = (leaf for _, leaf in flatten(output))
                # A copy: a later module may write into this one's result.
                arrays = [np.array(leaf.numpy(force=True)) for leaf in leaves if isinstance(leaf, torch.Tensor)]
                outputs[path].append(arrays)

            hooks.callback(module.register_forward_hook(record).remove)
        yield outputs


@contextlib.contextmanager
def _keras_outputs(layers: dict[int, str]) -> Iterator[_Outputs]:
    outputs: _Outputs = defaultdict(list)
    original = keras.Layer.__call__

    @wraps(original)
    def recording(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        result = original(layer, *args, **kwargs)
        if id(layer) in layers:
            outputs[layers[id(layer)]].append([keras.ops.convert_to_numpy(leaf) for _, leaf in flatten(result)])
        return result

    # Python looks `__call__` up on the class, so there is no way to watch single layers.
    keras.Layer.__call__ = recording
    try:
        yield outputs
    finally:
        keras.Layer.__call__ = original


def _error(reference: list[list[Array]], other: list[list[Array]], tolerance: float) -> float:
    if [len(call) for call in reference] != [len(call) for call in other]:
        return 0.0
    pairs = zip((a for call in reference for a in call), (b for call in other for b in call), strict=True)
    return max((_distance(a, b, tolerance) for a, b in pairs), default=0.0)


def _distance(reference: Array, other: Array, tolerance: float) -> float:
    orders = _ORDERS.get(reference.ndim, (tuple(range(reference.ndim)),))
    fitting = [order for order in orders if tuple(reference.shape[axis] for axis in order) == other.shape]
    if not fitting:
        return 0.0
    distance = min(errors(reference.transpose(order), other)[1] for order in fitting)
    # A flattened feature map holds the same values in another order, which the next layer's weights undo.
    reordered = reference.ndim < 4 and errors(np.sort(reference, axis=None), np.sort(other, axis=None))[1] <= tolerance
    return 0.0 if reordered else distance
