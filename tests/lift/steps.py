"""Random programs of views and in-place writes: each step reads a list of tensors, and adds to it or writes to one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

Step = Callable[[list[Tensor]], None]


class Steps(nn.Module):
    """A list of tensors, views of one another or not, that steps add to and write to."""

    def __init__(self, steps: list[Step]) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        tensors = [x + 1]
        for step in self.steps:
            step(tensors)
        return tuple(tensor + 0 for tensor in tensors)


def _slice(x: Tensor, dim: int, b: int) -> Tensor:
    start = b % x.shape[dim]
    return x.narrow(dim, start, 1 + (b // 7) % (x.shape[dim] - start))


def _chunk(x: Tensor, dim: int, b: int) -> Tensor:
    pieces = x.chunk(2, dim)
    return pieces[b % len(pieces)]


# Dimension 0 is the batch: it stays in front.
_VIEWS: dict[str, Callable[[Tensor, int, int], Tensor]] = {
    "select": lambda x, dim, b: x.select(dim, b % x.shape[dim]),
    "select_last": lambda x, dim, _: x.select(dim, -1),
    "slice": _slice,
    "stepped": lambda x, dim, b: x[(slice(None),) * dim + (slice(b % x.shape[dim], None, 2),)],
    "transpose": lambda x, dim, b: x.transpose(dim, 1 + b % (x.dim() - 1)),
    "permute": lambda x, _, __: x.permute(0, *reversed(range(1, x.dim()))),
    "unsqueeze": lambda x, dim, _: x.unsqueeze(dim),
    "chunk": _chunk,
    "unbind": lambda x, dim, b: x.unbind(dim)[b % x.shape[dim]],
    "view": lambda x, _, __: x.view(x.shape[0], -1) if x.is_contiguous() else x,
    "copy": lambda x, _, __: x.clone(),
}


def _copy(x: Tensor, y: Tensor, _: int) -> None:
    same = y.shape[1:] == x.shape[1:]
    x.copy_(y.clone() if same else y.reshape(y.shape[0], -1).sum(1).reshape(-1, *[1] * (x.dim() - 1)))


def _mask(x: Tensor, _: Tensor, __: int) -> None:
    x[x < 1] = 0.5


def _static_mask(x: Tensor, _: Tensor, b: int) -> None:
    x[:, torch.arange(x.shape[1]) % 2 == b % 2] = 4.0


def _static_mask_values(x: Tensor, _: Tensor, b: int) -> None:
    mask = torch.arange(x.shape[1]) % 3 != b % 3
    x[:, mask] = x[:, mask] * 2


def _places(x: Tensor, _: Tensor, b: int) -> None:
    places = [b % x.shape[1], (b + 1) % x.shape[1]][: x.shape[1]]
    x[:, places] = x[:, places].flip(1) - 1


def _places_in_two_dimensions(x: Tensor, _: Tensor, b: int) -> None:
    if x.dim() > 2:
        x[:, [0, -1], [-1, b % x.shape[2]]] = x[:, 0, 0].unsqueeze(1).clone()


def _stepped(x: Tensor, _: Tensor, b: int) -> None:
    x[:, b % x.shape[1] :: 3] = 0


def _augmented(x: Tensor, _: Tensor, __: int) -> None:
    x[..., 0] += 1


def _diagonal(x: Tensor, _: Tensor, b: int) -> None:
    if x.dim() > 2:
        x.diagonal(b % 2, 1, 2).mul_(-2)


_WRITES: dict[str, Callable[[Tensor, Tensor, int], object]] = {
    "add": lambda x, _, __: x.add_(3),
    "mul": lambda x, _, __: x.mul_(x),
    "zero": lambda x, _, __: x.zero_(),
    "fill": lambda x, _, __: x.fill_(2.5),
    "copy": _copy,
    "masked": lambda x, _, __: x.masked_fill_(x > 2, -1.0),
    "relu": lambda x, _, __: torch.relu_(x),
    "mask": _mask,
    "static_mask": _static_mask,
    "static_mask_values": _static_mask_values,
    "places": _places,
    "place_added": lambda x, _, b: x.index_add_(1, torch.tensor([b % x.shape[1]]), x[:, :1] * 3),
    "places_in_two_dimensions": _places_in_two_dimensions,
    "stepped": _stepped,
    "augmented": _augmented,
    "diagonal": _diagonal,
}


def _view_step(kind: str, source: int, a: int, b: int) -> Step:
    def step(tensors: list[Tensor]) -> None:
        x = tensors[source % len(tensors)]
        if x.dim() > 1:
            tensors.append(_VIEWS[kind](x, 1 + a % (x.dim() - 1), b))

    return step


def _write_step(kind: str, target: int, other: int) -> Step:
    def step(tensors: list[Tensor]) -> None:
        x = tensors[target % len(tensors)]
        if x.dim() > 1:
            _WRITES[kind](x, tensors[other % len(tensors)], other)

    return step


_NUMBERS = st.integers(0, 50)
STEPS = st.lists(
    st.one_of(
        st.builds(_view_step, st.sampled_from(sorted(_VIEWS)), _NUMBERS, _NUMBERS, _NUMBERS),
        st.builds(_write_step, st.sampled_from(sorted(_WRITES)), _NUMBERS, _NUMBERS),
    ),
    min_size=2,
    max_size=9,
)
