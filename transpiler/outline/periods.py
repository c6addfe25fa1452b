"""Layers that take turns, as people write them: one comprehension whose turns make all of them.

>>> # [Mix(64), Conv(64), Mix(64), Conv(64), Mix(64), Conv(64)] is
>>> # [layer for _ in range(3) for layer in (Mix(64), Conv(64))]

Turns may differ in a value or two, and in how often their first layers stand there:

>>> # [layer for filters in (64, 128, 256) for layer in (Conv2D(filters, 3), ReLU(), MaxPooling2D(2))]
>>> # [layer for filters, depth in ((64, 1), (128, 2), (256, 3)) for layer in (
>>> #     *[layer for _ in range(depth) for layer in (Conv2D(filters, 3), ReLU())], MaxPooling2D(2))]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from transpiler.code import Call, Code, Comprehension, Literal, Name
from transpiler.outline.class_calls import Signature
from transpiler.outline.names import usable
from transpiler.outline.turn_values import over_table, shape, table
from transpiler.trees import names_in, walk

LONGEST = 16
"""Layers of one turn."""

LONGEST_END = 4
"""Layers of one turn behind those that it repeats."""

FEWEST_TURNS = 3

MUCH = 40
"""Names, literals and calls that are worth a comprehension of two turns."""

FEWEST_SAVED = 8
"""Layers that turns which differ must save: their table has to be read, too."""

DEPTH = "depth"


@dataclass(frozen=True, slots=True)
class _Turns:
    layers: tuple[Code, ...]
    """What one turn makes."""
    covered: int
    """Elements of the list that they stand for."""
    columns: tuple[tuple[str, tuple[Code, ...]], ...] = ()
    """What differs: a variable, and what it is on each turn."""

    def comprehension(self, counted: Callable[[int], Code]) -> Comprehension:
        if self.columns:
            variables = tuple(name for name, _ in self.columns)
            return Comprehension("list", self.layers, variables, table([column for _, column in self.columns]))
        return Comprehension("list", self.layers, ("_",), _range(counted(self.covered // len(self.layers))))


def segments(
    items: tuple[Code, ...], counted: Callable[[int], Code], classes: Mapping[str, Signature]
) -> Iterator[tuple[Code, ...] | Comprehension]:
    """The elements of a list, in order: those that take turns as a comprehension, and what stands between them.

    Args:
        items: the elements.
        counted: the expression for a number of turns.
        classes: how generated classes are called.
    """
    shapes = tuple(map(shape, items))
    between: list[Code] = []
    at = 0
    while at < len(items):
        found = list(_turns(items[at:], shapes[at:], classes))
        if not found:
            between.append(items[at])
            at += 1
            continue
        if between:
            yield tuple(between)
            between = []
        turns = max(found, key=lambda turns: turns.covered)
        yield turns.comprehension(counted)
        at += turns.covered
    if between:
        yield tuple(between)


def _turns(items: tuple[Code, ...], shapes: tuple[Code, ...], classes: Mapping[str, Signature]) -> Iterator[_Turns]:
    """Layers that take turns from the first on, in all ways that are worth it."""
    for length in range(1, min(LONGEST, len(items) // 2) + 1):
        turn = items[:length]
        if not all(isinstance(item, Call) for item in turn):
            return
        if length > 1 and len(set(turn)) == 1:
            continue
        if length > 1:
            yield from _same(items, length)
            yield from _varied(items, shapes, length, classes)
        for end in range(1, LONGEST_END + 1):
            yield from _repeating(items, shapes, length, end, classes)


def _same(items: tuple[Code, ...], length: int) -> Iterator[_Turns]:
    turn = items[:length]
    count = _count(items, length)
    if count >= FEWEST_TURNS or (count == 2 and sum(1 for item in turn for _ in walk(item)) >= MUCH):
        yield _Turns(turn, count * length)


def _varied(
    items: tuple[Code, ...], shapes: tuple[Code, ...], length: int, classes: Mapping[str, Signature]
) -> Iterator[_Turns]:
    """Turns that differ in values."""
    count = _count(shapes, length)
    if count < FEWEST_TURNS or (count - 1) * length < FEWEST_SAVED:
        return
    found = over_table([items[start : start + length] for start in range(0, count * length, length)], classes)
    if found is not None:
        turn, columns = found
        yield _Turns(turn, count * length, tuple(columns.items()))


def _repeating(
    items: tuple[Code, ...], shapes: tuple[Code, ...], length: int, end: int, classes: Mapping[str, Signature]
) -> Iterator[_Turns]:
    """Turns whose first layers stand there more or less often."""
    counts: list[int] = []
    rows: list[tuple[Code, ...]] = []
    form: tuple[Code, ...] = ()
    at = 0
    while shapes[at : at + length] == shapes[:length]:
        count = _count(items[at:], length)
        last = at + (count - 1) * length
        form = form or shapes[last : last + length + end]
        if len(form) < length + end or shapes[last : last + length + end] != form:
            break
        counts.append(count)
        rows.append(items[last : last + length + end])
        at = last + length + end
    if len(rows) < FEWEST_TURNS or len(set(counts)) == 1 or at - length - end < FEWEST_SAVED:
        return
    found = over_table(rows, classes)
    if found is None:
        return
    turn, columns = found
    depth = usable(DEPTH, {*columns, *(name for item in turn for name in names_in(item))})
    repeated = Comprehension("list", turn[:length], ("_",), _range(Name(depth)))
    yield _Turns((repeated, *turn[length:]), at, (*columns.items(), (depth, tuple(map(Literal, counts)))))


def _range(count: Code) -> Call:
    return Call(Name("range"), (count,))


def _count(items: tuple[Code, ...], length: int) -> int:
    """How often the first elements stand there one after the other."""
    count = 1
    while items[count * length : (count + 1) * length] == items[:length]:
        count += 1
    return count
