"""Dynamic height and width: generated once, run at three sizes, even, odd and not square."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.networks import images, outputs_of_keras, outputs_of_torch, randomise, relative_error, slimneck_module
from transpiler import transpile

RULES = 'model "m.py:Net" {{ input x float32[batch, 3, height, width] }}\n'


class Segmentation(nn.Module):
    """A strided trunk, pooled context, and logits brought back to the size of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.down = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.context = nn.Conv2d(8, 8, 1)
        self.head = nn.Conv2d(16, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = torch.relu(self.norm(self.stem(x)))
        coarse = self.down(fine)
        pooled = self.context(nn.functional.adaptive_avg_pool2d(coarse, 1)).expand_as(coarse)
        coarse = torch.cat([coarse, pooled], 1)
        up = nn.functional.interpolate(self.head(coarse), size=fine.shape[-2:], mode="nearest")
        return nn.functional.interpolate(up, size=x.shape[-2:], mode="bilinear", align_corners=False)


class Tokens(nn.Module):
    """Attention over as many pixels as there are, and back to an image."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 12, 4, stride=4)
        self.attention = nn.MultiheadAttention(12, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x)
        height, width = x.shape[-2:]
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return tokens.transpose(1, 2).reshape(-1, 12, height, width)


class Pyramid(nn.Module):
    """Context of several sizes, brought back by resizing with factors, and padded to what it is joined with."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.pools = nn.ModuleList(nn.AdaptiveAvgPool2d(cells) for cells in (2, 3))
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.head = nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.stem(x)
        size = x.shape[-2:]
        pooled = [nn.functional.interpolate(pool(x), size=size, mode="bilinear") for pool in self.pools]
        up = self.up(nn.functional.max_pool2d(x, 2))
        rows, columns = size[0] - up.shape[2], size[1] - up.shape[3]
        up = nn.functional.pad(up, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
        halves = (nn.functional.interpolate(x, scale_factor=0.5, mode=mode) for mode in ("nearest", "bicubic"))
        return self.head(torch.cat([x, *pooled, up], 1)), nn.functional.adaptive_max_pool2d(x, (2, 3)), *halves


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[tuple[int, int], ...]]] = {
    "segmentation": (Segmentation, ((32, 48), (37, 53), (64, 21))),
    "pyramid": (Pyramid, ((32, 48), (37, 53), (64, 21))),
    "tokens": (Tokens, ((32, 48), (37, 53), (64, 21))),
    "slimneck": (lambda: slimneck_module("model").SlimNeck(nc=3), ((64, 96), (96, 160), (32, 224))),
}


@pytest.mark.parametrize("name", CASES)
def test_one_source_serves_all_sizes(name: str, tmp_path: Path) -> None:
    make, sizes = CASES[name]
    rules = tmp_path / "net.rules"
    rules.write_text(RULES.format(), encoding="utf-8")
    model = make()
    randomise(model.eval(), seed=1)
    port = transpile(model, (images(1, sizes[0], seed=0),), rules=rules, name="Net")
    built = port.build()
    for size in sizes:
        x = images(2, size, seed=3)
        expected = outputs_of_torch(model, port.signature, (x,))
        found = outputs_of_keras(built, port.signature, (x,))
        for one, other in zip(expected, found, strict=True):
            assert relative_error(one, other) <= 1e-5
