"""Lists of blocks whose elements differ from place to place, as torch builds them: a comprehension over their number.

>>> # [Block(64, 0.0), Block(64, 0.1), Block(64, 0.2)] and [Block(128, 0.3), Block(128, 0.4)] are
>>> # [Block(dim, drop_path[i]) for i in range(depth)].
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Rows

from transpiler.code import Binary, Call, Code, Literal, Name
from transpiler.lowered import Basic
from transpiler.outline.lists import repeated
from transpiler.trees import key_of

INDEX = Name("i")
"""The place of an element."""

FEWEST = 3
"""Different neighbours without which a list is no series."""


def completed(lists: Rows[tuple[Code, ...]]) -> list[tuple[Call, ...]] | None:
    """The elements of a series with the same keywords everywhere; None if the lists are none.

    A keyword that an element lacks is None there: it is for a part that the block does not have.

    Args:
        lists: elements of each instance's list.
    """
    calls = [tuple(item for item in items if isinstance(item, Call)) for items in lists]
    every = [call for items in calls for call in items]
    functions = {call.function for call in every}
    is_one = len(functions) == 1 and all(len(own) == len(items) for own, items in zip(calls, lists, strict=True))
    if not is_one:
        return None
    if type(every[0].function) is not Name:
        # Layers of Keras's, not blocks of ours: lists of one length read better side by side.
        is_series = len(set(map(len, calls))) > 1 and any(len(repeated(items)) >= FEWEST for items in calls)
        return calls if is_series else None
    if any(call.arguments for call in every):
        return None
    names = list(dict.fromkeys(name for call in every for name, _ in call.keywords))
    full = [tuple(_with_all(call, names) for call in items) for items in calls]
    return full if any(len(repeated(items)) >= FEWEST for items in full) else None


def _with_all(call: Call, names: list[str]) -> Call:
    given = dict(call.keywords)
    return Call(call.function, (), tuple((name, given.get(name, Literal(None))) for name in names))


def question(values: Mapping[int, tuple[Basic, ...]], index: Code = INDEX) -> Code | None:
    """What the place of an element tells of its value: whether it is the first, or an even one; None if neither.

    Args:
        values: of the elements, by instance.
        index: what stands for the place.
    """
    even = Binary("==", Binary("%", index, Literal(2)), Literal(0))
    if all(_answers(own, [place % 2 == 0 for place in range(len(own))]) for own in values.values()):
        return even
    if all(_answers(own, [place == 0 for place in range(len(own))]) for own in values.values()):
        return Binary("==", index, Literal(0))
    return None


def _answers(values: tuple[Basic, ...], answers: list[bool]) -> bool:
    return all(
        len({key_of(value) for value, answer in zip(values, answers, strict=True) if answer == wanted}) <= 1
        for wanted in (True, False)
    )


def negated(test: Code) -> Code:
    """The opposite of a `question`."""
    return Binary("!=", test.left, test.right) if isinstance(test, Binary) else test
