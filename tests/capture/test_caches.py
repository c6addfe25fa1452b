"""A model that keeps tables from call to call works on after it was traced."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor, nn

from transpiler.capture.export import capture

TABLES: dict[tuple[int, int], Tensor] = {}


def table(rows: int, columns: int) -> Tensor:
    return torch.outer(torch.arange(rows) + 1.0, torch.arange(columns) * 0.1)


remembered = functools.lru_cache(table)


def hidden(function):
    cache = functools.lru_cache(function)

    def called(*args):
        return cache(*args)

    return called


class Function(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + remembered(*x.shape[1:])


class Method(nn.Module):
    @functools.lru_cache(maxsize=4)  # noqa: B019  (as models do it)
    def table(self, rows: int, columns: int) -> Tensor:
        return table(rows, columns)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table(*x.shape[1:])


class Decorated(nn.Module):
    table = staticmethod(hidden(table))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table(*x.shape[1:])


class Dictionary(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[1:]
        if (rows, columns) not in TABLES:
            TABLES[rows, columns] = table(rows, columns)
        return x + TABLES[rows, columns]


@pytest.mark.parametrize("model", [Function(), Method(), Decorated(), Dictionary()], ids=lambda m: type(m).__name__)
def test_a_table_that_is_kept_is_none_of_the_trace(model: nn.Module) -> None:
    x = torch.randn(2, 3, 4)
    capture(model, (x,))
    torch.testing.assert_close(model(x), x + table(3, 4))
