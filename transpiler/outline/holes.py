"""Several instances' expressions as one, with holes where their literals differ.

>>> # Conv2D(64, 3) and Conv2D(128, 3) are Conv2D(Hole 0, Hole 1); hole 0 is 64 in the first, 128 in the second.
>>> # Conv2D(64, 3) and Identity() are a Choice of two.
"""

from __future__ import annotations

from collections.abc import Sequence as Rows
from dataclasses import dataclass, replace

from transpiler import code as c
from transpiler.code import Call, Code, Conditional, Function, Literal, MergedSize, Name, PartCount, Ref, Sequence
from transpiler.errors import InternalError
from transpiler.keras_functions import EINSUM, SEQUENTIAL
from transpiler.lowered import Basic
from transpiler.outline.alike import paddings_alike, tuples_alike
from transpiler.outline.dense_rows import same_rows
from transpiler.outline.keras_calls import default_of, parameters, same_padding, signature, squared
from transpiler.outline.lists import aligned, head, repeated
from transpiler.outline.loops import Grow, NumberedList
from transpiler.outline.program import Required
from transpiler.outline.repeat import Table
from transpiler.outline.series import completed, negated, question
from transpiler.trees import children, code_of, is_value, key_of, transform, value_of, with_children

_ERASED = Literal(None)
_OPEN = Literal(None)


@dataclass(frozen=True, slots=True)
class Hole(Literal):
    """A literal that instances may differ in: `number` finds its `HoleFact`. `value` is not used."""

    number: int = -1


@dataclass(frozen=True, slots=True)
class Choice(Sequence):
    """One expression for each group of instances: `items[i]` for the instances `rows[i]`."""

    rows: tuple[tuple[int, ...], ...] = ()
    member: str = ""


@dataclass(frozen=True, slots=True)
class Run(Sequence):
    """An element of a list that is repeated: `items` is the one element, `count` how often."""

    count: Code = _ERASED


@dataclass(frozen=True, slots=True)
class Maybe(Sequence):
    """An element of a list that only the instances `rows` of `among` have."""

    rows: tuple[int, ...] = ()
    among: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Series(Sequence):
    """A list of `count` elements, `items` is the one for place `i`."""

    count: Code = _ERASED


@dataclass(frozen=True, slots=True)
class ElementHole(Hole):
    """A literal of an element of a `Series`: its values are tuples, one value for each place."""


AXES = frozenset({"axis", "axes"})
"""Parameters that say where something is done: no arithmetic leads to them."""


@dataclass(frozen=True, slots=True)
class Use:
    """Where a hole is: parameter `parameter` of a call of `function` that goes into `member`."""

    member: str
    function: str = ""
    ordinal: int = 0
    """How many calls of the same function stand before it in the member."""
    parameter: str = ""
    in_call: bool = False
    """In `call`, where the value must be an attribute of self."""
    operand: Code | None = None
    """What is given a new shape, where the value is one of its sizes."""
    merged: tuple[int, ...] = ()
    """Axes of the operand whose sizes the value is the product of."""


@dataclass(frozen=True, slots=True)
class HoleFact:
    use: Use
    values: dict[int, Basic]
    """By instance; instances that don't have the hole are absent."""

    def varies(self) -> bool:
        """Whether two instances differ in it."""
        return len({key_of(value) for value in self.values.values()}) > 1


