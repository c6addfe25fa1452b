"""Sizes along all axes that torch's callers write as one number, or as many equal ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

from transpiler.lowered import Basic
from transpiler.trees import key_of


def one_number(values: Sequence[Basic]) -> tuple[Basic, ...]:
    """Squares as the number that other instances are given for one.

    >>> one_number([3, (5, 5), [1, 1]])
    (3, 5, 1)
    >>> one_number([3, (5, 1)])
    (3, (5, 1))
    """
    numbers = [value[0] if _is_square(value) else value for value in values]
    are_numbers = all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
    return tuple(numbers if are_numbers and any(isinstance(value, int) for value in values) else values)


def _is_square(value: Basic) -> TypeGuard[Sequence[int]]:
    return isinstance(value, list | tuple) and len(value) > 1 and len(set(map(key_of, value))) == 1
