"""The time for a model grows with its depth, and no faster."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

from transpiler import transpile


class Block(nn.Module):
    """Attention and a convolution, both with a residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm(tokens)).reshape(n, h * w, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = ((q @ k.transpose(-2, -1)).softmax(-1) @ v).transpose(1, 2).reshape(n, h * w, c)
        x = x + mixed.transpose(1, 2).reshape(n, c, h, w)
        return x + torch.relu(self.bn(self.conv(x)))


class Stack(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(8) for _ in range(depth)])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def seconds(depth: int) -> float:
    model = Stack(depth).eval()
    start = time.process_time()
    port = transpile(model, (torch.rand(1, 8, 6, 6),))
    assert "for block in self.blocks" in port.source
    return time.process_time() - start


@pytest.mark.zoo
def test_ten_times_deeper_takes_at_most_twelve_times_as_long() -> None:
    seconds(2)  # the rules are read, and torch's tables made
    short = min(seconds(12) for _ in range(2))
    assert seconds(120) <= 12 * short
