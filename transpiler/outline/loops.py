"""Repetition in a body: statements that call every element of a list of members are one.

Four shapes, after what torch's loops do:
`for block in self.blocks: x = block(x)`, a `Chain`;
`[branch(x) for branch in self.branches]`, a comprehension, also over the parts of a split;
`sum([branch(x) for branch in self.branches])`;
`for layer in self.layers: features = [*features, layer(features)]`, a `Grow`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from transpiler import code as c
from transpiler.code import Binary, Call, Code, Comprehension, Index, Literal, Name, Ref, Sequence
from transpiler.lowered import Body, SourceLine
from transpiler.outline.names import singular
from transpiler.trees import expected_call, refs, shifted, transform, walk


@dataclass(frozen=True, slots=True)
class Step:
    """A statement. Only `code` and `width` tell steps apart; the rest is how people called and wrote it."""

    code: Code
    width: int
    names: tuple[str | None, ...] = field(default=(), compare=False)
    source: SourceLine | None = field(default=None, compare=False)
    comment: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Chain(Call):
    """A call of every element of the list `function`, each with the result of the one before as its first argument."""


@dataclass(frozen=True, slots=True)
class Grow(Call):
    """A call of every element of the list `function` with the list of all results so far; the result is that list.

    `arguments` is the list before the first call, and for members that are numbered instead of listed, their count.
    """


@dataclass(frozen=True, slots=True)
class NumberedMembers(c.Member):
    """`self.<name><start>`, `self.<name><start + 1>`, …, called in a loop."""

    start: int = 0


@dataclass(frozen=True, slots=True)
class NumberedList(Sequence):
    """What makes numbered members, in order."""

    name: str = ""
    start: int = 0


@dataclass(frozen=True, slots=True)
class MemberList:
    """Members that could be called in a loop: a list, or attributes that count."""

    name: str
    start: int | None
    """First number of numbered attributes, None for a list."""
    length: int

    @property
    def key(self) -> str:
        """What the form calls it."""
        return self.name if self.start is None else f"{self.name}*"

    def element(self, index: int) -> c.Member:
        """The member that is element `index`."""
        return c.Member(self.name, index) if self.start is None else c.Member(f"{self.name}{self.start + index}")

    def whole(self) -> c.Member:
        """What stands for all of them."""
        return c.Member(self.name) if self.start is None else NumberedMembers(self.name, None, self.start)


def member_lists(body: Body) -> dict[str, MemberList]:
    """The lists of members of a body, by `MemberList.key`."""
    lengths: dict[str, int] = {}
    numbers: dict[str, list[int]] = {}
    for member in body.members:
        if member.index is not None:
            lengths[member.name] = lengths.get(member.name, 0) + 1
        elif found := re.fullmatch(r"(\w*?[A-Za-z_])(0|[1-9]\d*)", member.name):
            numbers.setdefault(found[1], []).append(int(found[2]))
    lists = [MemberList(name, None, length) for name, length in lengths.items()]
    for name, found_numbers in numbers.items():
        first = found_numbers[0]
        if len(found_numbers) > 1 and found_numbers == list(range(first, first + len(found_numbers))):
            lists.append(MemberList(name, first, len(found_numbers)))
    return {item.key: item for item in lists}


def with_loops(
    arguments: int, steps: list[Step], result: Code, lists: dict[str, MemberList]
) -> tuple[list[Step], Code, list[str]]:
    """The steps with loops found.

    Args:
        arguments: how many arguments the body has; they are the first values.
        steps: in order.
        result: what is returned.
        lists: the lists of members.

    Returns:
        Steps and result with values numbered anew, and the keys of the lists that a `Grow` calls.
    """
    grown = []
    for key, members in lists.items():
        body = _Body(arguments, steps, result)
        places = body.calls_of(members)
        if places is None:
            continue
        folds: tuple[Callable[[MemberList, list[int]], bool], ...] = (
            (body.fold_chain, body.fold_gather, body.fold_sum, body.fold_grow)
            if members.start is None
            else (body.fold_grow,)
        )
        if any(steps[place].width > 1 for place in places):
            folds = (body.fold_chain,) if members.start is None else ()
        if any(fold(members, places) for fold in folds):
            steps, result = body.renumbered()
            if any(isinstance(step.code, Grow) and step.code.function == members.whole() for step in steps):
                grown.append(key)
    return steps, result, grown


class _Body:
    """Steps with the values they make and where these are used."""

    def __init__(self, arguments: int, steps: list[Step], result: Code) -> None:
        self.arguments = arguments
        self.steps: list[Step | None] = list(steps)
        self.old = steps
        self.result = result
        self.starts: list[int] = []
        count = arguments
        for step in steps:
            self.starts.append(count)
            count += step.width
        self.whole: dict[int, Step] = {}
        """Steps whose results are used as one list."""
        self.uses: dict[int, int] = {}
        for code in (*(step.code for step in steps), result):
            for value in refs(code):
                self.uses[value] = self.uses.get(value, 0) + 1

    def calls_of(self, members: MemberList) -> list[int] | None:
        """Places of the calls of all elements in order, None unless each is called once and nothing else is done."""
        elements = {members.element(index): index for index in range(members.length)}
        found: dict[int, int] = {}
        mentions = 0
        for place, step in enumerate(self.old):
            mentions += sum(node in elements for node in walk(step.code) if isinstance(node, c.Member))
            if isinstance(step.code, Call) and isinstance(step.code.function, c.Member):
                index = elements.get(step.code.function)
                if index is not None:
                    found[index] = place
        places = [found.get(index, -1) for index in range(members.length)]
        complete = -1 not in places and places == sorted(places) and mentions == len(places)
        return places if complete and places else None

    def _call(self, place: int) -> Call:
        return expected_call(self.old[place].code)

    def fold_chain(self, members: MemberList, places: list[int]) -> bool:
        """`x = self.m[0](x); x = self.m[1](x); …`."""
        first = self._call(places[0])
        if not first.arguments or any(
            value >= self.starts[places[0]] for code in first.arguments[1:] for value in refs(code)
        ):
            return False
        for before, here in pairwise(places):
            call, values = self._call(here), self._results(before)
            handed = values[0] if len(values) == 1 else Sequence("list", values)
            continues = call.arguments[:1] == (handed,) and all(self.uses.get(value.value) == 1 for value in values)
            if not continues or call.arguments[1:] != first.arguments[1:] or call.keywords != first.keywords:
                return False
        self._keep_whole(places)
        self._replace(places, Chain(members.whole(), first.arguments, first.keywords))
        return True

    def _results(self, place: int) -> tuple[Ref, ...]:
        return tuple(Ref(self.starts[place] + offset) for offset in range(self.old[place].width))

    def _keep_whole(self, places: list[int]) -> None:
        """What the last of these steps gives as one value, if it is several: `x`, of which `x[0]` is read."""
        last = places[-1]
        values = self._results(last)
        if len(values) == 1:
            return
        step = self.old[last]
        self.whole[last] = Step(step.code, 1, _common(step.names), step.source, step.comment)

        def change(node: Code) -> Code | None:
            if type(node) is Sequence and node.items == values:
                return values[0]
            return Index(values[0], (Literal(values.index(node)),)) if node in values else None

        self._substitute(places[:-1], change, keep=last)

    def fold_gather(self, members: MemberList, places: list[int]) -> bool:
        """`[self.m[0](x), self.m[1](x), …]`, all with the same arguments or each with its own element of a list."""
        if len(places) < 2:
            return False
        values = [self.starts[place] for place in places]
        calls = [self._call(place) for place in places]
        element = _gathered(members, calls) or self._gathered_parts(members, calls)
        if element is None or any(self.uses.get(value) != 1 for value in values):
            return False
        wanted = tuple(Ref(value) for value in values)
        first = places[0]
        if any(value >= self.starts[first] for value in refs(element)):
            return False

        def change(node: Code) -> Code | None:
            if type(node) is not Sequence or node.kind != "list":
                return None
            for at in range(len(node.items) - len(wanted) + 1):
                if node.items[at : at + len(wanted)] == wanted:
                    return Sequence("list", (*node.items[:at], element, *node.items[at + len(wanted) :]))
            return None

        return self._substitute(places, change)

    def _gathered_parts(self, members: MemberList, calls: list[Call]) -> Comprehension | None:
        """`[conv(part) for conv, part in zip(self.convs, parts)]`, where one step makes all the parts."""
        if any(len(call.arguments) != 1 or call.keywords for call in calls):
            return None
        first = calls[0].arguments[0]
        if not isinstance(first, Ref) or first.value not in self.starts:
            return None
        place = self.starts.index(first.value)
        parts = [Ref(first.value + offset) for offset in range(self.old[place].width)]
        if len(parts) < 2 or [call.arguments[0] for call in calls] != parts:
            return None
        if any(self.uses.get(part.value) != 1 for part in parts):
            return None
        step = self.old[place]
        self.whole[place] = Step(step.code, 1, _common(step.names), step.source, step.comment)
        variable = singular(members.name)
        item = Call(Name(variable), (Name("x"),))
        return Comprehension("list", (item,), (variable, "x"), Call(Name("zip"), (members.whole(), first)))

    def fold_sum(self, members: MemberList, places: list[int]) -> bool:
        """`self.m[0](x) + self.m[1](x) + …`, or that added to something."""
        if len(places) < 2:
            return False
        values = [self.starts[place] for place in places]
        element = _gathered(members, [self._call(place) for place in places])
        if element is None or any(self.uses.get(value) != 1 for value in values):
            return False
        if any(value >= self.starts[places[0]] for value in refs(element)):
            return False
        adds = self._additions(values)
        if not adds:
            return False
        first = self.old[adds[0]].code
        assert isinstance(first, Binary)
        total: Code = Call(Name("sum"), (element,))
        if len(adds) == len(values):  # something stands before them
            total = Binary("+", first.left, total)
        self._replace([*places, *adds], total)
        return True

    def _additions(self, values: list[int]) -> list[int]:
        """Places of the steps that add these values one after the other; [] if there is anything else."""
        found: list[int] = []
        total: int | None = None
        left = list(values)
        for place, step in enumerate(self.old):
            code = step.code
            if not isinstance(code, Binary) or code.operator != "+" or not left:
                continue
            pair = [code.left, code.right]
            starts = total is None and pair == [Ref(left[0]), Ref(left[1])] if len(left) > 1 else False
            if starts:
                left = left[2:]
            elif code.right == Ref(left[0]) and (total is None or code.left == Ref(total)):
                left = left[1:]
            else:
                continue
            if total is not None and self.uses.get(total) != 1:
                return []
            total = self.starts[place]
            found.append(place)
        return found if not left else []

    def fold_grow(self, members: MemberList, places: list[int]) -> bool:
        """`features = [x]`, then `features.append(self.m1(features))` for every member."""
        values = [Ref(self.starts[place]) for place in places]
        calls = [self._call(place) for place in places]
        if len(places) < 2 or any(len(call.arguments) != 1 or call.keywords for call in calls):
            return False
        start = calls[0].arguments[0]
        if type(start) is not Sequence or start.kind != "list":
            return False
        for index, call in enumerate(calls):
            if call.arguments[0] != Sequence("list", (*start.items, *values[:index])):
                return False
        whole = (*start.items, *values)
        count: tuple[Code, ...] = () if members.start is None else (Literal(members.length),)
        grown = Ref(values[-1].value)

        def change(node: Code) -> Code | None:
            return grown if type(node) is Sequence and node.items == whole else None

        codes = self._codes(places)
        wholes = sum(type(node) is Sequence and node.items == whole for code in codes for node in walk(code))
        left = [value for code in codes for value in refs(transform(code, change)) if Ref(value) in values]
        if not wholes or left != [grown.value] * wholes:
            return False
        self._substitute(places[:-1], change, keep=places[-1])
        self._replace(places, Grow(members.whole(), (start, *count)))
        return True

    def _codes(self, places: list[int]) -> list[Code]:
        gone = set(places)
        return [*(step.code for place, step in enumerate(self.old) if place not in gone), self.result]

    def _substitute(self, places: list[int], change: Callable[[Code], Code | None], keep: int = -1) -> bool:
        """Rewrite all steps but those at `places`, which go; False if nothing changes."""
        changed = False
        gone = {*places, keep}
        for place, step in enumerate(self.old):
            if place in gone:
                continue
            code = transform(step.code, change)
            changed = changed or code is not step.code
            self.steps[place] = Step(code, step.width, step.names, step.source, step.comment)
        result = transform(self.result, change)
        changed = changed or result is not self.result
        if not changed:
            return False
        self.result = result
        for place in places:
            self.steps[place] = None
        return True

    def _replace(self, places: list[int], code: Code) -> None:
        """One step, where the last of `places` was, for all of them."""
        last = self.old[places[-1]]
        for place in places[:-1]:
            self.steps[place] = None
        self.steps[places[-1]] = Step(code, 1, last.names, last.source, last.comment)

    def renumbered(self) -> tuple[list[Step], Code]:
        """What is left, with values numbered without gaps."""
        numbers: dict[int, Code] = {place: Ref(place) for place in range(self.arguments)}
        new: list[Step] = []
        count = self.arguments
        for place, kept in enumerate(self.steps):
            if kept is None:
                continue
            step = replace(self.whole[place], code=kept.code) if place in self.whole else kept
            code = shifted(step.code, numbers.__getitem__)
            for offset in range(step.width):
                numbers[self.starts[place] + offset] = Ref(count)
                count += 1
            new.append(Step(code, step.width, step.names, step.source, step.comment))
        return new, shifted(self.result, numbers.__getitem__)


def _common(names: tuple[str | None, ...]) -> tuple[str | None, ...]:
    """A name for all of several results: the one that they share."""
    return (names[0],) if len(set(names)) == 1 else (None,)


def _gathered(members: MemberList, calls: list[Call]) -> Comprehension | None:
    first = calls[0]
    variable = singular(members.name)
    if all(call.arguments == first.arguments and call.keywords == first.keywords for call in calls):
        item = Call(Name(variable), first.arguments, first.keywords)
        return Comprehension("list", (item,), (variable,), members.whole())
    sources = [call.arguments[0] for call in calls if len(call.arguments) == 1 and not call.keywords]
    base = sources[0].base if len(sources) == len(calls) and isinstance(sources[0], Index) else None
    if base is None or sources != [Index(base, (Literal(index),)) for index in range(len(calls))]:
        return None
    item = Call(Name(variable), (Name("x"),))
    return Comprehension("list", (item,), (variable, "x"), Call(Name("zip"), (members.whole(), base)))
