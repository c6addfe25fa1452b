"""Whole turns of a loop that torch unrolled: statements that stand there again and again become one `Repeat`.

>>> # y = self.m[0](x[0]); a = y * 8; z = self.m[1](x[1]); b = z * 16; return [a, b]
>>> # is one turn `y = layer(x); y * size` over zip(self.m, x, (8, 16)), whose results are collected in a list.

Statements are put together only if the same torch line computed them. They are pure, so that their order may change as
long as every value is computed before it is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Sequence as Rows
from itertools import groupby, pairwise

from transpiler import code as c
from transpiler.code import Binary, Call, Code, Function, Index, Literal, Name, Ref, Sequence, Slice, Spread
from transpiler.lowered import Argument
from transpiler.outline.forward_source import has_loop
from transpiler.outline.loops import Chain, Grow, Step
from transpiler.outline.repeat import START, VALUE, Inner, Repeat, Table, Turn
from transpiler.outline.repeat_candidates import Column, Flow
from transpiler.outline.size_names import size_names, size_reads
from transpiler.trees import children, expected_call, refs, shifted, transform, with_children

FEWEST_SAVED = 3
"""Statements that a loop must save."""

MOST_TABLES = 4
"""Numbers and values without a list that may differ from turn to turn."""

STATEMENTS_TO_A_TABLE = 3
"""Statements that a turn must have for each of them: with fewer, a loop is harder to read than what it stands for."""

_LOOP = Name("for")

Size = tuple[int, int]
"""An argument that is a list, and an axis of its elements."""

SIZED = frozenset({"arange", "reshape", "broadcast_to", "zeros", "ones", "full", "resize", "linspace"})
"""Functions that take sizes."""


def with_repeats(
    arguments: Rows[Argument], members: Mapping[str, int], steps: list[Step], result: Code, forward_source: str
) -> tuple[list[Step], Code]:
    """The steps with repeated turns as loops.

    Args:
        arguments: of the body; they are the first values.
        members: how many elements each list of members has.
        steps: in order.
        result: what is returned.
        forward_source: text of torch's `forward`. If it has no loop, only what goes over a list is taken for one.

    Returns:
        Steps and result with values numbered anew.
    """
    for _ in range(len(steps)):
        flow = Flow(arguments, members, steps, result, forward_source)
        best: _Roll | None = None
        for columns in flow.candidates():
            roll = _Roll.of(flow, columns)
            if roll is not None and (best is None or roll.saved > best.saved):
                best = roll
        if best is None:
            break
        steps, result = best.applied()
    return steps, result


class _Fails(Exception):  # noqa: N818
    """These statements are no loop."""


class _Roll:
    """One loop: the code of a turn, and how the rest reads what it makes."""

    def __init__(self, flow: Flow, columns: list[Column], sizes: Rows[Size] = ()) -> None:
        self.flow = flow
        self.columns = columns
        self.sizes = sizes
        """Sizes that a turn reads first."""
        self.wanted: dict[Size, None] = {}
        self.count = len(columns[0])
        self.turn_of: dict[int, tuple[int, int]] = {
            place: (turn, at) for at, column in enumerate(columns) for turn, place in enumerate(column)
        }
        self.numbers: list[int] = []
        number = VALUE + len(sizes)
        for column in columns:
            self.numbers.append(number)
            number += flow.steps[column[0]].width
        self.sources: dict[Code, int] = {}
        self.starts: dict[tuple[Code, int], Inner] = {}
        self.codes: list[Code] = []
        self.lasts: dict[int, int] = {}
        """Number inside to place among the results."""
        self.collected: dict[int, int] = {}
        self.saved = 0

    @classmethod
    def of(cls, flow: Flow, columns: list[Column], sizes: Rows[Size] = ()) -> _Roll | None:
        """The loop for these columns, None if they are none or it is not worth it."""
        if (len(columns[0]) - 1) * len(columns) < FEWEST_SAVED:
            return None
        roll = cls(flow, columns, sizes)
        try:
            roll.codes = [roll._one([flow.steps[place].code for place in column]) for column in columns]
            if sorted(roll.wanted) != list(sizes):
                return cls.of(flow, columns, sorted(roll.wanted))
            if not roll.sources:
                roll._source(Call(Name("range"), (Literal(roll.count),)))
            roll._find_outputs()
            roll._check_order()
        except _Fails:
            return None
        listed = [source for source in roll.sources if isinstance(source, c.Member | Ref)]
        displays = sum(isinstance(source, Table | Sequence) for source in roll.sources)
        roll.saved = (roll.count - 1) * len(columns) - displays
        is_loop = listed or has_loop(flow.forward_source)
        is_plain = displays * STATEMENTS_TO_A_TABLE <= len(columns) and displays <= MOST_TABLES
        return roll if is_loop and is_plain and roll.saved >= FEWEST_SAVED else None

    # ── a turn ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _one(self, codes: list[Code], function: str = "") -> Code:
        """The expression of a turn for those of all of them, within a call of `function`."""
        first = codes[0]
        handed = self._handed(codes)
        if handed is not None:
            return handed
        if all(code == first for code in codes):
            if any(self._inside(value) is not None for value in refs(first)):
                raise _Fails
            return first
        if isinstance(first, Ref):
            return self._value(codes)
        if self.flow.is_element(first) or isinstance(first, c.Member):
            return self._element(codes)
        if isinstance(first, Literal):
            return self._number(codes, function)
        if isinstance(first, Chain | Grow | Repeat) and len({expected_call(code).function for code in codes}) > 1:
            raise _Fails
        below = [children(code) for code in codes]
        if len({(type(code), len(parts)) for code, parts in zip(codes, below, strict=True)}) > 1 or not below[0]:
            raise _Fails
        if isinstance(first, Call):
            function = first.function.name.rpartition(".")[2] if isinstance(first.function, Function) else ""
        return with_children(first, tuple(self._one(list(parts), function) for parts in zip(*below, strict=True)))

    def _inside(self, value: int) -> tuple[int, int] | None:
        """Turn and number inside of a value that the loop makes."""
        if value not in self.flow.definer:
            return None
        place, offset = self.flow.definer[value]
        if place not in self.turn_of:
            return None
        turn, at = self.turn_of[place]
        return turn, self.numbers[at] + offset

    def _handed(self, codes: list[Code]) -> Inner | None:
        """What the turn before computed, and the first one has from outside."""
        inside = [self._inside(code.value) if isinstance(code, Ref) else None for code in codes]
        if inside[0] is not None or None in inside[1:]:
            return None
        later = [pair for pair in inside[1:] if pair is not None]
        if [turn for turn, _ in later] != list(range(self.count - 1)) or len({number for _, number in later}) > 1:
            return None
        if not isinstance(codes[0], Ref | Index | c.Member):
            raise _Fails
        key = (codes[0], later[0][1])
        return self.starts.setdefault(key, Inner("turn", START + len(self.starts)))

    def _value(self, codes: list[Code]) -> Code:
        inside = [self._inside(code.value) if isinstance(code, Ref) else None for code in codes]
        known = [pair for pair in inside if pair is not None]
        if not known and all(isinstance(code, Ref) for code in codes):
            return self._source(Sequence("tuple", tuple(codes)))
        if [turn for turn, _ in known] != list(range(self.count)) or len({number for _, number in known}) > 1:
            raise _Fails
        return Inner("turn", known[0][1])

    def _element(self, codes: list[Code]) -> Code:
        """An element of a list of members, or of an argument that is a list."""
        pairs = [_list_and_place(code) for code in codes]
        lists = {pair[0] for pair in pairs if pair is not None}
        if None in pairs or len(lists) > 1:
            if not all(isinstance(code, c.Member) for code in codes):
                raise _Fails
            return self._source(Sequence("tuple", tuple(codes)))
        (whole,) = lists
        places = [pair[1] for pair in pairs if pair is not None]
        first = places[0]
        if places == list(range(first, first + self.count)):
            cut = Slice(Literal(first) if first else None, Literal(first + self.count))
            return self._source(whole if self._is_whole(whole, places) else Index(whole, (cut,)))
        if places == list(range(first, first - self.count, -1)) and self._is_whole(whole, places):
            return self._source(Index(whole, (Slice(None, None, Literal(-1)),)))
        raise _Fails

    def _is_whole(self, whole: Code, places: list[int]) -> bool:
        if isinstance(whole, Ref):
            return len(places) == len(self.flow.arguments[whole.value].values)
        return isinstance(whole, c.Member) and len(places) == self.flow.members.get(whole.name)

    def _number(self, codes: list[Code], function: str) -> Code:
        values = [code.value for code in codes if isinstance(code, Literal)]
        if len(values) < self.count or not all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in values
        ):
            raise _Fails
        first = values[0]
        if isinstance(first, int) and values == list(range(first, first + self.count)):
            ends = (first, first + self.count) if first else (self.count,)
            return self._source(Call(Name("range"), tuple(map(Literal, ends))))
        numbers = [value for value in values if isinstance(value, int)]
        sized = self._sized(numbers) if function in SIZED and len(numbers) == self.count else None
        return sized or self._source(Table(tuple(values)))

    def _sized(self, values: list[int]) -> Code | None:
        """Numbers that are sizes of the elements of an argument, or these times a whole number."""
        for place, argument in enumerate(self.flow.arguments):
            shapes = argument.shapes
            if len(shapes) != self.count or len({len(shape) for shape in shapes}) > 1:
                continue
            axes = [axis for axis in range(1, len(shapes[0])) if all(shape[axis] for shape in shapes)]
            for group in (*((axis,) for axis in axes), *pairwise(axes)):
                found = [math.prod(shape[axis] or 1 for axis in group) for shape in shapes]
                factors = {value / size for value, size in zip(values, found, strict=True)}
                factor = factors.pop()
                if not factors and factor == int(factor):
                    return self._product([(place, axis) for axis in group], int(factor))
        return None

    def _product(self, sizes: list[Size], factor: int) -> Code:
        self._source(Ref(sizes[0][0]))
        found: Code = Literal(factor)
        for place, size in enumerate(sizes):
            self.wanted[size] = None
            one = Inner("turn", VALUE + (self.sizes.index(size) if size in self.sizes else 0))
            found = one if place == 0 and factor == 1 else Binary("*", found, one)
        return found

    def _source(self, code: Code) -> Inner:
        if any(self._inside(value) is not None for value in refs(code)):
            raise _Fails
        return Inner("turn", self.sources.setdefault(code, len(self.sources)))

    # ── the rest ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _outside(self) -> list[int]:
        return [place for place in range(len(self.flow.steps)) if place not in self.turn_of]

    def _find_outputs(self) -> None:
        for code in (*(self.flow.steps[place].code for place in self._outside()), self.flow.result):
            for value in refs(self._with_lists(code)):
                inside = self._inside(value)
                if inside is None:
                    continue
                if inside[0] != self.count - 1:
                    raise _Fails
                self.lasts.setdefault(inside[1], len(self.lasts))

    def _with_lists(self, code: Code) -> Code:
        """The expression with results of all turns in a row as the list that collects them: a `Ref` below zero."""

        def change(node: Code) -> Code | None:
            if type(node) is not Sequence:
                return None
            for at, item in enumerate(node.items):
                inside = self._inside(item.value) if isinstance(item, Ref) else None
                if inside is None or inside[0] != 0:
                    continue
                run = node.items[at : at + self.count]
                found = [self._inside(other.value) if isinstance(other, Ref) else None for other in run]
                if found != [(turn, inside[1]) for turn in range(self.count)]:
                    continue
                whole = Ref(-1 - self.collected.setdefault(inside[1], len(self.collected)))
                if len(run) == len(node.items):
                    return whole if node.kind == "list" else Call(Name("tuple"), (whole,))
                before = tuple(transform(other, change) for other in node.items[:at])
                rest = transform(Sequence(node.kind, node.items[at + self.count :]), change)
                after = rest.items if type(rest) is Sequence else (Spread("list", (rest,)),)
                return Sequence(node.kind, (*before, Spread("list", (whole,)), *after))
            return None

        return transform(code, change)

    def _check_order(self) -> None:
        """Nothing that the loop reads may be computed from what it makes."""
        tainted = set(self.turn_of)
        for place in self._outside():
            made_of = {self.flow.definer[value][0] for value in refs(self.flow.steps[place].code) if self._known(value)}
            if made_of & tainted:
                tainted.add(place)
        after = tainted - self.turn_of.keys()
        for place in self.turn_of:
            if any(self._known(value) and self.flow.definer[value][0] in after for value in refs(self._code(place))):
                raise _Fails
        self.after = after

    def _known(self, value: int) -> bool:
        return value in self.flow.definer

    def _code(self, place: int) -> Code:
        return self.flow.steps[place].code

    def _loop(self) -> Step:
        handed = [Inner("turn", number) for _, number in self.starts]
        sizes = self._size_steps()
        turns = [*sizes, *(self.flow.steps[column[0]] for column in self.columns)]
        code = Repeat(
            _LOOP,
            (
                *self.sources,
                *(start for start, _ in self.starts),
                *(step.code for step in sizes),
                *self.codes,
                *handed,
                *(Inner("turn", number) for number in (*self.lasts, *self.collected)),
            ),
            (),
            len(self.sources),
            len(self.starts),
            tuple(step.width for step in turns),
            len(self.lasts),
            tuple(Turn(step.width, step.names, step.source, step.comment) for step in turns),
        )
        return Step(code, len(self.lasts) + len(self.collected))

    def _size_steps(self) -> list[Step]:
        """Statements that read the sizes of an element."""
        steps: list[Step] = []
        for place, group in groupby(self.sizes, lambda size: size[0]):
            axes = [axis for _, axis in group]
            element = Inner("turn", self.sources[Ref(place)])
            names = size_names(self.flow.arguments[place], axes, self.flow.forward_source)
            steps += [Step(read, len(named), named) for read, named in size_reads(element, axes, names)]
        return steps

    def applied(self) -> tuple[list[Step], Code]:
        """All steps with the loop in place of its statements, values numbered anew."""
        last = max(self.turn_of)
        before = [place for place in self._outside() if place < last and place not in self.after]
        behind = [place for place in self._outside() if place > last or place in self.after]
        numbers: dict[int, Code] = {value: Ref(value) for value in range(len(self.flow.arguments))}
        count = len(numbers)
        steps: list[Step] = []
        for place in (*before, None, *behind):
            step = self._loop() if place is None else self.flow.steps[place]
            code = shifted(step.code if place is None else self._with_lists(step.code), numbers.__getitem__)
            steps.append(Step(code, step.width, step.names, step.source, step.comment))
            made = range(count, count + step.width)
            count += step.width
            if place is not None:
                numbers.update(zip(self.flow.values(place), map(Ref, made), strict=True))
                continue
            for number, value in zip((*self.lasts, *self.collected), made, strict=True):
                if number in self.lasts and value - made[0] < len(self.lasts):
                    numbers[self._last(number)] = Ref(value)
                else:
                    numbers[-1 - self.collected[number]] = Ref(value)
        return steps, shifted(self._with_lists(self.flow.result), numbers.__getitem__)

    def _last(self, number: int) -> int:
        """The value of the last turn that is `number` inside."""
        at = max(place for place, start in enumerate(self.numbers) if start <= number)
        return self.flow.starts[self.columns[at][-1]] + number - self.numbers[at]


def _list_and_place(code: Code) -> tuple[Code, int] | None:
    match code:
        case c.Member(name, int() as index):
            return c.Member(name), index
        case Index(Ref() as base, (Literal(int() as index),)):
            return base, index
        case _:
            return None
