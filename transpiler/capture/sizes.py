"""Which sizes of the inputs are dynamic, and which of them are the same."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from transpiler.errors import Diagnostic, ModelError

_BATCH = "batch"


class NamedSizes:
    """Names of the dynamic sizes of a model's inputs.

    Args:
        model: its `forward` names the inputs.
        args: example inputs.
        kwargs: further ones by name.
        named: for an input, or for a tensor of one that is a list (`x_0`), a name for each dynamic dimension and None
            for each fixed one. The first dimension of all others is the batch.

    Raises:
        ModelError: a name of `named` is none of the inputs'.
    """

    def __init__(
        self,
        model: nn.Module,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        named: Mapping[str, tuple[str | None, ...]],
    ) -> None:
        self._arguments = _bound(model, args, kwargs)
        self._named = named
        self._traced: list[tuple[str, int, str, Any]] = []
        self._batches: list[tuple[str, Any]] = []
        """First dimensions that are dynamic because nobody said otherwise."""
        self._fixed: dict[tuple[str, int], str] = {}
        leaves = dict(_leaves(self._arguments))
        self.input_names = tuple(leaves)
        unknown = sorted(name for name in named if name not in leaves)
        if unknown:
            where = f"{type(model).__name__}.forward"
            raise ModelError(
                Diagnostic(f"has no input {', '.join(unknown)}", where=where, hint=f"it has: {', '.join(leaves)}")
            )

    def dynamic_shapes(self) -> Any:
        """For `torch.export.export`."""
        auto, static = torch.export.Dim.AUTO, torch.export.Dim.STATIC
        specs = iter(
            {axis: static if name is None else auto for axis, name in enumerate(self._names(leaf, tensor))}
            for leaf, tensor in _leaves(self._arguments)
        )
        return pytree.tree_map(lambda leaf: next(specs) if isinstance(leaf, torch.Tensor) else None, self._arguments)

    def unify(self, arguments: Mapping[str, Any]) -> None:
        """Let the tracer know that sizes of one name are the same: a batch of masks is a batch of texts.

        Args:
            arguments: the fake tensors that a trace begins with, by parameter.
        """
        first: dict[str, Any] = {}
        self._traced, self._batches, self._fixed = [], [], {}
        for leaf, tensor in _leaves(arguments):
            for axis, (name, size) in enumerate(zip(self._names(leaf, tensor), tensor.shape, strict=True)):
                if name is not None and leaf in self._named:
                    self._traced.append((leaf, axis, name, size))
                elif name is not None:
                    self._batches.append((leaf, size))
                if name is not None and _hint(size) == _hint(first.setdefault(name, size)):
                    torch._check(size == first[name])

    @property
    def beyond_batch(self) -> bool:
        """Whether other sizes than the first one of each input are dynamic."""
        return any(name is not None for names in self._named.values() for name in names[1:])

    def watch(self, path: str) -> None:
        """Note which sizes that were named are fixed by now: `path` is the module that the trace is in."""
        for leaf, axis, _, size in self._traced:
            if (leaf, axis) not in self._fixed and _value(size) is not None:
                self._fixed[leaf, axis] = path
        for leaf, size in self._batches:
            if (leaf, 0) not in self._fixed and _value(size) is not None:
                self._fixed[leaf, 0] = path

    def check(self, model: nn.Module) -> None:
        """Complain of the sizes that were to be dynamic, and that the model fixes.

        Raises:
            ModelError: with the modules that do.
        """
        cls = type(model).__name__
        problems = [
            Diagnostic(
                f"input {leaf}: {name!r} cannot be dynamic, since this module fixes it to {_value(size)}",
                where=self._fixed.get((leaf, axis), "") or cls,
                hint=f"declare dimension {axis} of {leaf} as {_value(size)}",
            )
            for leaf, axis, name, size in self._traced
            if _value(size) is not None
        ]
        if problems:
            raise ModelError(problems)

    def fixed_batches(self, model: nn.Module) -> Iterator[str]:
        """What to tell about batches that nobody named and that the model fixes: the port takes no other."""
        for leaf, size in self._batches:
            fixed = _value(size)
            if fixed is not None and fixed != 1:  # torch.export specialises 1 itself
                where = self._fixed.get((leaf, 0), "") or type(model).__name__
                yield f"the first dimension of input {leaf} is fixed to {fixed}, as it was traced: {where} fixes it"

    def _names(self, leaf: str, tensor: torch.Tensor) -> tuple[str | None, ...]:
        default = (_BATCH, *[None] * (tensor.dim() - 1)) if tensor.dim() else ()
        return self._named.get(leaf, default)


def input_names(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the tensors of a call: the parameters' of `forward`, and a number behind those of a structure."""
    return tuple(name for name, _ in _leaves(_bound(model, args, kwargs)))


def _bound(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    signature = inspect.signature(model.forward)
    try:
        return dict(signature.bind(*args, **kwargs).arguments)
    except TypeError as error:
        where = f"{type(model).__name__}.forward"
        hint = f"it takes: {', '.join(signature.parameters) or 'nothing'}"
        raise ModelError(Diagnostic(f"does not take these inputs: {error}", where=where, hint=hint)) from error


def in_order(model: nn.Module, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs by name, in the order of the parameters of `forward`."""
    places = {name: place for place, name in enumerate(inspect.signature(model.forward).parameters)}
    return dict(sorted(kwargs.items(), key=lambda entry: places.get(entry[0], len(places))))


def _leaves(arguments: Mapping[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors, with names: the parameter's, and a number behind it if it is a structure."""
    for name, value in arguments.items():
        tensors = [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, torch.Tensor)]
        plain = isinstance(value, torch.Tensor)
        yield from ((name if plain else f"{name}_{index}", tensor) for index, tensor in enumerate(tensors))


def _hint(size: Any) -> Any:
    return size.node.hint if isinstance(size, torch.SymInt) else size


def _value(size: Any) -> int | None:
    """A size that is the same for all inputs."""
    if isinstance(size, torch.SymInt):
        expression = size.node.expr
        return int(expression) if expression.is_number else None
    return int(size)
