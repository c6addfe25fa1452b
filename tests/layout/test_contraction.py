"""Contractions of tensors in any order give what torch's einsum gives, in each order that the result may take."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.layout.interpreter import Array, physical, run, value_of
from transpiler.code import Call, Function, Literal
from transpiler.layout import operands, views
from transpiler.layout.axes import ordered
from transpiler.layout.body import BodyBuilder, Tensor

MANY = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
SIZES = {"b": 2, "h": 3, "q": 4, "k": 6, "d": 5, "u": 1, "g": 4}
LETTERS = st.lists(st.sampled_from(sorted(SIZES)), min_size=1, max_size=4, unique=True)


class Operand:
    """A random array over some letters, held in a random physical order, some dimensions split into two axes first."""

    def __init__(self, body: BodyBuilder, inputs: list[Array], letters: list[str], data: st.DataObject) -> None:
        shape = [SIZES[letter] for letter in letters]
        parts = [2 if size % 2 == 0 and data.draw(st.booleans()) else 1 for size in shape]
        split = [size for whole, part in zip(shape, parts, strict=True) for size in (part, whole // part)]
        array = np.arange(prod(shape), dtype=np.float32).reshape(split) % 7 - 3
        layout = ordered(split, data.draw(st.permutations(range(len(split)))))
        inputs.append(physical(array, layout))
        self.torch = torch.from_numpy(array.reshape(shape))
        self.tensor: Tensor = views.reshaped(body, body.argument(layout, "float32"), shape)
        self.letters = "".join(letters)


@MANY
@given(st.data())
def test_any_contraction_gives_what_torch_gives(data: st.DataObject) -> None:
    body, inputs = BodyBuilder(""), []
    parts = [Operand(body, inputs, data.draw(LETTERS), data) for _ in range(data.draw(st.integers(1, 3)))]
    every = sorted({letter for part in parts for letter in part.letters})
    result = "".join(data.draw(st.permutations(every)))[: data.draw(st.integers(1, len(every)))]
    equation = f"{','.join(part.letters for part in parts)}->{result}"
    expected = torch.einsum(equation, *(part.torch for part in parts)).numpy()
    given_ = {f"x{place}": part.tensor for place, part in enumerate(parts)}
    plan = operands.contracting(given_, equation, len(result))
    assert plan is not None
    order = data.draw(st.sampled_from(plan.orders))
    laid = operands.contracted(body, given_, plan, order)
    call = Call(Function("keras.ops.einsum"), (Literal(laid.functions["equation"](equation)), *laid.codes.values()))
    held = body.emit(call, laid.results[0], "float32")
    assert held.layout.shape == expected.shape
    np.testing.assert_array_equal(value_of(held, run(body, inputs)), expected)


def equation_of(*axes: tuple[tuple[int, ...], tuple[int, ...]], equation: str, rank: int) -> str:
    """The equation for operands given as (torch's shape, order of the axes), the result in torch's order."""
    body = BodyBuilder("")
    tensors: dict[str, operands.Operand] = {
        str(place): body.argument(ordered(shape, order), "float32") for place, (shape, order) in enumerate(axes)
    }
    plan = operands.contracting(tensors, equation, rank)
    assert plan is not None
    laid = operands.contracted(body, tensors, plan, plan.orders[0])
    assert body.statements == []
    return str(laid.functions["equation"](equation))


def test_heads_behind_the_sequence_need_no_transpose() -> None:
    heads = ((2, 3, 5, 4), (0, 2, 1, 3))
    assert equation_of(heads, heads, equation="...qd,...kd->...qk", rank=4) == "...qhd,...khd->...hqk"


def test_a_letter_that_repeats_in_an_operand_is_left_to_torchs_order() -> None:
    body = BodyBuilder("")
    tensor = body.argument(ordered((2, 3, 3), (0, 1, 2)), "float32")
    assert operands.contracting({"x": tensor}, "bii->bi", 2) is None


def test_an_equation_without_an_arrow_has_its_letters_sorted() -> None:
    body = BodyBuilder("")
    tensors = {"a": body.argument(ordered((3, 5), (0, 1)), "float32"), "b": body.argument(ordered((5, 2), (0, 1)), "x")}
    plan = operands.contracting(tensors, "zk,ka", 2)
    assert plan is not None
    assert plan.equation(plan.orders[0]) == "zk,ka->az"


def test_many_scattered_parts_are_brought_together() -> None:
    """Rather a transpose than an equation that nobody can read."""
    body = BodyBuilder("")
    windows = body.argument(ordered((2, 3, 3, 7, 7, 4), (0, 1, 3, 2, 4, 5)), "float32")
    rows = views.reshaped(body, windows, (18, 49, 4))
    plan = operands.contracting({"q": rows, "k": rows}, "bqd,bkd->bqk", 3)
    assert plan is not None
    assert plan.equation(plan.orders[0]) == "...qd,...kd->...qk"
