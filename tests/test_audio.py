"""Models of sound: short-time Fourier transforms there and back, frames, mel filters, at any length if torch can."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.networks import outputs_of_keras, outputs_of_torch, relative_error
from transpiler import transpile
from transpiler.verify.randomise import randomise


class Spectrogram(nn.Module):
    """Logarithms of mel bands, and a convolution over them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(24))
        self.register_buffer("bands", torch.rand(17, 8))
        self.conv = nn.Conv2d(1, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        power = torch.stft(x, 32, 16, 24, window=self.window, return_complex=True).abs().pow(2)
        mel = torch.matmul(power.transpose(1, 2), self.bands).clamp(min=1e-5).log()
        return self.conv(mel.unsqueeze(1)).mean((2, 3))


class Denoiser(nn.Module):
    """A mask on the spectrum, and back to the signal."""

    def __init__(self) -> None:
        super().__init__()
        self.mask = nn.Linear(17, 17)

    def forward(self, x: Tensor) -> Tensor:
        window = torch.hann_window(32)
        spectrum = torch.stft(x, 32, 16, window=window, normalized=True, return_complex=True)
        mask = self.mask(spectrum.abs().transpose(1, 2)).sigmoid().transpose(1, 2)
        return torch.istft(spectrum * mask, 32, 16, window=window, normalized=True, length=x.shape[-1])


def test_mel_bands_of_any_length() -> None:
    torch.manual_seed(0)
    model = Spectrogram().eval()
    port = transpile(model, (torch.randn(2, 160),), dynamic={"x": ("batch", "time")})
    assert "ops.extract_sequences(" in port.source
    keras_model = port.build()
    for length in (160, 224, 333):
        x = torch.randn(3, length)
        (expected,), (actual,) = (
            outputs_of_torch(model, port.signature, [x]),
            outputs_of_keras(keras_model, port.signature, [x]),
        )
        assert relative_error(expected, actual) <= 1e-5


def test_there_and_back() -> None:
    model = Denoiser().eval()
    randomise(model, seed=0)
    assert transpile(model, (torch.randn(2, 160),)).verify(batches=(1, 3)).max_rel_err <= 1e-5
