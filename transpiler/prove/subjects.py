"""Builds an example in torch: a module that calls the rule's class or operator, with random weights and inputs."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from transpiler.errors import Diagnostic, RulesError
from transpiler.language.expressions import Scope, evaluate
from transpiler.language.syntax import Call, Emit, Example, ModuleRule, OperatorRule, TensorType
from transpiler.match.index import resolve
from transpiler.prove.operators import operator_calls
from transpiler.verify.randomise import randomise

SEED = 0
_INTEGERS = ((-4, 4), (0, 4))
"""Ranges of whole numbers to try: negative ones where torch takes them; indices must not be."""
_SPECIAL = (float("nan"), float("inf"), float("-inf"))


class RefusedError(RulesError):
    """Torch does not take an example."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An example, ready to be ported."""

    module: nn.Module
    inputs: tuple[torch.Tensor, ...]


class ModuleExample(nn.Module):
    """Calls one module: the rule's class is a layer inside a model, as in real networks."""

    def __init__(self, layer: nn.Module, settings: Mapping[str, object]) -> None:
        super().__init__()
        self.layer = layer
        self.settings = dict(settings)

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.layer(*inputs, **self.settings)


class OperatorExample(nn.Module):
    """Calls one operator on its inputs and on weights of its own."""

    def __init__(self, call: Any, weights: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self.operator = call
        self.places = tuple(weights)
        for name, tensor in weights.items():
            if name.startswith("running_"):
                self.register_buffer(name, tensor)
            else:
                self.register_parameter(name, nn.Parameter(tensor))

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.operator(inputs, {name: getattr(self, name) for name in self.places})


def subject_of(rule: ModuleRule | OperatorRule, example: Example) -> Subject:
    """The example as a torch module in evaluation mode, every weight random, with inputs that torch takes.

    >>> subject_of(rule, rule.examples[0]).inputs[0].shape  # doctest: +SKIP
    torch.Size([2, 8, 13, 17])

    Raises:
        RefusedError: torch does not build it or does not take its inputs; with torch's reason.
        RulesError: the class is not loaded, or no module.
    """
    reason = "the rule's parameters fit no overload of this operator"
    for integers in _INTEGERS:
        generator = torch.Generator().manual_seed(SEED)
        tensors = tuple(_tensor(declared, integers, generator) for declared in example.inputs)
        if isinstance(rule, ModuleRule):
            candidates = [(_module(rule, example), tensors)]
        else:
            candidates = _operator(rule, example, tensors)
        for module, inputs in candidates:
            randomise(module.eval(), SEED)
            try:
                with torch.no_grad():
                    result = module(*inputs)
            except Exception as error:  # noqa: BLE001  (whatever torch raises, it refuses)
                reason = f"torch refuses: {_first_line(error)}"
            else:
                return Subject(module, _telling(inputs, result))
    raise RefusedError(Diagnostic(reason, where=str(example.position)))


def _telling(inputs: tuple[torch.Tensor, ...], result: object) -> tuple[torch.Tensor, ...]:
    """The inputs, with NaN and infinities among them where the answer for plain numbers is always the same: isnan."""
    if isinstance(result, torch.Tensor) and result.dtype == torch.bool and bool(result.all()) == bool(result.any()):
        for tensor in inputs:
            if tensor.is_floating_point():
                tensor.view(-1)[: len(_SPECIAL)] = torch.tensor(_SPECIAL, dtype=tensor.dtype)
    return inputs


def _module(rule: ModuleRule, example: Example) -> nn.Module:
    cls = module_class(rule)
    if example.constructor is None:
        raise RulesError(Diagnostic(f"an example of {rule.cls} must build it", where=str(example.position)))
    args, kwargs = _constructor_arguments(example.constructor)
    settings = {name: evaluate(value, Scope({})) for name, value in example.arguments}
    try:
        return ModuleExample(cls(*args, **kwargs), settings)
    except Exception as error:
        reason = f"torch refuses to build it: {_first_line(error)}"
        raise RefusedError(Diagnostic(reason, where=str(example.position))) from error


def load_torchvision() -> None:
    """Load torchvision, whose rules we ship, if it is installed.

    Before TensorFlow: it imports Triton, whose LLVM ends the process if TensorFlow's was there first.
    """
    if importlib.util.find_spec("torchvision"):
        importlib.import_module("torchvision")


def module_class(rule: ModuleRule) -> type[nn.Module]:
    """The rule's class, from modules that are loaded: nothing is imported because a rule names it.

    Raises:
        RulesError: there is none, or it is no `nn.Module`.
    """
    cls = resolve(rule.cls)
    if inspect.isclass(cls) and issubclass(cls, nn.Module):
        return cls
    hint = "give its file a model block, whose factory loads it"
    raise RulesError(Diagnostic(f"{rule.cls} is no loaded torch module", where=str(rule.position), hint=hint))


def _constructor_arguments(call: Call) -> tuple[list[object], dict[str, object]]:
    nothing = Scope({})
    args = [evaluate(argument, nothing) for argument in call.arguments]
    return args, {name: evaluate(value, nothing) for name, value in call.keywords}


def _operator(
    rule: OperatorRule, example: Example, tensors: tuple[torch.Tensor, ...]
) -> list[tuple[nn.Module, tuple[torch.Tensor, ...]]]:
    """One module for each overload that the rule's parameters fit."""
    settings = {name: evaluate(value, Scope({})) for name, value in example.arguments}
    # What a rule pours into a layer's variables must be stored in the model.
    stored = {entry.source for entry in rule.weights} if isinstance(rule.target, Emit) else set()
    built: list[tuple[nn.Module, tuple[torch.Tensor, ...]]] = []
    for call in operator_calls(rule, settings, len(tensors)):
        weights = {name: tensors[place] for place, name in call.stored(stored).items()}
        inputs = tuple(tensor for place, tensor in enumerate(tensors) if place not in call.stored(stored))
        built.append((OperatorExample(call.on(stored), weights), inputs))
    return built


def _tensor(declared: TensorType, integers: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    dtype = getattr(torch, declared.dtype, None)
    shape = [size for size in declared.dimensions if isinstance(size, int)]
    if not isinstance(dtype, torch.dtype) or len(shape) != len(declared.dimensions):
        reason = "the input of an example is a dtype of torch with sizes that are numbers"
        raise RulesError(Diagnostic(reason, where=str(declared.position)))
    if dtype.is_floating_point or dtype.is_complex:
        return torch.randn(shape, generator=generator, dtype=dtype)
    low, high = (0, 2) if dtype == torch.bool else integers
    return torch.randint(low, high, shape, generator=generator).to(dtype)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
