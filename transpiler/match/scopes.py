"""What a rule's expressions can see: a module's attributes, an operator's arguments, the shapes of operands."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from transpiler.language.expressions import Scope
from transpiler.lift.program import Block, Value


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor as a guard sees it: never its data."""

    shape: tuple[int | None, ...]
    dtype: str
    frozen: bool = False
    """A parameter that wants no gradient."""


@dataclass(frozen=True, slots=True)
class Part:
    """A submodule or function that a guard may compare with None or ask for attributes."""

    value: object


def operand(value: Value) -> Operand:
    """The shape (None where dynamic) and dtype of a value."""
    return Operand(tuple(size if isinstance(size, int) else None for size in value.shape), value.dtype)


def visible(value: Any) -> object:
    """A lifted argument or attribute as expressions see it."""
    if isinstance(value, Value):
        return operand(value)
    if isinstance(value, torch.Tensor):
        frozen = isinstance(value, nn.Parameter) and not value.requires_grad
        return Operand(tuple(value.shape), str(value.dtype).removeprefix("torch."), frozen)
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    if isinstance(value, tuple | list):
        items = [visible(item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return Part(value)


def attribute(value: object, name: str) -> object:
    """`module.name` for expressions; only modules have attributes."""
    inner = value.value if isinstance(value, Part) else value
    if isinstance(inner, nn.Module) and not name.startswith("__"):
        return visible(getattr(inner, name))
    raise AttributeError(f"{type(inner).__name__} has no attribute {name!r} that a rule can read")


def _tensor(value: object) -> Operand:
    if not isinstance(value, Operand):
        raise TypeError("this asks about a tensor")
    return value


def shape_of(value: object) -> tuple[int | None, ...]:
    """`shape(x)`: torch's shape, None for a dynamic size."""
    return _tensor(value).shape


def rank_of(value: object) -> int:
    """`rank(x)`."""
    return len(_tensor(value).shape)


def dtype_of(value: object) -> str:
    """`dtype(x)`: "float32"."""
    return _tensor(value).dtype


TENSOR_FUNCTIONS: Mapping[str, Callable[..., object]] = {"shape": shape_of, "rank": rank_of, "dtype": dtype_of}


class ModuleNames(Mapping[str, object]):
    """Names of a module rule: the parameters of `forward`, then the attributes of the instance."""

    def __init__(self, block: Block) -> None:
        self.module = block.module
        self.operands: dict[str, object] = {name: visible(value) for name, value in block.settings.items()}
        for argument in block.arguments:
            operands = tuple(operand(value) for value in argument.values)
            self.operands[argument.name] = list(operands) if argument.is_list else operands[0]
        for name, parameter in inspect.signature(block.module.forward).parameters.items():
            if name not in self.operands and parameter.default is not inspect.Parameter.empty:
                self.operands[name] = visible(parameter.default)

    def __getitem__(self, name: str) -> object:
        if name in self.operands:
            return self.operands[name]
        if name.startswith("__") or not hasattr(self.module, name):
            raise KeyError(name)
        return visible(getattr(self.module, name))

    def __iter__(self) -> Iterator[str]:
        yield from self.operands
        yield from (name for name in dir(self.module) if not name.startswith("_"))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def module_scope(block: Block) -> Scope:
    """The scope of a module rule applied to one call."""
    return Scope(ModuleNames(block), TENSOR_FUNCTIONS, attribute)


def operator_scope(bindings: Mapping[str, Any]) -> Scope:
    """The scope of an operator rule applied to one call."""
    return Scope({name: visible(value) for name, value in bindings.items()}, TENSOR_FUNCTIONS, attribute)
