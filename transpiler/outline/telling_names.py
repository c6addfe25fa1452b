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


def member_called(code: Code) -> str | None:
    """`attn` for `self.attn(x)`."""
    return code.function.name if isinstance(code, Call) and isinstance(code.function, Member) else None
