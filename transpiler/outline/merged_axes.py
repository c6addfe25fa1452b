"""Axes that become one without a batch in front: `-1` says their size, and nobody has to multiply.

>>> # ops.reshape(bias, (ops.shape(bias)[0] * ops.shape(bias)[1], self.dim)) is ops.reshape(bias, (-1, self.dim))
"""

from __future__ import annotations

from dataclasses import replace

from transpiler.code import Binary, Call, Code, Index, Literal, Sequence, Spread
from transpiler.keras_functions import RESHAPE, SHAPE
from transpiler.trees import transform

_THE_REST = Literal(-1)


def with_the_rest(code: Code) -> Code:
    """The expression with `-1` in each shape that has none for the one size that is a product of sizes of a tensor."""

    def change(node: Code) -> Code | None:
        match node:
            case Call(function, (operand, Sequence("tuple", sizes) as shape)) if function == RESHAPE:
                products = [place for place, size in enumerate(sizes) if _is_product(size)]
                if len(products) != 1 or _THE_REST in sizes or any(isinstance(size, Spread) for size in sizes):
                    return None
                items = (*sizes[: products[0]], _THE_REST, *sizes[products[0] + 1 :])
                return replace(node, arguments=(transform(operand, change), replace(shape, items=items)))
            case _:
                return None

    return transform(code, change)


def _is_product(code: Code) -> bool:
    """Whether it multiplies sizes that are read from a tensor, and nothing else."""
    match code:
        case Binary("*", left, right):
            return _is_factor(left) and _is_factor(right)
        case _:
            return False


def _is_factor(code: Code) -> bool:
    match code:
        case Index(Call(function), (Literal(),)):
            return function == SHAPE
        case _:
            return _is_product(code)
