"""Names for values that torch's source gives none."""

from __future__ import annotations

from transpiler.code import Binary, Call, Code, Function, Member
from transpiler.outline.lines import Item

NOUNS = {
    "concatenate": "joined",
    "reshape": "reshaped",
    "transpose": "transposed",
    "split": "parts",
    "shape": "shape",
    "matmul": "product",
    "multiply": "product",
    "add": "total",
    "softmax": "weights",
    "dot_product_attention": "attended",
    "arange": "positions",
    "broadcast_to": "broadcast",
}
"""What to call the result of an operation; others bear the operation's name."""

_MOVES = frozenset({"keras.ops.reshape", "keras.ops.transpose", "keras.ops.expand_dims", "keras.ops.squeeze"})
"""What gives a value another shape, so that it is still the same thing."""

OPERATORS = {"+": "total", "-": "difference", "*": "product", "/": "ratio"}


def telling_name(item: Item, place: int) -> str:
    """A name for a value that torch's line gives none."""
    match item.code:
        case Call(Member(name), _, _):
            base = name
        case Call(Function(name), _, _):
            last = name.rpartition(".")[2]
            base = NOUNS.get(last, last)
        case Binary(operator, _, _):
            base = OPERATORS.get(operator, "y")
        case _:
            base = "y"
    return base if len(item.results) == 1 else f"{base}{place + 1}"


def member_called(item: Item) -> str | None:
    """`attn` for `self.attn(x)`, and for that in another shape."""
    match unmoved(item.code):
        case Call(Member(name, None)) if len(item.results) == 1:
            return name
        case _:
            return None


def unmoved(code: Code) -> Code:
    """What an expression only gives another shape.

    >>> unmoved(Call(Function("keras.ops.reshape"), (Literal(1), Literal(2))))
    Literal(value=1)
    """
    while True:
        match code:
            case Call(Function(name), (moved, *_)) if name in _MOVES:
                code = moved
            case _:
                return code
