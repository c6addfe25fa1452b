"""Dense layers that some instances call with sequences and others with images, told alike.

>>> # EinsumDense("bli,io->blo", (None, 8)) and EinsumDense("bhwi,io->bhwo", (None, None, 8))
>>> # are both EinsumDense("...i,io->...o", 8)
"""

from __future__ import annotations

from collections.abc import Sequence as Rows

from transpiler.code import Call, Code, Function, Literal, Sequence

_EINSUM_DENSE = Function("keras.layers.EinsumDense")


def same_rows(codes: Rows[Code]) -> Rows[Code]:
    """The calls with an ellipsis for the rows, if they differ in their number and in nothing else.

    An ellipsis costs time: it is for one class where there would be two.

    Args:
        codes: calls of several instances, every argument by name; those of one layer are seen together.
    """
    calls = [code for code in codes if isinstance(code, Call) and code.function == _EINSUM_DENSE]
    if len({dict(call.keywords).get("equation") for call in calls}) < 2:
        return codes
    found = [elided for code in codes if (elided := _elided(code)) is not None]
    return found if len(found) == len(codes) else codes


def _elided(code: Code) -> Code | None:
    """A dense layer's call with an ellipsis, None where it takes more than that; any other code as it is."""
    if not isinstance(code, Call) or code.function != _EINSUM_DENSE:
        return code
    given = dict(code.keywords)
    match given.get("equation"), given.get("output_shape"):
        case Literal(str() as equation), Sequence("tuple", (*_, size)):
            left, _, right = equation.partition("->")
            rows, _, kernel = left.partition(",")
            if len(kernel) != 2 or (rows[-1:], right[-1:]) != (kernel[0], kernel[1]) or rows[:-1] != right[:-1]:
                return None
            text = f"...{kernel[0]},{kernel}->...{kernel[1]}"
            new = {**given, "equation": Literal(text), "output_shape": size}
            return Call(code.function, code.arguments, tuple(new.items()))
        case _:
            return None
