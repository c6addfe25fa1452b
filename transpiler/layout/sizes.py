"""Sizes: plain numbers, or sympy expressions over the dynamic sizes of the inputs (positive whole numbers)."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import sympy

from transpiler.lift.program import Size


class One(int):
    """A size of 1 that is larger on other instances of the same torch class: it keeps an atom of its own.

    One source can then serve all instances: a window that happens to be the whole image is cut out like any other.
    """

    __slots__ = ()


ONE = One(1)


def product(sizes: Iterable[Size]) -> Size:
    """The product, a plain number where it is one.

    >>> product((2, 3))
    6
    """
    total: Size = 1
    for size in sizes:
        total = total * size
    return simple(total)


def simple(size: Size) -> Size:
    """A sympy number as an int; anything else as it is."""
    if isinstance(size, int):
        return size
    return int(size) if size.is_number else size


def divide(size: Size, divisor: Size) -> Size | None:
    """`size / divisor` where it is whole for every value of the symbols, else None.

    >>> divide(12, 4), divide(12, 5)
    (3, None)
    """
    if isinstance(size, int) and isinstance(divisor, int):
        return size // divisor if divisor and size % divisor == 0 else None
    return _divide_symbolic(sympy.sympify(size), sympy.sympify(divisor))


@functools.lru_cache(maxsize=8192)
def _divide_symbolic(size: sympy.Expr, divisor: sympy.Expr) -> Size | None:
    quotient = sympy.cancel(size / divisor)
    whole = (
        sympy.fraction(quotient)[1] == 1
        and all(coefficient.is_integer for coefficient in sympy.Poly(quotient, *quotient.free_symbols).coeffs())
        if quotient.free_symbols and quotient.is_polynomial(*quotient.free_symbols)
        else bool(quotient.is_integer)
    )
    return simple(quotient) if whole else None


def same(left: Size, right: Size) -> bool:
    """Equal for every value of the symbols."""
    if isinstance(left, int) and isinstance(right, int):
        return left == right and isinstance(left, One) == isinstance(right, One)
    return bool(sympy.sympify(left) == sympy.sympify(right)) or divide(left, right) == 1
