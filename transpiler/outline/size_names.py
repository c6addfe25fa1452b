"""What to call the sizes of an argument."""

from __future__ import annotations

from collections.abc import Sequence

from transpiler.code import Call, Code, Index, Literal, Slice
from transpiler.keras_functions import SHAPE
from transpiler.letters import dimension_letters
from transpiler.lowered import Argument
from transpiler.outline.forward_source import shape_name, unpacked_sizes, words

_USUAL = {3: ("n", "length", "c"), 4: ("n", "h", "w", "c"), 5: ("n", "d", "h", "w", "c")}
"""Sizes of the axes of a Keras tensor, by rank."""

_BESIDES = {"length": ("N", "L"), "h": ("H",), "w": ("W",), "d": ("D", "T"), "c": ("C", "dim")}
"""What people call them besides."""


def size_names(argument: Argument, axes: Sequence[int], forward_source: str) -> tuple[str, ...]:
    """What torch's `forward` calls the sizes along some axes, else the usual letters for them.

    Args:
        argument: of `call`; of a list, any of its elements.
        axes: of the Keras tensor.
        forward_source: text of torch's `forward`.
    """
    rank = len(argument.shape)
    letters = argument.pattern.split()
    torch_letters = dimension_letters(rank)
    names = unpacked_sizes(forward_source, rank)
    if names and sorted(letters) == sorted(torch_letters):
        own = tuple(names[torch_letters.index(letters[axis])] for axis in axes)
        return tuple(
            _usual(rank, axis, forward_source) if name == "_" else name for axis, name in zip(axes, own, strict=True)
        )
    together = shape_name(forward_source, argument.name)
    if together is not None and tuple(letters[axis] for axis in axes) == torch_letters[2:]:
        return (together,) * len(axes)
    return tuple(_usual(rank, axis, forward_source) for axis in axes)


def size_reads(tensor: Code, axes: Sequence[int], names: Sequence[str]) -> list[tuple[Code, tuple[str, ...]]]:
    """What reads the sizes of a tensor: neighbours together, `ops.shape(x)[1:3]`, else one at a time.

    Args:
        tensor: as an expression.
        axes: of it, in order.
        names: what to call their sizes.

    Returns:
        Expressions, each with the names of its results.
    """
    shape = Call(SHAPE, (tensor,))
    if len(axes) > 1 and list(axes) == list(range(axes[0], axes[-1] + 1)):
        return [(Index(shape, (Slice(Literal(axes[0]), Literal(axes[-1] + 1)),)), tuple(names))]
    return [(Index(shape, (Literal(axis),)), (name,)) for axis, name in zip(axes, names, strict=True)]


def _usual(rank: int, axis: int, source: str) -> str:
    """What people call a size, as the source spells it, if it does."""
    if rank not in _USUAL:
        return f"size{axis}"
    name, known = _USUAL[rank][axis], words(source)
    return next((one for one in (name, *_BESIDES.get(name, ())) if one in known), name)
