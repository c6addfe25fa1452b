"""Modules of torch whose own code `torch.export` does not take, in code that computes the same."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock

import torch
from torch import Tensor
from torch.backends import opt_einsum
from torch.nn import functional
from torch.nn.modules import normalization, transformer


class _CrossMapNorm:
    """`nn.CrossMapLRN2d` in operators that return what they compute: torch's own writes to memory that it resizes."""

    @staticmethod
    def apply(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
        """torch's forward; its running sum never loses the first channel."""
        reach, squares = (size - 1) // 2, x.square()
        others = functional.pad(squares[:, 1:], (0, 0, 0, 0, reach + 1, reach))
        windows = [others[:, start : start + x.shape[1]] for start in range(2 * reach + 1)]
        return x * (k + alpha / size * (squares[:, :1] + torch.stack(windows).sum(0))) ** -beta


def _is_causal(mask: Tensor | None, is_causal: bool | None = None, size: int | None = None) -> bool:  # noqa: ARG001, FBT001  (torch's)
    """Whether the caller says so. torch looks into the mask, but only to choose a faster kernel."""
    return is_causal is True


@contextlib.contextmanager
def in_the_open() -> Iterator[None]:
    """Let such modules compute in the open."""
    with (
        mock.patch.object(normalization, "_cross_map_lrn2d", _CrossMapNorm),
        mock.patch.object(transformer, "_detect_is_causal_mask", _is_causal),
        opt_einsum.flags(enabled=False),  # it looks for the best path with the sizes of the trace, which fixes them
    ):
        yield
