"""Convolutions of one statement that pad alike, told how once.

>>> # self.sequence = keras.Sequential([layers.Conv2D(c, 3, padding="same" if stride == 1 else "valid"), …,
>>> #     layers.Conv2D(d, 3, padding="same" if stride == 1 else "valid")])
>>> # is
>>> # conv_padding = "same" if stride == 1 else "valid"
>>> # self.sequence = keras.Sequential([layers.Conv2D(c, 3, padding=conv_padding), …])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from transpiler.code import Call, Code, Comprehension, Conditional, Literal, Name
from transpiler.outline.constructor import used_names
from transpiler.outline.program import Assign, Line
from transpiler.trees import names_in, transform, walk

_LOCAL = Name("conv_padding")


def padding_once(line: Line, after: Sequence[Line]) -> Iterator[tuple[Assign, Assign]]:
    """The statement in two, for each choice of a padding that is written more than once.

    Args:
        line: a statement of `__init__`.
        after: everything that runs after it.
    """
    if not isinstance(line, Assign) or _LOCAL.name in (*names_in(line.value), *used_names(tuple(after), ())):
        return
    choices = [choice for node in walk(line.value) if isinstance(node, Call) and (choice := _choice(node)) is not None]
    bound = {name for node in walk(line.value) if isinstance(node, Comprehension) for name in node.variables}
    for choice in dict.fromkeys(choices):
        if choices.count(choice) > 1 and bound.isdisjoint(names_in(choice)):
            yield Assign((_LOCAL.name,), choice), replace(line, value=_with_local(line.value, choice))


def _choice(call: Call) -> Conditional | None:
    match dict(call.keywords).get("padding"):
        case Conditional(_, Literal(), Literal()) as choice:
            return choice
        case _:
            return None


def _with_local(code: Code, choice: Conditional) -> Code:
    return transform(code, lambda node: _LOCAL if node == choice else None)
