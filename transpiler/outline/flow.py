"""One flow of statements for instances that do not all run the same ones.

Flows are aligned; statements that only some instances run become branches, and a value that depends on the branch
becomes a `Join`. Flows that differ too much give None: they are variants.

>>> # x -> conv -> add(x)   and   x -> conv          share conv; add is a branch; the result joins both.
"""

from __future__ import annotations

from collections.abc import Sequence as Rows
from dataclasses import dataclass, field, replace

from transpiler.code import Code, Ref
from transpiler.lowered import SourceLine
from transpiler.outline.forms import Form
from transpiler.outline.holes import skeleton
from transpiler.outline.loops import Step
from transpiler.trees import refs, shifted, transform

MOST_BRANCHES = 8
MOST_FLOWS = 8
LONGEST = 400
"""Statements beyond which flows are not aligned: alignment takes quadratic time."""


@dataclass(frozen=True, slots=True)
class MergedStep:
    """A statement of all instances in `rows`: one code each, over the merged values."""

    results: tuple[int, ...]
    codes: tuple[Code, ...]
    rows: tuple[int, ...]
    step: Step
    """The first instance's, for names and comments."""


@dataclass(frozen=True, slots=True)
class Join:
    """Value `result` is `inside` on the instances that take the branch, `outside` on the others."""

    result: int
    inside: int
    outside: int


@dataclass(frozen=True, slots=True)
class MergedBranch:
    rows: tuple[int, ...]
    """Instances that run `then`."""
    then: tuple[MergedStep, ...]
    otherwise: tuple[MergedStep, ...]
    joins: tuple[Join, ...]


@dataclass(frozen=True, slots=True)
class Merged:
    items: tuple[MergedStep | MergedBranch, ...]
    results: tuple[Code, ...]
    """What `call` returns, one code for each instance."""
    arguments: tuple[tuple[str, bool], ...]
    """Name, and whether it is a list: the first values."""
    optional: dict[int, tuple[int, ...]]
    """Arguments that not every instance is given, with the instances that are."""
    strays: int
    """Statements that are one although they come from several lines of torch's source."""


def flow_key(form: Form) -> object:
    """Forms with the same key run the same statements."""
    return (
        form.arguments,
        tuple((skeleton(step.code), step.width) for step in form.steps),
        skeleton(form.result),
    )


@dataclass(slots=True)
class _Slot:
    key: object
    width: int
    places: dict[int, int]
    """Flow to the place of its step."""
    results: tuple[int, ...] = ()


@dataclass(slots=True)
class _Branch:
    flows: frozenset[int]
    start: int
    end: int
    """Slots from start to end, exclusive."""
    otherwise_end: int
    joins: dict[tuple[int, int], int] = field(default_factory=dict)


def merge(forms: Rows[Form]) -> Merged | None:
    """Merge the flows of several instances; None if they are too different.

    Args:
        forms: one form for each instance; rows of the result are their places.
    """
    flows: dict[object, list[int]] = {}
    for row, form in enumerate(forms):
        flows.setdefault(flow_key(form), []).append(row)
    arguments = _common_arguments(forms)
    if arguments is None or len(flows) > MOST_FLOWS:
        return None
    members = list(flows.values())
    counts = [len(form.arguments) for form in forms]
    forms = [_widened(form, arguments) for form in forms]
    firsts = [forms[rows[0]] for rows in members]
    too_long = len(firsts) > 1 and max(len(form.steps) for form in firsts) > LONGEST  # to be aligned
    if too_long or len({_masked(form.result) for form in firsts}) > 1:
        return None
    slots = _aligned(firsts)
    shared = sum(len(slot.places) == len(firsts) for slot in slots)
    if len(firsts) > 1 and 2 * shared < min(len(form.steps) for form in firsts):
        return None
    return _Merger(forms, members, firsts, slots, counts).merged()


def _common_arguments(forms: Rows[Form]) -> tuple[tuple[str, bool], ...] | None:
    """The arguments of all instances: the last ones may be missing. None if they differ in more."""
    longest = max((form.arguments for form in forms), key=len)
    fit = all(form.arguments and form.arguments == longest[: len(form.arguments)] for form in forms)
    return longest if fit or not longest else None


def _widened(form: Form, arguments: tuple[tuple[str, bool], ...]) -> Form:
    """The form with values numbered as if it had all these arguments."""
    own = len(form.arguments)
    more = len(arguments) - own
    if not more:
        return form

    def moved(code: Code) -> Code:
        return shifted(code, lambda value: Ref(value if value < own else value + more))

    steps = tuple(replace(step, code=moved(step.code)) for step in form.steps)
    return replace(form, arguments=arguments, steps=steps, result=moved(form.result))


