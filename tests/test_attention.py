"""Attention as people write it: no transposes, whatever torch permutes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.networks import randomise, transpose_count
from transpiler import transpile
from transpiler.capture.constructors import recording


class Attention(nn.Module):
    """Multi-head attention out of one projection."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        attn = (q * self.scale @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((attn @ v).transpose(1, 2).reshape(b, n, c))


class WithBmm(Attention):
    """The heads folded into the batch, as older code does."""

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        d = c // self.heads
        q, k, v = (
            part.reshape(b, n, self.heads, d).transpose(1, 2).reshape(b * self.heads, n, d)
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        attn = torch.bmm(q * self.scale, k.transpose(1, 2)).softmax(dim=-1)
        x = torch.bmm(attn, v).view(b, self.heads, n, d).transpose(1, 2).reshape(b, n, c)
        return self.proj(x)


class WithEinsum(Attention):
    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attn = torch.einsum("bhqd,bhkd->bhqk", q, k).mul(self.scale).softmax(-1)
        return self.proj(torch.einsum("bhqk,bhkd->bqhd", attn, v).flatten(2))


class OverChannels(Attention):
    """Channels attend to channels (cross-covariance)."""

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 4, 1)
        attn = (q @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((attn @ v).permute(0, 3, 1, 2).reshape(b, n, c))


class AlongRows(Attention):
    """Each row of a feature map that keeps its channels last attends to itself."""

    def forward(self, x: Tensor) -> Tensor:
        b, h, w, c = x.shape
        q, k, v = self.qkv(x).reshape(b, h, w, 3, self.heads, c // self.heads).permute(3, 0, 1, 4, 2, 5).unbind(0)
        attn = (q * self.scale @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((attn @ v).transpose(2, 3).reshape(b, h, w, c))


class OnRows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.attn = AlongRows(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.attn(self.stem(x).permute(0, 2, 3, 1))


class OnImages(nn.Module):
    """Attention over the pixels of a feature map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.attn = Attention(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        tokens = self.attn(x.flatten(2).transpose(1, 2))
        return x + tokens.transpose(1, 2).reshape(x.shape)


class TokenMixing(nn.Module):
    """A Linear over the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(12)
        self.mix = nn.Linear(7, 7)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mix(self.norm(x).transpose(1, 2)).transpose(1, 2)


class Windows(nn.Module):
    """Attention in windows: one transpose into the windows, one back."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = Attention(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        x = x.permute(0, 2, 3, 1).reshape(b, h // 2, 2, w // 3, 3, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 6, c)
        x = self.attn(x).reshape(b, h // 2, w // 3, 2, 3, c).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(b, h, w, c).permute(0, 3, 1, 2)


class OverWindow(nn.Module):
    """Attention over the pixels of windows that lie as images do."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.dim_head = heads, dim // heads
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x: Tensor) -> Tensor:
        b = x.shape[0]
        q, k, v = self.qkv(x).reshape(b, -1, 3, self.heads, self.dim_head).transpose(1, 3).unbind(2)
        return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)


class WindowBlock(nn.Module):
    """Cuts an image into windows of 2 x 2, channels last."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.attn = OverWindow(dim, dim // 4)

    def forward(self, x: Tensor) -> Tensor:
        b, h, w, c = x.shape
        windows = x.view(b, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, 2, 2, c)
        windows = self.attn(windows).view(b, h // 2, w // 2, 2, 2, c)
        return x + windows.permute(0, 1, 3, 2, 4, 5).contiguous().view(b, h, w, c)


class DownToOneWindow(nn.Module):
    """Stages of windows; in the last one the window is the whole image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.stages = nn.ModuleList(WindowBlock(dim) for dim in (8, 8, 16))
        self.widen = nn.Linear(8, 16)

    def forward(self, x: Tensor) -> Tensor:
        first, second, last = self.stages
        x = second(first(self.stem(x).permute(0, 2, 3, 1)))
        return last(self.widen(x[:, ::2, ::2])).permute(0, 3, 1, 2)


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "matmul": (lambda: Attention(12, 3), (7, 12), 0),
    "bmm": (lambda: WithBmm(12, 3), (7, 12), 0),
    "einsum": (lambda: WithEinsum(12, 3), (7, 12), 0),
    "over channels": (lambda: OverChannels(12, 3), (7, 12), 0),
    "on images": (OnImages, (3, 5, 6), 0),
    "token mixing": (TokenMixing, (7, 12), 0),
    "windows": (Windows, (12, 4, 9), 2),
    "down to one window": (DownToOneWindow, (3, 4, 4), 6),
}


@pytest.mark.parametrize("name", CASES)
def test_attention_needs_no_transposes(name: str) -> None:
    make, shape, transposes = CASES[name]
    model = make()
    randomise(model.eval(), seed=1)
    port = transpile(model, (torch.randn(1, *shape, generator=torch.Generator().manual_seed(0)),), name="Network")
    assert port.verify().max_rel_err <= 1e-5
    assert transpose_count(port.build()) <= transposes


def test_a_window_that_is_the_whole_image_is_cut_out_like_any_other() -> None:
    port = transpile(DownToOneWindow().eval(), (torch.randn(1, 3, 4, 4),), name="Network")
    assert port.source.count("class WindowBlock(") == port.source.count("class OverWindow(") == 1
    (block,) = [text for text in port.source.split("@serializable") if "class WindowBlock(" in text]
    assert "if " not in block


def test_q_k_and_v_are_unpacked_whatever_the_number_of_heads() -> None:
    with recording() as constructors:
        model = Attention(12, 3)
    port = transpile(model, (torch.randn(1, 5, 12),), name="Network", constructors=constructors)
    assert "ops.reshape(x, (-1, ops.shape(x)[1], 3, self.heads, " in port.source
    assert "q, k, v = ops.unstack(" in port.source


def test_q_k_and_v_of_images_are_unpacked_too() -> None:
    model = OnRows()
    randomise(model.eval(), 0)
    port = transpile(model, (torch.randn(1, 3, 4, 6),), name="Network")
    assert "= ops.unstack(" in port.source
    assert port.verify(batches=(1, 2)).max_rel_err < 1e-5
