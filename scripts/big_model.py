"""A model of 2 GiB for `scripts.bench_pour`: large kernels of every order, among them one behind a flatten."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH = 10240
"""Of the linear layers: 419 MB each."""
CHANNELS = 3648
"""Of the convolution: 479 MB."""


class Big(nn.Module):
    """Four linear layers and a convolution."""

    def __init__(self) -> None:
        super().__init__()
        # Without values: tracing needs none, and they would take as long as all the rest.
        self.conv = nn.utils.skip_init(nn.Conv2d, CHANNELS, CHANNELS, 3)
        self.fc = nn.ModuleList([nn.utils.skip_init(nn.Linear, WIDTH, WIDTH) for _ in range(4)])

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled channels, and a chain of linear layers over flattened pixels."""
        y = torch.flatten(y, 1)
        for layer in self.fc:
            y = layer(y)
        return self.conv(x).mean((2, 3)), y
