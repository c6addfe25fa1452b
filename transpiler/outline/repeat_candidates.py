"""Statements that may be turns of a loop: those that look alike but for their operands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Rows

from transpiler import code as c
from transpiler.code import Code, Index, Literal, Ref, Sequence
from transpiler.lowered import Argument
from transpiler.outline.loops import Step
from transpiler.trees import refs, transform, walk

LONGEST = 1500
"""Statements beyond which no repetition is looked for: it takes quadratic time."""

_MOST_SHIFTS = 8
Column = tuple[int, ...]
"""The places of one statement in every turn."""


class Flow:
    """Steps with the values they make, who reads these, and what they look like without their operands."""

    def __init__(
        self,
        arguments: Rows[Argument],
        members: Mapping[str, int],
        steps: list[Step],
        result: Code,
        forward_source: str,
    ) -> None:
        self.arguments = arguments
        self.forward_source = forward_source
        self.members = members
        self.steps = steps
        self.result = result
        self.starts: list[int] = []
        self.definer: dict[int, tuple[int, int]] = {}
        count = len(arguments)
        for place, step in enumerate(steps):
            self.starts.append(count)
            self.definer.update({count + offset: (place, offset) for offset in range(step.width)})
            count += step.width
        self.users: dict[int, set[int]] = {}
        for place, code in enumerate((*(step.code for step in steps), result)):
            for value in refs(code):
                self.users.setdefault(value, set()).add(place)
        numbers: dict[object, int] = {}
        self.keys = [
            numbers.setdefault((self._masked(step.code), step.width, step.source, step.comment), len(numbers))
            for step in steps
        ]

    def values(self, place: int) -> range:
        """The values that a step makes."""
        return range(self.starts[place], self.starts[place] + self.steps[place].width)

    def is_element(self, code: Code) -> bool:
        """Whether it is an element of an argument that is a list."""
        match code:
            case Index(Ref(value), (Literal(int()),)):
                return value < len(self.arguments) and self.arguments[value].is_list
            case _:
                return False

    def _masked(self, code: Code) -> Code:
        def change(node: Code) -> Code | None:
            if self.is_element(node) or isinstance(node, Ref):
                return Ref(0)
            if isinstance(node, c.Member):
                name = node.name if node.index is not None else node.name.rstrip("0123456789")
                return c.Member(name, None if node.index is None else 0)
            if isinstance(node, Literal) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
                return Literal(0)
            return None

        return transform(code, change)

    # ── what may be a loop ─────────────────────────────────────────────────────────────────────────────────────────

    def candidates(self) -> Iterator[list[Column]]:
        """Statements that may be turns, as columns in order."""
        if len(set(self.keys)) == len(self.keys) or len(self.keys) > LONGEST:
            return
        yield from self._in_a_row()
        seen: set[tuple[int, ...]] = set()
        for code in (*(step.code for step in self.steps), self.result):
            for node in walk(code):
                if type(node) is not Sequence:
                    continue
                for run in self._runs(node.items):
                    columns = self._cones(run) if run not in seen else []
                    seen.add(run)
                    if columns:
                        yield columns

    def _in_a_row(self) -> Iterator[list[Column]]:
        """The same statements several times, one turn behind the other."""
        total = len(self.keys)
        for period in range(1, total // 2 + 1):
            place = 0
            while place < total - period:
                end = place
                while end < total - period and self.keys[end] == self.keys[end + period]:
                    end += 1
                for start in range(place, min(end - period + 1, place + min(period, _MOST_SHIFTS))):
                    turns = (end - start) // period + 1
                    yield [tuple(start + at + turn * period for turn in range(turns)) for at in range(period)]
                place = end + 1

    def _runs(self, items: tuple[Code, ...]) -> Iterator[Column]:
        """Neighbours in a list that are computed alike, each as the places that compute them."""
        run: list[int] = []
        for item in (*items, None):
            place = self.definer[item.value][0] if isinstance(item, Ref) and item.value in self.definer else None
            if run and (place is None or self.keys[place] != self.keys[run[0]] or place in run):
                if len(run) > 1:
                    yield tuple(run)
                run = []
            if place is not None:
                run.append(place)

    def _cones(self, run: Column) -> list[Column]:
        """Everything that is computed for the elements of a list only, each for its own."""
        found: dict[Column, None] = {run: None}
        waiting = [run]
        while waiting:
            for below in self._below(waiting.pop()):
                if below not in found:
                    found[below] = None
                    waiting.append(below)
        owners = self._owners(found)
        while True:
            shared = [column for column in found if column != run and not self._is_own(column, owners)]
            if not shared:
                break
            for column in shared:
                del found[column]
            owners = self._owners(found)
        if len(owners) < len(found) * len(run):  # turns that share a statement
            return []
        return sorted(found)

    def _below(self, column: Column) -> Iterator[Column]:
        """Columns that compute the operands of one."""
        for values in zip(*(refs(self.steps[place].code) for place in column), strict=False):
            places = [self.definer.get(value, (-1, 0)) for value in values]
            if -1 in (place for place, _ in places) or len({place for place, _ in places}) < len(places):
                continue
            if len({(self.keys[place], offset) for place, offset in places}) == 1:
                yield tuple(place for place, _ in places)

    @staticmethod
    def _owners(columns: dict[Column, None]) -> dict[int, int]:
        return {place: turn for column in columns for turn, place in enumerate(column)}

    def _is_own(self, column: Column, owners: dict[int, int]) -> bool:
        """Whether each turn's values are read in that turn or the next only, or where those of all turns are."""
        outside: list[set[int]] = []
        for turn, place in enumerate(column):
            users = {user for value in self.values(place) for user in self.users.get(value, ())}
            if any(owners[user] not in (turn, turn + 1) for user in users if user in owners):
                return False
            outside.append({user for user in users if user not in owners})
        return all(users == outside[0] for users in outside)
