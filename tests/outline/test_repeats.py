"""Loops that torch's trace unrolled are loops again, and compute the same."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from transpiler.capture.constructors import recording
from transpiler.port import Port, transpile


class Heads(nn.Module):
    """A head for each scale, as detectors have them: sizes, factors and an anchor for each."""

    def __init__(self, channels: tuple[int, ...], strides: tuple[int, ...], outputs: int = 5) -> None:
        super().__init__()
        self.levels = len(channels)
        self.strides = strides
        self.outputs = outputs
        self.anchors = nn.Parameter(torch.randn(len(channels), 2))
        self.heads = nn.ModuleList(nn.Conv2d(width, outputs, 1) for width in channels)

    def forward(self, maps: list[Tensor]) -> Tensor:
        boxes = []
        for i in range(self.levels):
            y = self.heads[i](maps[i])
            batch, _, ny, nx = y.shape
            columns = torch.arange(nx, dtype=y.dtype)
            place = (y[:, 0] + columns) * self.strides[i]
            size = y[:, 1].exp() * self.anchors[i, 0]
            boxes.append(torch.stack((place, size), -1).view(batch, ny * nx, 2))
        return torch.cat(boxes, 1)


class Pyramid(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.downs = nn.ModuleList(nn.Conv2d(4, 4, 3, 2, 1) for _ in range(2))
        self.head = Heads((4, 4, 4), (8, 16, 32))

    def forward(self, x: Tensor) -> Tensor:
        first = self.stem(x)
        second = self.downs[0](first)
        return self.head([first, second, self.downs[1](second)])


class Refine(nn.Module):
    """The same layers again and again; every turn hands two values on and leaves one."""

    def __init__(self) -> None:
        super().__init__()
        self.update = nn.Linear(6, 6)
        self.gate = nn.Linear(6, 6)

    def forward(self, x: Tensor, rounds: int = 4) -> tuple[Tensor, Tensor]:
        state = torch.tanh(x)
        flows = []
        for _ in range(rounds):
            delta = self.update(state) * 0.5
            x = x - delta
            state = torch.tanh(self.gate(state) + x)
            flows.append(x * 2)
        return torch.stack(flows, 1), state


class Cascade(nn.Module):
    """Each part is added to what the part before it became."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        parts = x.chunk(4, 1)
        left, found = parts[0], []
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            left = torch.relu(norm(conv(left))) + parts[i + 1]
            found.append(left)
        return tuple(found)


class Written(nn.Module):
    """Statements that stand there twice, on lines of their own: no loop."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        a = torch.relu(self.first(x))
        a = torch.tanh(a * 2)
        b = torch.relu(self.second(x))
        b = torch.tanh(b * 3)
        return torch.cat([a, b], 1)


def ported(build: type[nn.Module], *shape: int) -> Port:
    torch.manual_seed(0)
    with recording() as constructors:
        model = build()
    return transpile(model.eval(), (torch.randn(shape),), constructors=constructors)


def test_heads_of_several_scales_are_a_loop_over_them() -> None:
    port = ported(Pyramid, 2, 3, 12, 20)
    for line in (
        "boxes = []",
        "for i in range(self.levels):",
        "ny, nx = ops.shape(maps[i])[1:3]",
        "y = self.heads[i](maps[i])",
        'columns = ops.arange(nx, dtype="float32")',
        "* self.strides[i]",
        "boxes.append(",
        "return ops.concatenate(boxes, axis=1)",
    ):
        assert line in port.source
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5


def test_rounds_that_hand_values_on_are_a_loop() -> None:
    port = ported(Refine, 2, 3, 6)
    assert "for _ in range(4):" in port.source
    assert "flows.append(x * 2)" in port.source
    assert port.source.count("self.gate(") == 1
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5


def test_what_a_turn_adds_to_is_handed_on() -> None:
    port = ported(Cascade, 2, 16, 5, 7)
    assert port.source.count("for conv, norm,") == 1
    assert "return tuple(found)" in port.source
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5


def test_lines_that_resemble_each_other_are_no_loop() -> None:
    assert "for " not in ported(Written, 2, 6).source.split("def call")[1]
