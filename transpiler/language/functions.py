"""The fixed functions that expressions may call. Some depend on the layout: who evaluates gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from typing import Protocol, SupportsFloat, SupportsInt, cast

Sizes = int | tuple[int, ...] | list[int]
_MOST = 64


class HasShape(Protocol):
    """An operand as a guard may look at it."""

    @property
    def shape(self) -> Iterable[object]: ...

    @property
    def dtype(self) -> object: ...


def rank(value: HasShape) -> int:
    """Number of dimensions.

    >>> import numpy
    >>> rank(numpy.zeros((2, 3)))
    2
    """
    return len(shape(value))


def shape(value: HasShape) -> tuple[object, ...]:
    """Sizes of all dimensions, in torch's order."""
    return tuple(value.shape)


def dtype(value: HasShape) -> str:
    """Name of the element type, such as "float32"."""
    return str(value.dtype).removeprefix("torch.")


def frozen(value: HasShape) -> bool:
    """Whether this is a parameter that wants no gradient."""
    return bool(getattr(value, "frozen", False))


def tuple_of(value: Sizes, length: int) -> tuple[int, ...]:
    """One number for every dimension.

    >>> tuple_of(3, 2), tuple_of((1, 2), 2)
    ((3, 3), (1, 2))

    Raises:
        ValueError: the sequence has another length, and more than one element.
    """
    if not 0 <= length <= _MOST:
        raise ValueError(f"tuple_of makes at most {_MOST} elements, not {length}")
    if not isinstance(value, tuple | list):
        return tuple(repeat(value, length))
    if len(value) == 1:
        return tuple(value) * length
    if len(value) != length:
        raise ValueError(f"{tuple(value)} has {len(value)} elements, not {length}")
    return tuple(value)


def same_padding(kernel_size: Sizes, stride: Sizes, padding: Sizes | str, dilation: Sizes) -> bool:
    """Whether Keras's "same" pads exactly what torch pads.

    >>> same_padding((3, 3), (1, 1), (1, 1), (1, 1)), same_padding(3, 2, 1, 1)
    (True, False)

    With a stride, Keras pads less in front than torch does on even sizes. torch's own "same" puts the odd element of an
    even kernel at the end, as Keras does.
    """
    given = (kernel_size, stride, padding, dilation)
    length = max((len(sizes) for sizes in given if isinstance(sizes, tuple | list)), default=1)
    if any(step != 1 for step in tuple_of(stride, length)):
        return False
    if padding == "same":
        return True
    pads = tuple_of(0 if isinstance(padding, str) else padding, length)
    reaches = zip(tuple_of(kernel_size, length), tuple_of(dilation, length), strict=True)
    return all(2 * pad == step * (kernel - 1) for pad, (kernel, step) in zip(pads, reaches, strict=True))


def rounded(value: float, digits: int | None = None) -> float:
    """`round`, for as many digits as a number has."""
    if digits is not None and abs(digits) > _MOST:
        raise ValueError(f"round takes at most {_MOST} digits")
    return round(value, digits)


def _int(value: object) -> int:
    return int(cast("SupportsInt | str", value))


def _float(value: object) -> float:
    return float(cast("SupportsFloat | str", value))


FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "rank": rank,
    "shape": shape,
    "dtype": dtype,
    "frozen": frozen,
    "same_padding": same_padding,
    "tuple_of": tuple_of,
    "len": len,
    "min": min,
    "max": max,
    "all": all,
    "any": any,
    "int": _int,
    "float": _float,
    "round": rounded,
}

OF_THE_LAYOUT = ("axis", "axes", "equation", "behind", "place")
"""Functions that a rule may call, and that the caller of `evaluate` must give where a rule may use them."""
