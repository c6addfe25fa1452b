"""Arguments of Keras's layers that are written in several ways, and lists of layers that pad in several, told alike.

>>> # Conv2D(64, 1) and [ZeroPadding2D(1), Conv2D(64, 3, strides=2)] are both
>>> # [*([ZeroPadding2D(1)] if stride != 1 else []), Conv2D(64, kernel_size, strides=stride,
>>> #     padding="same" if stride == 1 else "valid")]
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Rows
from dataclasses import replace

from transpiler.code import Code, Literal, Sequence
from transpiler.outline.keras_calls import SQUARES, is_convolution, pads_nothing, with_padding
from transpiler.outline.lists import Place, is_padding


def tuples_alike(name: str, codes: Rows[Code]) -> Rows[Code]:
    """One number as a tuple where other instances need one: `strides=1` beside `strides=(1, 2, 2)`."""
    numbers = [code for code in codes if isinstance(code, Literal) and isinstance(code.value, int)]
    tuples = [code for code in codes if isinstance(code, Sequence)]
    lengths = {len(code.items) for code in tuples}
    if name not in SQUARES or len(lengths) != 1 or not numbers or len(numbers) + len(tuples) < len(codes):
        return codes
    (length,) = lengths
    return [code if isinstance(code, Sequence) else Sequence("tuple", (code,) * length) for code in codes]


def paddings_alike(places: list[Place], choose: Callable[[list[int]], Code]) -> list[Place]:
    """Convolutions of which some stand behind their padding and the others pad by "same", or have nothing to pad.

    Args:
        places: elements of a list, those of all instances side by side.
        choose: the padding of convolutions, given which lists have a padding layer.
    """
    alike = list(places)
    for number, place in enumerate(places):
        if not is_padding(place):
            continue
        padded = place.items.keys()
        following = next((at for at in range(number + 1, len(places)) if padded <= places[at].items.keys()), None)
        if following is None:
            continue
        items = places[following].items
        bare = [code for row, code in items.items() if row not in padded]
        if bare and all(map(is_convolution, items.values())) and all(map(pads_nothing, bare)):
            padding = choose(sorted(padded))
            new = {row: with_padding(code, padding) for row, code in items.items()}
            alike[following] = replace(places[following], items=new)
    return alike