def _masked(code: Code) -> Code:
    """The skeleton with one value for all, so that statements are aligned by what they do."""
    return transform(skeleton(code), lambda node: Ref(0) if isinstance(node, Ref) else None)


def _aligned(forms: Rows[Form]) -> list[_Slot]:
    keys = [[(_masked(step.code), step.width) for step in form.steps] for form in forms]
    slots = [_Slot(key, key[1], {0: place}) for place, key in enumerate(keys[0])]
    for flow in range(1, len(forms)):
        slots = _with_flow(slots, flow, keys[flow])
    return slots


def _with_flow(slots: list[_Slot], flow: int, keys: list[tuple[Code, int]]) -> list[_Slot]:
    rows, columns = len(slots), len(keys)
    best = [[0] * (columns + 1) for _ in range(rows + 1)]
    for row in range(rows - 1, -1, -1):
        for column in range(columns - 1, -1, -1):
            if slots[row].key == keys[column]:
                best[row][column] = best[row + 1][column + 1] + 1
            else:
                best[row][column] = max(best[row + 1][column], best[row][column + 1])
    merged: list[_Slot] = []
    row = column = 0
    while row < rows and column < columns:
        if slots[row].key == keys[column]:
            slots[row].places[flow] = column
            merged.append(slots[row])
            row, column = row + 1, column + 1
        elif best[row + 1][column] >= best[row][column + 1]:
            merged.append(slots[row])
            row += 1
        else:
            merged.append(_Slot(keys[column], keys[column][1], {flow: column}))
            column += 1
    merged += slots[row:]
    merged += [_Slot(keys[place], keys[place][1], {flow: place}) for place in range(column, columns)]
    return merged


class _Fails(Exception):  # noqa: N818
    """The flows cannot be one."""


