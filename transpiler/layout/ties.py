"""Tensors that a model has under several names: the plan reads each under one, and knows the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from transpiler.weights.plan import Dropped, PlanEntry, Tied

if TYPE_CHECKING:
    import torch

_Pair = tuple[str, str]


def one_owner_each(
    entries: Sequence[PlanEntry], state: Mapping[str, torch.Tensor]
) -> tuple[tuple[PlanEntry, ...], tuple[_Pair, ...]]:
    """The entries, those of one tensor all with the key that comes first, and (other key, that key) of such tensors.

    A tied output head is an entry of its own, with its own Keras variable; on the way back both give one tensor.
    """
    owners: dict[tuple[int, tuple[int, ...]], str] = {}
    owned = []
    twins: dict[str, str] = {}
    for entry in entries:
        tensor = state.get(entry.source) if entry.constant is None else None
        if tensor is None or not tensor.numel():
            owned.append(entry)
            continue
        owner = owners.setdefault((tensor.data_ptr(), tuple(tensor.shape)), entry.source)
        owned.append(replace(entry, source=owner))
        if owner != entry.source:
            twins[entry.source] = owner
    return tuple(owned), tuple(twins.items())


def other_names(pairs: Sequence[_Pair], poured: Collection[str]) -> tuple[Tied, ...]:
    """For every tensor under several names the one that is poured, and the others."""
    groups: dict[str, list[str]] = {}
    for key, source in pairs:
        groups.setdefault(source, [source]).append(key)
    found: dict[str, Tied] = {}
    for names in groups.values():
        owner = next((name for name in names if name in poured), None)
        if owner is not None:
            found |= {name: Tied(name, owner) for name in names if name not in poured}
    return tuple(found.values())


def with_shape(drop: Dropped, tensor: torch.Tensor) -> Dropped:
    """What is dropped, with what a zero in its place must look like."""
    return replace(drop, shape=tuple(tensor.shape), dtype=str(tensor.dtype).removeprefix("torch."))
