"""What to call the size of an argument along an axis."""

from __future__ import annotations

from transpiler.letters import dimension_letters
from transpiler.lowered import Argument
from transpiler.outline.forward_source import unpacked_sizes

_USUAL = {3: ("n", "length", "c"), 4: ("n", "h", "w", "c"), 5: ("n", "d", "h", "w", "c")}
"""Sizes of the axes of a Keras tensor, by rank."""


def size_name(argument: Argument, axis: int, forward_source: str) -> str:
    """What torch's `forward` calls the size of an axis, else the usual letter for it.

    Args:
        argument: of `call`; of a list, any of its elements.
        axis: of the Keras tensor.
        forward_source: text of torch's `forward`.
    """
    rank = len(argument.shape)
    letters = argument.pattern.split()
    torch_letters = dimension_letters(rank)
    names = unpacked_sizes(forward_source, rank)
    if names and sorted(letters) == sorted(torch_letters):
        return names[torch_letters.index(letters[axis])]
    usual = _USUAL.get(rank, ())
    return usual[axis] if usual else f"size{axis}"