class _Merger:
    """Numbers the merged values, finds the branches and joins what they compute."""

    def __init__(
        self,
        forms: Rows[Form],
        members: list[list[int]],
        firsts: list[Form],
        slots: list[_Slot],
        counts: list[int],
    ) -> None:
        self.forms = forms
        self.members = members
        self.firsts = firsts
        self.slots = slots
        self.all = frozenset(range(len(firsts)))
        self.count = len(firsts[0].arguments)
        self.optional = {
            place: tuple(row for row, count in enumerate(counts) if place < count)
            for place in range(min(counts), self.count)
        }
        self.defined: dict[int, frozenset[int]] = {
            place: frozenset(flow for flow, rows in enumerate(members) if place < counts[rows[0]])
            for place in range(self.count)
        }
        self.values: list[dict[int, int]] = [{value: value for value in range(self.count)} for _ in firsts]
        starts = [_starts(form) for form in firsts]
        for slot in slots:
            slot.results = tuple(range(self.count, self.count + slot.width))
            self.count += slot.width
            for offset, result in enumerate(slot.results):
                self.defined[result] = frozenset(slot.places)
                for flow, place in slot.places.items():
                    self.values[flow][starts[flow][place] + offset] = result
        self.branches = [*self._missing(), *self._branches()]

    def merged(self) -> Merged | None:
        if len(self.branches) > MOST_BRANCHES:
            return None
        try:
            steps = [self._step(place) for place in range(len(self.slots))]
            results = self._codes({flow: self.firsts[flow].result for flow in self.all}, len(self.slots))
        except _Fails:
            return None
        steps = [self._after_branches(place, step) for place, step in enumerate(steps)]
        rows = sorted((row, code) for flow in self.all for row, code in self._spread(flow, results[flow]))
        return Merged(
            tuple(self._items(steps)),
            tuple(code for _, code in rows),
            self.firsts[0].arguments,
            self.optional,
            sum(len(self._lines(slot)) > 1 for slot in self.slots),
        )

    def _lines(self, slot: _Slot) -> set[SourceLine]:
        """The lines of torch's source that a statement comes from."""
        sources = (self.firsts[flow].steps[place].source for flow, place in slot.places.items())
        return {source for source in sources if source is not None}

    def _missing(self) -> list[_Branch]:
        """In front, what takes the place of arguments that some instances are not given."""
        groups = dict.fromkeys(self.all - self.defined[place] for place in self.optional)
        return [_Branch(flows, 0, 0, 0) for flows in groups]

    def _branches(self) -> list[_Branch]:
        branches: list[_Branch] = []
        for place, slot in enumerate(self.slots):
            flows = frozenset(slot.places)
            if flows == self.all:
                continue
            last = branches[-1] if branches else None
            if last is not None and last.otherwise_end == place:
                if flows == last.flows and last.end == place:
                    last.end = last.otherwise_end = place + 1
                    continue
                if flows == self.all - last.flows:
                    last.otherwise_end = place + 1
                    continue
            branches.append(_Branch(flows, place, place + 1, place + 1))
        return branches

    def _step(self, place: int) -> MergedStep:
        slot = self.slots[place]
        codes = self._codes({flow: self.firsts[flow].steps[at].code for flow, at in slot.places.items()}, place)
        spread: list[tuple[int, Code]] = []
        for flow, at in slot.places.items():
            for row in self.members[flow]:
                own = self.forms[row].steps[at].code
                spread.append((row, _with_refs(own, refs(codes[flow]))))
        spread.sort(key=lambda pair: pair[0])
        first = min(slot.places)
        step = self.firsts[first].steps[slot.places[first]]
        return MergedStep(slot.results, tuple(code for _, code in spread), tuple(row for row, _ in spread), step)

    def _after_branches(self, place: int, step: MergedStep) -> MergedStep:
        """The step with what branches before it end with instead of what was computed in them."""
        ends = self._ends(place, frozenset(self.slots[place].places))
        codes = tuple(shifted(code, lambda value: Ref(ends.get(value, value))) for code in step.codes)
        return replace(step, codes=codes)

    def _ends(self, place: int, flows: frozenset[int]) -> dict[int, int]:
        """What branches before slot `place` end with, by what was computed in them: the same on these flows.

        What a branch ends with has a name after it, what was computed in it may have lost its own.
        """
        ends: dict[int, int] = {}
        for branch in self.branches:
            is_taken, is_left = flows <= branch.flows, flows <= self.all - branch.flows
            if branch.otherwise_end > place or not (is_taken or is_left):
                continue
            inside = {value for slot in self.slots[branch.start : branch.otherwise_end] for value in slot.results}
            for (one, other), result in branch.joins.items():
                value = one if is_taken else other
                if value in inside:
                    ends.setdefault(value, result)
        return ends

    def _joins(self, branch: _Branch) -> tuple[Join, ...]:
        taken = self._ends(branch.start, branch.flows)
        left = self._ends(branch.start, self.all - branch.flows)
        return tuple(
            Join(result, taken.get(one, one), left.get(other, other)) for (one, other), result in branch.joins.items()
        )

    def _codes(self, codes: dict[int, Code], before: int) -> dict[int, Code]:
        """The codes of several flows over the merged values, joined where they differ."""
        read = {flow: refs(code) for flow, code in codes.items()}
        count = len(next(iter(read.values())))
        joined = [
            self._resolve({flow: self.values[flow][read[flow][place]] for flow in codes}, before)
            for place in range(count)
        ]
        return {flow: _with_refs(code, joined) for flow, code in codes.items()}

    def _spread(self, flow: int, code: Code) -> list[tuple[int, Code]]:
        return [(row, _with_refs(self.forms[row].result, refs(code))) for row in self.members[flow]]

    def _resolve(self, wanted: dict[int, int], before: int) -> int:
        """The merged value that is `wanted[flow]` on each flow, where slot `before` starts."""
        if len(set(wanted.values())) == 1:
            return next(iter(wanted.values()))
        for branch in reversed(self.branches):
            if branch.otherwise_end > before:
                continue
            inside = {flow: value for flow, value in wanted.items() if flow in branch.flows}
            outside = {flow: value for flow, value in wanted.items() if flow not in branch.flows}
            if not inside or not outside:
                continue
            try:
                one = self._resolve(inside, branch.start)
                other = self._resolve(outside, branch.start)
            except _Fails:
                continue
            covers = self.defined[one] >= branch.flows and self.defined[other] >= self.all - branch.flows
            if not covers or not self._available(one, branch.end) or not self._available(other, branch.otherwise_end):
                continue
            if (one, other) not in branch.joins:
                branch.joins[one, other] = self.count
                self.defined[self.count] = self.all
                self.count += 1
            return branch.joins[one, other]
        raise _Fails

    def _available(self, value: int, before: int) -> bool:
        place = next((place for place, slot in enumerate(self.slots) if value in slot.results), -1)
        return place < before

    def _items(self, steps: list[MergedStep]) -> list[MergedStep | MergedBranch]:
        items: list[MergedStep | MergedBranch] = []
        place = 0
        for branch in self.branches:
            if branch.start == branch.otherwise_end and not branch.joins:
                continue
            items += steps[place : branch.start]
            rows = tuple(sorted(row for flow in branch.flows for row in self.members[flow]))
            then, otherwise = steps[branch.start : branch.end], steps[branch.end : branch.otherwise_end]
            items.append(MergedBranch(rows, tuple(then), tuple(otherwise), self._joins(branch)))
            place = branch.otherwise_end
        return [*items, *steps[place:]]


def _starts(form: Form) -> list[int]:
    starts = []
    count = len(form.arguments)
    for step in form.steps:
        starts.append(count)
        count += step.width
    return starts


def _with_refs(code: Code, values: list[int]) -> Code:
    rest = iter(values)
    return shifted(code, lambda _: Ref(next(rest)))
