"""A YOLOv5-style detector with a slim neck, written after the published designs.

The backbone and the Detect head follow YOLOv5 (Conv, C3, SPPF, anchors on three scales); the neck follows "Slim-neck by
GSConv" (Li et al., 2022): GSConv in place of most convolutions and VoVGSCSP in place of C3. Plain PyTorch, inference
form: `forward` returns decoded boxes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

ANCHORS = (
    (10, 13, 16, 30, 33, 23),
    (30, 61, 62, 45, 59, 119),
    (116, 90, 156, 198, 373, 326),
)
"""Width and height in pixels of three anchors for each of the three scales: YOLOv5's defaults."""

STRIDES = (8, 16, 32)


def autopad(k: int, p: int | None = None) -> int:
    """The padding that keeps the size at stride 1 and an odd kernel `k`, unless `p` says otherwise."""
    return k // 2 if p is None else p


def activation(act: bool | str) -> nn.Module:
    """SiLU for True, Mish for "mish", Identity for False."""
    if act is True:
        return nn.SiLU()
    if act is False:
        return nn.Identity()
    if act == "mish":
        return nn.Mish()
    raise ValueError(f"act must be True, False or 'mish', not {act!r}")


class Conv(nn.Module):
    """Convolution, BatchNorm, activation."""

    def __init__(
        self, c1: int, c2: int, k: int = 1, s: int = 1, p: int | None = None, g: int = 1, act: bool | str = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, k, s, autopad(k, p), groups=g, bias=False)
        self.bn = nn.BatchNorm2d(c2, eps=1e-3, momentum=0.03)
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    """A 1x1 and a 3x3 convolution, with a shortcut where the channels allow it."""

    def __init__(self, c1: int, c2: int, shortcut: bool = True, g: int = 1, e: float = 0.5) -> None:
        super().__init__()
        c_ = int(c2 * e)
        self.cv1 = Conv(c1, c_, 1, 1)
        self.cv2 = Conv(c_, c2, 3, 1, g=g)
        self.add = shortcut and c1 == c2

    def forward(self, x: Tensor) -> Tensor:
        return x + self.cv2(self.cv1(x)) if self.add else self.cv2(self.cv1(x))


class C3(nn.Module):
    """Cross-stage partial bottleneck with three convolutions."""

    def __init__(self, c1: int, c2: int, n: int = 1, shortcut: bool = True, g: int = 1, e: float = 0.5) -> None:
        super().__init__()
        c_ = int(c2 * e)
        self.cv1 = Conv(c1, c_, 1, 1)
        self.cv2 = Conv(c1, c_, 1, 1)
        self.cv3 = Conv(2 * c_, c2, 1)
        self.m = nn.Sequential(*(Bottleneck(c_, c_, shortcut, g, e=1.0) for _ in range(n)))

    def forward(self, x: Tensor) -> Tensor:
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))


