"""A list whose first element only differs in a few arguments from the rest, in one comprehension.

>>> # [Block(c_in, c_out, 2), *[Block(c_out, c_out, 1) for _ in range(depth - 1)]]
>>> # is
>>> # [Block(c_in if i == 0 else c_out, c_out, 2 if i == 0 else 1) for i in range(depth)]
"""

from __future__ import annotations

from transpiler.code import Binary, Call, Code, Comprehension, Conditional, Function, Literal, Name, Sequence
from transpiler.trees import names_in

_INDEX = "i"
_RANGE = Name("range")
_MOST_DIFFERENCES = 3


def in_one_comprehension(code: Code) -> Code | None:
    """The display as a comprehension, None if it is no such list."""
    match code:
        case Sequence("list", (Call() as first, Comprehension(_, (Call() as rest,), ("_",), iterable))):
            count = _one_more(iterable)
            item = _either(first, rest)
        case _:
            return None
    if count is None or item is None or _INDEX in (*names_in(first), *names_in(rest)):
        return None
    return Comprehension("list", (item,), (_INDEX,), Call(_RANGE, (count,)))


def _one_more(iterable: Code) -> Code | None:
    match iterable:
        case Call(Function("range"), (Literal(int() as count),)):
            return Literal(count + 1)
        case Call(Function("range"), (Binary("-", count, Literal(1)),)):
            return count
        case _:
            return None


def _either(first: Call, rest: Call) -> Call | None:
    """One call for both; an argument that differs asks which one it is."""
    names = [name for name, _ in first.keywords]
    if first.function != rest.function or len(first.arguments) != len(rest.arguments):
        return None
    if names != [name for name, _ in rest.keywords]:
        return None
    pairs = list(zip(first.arguments, rest.arguments, strict=True))
    pairs += [(one, other) for (_, one), (_, other) in zip(first.keywords, rest.keywords, strict=True)]
    if not 0 < sum(one != other for one, other in pairs) <= _MOST_DIFFERENCES:
        return None
    is_first = Binary("==", Name(_INDEX), Literal(0))
    values = tuple(one if one == other else Conditional(is_first, one, other) for one, other in pairs)
    count = len(first.arguments)
    return Call(first.function, values[:count], tuple(zip(names, values[count:], strict=True)))