class Unifier:
    """Unifies the expressions of one class and collects the holes."""

    def __init__(self) -> None:
        self.holes: list[HoleFact] = []
        self._ordinals: dict[str, int] = {}

    def member(self, name: str, codes: Rows[Code], rows: Rows[int]) -> Code:
        """One expression that makes member `name` in all of `rows`."""
        self._ordinals = {}
        return self._unify(codes, rows, Use(name))

    def statement(self, codes: Rows[Code], rows: Rows[int]) -> Code:
        """One expression for a statement; the expressions have one skeleton."""
        return self._statement(codes, rows, Use("", in_call=True))

    # ── statements ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _statement(self, codes: Rows[Code], rows: Rows[int], use: Use) -> Code:
        first = codes[0]
        if isinstance(first, Literal):
            use = replace(use, merged=_merged(codes))
            values = [code.value for code in codes if isinstance(code, Literal)]
            is_shared = len({key_of(value) for value in values}) == 1 and not isinstance(first, Table)
            if is_shared and (isinstance(first, PartCount) or not _may_come_from_somewhere(first.value, use)):
                return first
            return self._hole(dict(zip(rows, values, strict=True)), use)
        below = [children(code) for code in codes]
        uses = _child_uses(first, use)
        new = tuple(
            self._statement([parts[place] for parts in below], rows, uses[place]) for place in range(len(below[0]))
        )
        return with_children(first, new) if new else first

    # ── members ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _unify(self, codes: Rows[Code], rows: Rows[int], use: Use) -> Code:
        if (shapes := _partly_open(codes)) is not None:  # each of its sizes is a value of its own
            return self._shape(shapes, rows, use)
        if all(is_value(code) for code in codes):
            return self._hole({row: value_of(code) for row, code in zip(rows, codes, strict=True)}, use)
        codes = same_rows(same_padding(_same_keywords(codes)))
        groups = _grouped(codes)
        if len(groups) == 1:
            return self._rebuilt(codes, rows, use)
        before = dict(self._ordinals)
        items = []
        for places in groups:
            self._ordinals = dict(before)
            items.append(self._rebuilt([codes[place] for place in places], [rows[place] for place in places], use))
        return Choice(
            "choice", tuple(items), tuple(tuple(rows[place] for place in places) for places in groups), use.member
        )

    def _shape(self, shapes: Rows[tuple[Code, ...]], rows: Rows[int], use: Use) -> Code:
        items = [axis[0] if axis[0] == _OPEN else self._unify(axis, rows, use) for axis in zip(*shapes, strict=True)]
        return Sequence("tuple", tuple(items))

    def _rebuilt(self, codes: Rows[Code], rows: Rows[int], use: Use) -> Code:
        first = codes[0]
        if isinstance(first, Call):
            return self._call(first, codes, rows, use)
        if isinstance(first, NumberedList):
            return replace(first, items=self._list(codes, rows, use))
        if type(first) is Sequence and first.kind == "list":
            return Sequence("list", self._list(codes, rows, use))
        if is_value(first):
            return self._hole({row: value_of(code) for row, code in zip(rows, codes, strict=True)}, use)
        below = [children(code) for code in codes]
        new = tuple(self._unify([parts[place] for parts in below], rows, use) for place in range(len(below[0])))
        return with_children(first, new) if new else first

    def _call(self, first: Call, codes: Rows[Code], rows: Rows[int], use: Use) -> Code:
        name = first.function.name if isinstance(first.function, Function) else ""
        inner = use
        if name != SEQUENTIAL.name:
            ordinal = self._ordinals.get(name, 0)
            self._ordinals[name] = ordinal + 1
            inner = replace(use, function=name, ordinal=ordinal)
        below = [children(code) for code in codes]
        names = ("", *("" for _ in first.arguments), *(keyword for keyword, _ in first.keywords))
        new = [first.function]
        for place in range(1, len(below[0])):
            parts = [part[place] for part in below]
            alike = tuples_alike(names[place], parts)
            new.append(self._unify(alike, rows, replace(inner, parameter=names[place])))
        return with_children(first, tuple(new))

    def _list(self, codes: Rows[Code], rows: Rows[int], use: Use) -> tuple[Code, ...]:
        lists = [code.items for code in codes if isinstance(code, Sequence)]
        series = None if any(isinstance(code, NumberedList) for code in codes) else _series(lists)
        if series is not None:
            return (self._series(series, rows, use),)
        places = aligned(lists)
        if places is None:
            raise InternalError("lists that have nothing in common were taken for one")

        def padding(padded: Rows[int]) -> Code:
            behind = tuple(rows[number] for number in padded)
            others = tuple(row for row in rows if row not in behind)
            return Choice("choice", (Literal("valid"), Literal("same")), (behind, others), use.member)

        new: list[Code] = []
        for place in paddings_alike(places, padding):
            own = [rows[row] for row in sorted(place.items)]
            item = self._unify([place.items[row] for row in sorted(place.items)], own, use)
            if place.counts is not None:
                values: dict[int, Basic] = {rows[row]: count for row, count in place.counts.items()}
                item = Run("run", (item,), self._hole(values, Use(use.member, "range", 0, "n")))
            elif len(own) < len(rows):
                item = Maybe("maybe", (item,), tuple(own), tuple(rows))
            new.append(item)
        return tuple(new)

    def _series(self, lists: Rows[tuple[Call, ...]], rows: Rows[int], use: Use) -> Code:
        places = [(row, place) for row, items in zip(rows, lists, strict=True) for place in range(len(items))]
        every = [item for items in lists for item in items]
        inner = Unifier()
        item = inner._unify(every, range(len(every)), use)

        def change(node: Code) -> Code | None:
            if not isinstance(node, Hole):
                return None
            fact = inner.holes[node.number]
            columns: dict[int, list[Basic]] = {}
            for number, value in fact.values.items():
                columns.setdefault(places[number][0], []).append(value)
            return self._element({row: tuple(values) for row, values in columns.items()}, fact.use)

        lengths: dict[int, Basic] = {row: len(items) for row, items in zip(rows, lists, strict=True)}
        return Series("series", (transform(item, change),), self._hole(lengths, Use(use.member, "range", 0, "n")))

    def _element(self, values: dict[int, tuple[Basic, ...]], use: Use) -> Code:
        """What a literal is at place `i`."""
        if all(len({key_of(value) for value in own}) == 1 for own in values.values()):
            return self._hole({row: own[0] for row, own in values.items()}, use)
        test = question(values)
        if test is None:
            self.holes.append(HoleFact(use, dict(values)))
            return ElementHole(None, len(self.holes) - 1)
        first: dict[int, Basic] = {row: own[0] for row, own in values.items()}
        other: dict[int, Basic] = {row: own[1] for row, own in values.items() if len(own) > 1}
        answers = {(key_of(value)) for value in first.values()}, {key_of(value) for value in other.values()}
        if answers == ({key_of(value=True)}, {key_of(value=False)}):
            return test
        if answers == ({key_of(value=False)}, {key_of(value=True)}):
            return negated(test)
        return Conditional(test, self._hole(first, use), self._hole(other, use))

    def _hole(self, values: dict[int, Basic], use: Use) -> Code:
        self.holes.append(HoleFact(use, values))
        return Hole(None, len(self.holes) - 1)


