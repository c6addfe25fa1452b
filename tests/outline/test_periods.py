"""Layers that take turns are made by one comprehension."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.networks import randomise
from transpiler.capture.constructors import recording
from transpiler.code import Call, Code, Comprehension, Function, Literal, Name
from transpiler.outline.periods import segments
from transpiler.port import transpile


def calls(kinds: str) -> tuple[Code, ...]:
    return tuple(Call(Name(kind), (Literal(8),)) for kind in kinds)


def written(kinds: str) -> list[str]:
    """The segments as text: `3(ab)` for three turns."""
    found = []
    for segment in segments(calls(kinds), Literal):
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
    assert [type(segment) for segment in segments(long * 2, Literal)] == [Comprehension]


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


def test_the_written_comprehension_makes_a_layer_a_turn() -> None:
    with recording() as constructors:
        model = Turns()
    randomise(model.eval(), 0)
    port = transpile(model, (torch.randn(1, 6),), constructors=constructors)
    assert "*[layer for _ in range(4) for layer in (Half(6), Gate(6))]," in port.source
    assert port.verify(batches=(1, 3)).max_rel_err < 1e-5
