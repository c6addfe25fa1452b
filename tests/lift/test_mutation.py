"""Writes to tensors that share memory: lifted programs compute what torch's eager mode computes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import Tensor, nn

from tests.lift.running import run
from tests.lift.steps import STEPS, Step, Steps
from transpiler.capture.export import capture
from transpiler.errors import ModelError
from transpiler.lift.lift import lift
from transpiler.lift.program import Block, OpCall


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_any_aliasing_gives_what_eager_mode_gives(steps: list[Step]) -> None:
    model = Steps(steps)
    x = torch.arange(2 * 3 * 4 * 5, dtype=torch.float64).reshape(2, 3, 4, 5) / 10 - 5
    expected = model(x.clone())
    found = run(lift(capture(model, (x,))), x)
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=0)


class Relu(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(x * 2) + 1


class Expanded(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = x + 1
        x[:, :1].expand(-1, 3, -1)[:, :1].add_(1)
        return x


def test_a_plain_case_is_a_rename() -> None:
    program = lift(capture(Relu(), (torch.randn(2, 3),)))
    assert [call.name for call in operators(program.root)] == [
        "aten.mul.Tensor",
        "aten.relu.default",
        "aten.add.Tensor",
    ]


def test_what_cannot_be_written_back_is_named_with_its_line() -> None:
    with pytest.raises(ModelError, match=r"test_mutation.py:\d+\): a write through aten.expand.default"):
        lift(capture(Expanded(), (torch.randn(2, 3, 4),)))


class Written(nn.Module):
    """A module that calls a function, with a buffer for it to write to."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], persistent: bool = True) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("kept", torch.zeros(1, 4), persistent=persistent)

    def forward(self, x: Tensor) -> Tensor:
        assert isinstance(self.kept, Tensor)
        return self.function(x, self.kept)


def names(function: Callable[[Tensor, Tensor], Tensor]) -> list[str]:
    """The operators that a function becomes; they compute what it computes."""
    model, x = Written(function), torch.randn(2, 4)
    program = lift(capture(model, (x,)))
    torch.testing.assert_close(run(program, x)[0], model(x.clone()), rtol=0, atol=0)
    return [call.name for call in operators(program.root)]


def filled(x: Tensor, _: Tensor) -> Tensor:
    y = x.new_zeros(x.shape[0], 6)
    y[:, :4] = x
    y[:, 4:] = x[:, :2] * 2
    return y


def interleaved(x: Tensor, _: Tensor) -> Tensor:
    y = x.new_zeros(x.shape[0], 8)
    y[:, ::2] = x
    y[:, 1::2] = x * 2
    return y


def augmented(x: Tensor, _: Tensor) -> Tensor:
    x = x * 2
    x[:, 0] += 1
    return x


@pytest.mark.parametrize("function", [filled, interleaved, augmented])
def test_writes_that_fit_together_are_one_join(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    found = names(function)
    assert found.count("aten.cat.default") == 1
    assert "aten.new_zeros.default" not in found


def placed(x: Tensor, _: Tensor) -> Tensor:
    x = x * 2
    x[:, [3, 0]] = x[:, :2].clone()
    return x


def masked(x: Tensor, _: Tensor) -> Tensor:
    x = x * 2
    x[:, [True, False, False, True]] = 0.0
    return x


def test_places_that_are_known_are_gathered_or_chosen() -> None:
    assert names(placed)[-2:] == ["aten.cat.default", "aten.index_select.default"]
    assert names(masked)[-1] == "aten.where.self"


class IntoConstants(nn.Module):
    """Tensors of a fixed shape that numbers are written to, then what depends on the input."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        table = torch.zeros(3, 4, dtype=x.dtype)
        row = table[0]
        row[1:] = 2
        row[0] = x.sum()
        table[1:] = table[1:] + row
        filled = torch.empty(3, 2, dtype=x.dtype)
        filled[:, 0] = 1
        filled.select(1, 1).copy_(x[0, :, 0, 0])
        return table, row, filled


def test_what_an_input_writes_to_a_constant_is_kept() -> None:
    x = torch.arange(2 * 3 * 4 * 5, dtype=torch.float64).reshape(2, 3, 4, 5)
    model = IntoConstants()
    found = run(lift(capture(model, (x,))), x)
    for one, other in zip(model(x), found, strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=0)


class Out(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        kept = torch.ones(3, dtype=x.dtype)
        torch.cumsum(x[0, :, 0, 0], 0, out=kept)
        table = torch.zeros(2, 3, dtype=x.dtype)
        torch.add(kept, 1, out=table[1])
        grown = torch.empty(0, dtype=x.dtype)
        torch.mul(table, kept, out=grown)
        return grown


def test_out_arguments_are_written_to() -> None:
    x = torch.arange(2 * 3 * 4 * 5, dtype=torch.float64).reshape(2, 3, 4, 5)
    model = Out()
    torch.testing.assert_close(run(lift(capture(model, (x,))), x)[0], model(x), rtol=0, atol=0)


class SeveralOut(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        values, places = torch.empty_like(x), torch.empty_like(x, dtype=torch.long)
        torch.sort(x, out=(values, places))
        return values


def test_several_out_arguments_are_named() -> None:
    with pytest.raises(ModelError, match=r"aten\.sort\.values\S* writes to its arguments 'values', 'indices'"):
        lift(capture(SeveralOut(), (torch.ones(2, 3),)))


def counting(x: Tensor, kept: Tensor) -> Tensor:
    kept += 1
    return x * kept


def read_before(x: Tensor, kept: Tensor) -> Tensor:
    y = x + kept
    kept.copy_(x[:1])
    return y


def written_twice(x: Tensor, kept: Tensor) -> Tensor:
    kept[:, :1] = 2.0
    kept[:, 1:] += x[:1, 1:]
    return x * kept


@pytest.mark.parametrize("function", [counting, read_before, written_twice])
def test_a_buffer_that_carries_state_is_named(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    with pytest.raises(ModelError, match=r"test_mutation.py:\d+\): buffer kept carries state"):
        lift(capture(Written(function), (torch.randn(2, 4),)))


def test_a_buffer_outside_the_state_dict_that_carries_state_is_named() -> None:
    with pytest.raises(ModelError, match="buffer kept carries state"):
        lift(capture(Written(counting, persistent=False), (torch.randn(2, 4),)))


def scratch(x: Tensor, kept: Tensor) -> Tensor:
    kept.copy_(x[:1])
    return x + kept


def partly(x: Tensor, kept: Tensor) -> Tensor:
    kept[:, 1:3] = x[:1, 1:3]
    return x + kept


def unread(x: Tensor, kept: Tensor) -> Tensor:
    kept += 1
    return x * 2


@pytest.mark.parametrize("function", [scratch, partly, unread])
def test_a_buffer_whose_old_content_reaches_no_result_is_no_state(
    function: Callable[[Tensor, Tensor], Tensor],
) -> None:
    names(function)


def operators(block: Block) -> list[OpCall]:
    return [statement for statement in block.statements if isinstance(statement, OpCall)]
