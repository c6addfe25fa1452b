"""How every module was built: the constructor arguments, seen while the user's factory runs.

>>> with recording() as log:
...     model = SlimNeck(nc=80)
>>> log.of(model.stem).arguments
{'c1': 3, 'c2': 32, 'k': 6, 's': 2, 'p': 2, 'g': 1, 'act': True}
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from types import BuiltinFunctionType, FunctionType
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

import torch
from torch import nn

from transpiler.lowered import Basic, Constructor, Opaque

_MAX_ITEMS = 64
_DEEPEST = 8
_active: list[ConstructorLog] = []


@dataclass(frozen=True, slots=True)
class _Modules(Opaque):
    """A module among the arguments, or a list of them, until it is known where they went; not held alive."""

    references: tuple[ReferenceType[nn.Module], ...] = field(default=(), compare=False)

    def below(self, parent: nn.Module) -> Opaque:
        """What they are called below the module that they were handed to; nothing unless it keeps all of them."""
        paths = {id(child): path for path, child in _kept(parent)}
        found = [paths.get(id(reference())) for reference in self.references]
        return Opaque(self.text, children=tuple(path for path in found if path is not None) if all(found) else ())


def _kept(parent: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules that a module keeps as attributes or in lists, with their paths."""
    for name, child in parent.named_children():
        yield name, child
        if isinstance(child, nn.ModuleList):
            yield from ((f"{name}.{index}", element) for index, element in child.named_children())


class ConstructorLog:
    """The arguments of every module built inside one `recording()`."""

    def __init__(self) -> None:
        self._calls: WeakKeyDictionary[nn.Module, tuple[tuple[Basic | Opaque, ...], dict[str, Basic | Opaque]]] = (
            WeakKeyDictionary()
        )

    def add(self, module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        """Remember what `module` was built with, simplified at once: lists may change later."""
        simple = tuple(simplify(value) for value in args), {key: simplify(value) for key, value in kwargs.items()}
        self._calls[module] = simple

    def of(self, module: nn.Module) -> Constructor | None:
        """The constructor call of `module`, bound to the signature of its class; None if it was not seen."""
        call = self._calls.get(module)
        if call is None:
            return None
        args, kwargs = call
        signature = inspect.signature(type(module).__init__)
        try:
            bound = signature.bind(None, *args, **kwargs)
        except TypeError:
            return None
        bound.apply_defaults()
        names = list(signature.parameters)[1:]
        defaults = {
            name: simplify(signature.parameters[name].default)
            for name in names
            if signature.parameters[name].default is not inspect.Parameter.empty
        }
        arguments = {name: simplify(bound.arguments[name]) for name in names if name in bound.arguments}
        placed = {
            name: value.below(module) if isinstance(value, _Modules) else value for name, value in arguments.items()
        }
        return Constructor(placed, defaults, len(args))


def simplify(value: object) -> Basic | Opaque:
    """Basic values as they are (tuples and lists of them too, copied); anything else becomes its description."""
    if isinstance(value, Opaque):
        return value
    if _is_basic(value):
        return _copied(value)
    if isinstance(value, nn.Module):
        return _Modules(type(value).__qualname__, references=(ref(value),))
    if isinstance(value, tuple | list) and value and all(isinstance(item, nn.Module | _Modules) for item in value):
        modules = [simplify(item) for item in value]
        references = tuple(one for item in modules if isinstance(item, _Modules) for one in item.references)
        return _Modules(type(value).__qualname__, references=references)
    if isinstance(value, partial):
        return simplify(value.func)
    if isinstance(value, type | FunctionType | BuiltinFunctionType):
        return Opaque(str(value.__qualname__), is_named=True)
    return Opaque(str(type(value).__qualname__), attributes=_attributes(value))


def _is_basic(value: object, depth: int = 0) -> bool:
    if isinstance(value, tuple | list):
        return len(value) <= _MAX_ITEMS and depth < _DEEPEST and all(_is_basic(item, depth + 1) for item in value)
    return value is None or isinstance(value, bool | int | float | str)


def _copied(value: Any) -> Basic:
    if isinstance(value, tuple):
        return tuple(_copied(item) for item in value)
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _attributes(value: object) -> tuple[tuple[str, Basic], ...]:
    """The basic values that a config object holds, whatever its class is."""
    if isinstance(value, torch.Tensor | tuple | list):
        return ()
    held = getattr(value, "__dict__", {})
    return tuple((name, _copied(item)) for name, item in held.items() if name.isidentifier() and _is_basic(item))


def _recording_new(cls: type[nn.Module], *args: Any, **kwargs: Any) -> nn.Module:
    module = object.__new__(cls)
    for log in _active:
        log.add(module, args, kwargs)
    return module


@contextlib.contextmanager
def recording() -> Iterator[ConstructorLog]:
    """Record the constructor arguments of every `nn.Module` built inside the block.

    `nn.Module.__new__` stays in place afterwards as a pass-through: once a class had its own `__new__`, CPython's
    `object.__new__` refuses constructor arguments if it is deleted again.
    """
    log = ConstructorLog()
    nn.Module.__new__ = _recording_new  # type: ignore[method-assign, assignment]
    _active.append(log)
    try:
        yield log
    finally:
        _active.remove(log)
