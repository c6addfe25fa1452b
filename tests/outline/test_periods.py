"""Layers that take turns are made by one comprehension."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.networks import randomise
from transpiler.capture.constructors import recording
from transpiler.code import Call, Code, Comprehension, Function, Literal, Name
from transpiler.outline.periods import segments
from transpiler.port import transpile
from transpiler.render.expressions import text


def calls(kinds: str) -> tuple[Code, ...]:
    return tuple(Call(Name(kind), (Literal(8),)) for kind in kinds)


def written(kinds: str) -> list[str]:
    """The segments as text: `3(ab)` for three turns."""
    found = []
    for segment in segments(calls(kinds), Literal, {}):
        items = segment.items if isinstance(segment, Comprehension) else segment
        names = "".join(item.function.name for item in items if isinstance(item, Call) and type(item.function) is Name)
        turns = segment.iterable if isinstance(segment, Comprehension) else None
        count = turns.arguments[0] if isinstance(turns, Call) else None
        found.append(f"{count.value}({names})" if isinstance(count, Literal) else names)
    return found


def test_turns_of_several_layers() -> None:
    assert written("ababab") == ["3(ab)"]
    assert written("xabcabcabcy") == ["x", "3(abc)", "y"]
    assert written("aabaabaab") == ["3(aab)"]
    assert written("abababcdcdcd") == ["3(ab)", "3(cd)"]


def test_what_repeats_itself_takes_no_turns() -> None:
    assert written("aaaaaa") == ["aaaaaa"]
    assert written("abab") == ["abab"], "two turns of two short calls are as easily read one by one"
    assert written("abba") == ["abba"]


def test_two_turns_of_long_layers() -> None:
    long = tuple(Call(Function("keras.layers.Dense"), tuple(map(Literal, range(30, 60 + n)))) for n in range(2))
    assert [type(segment) for segment in segments(long * 2, Literal, {})] == [Comprehension]


def layers(*widths: int | str) -> tuple[Code, ...]:
    """Convolutions of these widths, each with its activation, and pools for "M"."""
    found: list[Code] = []
    for width in widths:
        if isinstance(width, str):
            found.append(Call(Function("keras.layers.MaxPooling2D"), (Literal(2),)))
        else:
            found.append(Call(Function("keras.layers.Conv2D"), (Literal(width), Literal(3))))
            found.append(Call(Function("keras.layers.ReLU")))
    return tuple(found)


def turns_over_a_table(*widths: int | str) -> str:
    """The comprehension that makes all these layers."""
    (found,) = segments(layers(*widths), Literal, {})
    assert isinstance(found, Comprehension)
    return text(found)


def test_turns_that_differ_in_a_value_go_over_its_values() -> None:
    assert turns_over_a_table(8, 8, "M", 16, 16, "M", 32, 32, "M") == (
        "[layer for filters in (8, 16, 32) for layer in (layers.Conv2D(filters, 3), layers.ReLU(), "
        "layers.Conv2D(filters, 3), layers.ReLU(), layers.MaxPooling2D(2))]"
    )


def test_turns_that_repeat_their_first_layers_more_or_less_often() -> None:
    assert turns_over_a_table(8, "M", 16, "M", 32, 32, "M", 64, 64, 64, "M") == (
        "[layer for filters, depth in ((8, 1), (16, 1), (32, 2), (64, 3)) for layer in ("
        "*[layer for _ in range(depth) for layer in (layers.Conv2D(filters, 3), layers.ReLU())], "
        "layers.MaxPooling2D(2))]"
    )


@pytest.mark.parametrize(
    "widths",
    [
        pytest.param((8, "M", 16, "M", 32, "M"), id="few layers are read one by one"),
        pytest.param((8, 9, "M", 16, 18, "M", 32, 33, 34, "M"), id="no two convolutions are equal"),
    ],
)
def test_layers_that_are_written_one_by_one(widths: tuple[int | str, ...]) -> None:
    items = layers(*widths)
    assert list(segments(items, Literal, {})) == [items]


class Half(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc = nn.Linear(dim, dim // 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.fc(x), self.fc(x).tanh()], -1)


class Gate(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x).sigmoid()


class Turns(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*[layer for _ in range(4) for layer in (Half(6), Gate(6))], nn.Linear(6, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Stages(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        made: list[nn.Module] = []
        before = 3
        for width in (8, "M", 12, 12, "M", 16, 16, 16, "M", 16, 16, "M"):
            if isinstance(width, str):
                made.append(nn.MaxPool2d(2))
            else:
                made += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
                before = width
        self.features = nn.Sequential(*made)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)


def test_the_written_comprehension_makes_the_layers_of_every_stage() -> None:
    with recording() as constructors:
        model = Stages()
    randomise(model.eval(), 0)
    port = transpile(model, (torch.randn(1, 3, 32, 48),), constructors=constructors)
    assert "for filters, depth in ((8, 1), (12, 2), (16, 3), (16, 2))" in port.source
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5


def test_the_written_comprehension_makes_a_layer_a_turn() -> None:
    with recording() as constructors:
        model = Turns()
    randomise(model.eval(), 0)
    port = transpile(model, (torch.randn(1, 6),), constructors=constructors)
    assert "*[layer for _ in range(4) for layer in (Half(6), Gate(6))]," in port.source
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5
