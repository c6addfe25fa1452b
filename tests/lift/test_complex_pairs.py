"""Complex tensors and Fourier transforms, as networks use them, on pairs of real tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from transpiler import transpile
from transpiler.errors import ModelError
from transpiler.verify.randomise import randomise
from transpiler.weights.pour import unpour


class Calls(nn.Module):
    def __init__(self, call: Callable[..., Any]) -> None:
        super().__init__()
        self.call = call

    def forward(self, *inputs: Tensor) -> Any:
        return self.call(*inputs)


class GlobalFilter(nn.Module):
    """A product in frequencies by a weight that is stored as real numbers (GFNet)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(9, 5, 6, 2))

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        f = torch.fft.rfft2(x.view(b, 9, 8, c), dim=(1, 2), norm="ortho")
        f = f * torch.view_as_complex(self.weight)
        return torch.fft.irfft2(f, s=(9, 8), dim=(1, 2), norm="ortho").reshape(b, n, c)


class SpectralConv(nn.Module):
    """Low frequencies alone, by complex weights, written into zeros (Fourier neural operators)."""

    def __init__(self) -> None:
        super().__init__()
        self.low = nn.Parameter(torch.randn(4, 5, 3, 2, dtype=torch.cfloat))
        self.high = nn.Parameter(torch.randn(4, 5, 3, 2, dtype=torch.cfloat))

    def forward(self, x: Tensor) -> Tensor:
        f = torch.fft.rfft2(x)
        out = torch.zeros(x.shape[0], 5, x.size(-2), x.size(-1) // 2 + 1, dtype=torch.cfloat)
        out[:, :, :3, :2] = torch.einsum("bixy,ioxy->boxy", f[:, :, :3, :2], self.low)
        out[:, :, -3:, :2] = torch.einsum("bixy,ioxy->boxy", f[:, :, -3:, :2], self.high)
        return torch.fft.irfft2(out, s=x.shape[-2:])


class Rotary(nn.Module):
    """Rotary embeddings as Llama wrote them first: pairs of channels turned by complex numbers."""

    def __init__(self) -> None:
        super().__init__()
        angles = torch.outer(torch.arange(7.0), torch.tensor([1.0, 0.3, 0.02]))
        self.register_buffer("turns", torch.polar(torch.ones_like(angles), angles))
        self.more = torch.polar(torch.ones_like(angles), -2 * angles)

    def forward(self, x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * self.turns[:, None] * self.more[:, None]).flatten(3)


class Inner(nn.Module):
    def forward(self, f: Tensor) -> tuple[Tensor, Tensor]:
        return f * f.conj() + f, f.abs()


class Nested(nn.Module):
    """Complex values between modules."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()

    def forward(self, x: Tensor) -> Tensor:
        power, length = self.inner(torch.fft.fft(x))
        return power.imag + length


def mixed(x: Tensor) -> Tensor:
    return torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real


def phases(x: Tensor) -> tuple[Tensor, ...]:
    f = torch.fft.fftshift(torch.fft.fft2(x), dim=(-2, -1))
    length, angle = f.abs(), f.angle()
    back = torch.fft.ifft2(torch.fft.ifftshift(torch.polar(length.sqrt(), angle), dim=(-2, -1)))
    return back.real, length, (f / (f + 3)).real, (f * 2j - 1).imag, (length * torch.exp(1j * angle)).imag


def convolved(x: Tensor, kernel: Tensor) -> Tensor:
    length = x.shape[-1]
    f = torch.fft.rfft(x, n=2 * length) * torch.fft.rfft(kernel, n=2 * length) / (2 * length)
    return torch.fft.irfft(f, n=2 * length, norm="forward")[..., :length]


def arithmetic(x: Tensor) -> tuple[Tensor, ...]:
    f, g = torch.complex(x, x.flip(1)), torch.fft.fftn(x, dim=(1, 2, 3), norm="ortho")
    real = torch.view_as_real((f - x + 1) / 2 + (x - g) * (2 + 1j))
    product = torch.matmul(f, g.transpose(-1, -2)).sum(1)
    return real, product.real, torch.cat([f, g], 1).mean((2, 3)).imag, (1 / f.reciprocal().conj()).imag, g.real**2


IMAGE = (3, 6, 7)
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]] = {
    "global filter": (GlobalFilter, ((72, 6),)),
    "spectral convolution": (SpectralConv, ((4, 10, 8),)),
    "rotary embedding": (Rotary, ((7, 3, 6),)),
    "between modules": (Nested, ((5, 6),)),
    "tokens mixed": (lambda: Calls(mixed), ((5, 6),)),
    "lengths and phases": (lambda: Calls(phases), (IMAGE,)),
    "convolution": (lambda: Calls(convolved), ((3, 12), (3, 12))),
    "arithmetic": (lambda: Calls(arithmetic), (IMAGE,)),
    "inverse of odd length": (
        lambda: Calls(lambda x: torch.fft.irfft(torch.fft.rfft(x, dim=1), n=5, dim=1)),
        ((5, 4),),
    ),
    "repeated for each sample": (
        lambda: Calls(
            lambda x: (
                (
                    torch.fft.rfft(x)
                    * torch.polar(torch.ones(1, 3, 1, 1), torch.arange(3.0).view(1, 3, 1, 1)).repeat(
                        x.shape[0], 1, 4, 1
                    )
                ).real
            )
        ),
        ((3, 4, 6),),
    ),
    "backward of real": (lambda: Calls(lambda x: torch.fft.ifft(x, n=9, dim=1).imag), ((5, 4),)),
}


@pytest.mark.parametrize("name", list(MODELS))
def test_matches_torch(name: str) -> None:
    build, shapes = MODELS[name]
    torch.manual_seed(0)
    model = build().eval()
    randomise(model, 0)
    port = transpile(model, tuple(torch.randn(1, *shape) for shape in shapes), name="Model")
    assert port.verify(batches=(1, 2)).max_rel_err <= 1e-5


def test_complex_weights_come_back() -> None:
    model = SpectralConv()
    port = transpile(model, (torch.randn(1, 4, 10, 8),), name="Model")
    found = unpour(port.build(), port.plan)
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (torch.fft.fft, "an output is complex"),
        (lambda x: torch.fft.fft(x).cumprod(1).real, "no rule for aten.cumprod"),
    ],
)
def test_what_cannot_be_ported_is_told(call: Callable[..., Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        transpile(Calls(call), (torch.randn(1, 4, 5),), name="Model")


def test_a_complex_input_is_told() -> None:
    with pytest.raises(ModelError, match="input 'inputs_0' is complex"):
        transpile(Calls(lambda x: x.real), (torch.randn(1, 4, 5, dtype=torch.cfloat),), name="Model")
