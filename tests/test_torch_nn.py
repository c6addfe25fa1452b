"""Modules and functions of torch that no single rule serves: attention with masks, transformers, cells, indexing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from transpiler import transpile
from transpiler.verify.randomise import randomise

CAUSAL = torch.triu(torch.ones(5, 5), 1).bool()
TOKENS = (5, 12)
IMAGE = (6, 9, 11)
MAX_1D = nn.MaxPool1d(2, return_indices=True)
MAX_3D = nn.MaxPool3d(2, return_indices=True)


class Around(nn.Module):
    """A module within a model, called in some way."""

    def __init__(self, layer: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.layer = layer
        self.call = call

    def forward(self, *inputs: Tensor) -> Any:
        return self.call(self.layer, *inputs)


def attention(**settings: Any) -> nn.Module:
    return nn.MultiheadAttention(12, 3, batch_first=True, **settings)


def plain(layer: nn.Module, *inputs: Tensor) -> Any:
    return layer(*inputs)


def masked(layer: nn.Module, x: Tensor) -> Any:
    return layer(x, x, x, attn_mask=CAUSAL, need_weights=False)


def padded(layer: nn.Module, x: Tensor) -> Any:
    return layer(x, x, x, key_padding_mask=x[..., 0] > 1, attn_mask=CAUSAL)


def unpooled(layer: nn.Module, x: Tensor) -> Tensor:
    """An encoder and a decoder as SegNet has them, with windows that overlap."""
    halved, places = nn.functional.max_pool2d(x, 3, 2, 1, return_indices=True)
    quartered, where = nn.functional.adaptive_max_pool2d(halved, (2, 3), return_indices=True)
    back = nn.functional.max_unpool2d(quartered, where, (3, 2), output_size=halved.shape[2:])
    return layer(back + halved, places, output_size=x.size())  # type: ignore[no-any-return]


ENCODER: dict[str, Any] = {"d_model": 12, "nhead": 3, "dim_feedforward": 17, "batch_first": True}
MODULES: dict[str, tuple[Callable[[], nn.Module], Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "attention with weights": (attention, lambda layer, x: layer(x, x, x), (TOKENS,)),
    "weights of each head": (attention, lambda layer, x: layer(x, x, x, average_attn_weights=False), (TOKENS,)),
    "a mask that the model keeps": (attention, masked, (TOKENS,)),
    "a padding mask": (attention, padded, (TOKENS,)),
    "biases for keys": (lambda: attention(add_bias_kv=True, add_zero_attn=True), masked, (TOKENS,)),
    "encoder layer": (lambda: nn.TransformerEncoderLayer(**ENCODER), plain, (TOKENS,)),
    "encoder": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(norm_first=True, activation="gelu", **ENCODER), 2),
        plain,
        (TOKENS,),
    ),
    "decoder": (
        lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(**ENCODER), 2),
        plain,
        (TOKENS, (7, 12)),
    ),
    "lstm cell": (lambda: nn.LSTMCell(4, 6), plain, ((4,),)),
    "gru cell": (lambda: nn.GRUCell(4, 6), plain, ((4,),)),
    "rnn cell": (lambda: nn.RNNCell(4, 6), plain, ((4,),)),
    "bilinear": (lambda: nn.Bilinear(4, 5, 6), plain, ((3, 4), (3, 5))),
    "two indices": (nn.Identity, lambda _, x: x[:, [0, 2, 1], [3, 1, -2]], (IMAGE,)),
    "indices apart": (nn.Identity, lambda _, x: x[:, [[0], [1]], :, [[1, 2, 3]]], (IMAGE,)),
    "indices that are computed": (
        nn.Identity,
        lambda _, x: x[:, x[0, :, 0, 0].argsort(), (x[0, :, 0, 1] > 0).long()],
        (IMAGE,),
    ),
    "three indices, the last wider": (
        nn.Identity,
        lambda _, x: x[:, x[0, :2, 0, :1].long(), x[0, 2:4, 0, :1].long(), x[0, :1, 1, :3].long()],
        (IMAGE,),
    ),
    "a mask that is known": (nn.Identity, lambda _, x: x[:, torch.arange(6) % 3 == 0], (IMAGE,)),
    "pooled and unpooled": (lambda: nn.MaxUnpool2d(3, 2, 1), unpooled, (IMAGE,)),
    "unpooled in one and three dimensions": (
        lambda: nn.MaxUnpool1d(2),
        lambda layer, x, y: (
            layer(*MAX_1D(x), output_size=x.shape),
            nn.MaxUnpool3d(2)(*MAX_3D(y), output_size=y.shape),
        ),
        ((6, 9), (3, 4, 5, 7)),
    ),
    "tokens mixed, as many as channels": (
        lambda: nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 12)),
        lambda layer, x: layer(x.transpose(1, 2)).transpose(1, 2),
        ((12, 12),),
    ),
    "normalised weights": (
        lambda: nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Conv1d(5, 8, 3, padding=1)),
            nn.utils.spectral_norm(nn.Conv1d(8, 6, 1)),
        ),
        plain,
        (TOKENS,),
    ),
    "a sequence viewed flat": (
        lambda: nn.LSTM(12, 6, bidirectional=True),
        lambda layer, x: (y := layer(x.transpose(0, 1))[0]).view(y.size(0) * y.size(1), -1).view(y.shape),
        (TOKENS,),
    ),
    "places in sorted numbers": (
        nn.Identity,
        lambda _, x: (
            torch.searchsorted(x[0].sort(1)[0], x[0]),
            torch.searchsorted(torch.tensor([-1.0, 0.0, 0.5]), x),
            torch.bucketize(x, torch.tensor([-1.0, 0.0, 0.5]), right=True),
        ),
        ((3, 7),),
    ),
    "an own index for each of a batch": (
        nn.Identity,
        lambda _, x: (x[torch.arange(x.shape[0]), x[:, :, 0].argmax(1)], around(x), between(x)),
        ((7, 3),),
    ),
    "across channels": (lambda: nn.CrossMapLRN2d(5, alpha=0.5, beta=0.6), plain, ((9, 4, 3),)),
    "across an even number of channels": (lambda: nn.CrossMapLRN2d(4, alpha=0.5), plain, ((9, 4, 3),)),
    "six dimensions that broadcast": (
        nn.Identity,
        lambda _, x: (x[:, :, None, :, :, None] - x[:, None, :, :, None, :]).relu() * doubled(x[..., None]).mean(),
        ((2, 4, 3),),
    ),
    "affine grid": (nn.Identity, lambda _, x: warped(x), (IMAGE,)),
    "roll, sort, gather": (nn.Identity, lambda _, x: x.roll((1, -2), (2, 3)).gather(1, x.argsort(1)), (IMAGE,)),
}


def around(x: Tensor) -> Tensor:
    """The neighbours of points, as point networks gather them."""
    near = torch.cdist(x, x).topk(3, largest=False)[1]
    batch = torch.arange(x.shape[0]).view(-1, 1, 1).repeat(1, *near.shape[1:])
    return x[batch, near, :] - x[:, :, None]


def between(x: Tensor) -> Tensor:
    """An index with a dimension between it and the one that counts, and from behind."""
    return x.transpose(1, 2)[torch.arange(x.shape[0])[:, None], :, -1 - x.argsort(1)[:, :, 0]]


def doubled(x: Tensor) -> Tensor:
    """Nearest neighbours along three dimensions, by repeating."""
    batch, depth, height, width, channels = x.shape
    wide = x[:, :, None, :, None, :, None].expand(batch, depth, 2, height, 2, width, 2, channels)
    return wide.reshape(batch, 2 * depth, 2 * height, 2 * width, channels)


def warped(x: Tensor) -> Tensor:
    theta = torch.tensor([[[1.0, 0.2, 0.1], [0.1, 0.9, 0.0]]]).expand(x.shape[0], 2, 3)
    grid = nn.functional.affine_grid(theta, list(x.shape), align_corners=False)
    return nn.functional.grid_sample(x, grid, align_corners=False)


@pytest.mark.parametrize("name", list(MODULES))
def test_matches_torch(name: str) -> None:
    build, call, shapes = MODULES[name]
    torch.manual_seed(0)
    model = Around(build(), call).eval()
    randomise(model, 0)
    port = transpile(model, tuple(torch.randn(1, *shape) for shape in shapes), name="Around")
    assert port.verify(batches=(1, 2)).max_rel_err <= 1e-5
