"""Dynamic sizes that cannot be had: said with the module, and never waited for without end."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

from transpiler.capture import export
from transpiler.capture.export import capture
from transpiler.capture.limit import TimeLimitError, time_limit
from transpiler.errors import ModelError

DYNAMIC = {"x": ("batch", None, "height", "width")}


class Positions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(1, 3, 8, 6))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.ReLU()
        self.positions = Positions()

    def forward(self, x: Tensor) -> Tensor:
        return self.positions(self.stem(x))  # type: ignore[no-any-return]


class Endless(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        while x.dim() == 4:
            time.sleep(0.01)
        return x


def test_a_size_that_the_model_fixes_is_told_with_its_module() -> None:
    with pytest.raises(ModelError) as caught:
        capture(Net(), (torch.rand(2, 3, 8, 6),), dynamic=DYNAMIC)
    assert "positions: input x: 'height' cannot be dynamic, since this module fixes it to 8" in str(caught.value)
    assert "declare dimension 3 of x as 6" in str(caught.value)


def test_an_export_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "EXPORT_LIMIT", 0.5)
    with pytest.raises(ModelError, match=r"did not end within 0\.5 s") as caught:
        capture(nn.Sequential(nn.ReLU(), Endless()), (torch.rand(2, 3, 8, 6),), dynamic={"input": DYNAMIC["x"]})
    assert "declare numbers for height and width" in str(caught.value)
    assert str(caught.value).startswith("1: ")


def test_the_limit_does_not_reach_beyond_its_body() -> None:
    with time_limit(0.05):
        pass
    time.sleep(0.2)
    with pytest.raises(TimeLimitError), time_limit(0.05):
        spin()


def spin() -> None:
    while True:
        time.sleep(0.01)


def test_inputs_that_forward_does_not_take() -> None:
    with pytest.raises(ModelError, match="does not take these inputs: too many positional arguments"):
        capture(nn.ReLU(), (torch.rand(2, 3), torch.rand(2, 3)))


class FixedBatch(nn.Module):
    """Splits its batch into a number of pieces that is known when it is traced."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Halves()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Halves(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([image.mean() for image in x])


def test_a_batch_that_nobody_named_and_the_model_fixes_is_told() -> None:
    with pytest.warns(UserWarning, match="first dimension of input x is fixed to 3, as it was traced: inner fixes it"):
        capture(FixedBatch(), (torch.rand(3, 4, 5),))
