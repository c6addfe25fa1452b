"""Tensors that depend on no input are computed as they are traced, so that in-place writes to them need no code.

A shifted-window mask, for one, is made of zeros into whose slices numbers are written. Such a tensor becomes a constant
from its first write on; what is only read stays code, which a reader understands better than a stored array.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeGuard

import torch
from torch.utils._pytree import tree_leaves

_LARGEST = 1 << 22
"""Elements: beyond this, a tensor is not computed beside the trace."""
_SHAPE_ONLY = (
    "aten.new_zeros",
    "aten.new_ones",
    "aten.new_full",
    "aten.new_empty",
    "aten.zeros_like",
    "aten.ones_like",
)
"""Operators that read no more than the shape and type of their tensor."""


class Folding:
    """The real tensors behind graph nodes that no input, parameter or buffer flows into."""

    def __init__(self) -> None:
        self._tensors: dict[str, Any] = {}
        self._written: set[int] = set()

    def add_constant(self, name: str, tensor: torch.Tensor) -> None:
        """A constant of the graph; a copy, because in-place operators run on it."""
        self._tensors[name] = tensor.detach().clone()

    def run(self, node: torch.fx.Node) -> None:
        """Compute a node whose inputs are all known."""
        arguments = self._known(node)
        if arguments is None:
            return
        args, kwargs = arguments
        with torch.no_grad():
            result = node.target(*args, **kwargs)  # type: ignore[operator]
        if isinstance(result, torch.Tensor) and result.numel() > _LARGEST:
            return
        self._tensors[node.name] = result
        if any(self._is_constant(leaf) for leaf in tree_leaves((args, kwargs))):
            self._written |= {leaf.untyped_storage().data_ptr() for leaf in tree_leaves(result) if _has_storage(leaf)}

    def write(self, node: torch.fx.Node, target: torch.fx.Node) -> bool:
        """Whether an in-place operator wrote what is known to a known tensor; from now on its views are constants."""
        tensor = self._tensors.get(target.name)
        if not isinstance(tensor, torch.Tensor) or self._known(node) is None:
            return False
        self._written.add(tensor.untyped_storage().data_ptr())
        return True

    def sharing(self, target: torch.fx.Node) -> tuple[str, ...]:
        """The names of known tensors that share memory with a known one."""
        tensor = self._tensors.get(target.name)
        if not _has_storage(tensor):
            return ()
        memory = tensor.untyped_storage().data_ptr()
        others = ((name, other) for name, other in self._tensors.items() if _has_storage(other))
        return tuple(name for name, other in others if other.untyped_storage().data_ptr() == memory)

    def forget(self, names: Iterable[str]) -> None:
        """These tensors are known no longer: what depends on an input was written to them."""
        for name in names:
            del self._tensors[name]

    def written(self, name: str) -> torch.Tensor | None:
        """The present value of a tensor that was written to; None for all others."""
        tensor = self._tensors.get(name)
        return tensor.clone() if self._is_constant(tensor) else None

    def known(self, name: str) -> torch.Tensor | None:
        """The present value of a tensor that no input flows into, written to or not."""
        tensor = self._tensors.get(name)
        return tensor.clone() if isinstance(tensor, torch.Tensor) else None

    def _is_constant(self, tensor: object) -> TypeGuard[torch.Tensor]:
        return _has_storage(tensor) and tensor.untyped_storage().data_ptr() in self._written

    def pick(self, node: torch.fx.Node, whole: str, index: int) -> None:
        """`node` is one of several results."""
        results = self._tensors.get(whole)
        if isinstance(results, tuple | list):
            self._tensors[node.name] = results[index]

    def _known(self, node: torch.fx.Node) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        unknown = object()
        shape_only = str(node.target).rsplit(".", 1)[0] in _SHAPE_ONLY

        def known(argument: torch.fx.Node) -> Any:
            if argument.name in self._tensors:
                return self._tensors[argument.name]
            fake = argument.meta.get("val")
            if isinstance(fake, int | float | bool):
                return fake
            if shape_only and isinstance(fake, torch.Tensor) and all(isinstance(size, int) for size in fake.shape):
                return torch.empty(tuple(fake.shape), dtype=fake.dtype)
            if shape_only and isinstance(fake, torch.Tensor) and "new_" in str(node.target):
                return torch.empty(0, dtype=fake.dtype)
            return unknown

        args = torch.fx.map_arg(node.args, known)
        kwargs = torch.fx.map_arg(node.kwargs, known)
        if any(leaf is unknown for leaf in tree_leaves((args, kwargs))):
            return None
        return tuple(args), dict(kwargs)


def _has_storage(value: object) -> TypeGuard[torch.Tensor]:
    return isinstance(value, torch.Tensor) and value.numel() > 0
