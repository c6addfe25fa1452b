"""Makes fresh random inputs that resemble the example inputs in all but their values and their batch size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from transpiler.lowered import Signature


@dataclass(frozen=True, slots=True)
class Case:
    """One run of both models."""

    batch: int
    inputs: tuple[torch.Tensor, ...]
    """In the order of the signature, each in torch's order of dimensions."""

    def copies(self) -> tuple[torch.Tensor, ...]:
        """The inputs for a model that may write to what it is given."""
        return tuple(tensor.clone() for tensor in self.inputs)


def fresh_cases(
    signature: Signature, examples: Sequence[torch.Tensor], batches: Sequence[int] = (1, 3), seed: int = 0
) -> Iterator[Case]:
    """One case for each batch size; a single one where the model fixes its batch.

    Floats are normal, so that negative values occur; whole numbers lie in the range of the example's, which the model
    is known to take (they may be indices).

    >>> [case.inputs[0].shape for case in fresh_cases(port.signature, (x,))]  # doctest: +SKIP
    [torch.Size([1, 3, 192, 256]), torch.Size([3, 3, 192, 256])]

    Args:
        signature: the model's; its first dimensions say whether the batch is dynamic.
        examples: one tensor an input, flattened.
        batches: sizes of the batch to try.
        seed: of the random numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    dynamic = [bool(each.shape) and each.shape[0] is None for each in signature.inputs]
    if not any(dynamic):
        batches = [examples[0].shape[0] if examples and examples[0].ndim else 1]
    for batch in batches:
        inputs = (
            _fresh(example, (batch, *example.shape[1:]) if grows else tuple(example.shape), generator)
            for example, grows in zip(examples, dynamic, strict=True)
        )
        yield Case(batch, tuple(inputs))


def given_like(
    args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[torch.Tensor, ...], Callable[[nn.Module, tuple[torch.Tensor, ...]], object]]:
    """The tensors of a call, and a function that calls a module with others in their places."""
    leaves, spec = pytree.tree_flatten((args, dict(kwargs)))

    def call(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> object:
        fresh = iter(inputs)
        filled = [next(fresh) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        positional, named = pytree.tree_unflatten(filled, spec)
        return model(*positional, **named)

    return tuple(leaf for leaf in leaves if isinstance(leaf, torch.Tensor)), call


def _fresh(example: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    if example.is_floating_point() or example.is_complex():
        return torch.randn(shape, generator=generator, dtype=example.dtype)
    if example.dtype == torch.bool:
        return torch.randint(0, 2, shape, generator=generator, dtype=torch.uint8).bool()
    low, high = (int(example.min()), int(example.max())) if example.numel() else (0, 0)
    return torch.randint(low, high + 1, shape, generator=generator, dtype=example.dtype)
