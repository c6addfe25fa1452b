"""Small models that each use one thing in a way that real networks do: parity, and no transpose that need not be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (as everybody writes it)
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from tests.networks import randomise
from tests.source_checks import check_source
from transpiler import transpile
from transpiler.errors import ModelError

TOLERANCE = 1e-5
"""Of the largest output: float32 rounding of sums in another order stays well below on models this small."""


class DictOutput(nn.Module):
    """Two inputs, a module called twice, parameters and buffers used directly, nested outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.shared = nn.Conv2d(8, 8, 3, padding=1)
        self.gain = nn.Parameter(torch.randn(8))
        self.register_buffer("offset", torch.randn(1, 8, 1, 1))
        self.condition = nn.Linear(8, 4)
        self.act = nn.ReLU()

    def forward(self, x: Tensor, condition: Tensor) -> dict[str, object]:
        x = self.act(self.shared(self.act(self.first(x))))
        x = self.shared(x) * self.gain[None, :, None, None] + self.offset
        x = x + self.condition(condition).repeat(1, 2)[:, :, None, None]
        return {"features": x, "pooled": (x.mean((2, 3)), x.amax(dim=(2, 3)))}


class Functional(nn.Module):
    """`F.conv2d` with a parameter becomes a layer; resizing, padding, a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 3, 3, 3))
        self.bias = nn.Parameter(torch.randn(6))
        self.norm = nn.LayerNorm(6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = F.conv2d(x, self.weight, self.bias, stride=2, padding=1)
        z = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
        z = torch.cat([z, F.interpolate(y, scale_factor=2, mode="nearest")], 1)
        y = self.norm(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        a, b = z.chunk(2, 1)
        return a * torch.sigmoid(b), F.pad(y, (1, 2, 0, 1))


class Attention(nn.Module):
    """A class token, position embeddings, and attention written by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.positions = nn.Parameter(torch.randn(1, 12, 16))
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.qkv = nn.Linear(16, 48)
        self.out = nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)
        batch, length, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, 4, 4).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.out(x.transpose(1, 2).reshape(batch, length, width))[:, 0]


class Pools(nn.Module):
    """Pooling windows that stick out, padding that counts, sizes that do not divide, more cells than pixels."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return [
            F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
            F.avg_pool2d(x, 3, 2, 1),
            F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
            F.adaptive_avg_pool2d(x, (3, 2)),
            F.adaptive_avg_pool2d(x, (20, 19)),
        ]


class InPlace(nn.Module):
    """Transposed convolutions, norms with groups, in-place operators whose tensor is read again."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(4, 6, 3, 2, 1, 1)
        self.skip = nn.ConvTranspose2d(4, 6, 2, 2)
        self.norm = nn.BatchNorm2d(6)
        self.groups = nn.GroupNorm(2, 6)
        self.instance = nn.InstanceNorm2d(6, affine=True)
        self.act = nn.PReLU(6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.up(x))
        y += self.skip(x)
        y.relu_()
        return self.act(self.instance(self.groups(y) - 0.5))


class Mask(nn.Module):
    """Numbers written into slices of zeros: known before any input is."""

    def forward(self, x: Tensor) -> Tensor:
        mask = x.new_zeros((6, 8))
        mask[:3, 4:] = 1
        mask[3:, :4] = 2
        return x + mask.masked_fill(mask == 2, -5.0)


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x: Tensor, *, scale: float = 1.0, gate: Tensor | None = None) -> Tensor:
        x = self.linear(x) * scale
        return x if gate is None else x * gate


class Scales(nn.Module):
    """Products with a number and with a tensor, at the same place of one class."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Scaled()
        self.second = Scaled()

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        return self.second(self.first(x, scale=2.0), gate=gate, scale=3.0) + self.first(x, gate=gate)


def _vocoder() -> nn.Module:
    """Transposed convolutions whose kernels are computed."""
    return nn.Sequential(
        parametrizations.weight_norm(nn.ConvTranspose1d(4, 8, 8, 4, 2)),
        nn.LeakyReLU(0.1),
        parametrizations.weight_norm(nn.ConvTranspose1d(8, 4, 3, 2, 1, 1, groups=2)),
    )


class Flattened(nn.Module):
    """A flatten in front of a Linear, inside a Sequential: the kernel's rows are poured in Keras's order."""

    def __init__(self) -> None:
        super().__init__()
        self.layers_ = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.GELU(),
            nn.PixelShuffle(2),
            nn.Flatten(),
            nn.Linear(4 * 8 * 10, 7),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers_(x)


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    make: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    transposes: int = 0


CASES = (
    Case("dict_output", DictOutput, ((1, 3, 9, 12), (1, 8))),
    Case("functional", Functional, ((1, 3, 10, 14),)),
    Case("attention", Attention, ((1, 3, 12, 16),)),
    Case("pools", Pools, ((1, 3, 11, 14),)),
    Case("in_place", InPlace, ((1, 4, 5, 6),)),
    Case("mask", Mask, ((1, 3, 6, 8),)),
    Case("flattened", Flattened, ((1, 3, 8, 10),), transposes=1),
    Case("one_layer", lambda: nn.Conv2d(3, 8, 3, stride=2, padding=1), ((1, 3, 8, 9),)),
    Case("sequential", lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), ((1, 3, 8, 9),)),
    Case("volume", lambda: nn.Sequential(nn.Conv3d(3, 8, 3, padding=1), nn.BatchNorm3d(8)), ((1, 3, 6, 7, 8),)),
    Case("scales", Scales, ((1, 5, 8), (1, 5, 1))),
    Case("vocoder", _vocoder, ((1, 4, 10),), transposes=4),
    Case("encoder", lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), ((1, 5, 16),)),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_small_model_computes_the_same(case: Case) -> None:
    torch.manual_seed(0)
    model = case.make().eval()
    randomise(model, seed=1)
    port = transpile(model, tuple(torch.randn(shape) for shape in case.shapes), name="Small")
    check_source(port.source)
    assert port.verify().max_rel_err <= TOLERANCE
    assert port.source.count("ops.transpose(") <= case.transposes


def test_same_input_gives_the_same_bytes() -> None:
    model = DictOutput().eval()
    args = (torch.randn(1, 3, 9, 12), torch.randn(1, 8))
    first, second = (transpile(model, args, name="Small") for _ in range(2))
    assert first.source == second.source
    assert first.plan == second.plan


class Lonely(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.special.i0e(x)


def test_an_operator_without_a_rule_is_named_with_place_and_skeleton() -> None:
    with pytest.raises(ModelError) as caught:
        transpile(nn.Sequential(nn.ReLU(), Lonely()), (torch.randn(1, 4),))
    message = str(caught.value)
    assert "1, Lonely (test_small_models.py:" in message
    assert "no rule for aten.special_i0e" in message
    assert "add a rule: op aten.special_i0e(self) => keras.ops.…" in message


class Decomposed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = torch.diff(x)
        return torch.special.i0e(x)


def test_an_operator_that_is_decomposed_is_not_blamed() -> None:
    with pytest.raises(ModelError) as caught:
        transpile(Decomposed(), (torch.randn(1, 4),))
    assert "aten.special_i0e" in str(caught.value)
    assert "aten.diff" not in str(caught.value)
