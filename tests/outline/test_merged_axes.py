"""Axes that become one without a batch in front."""

from __future__ import annotations

import pytest

from transpiler.code import Binary, Call, Code, Index, Literal, Name, Sequence, Spread
from transpiler.keras_functions import RESHAPE, SHAPE
from transpiler.outline.merged_axes import with_the_rest
from transpiler.render.expressions import text


def size(axis: int) -> Code:
    return Index(Call(SHAPE, (Name("x"),)), (Literal(axis),))


def reshaped(*sizes: Code) -> Code:
    return Call(RESHAPE, (Name("x"), Sequence("tuple", sizes)))


DIM = Name("self.dim")
PRODUCT = Binary("*", Binary("*", size(0), size(1)), size(2))


def test_the_product_is_what_is_left() -> None:
    assert text(with_the_rest(reshaped(PRODUCT, DIM))) == "ops.reshape(x, (-1, self.dim))"
    assert text(with_the_rest(reshaped(DIM, PRODUCT))) == "ops.reshape(x, (self.dim, -1))"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(reshaped(Literal(-1), PRODUCT, DIM), id="the batch is what is left"),
        pytest.param(reshaped(PRODUCT, PRODUCT), id="two products"),
        pytest.param(reshaped(Binary("*", size(0), DIM), Literal(3)), id="no product of sizes alone"),
        pytest.param(reshaped(PRODUCT, Spread("list", (Name("sizes"),))), id="a shape that may have a -1"),
    ],
)
def test_shapes_that_stay_as_they_are(code: Code) -> None:
    assert with_the_rest(code) == code
