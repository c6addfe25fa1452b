from __future__ import annotations

import pytest

from transpiler.code import Code, Ellipsis_, Index, Literal, Name, Slice
from transpiler.outline.slices import joined_slices
from transpiler.render.expressions import text

X = Name("x")
EVEN, ODD, ALL = Slice(None, None, Literal(2)), Slice(Literal(1), None, Literal(2)), Slice()


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        (Index(Index(X, (ALL, EVEN)), (ALL, ALL, ODD)), "x[:, ::2, 1::2]"),
        (Index(Index(X, (ALL, ALL, ODD)), (ALL, EVEN)), "x[:, ::2, 1::2]"),
        (Index(Index(Index(X, (EVEN,)), (ALL, ODD)), (ALL, ALL, EVEN)), "x[::2, 1::2, ::2]"),
        (Index(Index(X, (ALL, EVEN)), (ALL, ODD)), "x[:, ::2][:, 1::2]"),
        (Index(Index(X, (ALL, EVEN)), (ALL, ALL, Literal(0))), "x[:, ::2][:, :, 0]"),
        (Index(Index(X, (Ellipsis_(), EVEN)), (ALL, ODD)), "x[..., ::2][:, 1::2]"),
    ],
)
def test_slices_of_different_axes_are_one(code: Code, shown: str) -> None:
    assert text(joined_slices(code)) == shown