class SPPF(nn.Module):
    """Spatial pyramid pooling: three max pools in a row, the results side by side."""

    def __init__(self, c1: int, c2: int, k: int = 5) -> None:
        super().__init__()
        c_ = c1 // 2
        self.cv1 = Conv(c1, c_, 1, 1)
        self.cv2 = Conv(c_ * 4, c2, 1, 1)
        self.m = nn.MaxPool2d(kernel_size=k, stride=1, padding=k // 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.cv1(x)
        y1 = self.m(x)
        y2 = self.m(y1)
        return self.cv2(torch.cat((x, y1, y2, self.m(y2)), 1))


class GSConv(nn.Module):
    """A dense convolution, a depthwise one of its result, and both halves shuffled.

    The shuffle is the published one: its first reshape mixes batch and channels. In effect the result holds the even
    channels, then the odd ones.
    """

    def __init__(self, c1: int, c2: int, k: int = 1, s: int = 1, g: int = 1, act: bool | str = True) -> None:
        super().__init__()
        c_ = c2 // 2
        self.cv1 = Conv(c1, c_, k, s, None, g, act)
        self.cv2 = Conv(c_, c_, 5, 1, None, c_, act)

    def forward(self, x: Tensor) -> Tensor:
        x1 = self.cv1(x)
        x2 = torch.cat((x1, self.cv2(x1)), 1)
        b, n, h, w = x2.size()
        b_n = b * n // 2
        y = x2.reshape(b_n, 2, h * w)
        y = y.permute(1, 0, 2)
        y = y.reshape(2, -1, n // 2, h, w)
        return torch.cat((y[0], y[1]), 1)


class GSConvShuffleNet(nn.Module):
    """GSConv with ShuffleNet's shuffle: the channels of the two halves take turns."""

    def __init__(self, c1: int, c2: int, k: int = 1, s: int = 1, g: int = 1, act: bool | str = True) -> None:
        super().__init__()
        c_ = c2 // 2
        self.cv1 = Conv(c1, c_, k, s, None, g, act)
        self.cv2 = Conv(c_, c_, 5, 1, None, c_, act)

    def forward(self, x: Tensor) -> Tensor:
        x1 = self.cv1(x)
        x2 = torch.cat((x1, self.cv2(x1)), 1)
        b, c, h, w = x2.size()
        y = x2.view(b, 2, c // 2, h, w)
        y = y.transpose(1, 2)
        return y.reshape(b, c, h, w)


class GSBottleneck(nn.Module):
    """Two GSConv, the light form. `conv` and `shortcut` are built as published, and never called."""

    def __init__(self, c1: int, c2: int) -> None:
        super().__init__()
        c_ = c2 // 2
        self.conv_lighting = nn.Sequential(GSConv(c1, c_, 1, 1), GSConv(c_, c2, 1, 1, act=False))
        self.conv = nn.Sequential(GSConv(c1, c_, 3, 1), GSConv(c_, c2, 3, 1, act=False))
        self.shortcut = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_lighting(x)


class GSBottleneckC(nn.Module):
    """Two GSConv and a convolution as the shortcut, added."""

    def __init__(self, c1: int, c2: int, e: float = 0.5) -> None:
        super().__init__()
        c_ = int(c2 * e)
        self.conv_lighting = nn.Sequential(GSConv(c1, c_, 1, 1), GSConv(c_, c2, 3, 1, act=False))
        self.shortcut = Conv(c1, c2, 1, 1, act=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_lighting(x) + self.shortcut(x)


class VoVGSCSP(nn.Module):
    """Cross-stage partial block around GSBottlenecks. `res` is built as published, and never called."""

    def __init__(self, c1: int, c2: int, n: int = 1, e: float = 0.5) -> None:
        super().__init__()
        c_ = int(c2 * e)
        self.cv1 = Conv(c1, c_, 1, 1)
        self.cv2 = Conv(c1, c_, 1, 1)
        self.gsb = nn.Sequential(*(GSBottleneck(c_, c_) for _ in range(n)))
        self.res = Conv(c_, c_, 3, 1, act=False)
        self.cv3 = Conv(2 * c_, c2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x1 = self.gsb(self.cv1(x))
        y = self.cv2(x)
        return self.cv3(torch.cat((y, x1), dim=1))


class VoVGSCSPC(nn.Module):
    """VoVGSCSP around GSBottleneckC, with every module in use."""

    def __init__(self, c1: int, c2: int, n: int = 1, e: float = 0.5) -> None:
        super().__init__()
        c_ = int(c2 * e)
        self.cv1 = Conv(c1, c_, 1, 1)
        self.cv2 = Conv(c1, c_, 1, 1)
        self.gsb = nn.Sequential(*(GSBottleneckC(c_, c_, e=1.0) for _ in range(n)))
        self.cv3 = Conv(2 * c_, c2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x1 = self.gsb(self.cv1(x))
        y = self.cv2(x)
        return self.cv3(torch.cat((y, x1), dim=1))


class Concat(nn.Module):
    """The tensors of a list, side by side along one dimension."""

    def __init__(self, dimension: int = 1) -> None:
        super().__init__()
        self.d = dimension

    def forward(self, x: list[Tensor]) -> Tensor:
        return torch.cat(x, self.d)


class Detect(nn.Module):
    """Boxes from feature maps of several strides: `[(b, c_i, h_i, w_i), …] -> (b, boxes, 5 + nc)`.

    A box is its centre, width and height in pixels, objectness, and a score for each class. Boxes are ordered by scale,
    then anchor, row and column.
    """

    anchors: Tensor

    def __init__(
        self,
        nc: int = 80,
        anchors: tuple[tuple[int, ...], ...] = ANCHORS,
        ch: tuple[int, ...] = (),
        strides: tuple[int, ...] = STRIDES,
    ) -> None:
        super().__init__()
        self.nc = nc
        self.no = nc + 5
        self.nl = len(anchors)
        self.na = len(anchors[0]) // 2
        self.stride = strides
        pixels = torch.tensor(anchors, dtype=torch.float32).view(self.nl, self.na, 2)
        self.register_buffer("anchors", pixels / torch.tensor(strides).view(-1, 1, 1))
        self.m = nn.ModuleList(nn.Conv2d(c, self.no * self.na, 1) for c in ch)

    def forward(self, x: list[Tensor]) -> Tensor:
        z = []
        for i in range(self.nl):
            y = self.m[i](x[i])
            bs, _, ny, nx = y.shape
            y = y.view(bs, self.na, self.no, ny, nx).permute(0, 1, 3, 4, 2)
            grid, anchor_grid = self._make_grid(nx, ny, i)
            xy, wh, conf = y.sigmoid().split((2, 2, self.nc + 1), 4)
            xy = (xy * 2 + grid) * self.stride[i]
            wh = (wh * 2) ** 2 * anchor_grid
            y = torch.cat((xy, wh, conf), 4)
            z.append(y.view(bs, self.na * nx * ny, self.no))
        return torch.cat(z, 1)

    def _make_grid(self, nx: int, ny: int, i: int) -> tuple[Tensor, Tensor]:
        """Cell corners less half a cell, in cells, and anchor sizes in pixels, for scale `i`."""
        device, dtype = self.anchors.device, self.anchors.dtype
        shape = 1, self.na, ny, nx, 2
        y = torch.arange(ny, device=device, dtype=dtype)
        x = torch.arange(nx, device=device, dtype=dtype)
        yv, xv = torch.meshgrid(y, x, indexing="ij")
        grid = torch.stack((xv, yv), 2).expand(shape) - 0.5
        anchor_grid = (self.anchors[i] * self.stride[i]).view(1, self.na, 1, 1, 2).expand(shape)
        return grid, anchor_grid


class SlimNeck(nn.Module):
    """The detector: `(b, 3, h, w) -> (b, boxes, 5 + nc)` for any batch and any height and width divisible by 32.

    >>> SlimNeck(nc=80)(torch.rand(1, 3, 192, 256)).shape
    torch.Size([1, 3024, 85])

    `width` is the number of channels of the first convolution, a multiple of 4: 16 is YOLOv5n, 32 YOLOv5s.
    """

    def __init__(self, nc: int = 80, width: int = 8) -> None:
        super().__init__()
        c1, c2, c3, c4, c5 = (width * factor for factor in (1, 2, 4, 8, 16))
        self.stem = Conv(3, c1, 6, 2, 2)
        self.down2 = Conv(c1, c2, 3, 2)
        self.stage2 = C3(c2, c2, 1)
        self.down3 = Conv(c2, c3, 3, 2)
        self.stage3 = C3(c3, c3, 2)
        self.down4 = Conv(c3, c4, 3, 2)
        self.stage4 = C3(c4, c4, 3)
        self.down5 = Conv(c4, c5, 3, 2)
        self.stage5 = C3(c5, c5, 1, shortcut=False)
        self.pool = SPPF(c5, c5, 5)

        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.concat = Concat(1)
        self.lateral5 = GSConv(c5, c4, 1, 1)
        self.top4 = VoVGSCSP(c4 + c4, c4)
        self.lateral4 = GSConv(c4, c3, 1, 1)
        self.top3 = VoVGSCSP(c3 + c3, c3, 2)
        self.reduce3 = GSConv(c3, c3, 3, 2, act="mish")
        self.bottom4 = VoVGSCSPC(c3 + c3, c4)
        self.reduce4 = GSConvShuffleNet(c4, c4, 3, 2, act="mish")
        self.bottom5 = VoVGSCSPC(c4 + c4, c5, 2)

        self.detect = Detect(nc, ANCHORS, (c3, c4, c5))

    def forward(self, x: Tensor) -> Tensor:
        p2 = self.stage2(self.down2(self.stem(x)))
        p3 = self.stage3(self.down3(p2))
        p4 = self.stage4(self.down4(p3))
        p5 = self.pool(self.stage5(self.down5(p4)))

        lateral5 = self.lateral5(p5)
        top4 = self.top4(self.concat([self.upsample(lateral5), p4]))
        lateral4 = self.lateral4(top4)
        top3 = self.top3(self.concat([self.upsample(lateral4), p3]))
        bottom4 = self.bottom4(self.concat([self.reduce3(top3), lateral4]))
        bottom5 = self.bottom5(self.concat([self.reduce4(bottom4), lateral5]))
        return self.detect([top3, bottom4, bottom5])
