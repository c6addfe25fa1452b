"""Dense layers that some instances call with sequences and others with images, told alike.

>>> # EinsumDense("bli,io->blo", (None, 8)) and EinsumDense("bhwi,io->bhwo", (None, None, 8))
>>> # are both EinsumDense("...i,io->...o", 8)
"""

from __future__ import annotations

from collections.abc import Sequence as Rows

from transpiler.code import Call, Code, Function, Literal, Sequence

_EINSUM_DENSE = Function("keras.layers.EinsumDense")
_ELLIPSIS = "..."


def same_rows(codes: Rows[Code]) -> Rows[Code]:
    """The calls with an ellipsis for the rows, if they differ in their number and in nothing else.

    An ellipsis costs time: it is for one class where there would be two.

    Args:
        codes: calls of several instances, every argument by name; those of one layer are seen together.
    """
    dense = [code for code in codes if isinstance(code, Call) and code.function == _EINSUM_DENSE]
    if len({dict(call.keywords).get("equation") for call in dense}) < 2:
        return codes
    elided = {id(call): _elided(call) for call in dense}
    if None in elided.values():
        return codes
    return [elided.get(id(code)) or code for code in codes]


def _elided(call: Call) -> Call | None:
    given = dict(call.keywords)
    match given.get("equation"), given.get("output_shape"):
        case Literal(str() as equation), Sequence("tuple", (*_, size)):
            left, _, right = equation.partition("->")
            rows, _, kernel = left.partition(",")
            if len(kernel) != 2 or (rows[-1:], right[-1:]) != (kernel[0], kernel[1]) or rows[:-1] != right[:-1]:
                return None
            text = f"{_ELLIPSIS}{kernel[0]},{kernel}->{_ELLIPSIS}{kernel[1]}"
            new = {**given, "equation": Literal(text), "output_shape": size}
            return Call(call.function, call.arguments, tuple(new.items()))
        case _:
            return None
