"""Numpy arrays as torch tensors and back, bit for bit; numpy has no bfloat16 of its own, ml_dtypes has."""

from __future__ import annotations

from collections.abc import Mapping

import ml_dtypes
import numpy as np
import torch

from transpiler.weights.arrange import Array


def as_torch(arrays: Mapping[str, Array]) -> dict[str, torch.Tensor]:
    """The arrays as tensors with memory of their own; one array under two names is one tensor.

    >>> as_torch({"w": np.ones(2, ml_dtypes.bfloat16)})["w"].dtype
    torch.bfloat16
    """
    made: dict[int, torch.Tensor] = {}
    for array in arrays.values():
        if id(array) not in made:
            made[id(array)] = _tensor(array)
    return {key: made[id(array)] for key, array in arrays.items()}


def as_numpy(tensor: torch.Tensor) -> Array:
    """The tensor as an array of its own type.

    >>> as_numpy(torch.ones(2, dtype=torch.bfloat16)).dtype
    dtype(bfloat16)
    """
    plain = tensor.detach().cpu()
    if plain.dtype is not torch.bfloat16:
        array: Array = plain.numpy()
        return array
    return plain.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)


def _tensor(array: Array) -> torch.Tensor:
    if array.dtype != ml_dtypes.bfloat16:
        return torch.from_numpy(array.copy())
    return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
