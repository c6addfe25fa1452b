"""Operators without a rule are tried as PyTorch decomposes them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from transpiler import transpile
from transpiler.errors import ModelError


class Composed(nn.Module):
    """Operators that are put together from others, one with two results, one with a dynamic batch inside."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.conv(x)
        largest, smallest = torch.aminmax(x, dim=1)
        return torch.logaddexp(x, 2 * x), largest - smallest, nn.functional.cosine_similarity(x, x + 1, dim=1)


class Impossible(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.logaddexp(x.sum(-1), torch.linalg.eigvalsh(x))


def test_decomposed_operators_compute_the_same() -> None:
    port = transpile(Composed().eval(), (torch.randn(1, 3, 9, 8),), name="Composed")
    assert port.verify().max_rel_err <= 1e-5


def test_what_stays_without_a_rule_is_named_as_the_model_calls_it() -> None:
    with pytest.raises(ModelError, match=r"no rule for aten.linalg_eigvalsh[\s\S]*op aten.linalg_eigvalsh\(self, UPLO"):
        transpile(Impossible(), (torch.randn(1, 5, 5),), name="Impossible")


class Halved(nn.Module):
    """Decomposed for even sizes only, if the example's are even."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.interpolate(x, scale_factor=0.5, mode="area")


def test_a_decomposition_for_the_sizes_of_the_example_alone_is_none() -> None:
    with pytest.raises(ModelError, match=r"no rule for aten\.adaptive_avg_pool2d"):
        transpile(Halved(), (torch.randn(2, 3, 8, 12),), dynamic={"x": ("batch", None, "height", "width")})
