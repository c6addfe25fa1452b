"""Local variables of generated classes bear the names that torch's source uses, and no others where that can be."""

from __future__ import annotations

import ast
import re

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 — as everybody does
from torch import Tensor, nn

from transpiler.port import Port, transpile


class Residual(nn.Module):
    """Writes one line; the norm's result has no name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.tanh(self.conv(x))
        x = x + y * torch.sigmoid(y)
        return x * torch.flip(x, (1,))


class Shortcut(nn.Module):
    """The residual goes by a name of its own, after a module that does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Identity()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        res = self.proj(x)
        x = self.conv(x)
        x = x * torch.tanh(x)
        return res + x


class Gathers(nn.Module):
    """A variable is used again while its values are kept in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 2, 1)
        self.second = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        spx = x.chunk(3, 1)
        spo = []
        sp = self.first(spx[0])
        spo.append(sp)
        sp = self.second(sp + spx[1])
        spo.append(sp)
        sp = self.second(torch.tanh(sp) + spx[2])
        spo.append(sp)
        return torch.cat(spo, 1)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.tanh(x), torch.sigmoid(x)


class Unpacks(nn.Module):
    """Modules that return several tensors: unpacked, kept together, and one of them taken."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = Pair(), Pair(), Pair()

    def forward(self, x: Tensor) -> Tensor:
        low, high = self.a(x)
        both = self.b(low + high)
        out = self.c(both[0] * both[1] + both[0])[1]
        return out * out + x


class Walrus(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if (squashed := torch.tanh(x)) is not None:
            x = squashed * torch.sigmoid(squashed)
        return x


class Splits(nn.Module):
    """One function that runs an operator for each of its results."""

    def forward(self, x: Tensor) -> Tensor:
        token, x = torch.tensor_split(x, indices=(1,), dim=1)
        x = torch.tanh(x) * torch.sigmoid(x)
        return torch.cat([token, x * token], 1)


class Branches(nn.Module):
    """A list of tensors of which each goes through a module of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(2, 2, 1) for _ in range(2))
        self.act = nn.ReLU()

    def forward(self, x: list[Tensor]) -> list[Tensor]:
        for i, branch in enumerate(self.branches):
            x[i] = branch(x[i])
        y_list = []
        y_list.append(self.act(x[0] * x[1]))
        y_list.append(self.act(x[0] + x[1] + y_list[0]))
        return y_list


class Forked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Branches()

    def forward(self, x: Tensor) -> Tensor:
        low, high = self.inner([x[:, :2], x[:, 2:]])
        return low * high + low


class Resizes(nn.Module):
    """The size of the input is read before it is overwritten."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        input_shape = x.shape[-2:]
        x = self.conv(x)
        x = self.conv(x)
        return F.interpolate(x, size=input_shape, mode="bilinear", align_corners=False)


class Loops(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for number, blk in enumerate(self.stages):
            x = torch.tanh(blk(x)) if number > 5 else blk(x)
        return x


class Parallel(nn.ModuleDict):
    """A dict of modules that goes through itself."""

    def __init__(self) -> None:
        super().__init__({"low": nn.Conv2d(1, 3, 1), "high": nn.Conv2d(2, 3, 1)})

    def forward(self, x: Tensor) -> Tensor:
        parts = x.split([1, 2], 1)
        return torch.cat([c(parts[i]) for i, c in enumerate(self.values())], 1)


class Scores(nn.Module):
    """Functions have a name for what they return, and their caller another one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def scored(self, x: Tensor) -> Tensor:
        out = torch.tanh(x) * x
        return out.flatten(2)

    def forward(self, x: Tensor) -> Tensor:
        low = self.scored(x)
        high = self.scored(self.conv(x)).float()
        return low * torch.sin(low) + high * torch.sin(high)


class Skips(nn.Module):
    """Puts into a list what the next turn changes."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(1, 1, 3, padding=1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        parts = x.chunk(4, 1)
        outs = []
        feat = parts[0]
        for i, conv in enumerate(self.convs):
            feat = torch.tanh(conv(feat) + parts[i + 1])
            outs.append(feat)
            feat = feat * 2
        return torch.cat([*outs, feat], 1)


class Optional(nn.Module):
    """One of what it returns may be None."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        return torch.tanh(x), None, torch.exp(x)


class Three(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Optional()

    def forward(self, x: Tensor) -> Tensor:
        low, _mask, high = self.inner(x)
        return low * high + low


NAMES = {
    Residual: {"y", "x"},
    Shortcut: {"res", "x"},
    Gathers: {"spx", "spo", "sp"},
    Unpacks: {"low", "high", "both", "out", "_"},
    Walrus: {"squashed", "x"},
    Resizes: {"input_shape", "x"},
    Loops: {"blk", "x"},
    Splits: {"token", "x"},
    Forked: {"low", "high"},
    Parallel: {"parts", "c", "x"},
    Scores: {"low", "high"},
    Skips: {"parts", "outs", "feat", "conv", "i"},
    Three: {"low", "high"},
}


def locals_of(port: Port, name: str) -> set[str]:
    module = ast.parse(port.source)
    node = next(node for node in module.body if isinstance(node, ast.ClassDef) and node.name == name)
    call = next(item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "call")
    return {inner.id for inner in ast.walk(call) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)}


@pytest.mark.parametrize("model", list(NAMES))
def test_names_are_those_of_the_source(model: type[nn.Module]) -> None:
    torch.manual_seed(0)
    channels = {Gathers: 6, Residual: 4, Shortcut: 4, Forked: 4, Skips: 4}.get(model, 3)
    port = transpile(model().eval(), (torch.randn(2, channels, 37, 41),))
    found = locals_of(port, model.__name__)
    assert found <= NAMES[model], re.search(r"def call.*", port.source, re.DOTALL)
    assert found - {"_", "x"} or model is Loops
    if model is Forked:
        assert locals_of(port, "Branches") == {"x", "i", "branch", "y_list"}
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5