def _partly_open(codes: Rows[Code]) -> list[tuple[Code, ...]] | None:
    """The sizes, if these are shapes of one rank of which the same ones are left open."""
    shapes = [code.items for code in codes if type(code) is Sequence and code.kind == "tuple"]
    places = {tuple(item == _OPEN for item in items) for items in shapes}
    return shapes if len(shapes) == len(codes) and len(places) == 1 and any(*places) else None


def _merged(codes: Rows[Code]) -> tuple[int, ...]:
    """The axes that all these sizes are the product of."""
    axes = {code.axes if isinstance(code, MergedSize) else () for code in codes}
    return axes.pop() if len(axes) == 1 else ()


def _may_come_from_somewhere(value: Basic, use: Use) -> bool:
    """Whether a number that all instances share is worth a look for where it comes from: no axis or index is."""
    if use.function == "range":
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and value not in (0, 1, -1)


def families(holes: Rows[HoleFact]) -> dict[Use, HoleFact]:
    """The same parameter of the same layer in alternatives that exclude each other, as one hole."""
    found: dict[Use, HoleFact] = {}
    apart: set[Use] = set()
    for hole in holes:
        other = found.get(hole.use)
        if other is None:
            found[hole.use] = hole
        elif other.values.keys() & hole.values.keys():
            apart.add(hole.use)
        else:
            found[hole.use] = HoleFact(hole.use, {**other.values, **hole.values})
    return {use: hole for use, hole in found.items() if use not in apart and not use.in_call}


def skeleton(code: Code) -> Code:
    """The expression with every literal erased: instances with the same skeleton differ in literals only."""
    if isinstance(code, Literal):
        return _ERASED
    below = children(code)
    new = [skeleton(child) for child in below]
    if isinstance(code, Call) and code.function == EINSUM:
        new[1] = below[1]  # the equation says what is done, not with which sizes
    return with_children(code, tuple(new)) if below else code


def _grouped(codes: Rows[Code]) -> list[list[int]]:
    """Places of the expressions that can become one, in order of appearance."""
    groups: dict[object, list[int]] = {}
    for place, code in enumerate(codes):
        groups.setdefault(_group_key(code), []).append(place)
    parted = [part for group in groups.values() for part in _grouped_lists(codes, group)]
    return sorted(parted)


def _group_key(code: Code) -> object:
    if isinstance(code, NumberedList):
        return "numbered"
    return "list" if _items(code) is not None and not isinstance(code, Call) else head(code)


def _items(code: Code) -> tuple[Code, ...] | None:
    """The elements of a list, or of a Sequential."""
    if isinstance(code, Call) and code.function == SEQUENTIAL and code.arguments:
        return _items(code.arguments[0])
    is_list = isinstance(code, NumberedList) or type(code) is Sequence
    return code.items if isinstance(code, Sequence) and is_list and code.kind == "list" and not is_value(code) else None


def _series(lists: Rows[tuple[Code, ...]]) -> list[tuple[Call, ...]] | None:
    """The elements of lists that are better told by their places than one by one."""
    if len(lists) < 2 or len({tuple(head(item) for item, _ in repeated(items)) for items in lists}) == 1:
        return None
    found = completed(lists)
    kinds = {skeleton(call) for items in found or () for call in items}
    return found if len(kinds) == 1 else None


def _grouped_lists(codes: Rows[Code], group: list[int]) -> list[list[int]]:
    lists = [_items(codes[place]) for place in group]
    known = [items for items in lists if items is not None]
    if len(known) < len(lists) or _series(known) is not None:
        return [group]
    by_place = dict(zip(group, known, strict=True))
    alike: dict[frozenset[object], list[int]] = {}
    for place, items in by_place.items():
        alike.setdefault(frozenset(head(item) for item in items), []).append(place)
    each_a_series = all(len(kinds) == 1 for kinds in alike) and any(
        _series([by_place[place] for place in places]) for places in alike.values()
    )
    if aligned(known) is not None and not each_a_series:
        return [group]
    if len(alike) > 1:
        return [part for places in alike.values() for part in _grouped_lists(codes, places)]
    parts: dict[object, list[int]] = {}
    for place, items in by_place.items():
        parts.setdefault(tuple(head(item) for item in items), []).append(place)
    return list(parts.values())


def _same_keywords(codes: Rows[Code]) -> Rows[Code]:
    """Give calls of one Keras layer the same keywords, by writing out defaults that Keras is known to have."""
    calls = [code for code in codes if isinstance(code, Call) and not isinstance(code.function, Name)]
    by_function: dict[Code, set[tuple[str, ...]]] = {}
    for call in calls:
        by_function.setdefault(call.function, set()).add(tuple(name for name, _ in call.keywords))
    if all(len(names) == 1 for names in by_function.values()):
        return codes
    return [_completed(code, by_function) for code in codes]


def _completed(code: Code, by_function: dict[Code, set[tuple[str, ...]]]) -> Code:
    if not isinstance(code, Call) or len(by_function.get(code.function, ())) < 2:
        return code
    given = dict(code.keywords)
    for name in sorted({name for names in by_function[code.function] for name in names}):
        default = default_of(code.function, name)
        if name not in given and not isinstance(default, Required):
            given[name] = squared(name, code_of(default))
    known = parameters(code.function)
    ordered = sorted(given, key=lambda name: (known.index(name) if name in known else len(known), name))
    return Call(code.function, code.arguments, tuple((name, given[name]) for name in ordered))


def _child_uses(code: Code, use: Use) -> list[Use]:
    if isinstance(code, Grow):
        key = f"{code.function.name}*" if isinstance(code.function, c.Member) else ""
        count = Use(key, "range", 0, "n", in_call=True)
        return [use, use, count][: 1 + len(code.arguments)]
    if isinstance(code, Call):
        name = code.function.name if isinstance(code.function, c.Function | c.Member) else ""
        known = tuple(signature(code.function) or ())
        given = (known[place] if place < len(known) else "" for place in range(len(code.arguments)))
        names = ("", *(name if name in AXES else "" for name in given), *(keyword for keyword, _ in code.keywords))
        operand = code.arguments[0] if code.arguments and isinstance(code.arguments[0], Ref) else None
        inner = replace(use, function=name.rpartition(".")[2], operand=operand)
        return [replace(inner, parameter=parameter) for parameter in names]
    if isinstance(code, c.Index) and code.items:
        return [use, *[replace(use, function="index")] * (len(children(code)) - 1)]
    return [use] * len(children(code))
