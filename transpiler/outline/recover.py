"""Where literals come from: the torch constructor's arguments, its locals, or simple arithmetic on them.

Every candidate is evaluated on every instance that has the literal; only one that is right for all is taken.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from transpiler.code import Binary, Call, Code, Conditional, Function, Index, Literal, Name, Sequence
from transpiler.lowered import SEQUENCE, Basic, Constructor, Opaque
from transpiler.outline.evaluate import Unknown, evaluate
from transpiler.outline.holes import HoleFact, Use
from transpiler.outline.init_expressions import FUNCTIONS
from transpiler.outline.init_facts import CallFact, InitFacts
from transpiler.outline.program import REQUIRED, Required
from transpiler.outline.squares import one_number
from transpiler.outline.vocabulary import AFFINITY, SOURCES, torch_parameters
from transpiler.trees import code_of, is_value, key_of, names_in

MISSING = object()
"""Stands for the value of an expression on an instance where it has none."""

LARGE = 16
"""From this number on, a literal that equals an argument is taken to come from it even where the source is silent."""

LARGE_AREA = 36
"""From this number on, as many weights as a window has places are taken to be one for each."""

TELLING = 5
"""From this number on, a literal that equals an argument's value is taken to come from it."""


@dataclass(frozen=True, slots=True)
class ChildFact:
    """What is known of a generated class that a member may call: its torch name and torch parameters in order."""

    torch_name: str
    parameters: tuple[str, ...]
    sources: Mapping[str, str]
    """Generated parameter to torch parameter."""
    defaults: Mapping[str, Basic]
    """Of the generated parameters that have one."""


class Scope:
    """The constructor arguments and locals of the instances of one class.

    Args:
        constructors: one for each instance, None where it is not known.
        facts: what the constructor's source says.
        children: generated class name to its torch class.
        forbidden: attributes that mean something else in the generated class, `self.name`.
    """

    def __init__(
        self,
        constructors: list[Constructor | None],
        facts: InitFacts,
        children: Mapping[str, ChildFact],
        forbidden: frozenset[str] = frozenset(),
    ) -> None:
        self.count = len(constructors)
        self.facts = facts
        self._children = children
        known = [constructor for constructor in constructors if constructor is not None]
        complete = known if len(known) == self.count else []
        self.order: tuple[str, ...] = tuple(complete[0].arguments) if complete else ()
        """Parameters of torch's constructor."""
        self.names: list[str] = []
        """The same, each with the attributes that the constructor reads of it: `config`, `config.hidden_size`."""
        self.defaults: dict[str, Basic | Opaque] = dict(complete[0].defaults) if complete else {}
        self.arguments: dict[str, tuple[Basic, ...]] = {}
        self.presence: dict[str, tuple[bool, ...]] = {}
        for name in self.order:
            self.names.append(name)
            self._add_argument(name, [constructor.arguments.get(name) for constructor in complete])
        self.scopes: list[dict[str, Basic]] = [
            {name: values[row] for name, values in self.arguments.items()} for row in range(self.count)
        ]
        self._cache: dict[Code, tuple[object, ...]] = {}
        self._closed: dict[Code, bool] = {}
        self.definitions: dict[str, Code] = {}
        for name, code in facts.definitions:
            if name not in forbidden:
                self._add_definition(name, code)

    def _add_argument(self, name: str, values: list[Basic | Opaque]) -> None:
        basic = [value for value in values if not isinstance(value, Opaque)]
        opaque = [value for value in values if isinstance(value, Opaque)]
        if not opaque:
            self.arguments[name] = one_number(basic)
            return
        if any(value is not None for value in basic):
            return
        if all(value.is_named for value in opaque):
            # The name of a class is a value that a Keras layer can be given.
            self.arguments[name] = tuple(value.text if isinstance(value, Opaque) else None for value in values)
            default = self.defaults.get(name)
            if isinstance(default, Opaque):
                self.defaults[name] = default.text
            if default is not None and self.defaults.get(name) not in self.arguments[name]:
                del self.defaults[name]  # no instance shows what that class would be in Keras
            return
        self.presence[name] = tuple(isinstance(value, Opaque) for value in values)
        if not basic:
            self._add_attributes(name, opaque)

    def _add_attributes(self, name: str, values: list[Opaque]) -> None:
        """What the constructor reads of a config object."""
        held = [dict(value.attributes) for value in values]
        for attribute in held[0]:
            if attribute in self.facts.attributes.get(name, ()) and all(attribute in one for one in held):
                self.names.append(f"{name}.{attribute}")
                self.arguments[f"{name}.{attribute}"] = tuple(one[attribute] for one in held)

    def _add_definition(self, name: str, code: Code) -> None:
        if name in self.definitions:
            return
        if not self.order or not self.is_closed(code):
            return
        try:
            values = [evaluate(code, scope) for scope in self.scopes]
        except Unknown:
            return
        self.definitions[name] = code
        for scope, value in zip(self.scopes, values, strict=True):
            scope[name] = value

    def add(self, name: str, values: Mapping[int, Basic]) -> None:
        """A further argument, that torch's constructor doesn't have; ignored unless all instances have it."""
        if len(values) == self.count:
            self.arguments[name] = tuple(values[row] for row in range(self.count))
            for row, scope in enumerate(self.scopes):
                scope[name] = values[row]

    def child_default(self, use: Use) -> Basic | Required:
        """The default of the parameter of a generated class that a hole is for, REQUIRED where it has none."""
        child = self._children.get(use.function)
        return REQUIRED if child is None else child.defaults.get(use.parameter, REQUIRED)

    # ── values ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def vector(self, code: Code) -> tuple[object, ...]:
        """Comparable values of an expression on all instances, MISSING where it has none."""
        found = self._cache.get(code)
        if found is None:
            found = self._cache[code] = tuple(self._key(code, scope) for scope in self.scopes)
        return found

    @staticmethod
    def _key(code: Code, scope: Mapping[str, Basic]) -> object:
        try:
            return key_of(evaluate(code, scope))
        except Unknown:
            return MISSING

    def matches(self, code: Code, wanted: Mapping[int, object]) -> bool:
        """Whether the expression has the wanted (comparable) values, and reads nothing that is not known."""
        if not self.is_closed(code):
            return False
        for row, key in wanted.items():
            if code in self._cache:
                if self._cache[code][row] != key:
                    return False
            elif self._key(code, self.scopes[row]) != key:
                return False
        return True

    def is_closed(self, code: Code) -> bool:
        """Whether every name is known: an expression may have a value without that of a branch that is not taken."""
        found = self._closed.get(code)
        if found is None:
            found = self._closed[code] = all(name in self.scopes[0] for name in names_in(code) if name not in FUNCTIONS)
        return found

    # ── search ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def find(self, hole: HoleFact) -> Code | None:
        """The expression that a hole's values come from; None if nothing fits.

        A literal that all instances share stays one, unless the constructor's source shows where it comes from.
        """
        wanted = {row: key_of(value) for row, value in hole.values.items()}
        aligned = self._first((*self._aligned(hole.use), *self._halves(hole.use)), wanted)
        if aligned is not None:
            return aligned
        values = list(hole.values.values())
        if len(set(wanted.values())) == 1:
            return (
                self._evidence(hole.use, values[0], wanted)
                or self._setting(hole.use, values[0], wanted)
                or self._constant_items(hole)
                or code_of(values[0])
            )
        return (
            self._first(self._mentioned(hole.use), wanted)
            or self._first(self._names(hole.use), wanted)
            or self._first(self.facts.expressions, wanted)
            or self._override(hole, wanted)
            or self._first(self._arithmetic(hole.values), wanted)
            or self._itemwise(hole)
        )

    def left_at_one(self, use: Use, rows: Iterable[int]) -> Code | None:
        """What torch's call is given for a parameter that is 1 on these instances, if that is more than a number."""
        wanted = {row: key_of(1) for row in rows}
        named = (code for code in self._mentioned(use) if type(code) is Name and code.name in AFFINITY[use.parameter])
        code = self._first((*self._aligned(use), *named), wanted)
        return None if code is None or not names_in(code) else code

    def _first(self, candidates: Iterable[Code], wanted: Mapping[int, object]) -> Code | None:
        return next((code for code in candidates if self.matches(code, wanted)), None)

    def _aligned(self, use: Use) -> Iterator[Code]:
        """Arguments of the torch call that this Keras argument was translated from."""
        facts = self._calls(use)
        if use.function == "range":
            yield from self.facts.counts.get("" if use.member.endswith("*") else use.member.rstrip("_"), ())
            return
        child = self._children.get(use.function)
        if child is not None:
            named = [fact for fact in facts if fact.function == child.torch_name]
            # `conv_block(in_channels, 64)`: the class came as an argument.
            others = [fact for fact in facts if fact.function in self.order]
            for fact in _in_turn(named or others, use.ordinal):
                given = _argument(fact, child.parameters, (child.sources.get(use.parameter, use.parameter),))
                yield from (each for code in given for each in (code, *self._places(code)))
            return
        for fact in _in_turn([fact for fact in facts if torch_parameters(fact.function)], use.ordinal):
            yield from _argument(fact, torch_parameters(fact.function), SOURCES.get(use.parameter, ()))

    def _places(self, code: Code) -> Iterator[Code]:
        """What `num_heads[i]` is in turn, where every turn has another number."""
        match code:
            case Index(Name(name) as whole, (Name() as place,)) if not self.is_closed(place):
                lists = [scope.get(name) for scope in self.scopes]
                found = [value for value in lists if isinstance(value, list | tuple)]
                if len(found) == len(lists) and all(len(set(map(key_of, value))) == len(value) for value in found):
                    yield from (Index(whole, (Literal(number),)) for number in range(min(map(len, found))))
            case _:
                pass

    def _origins(self, use: Use) -> set[str]:
        """Names that the arguments which torch gives for it are computed from, through all its locals."""
        names = {name for code in self._aligned(use) for name in names_in(code)}
        made_of = {name: names_in(code) for name, code in self.facts.definitions}
        left = list(names)
        while left:
            more = [name for name in made_of.get(left.pop(), ()) if name not in names]
            names.update(more)
            left += more
        return names

    def _calls(self, use: Use) -> tuple[CallFact, ...]:
        """What the constructor calls to make a member; anything it calls, for members that it numbers in a loop or
        that are itself.
        """
        if use.member.endswith("*") or use.member == SEQUENCE:
            return self.facts.calls.get("", ())
        # `self.layers` is `self.layers_` in a Keras layer, which has an attribute of that name.
        return self.facts.calls.get(use.member) or self.facts.calls.get(use.member.rstrip("_"), ())

    def _halves(self, use: Use) -> Iterator[Code]:
        """The padding that keeps the size: half of the kernel, unless an argument says otherwise."""
        if use.parameter != "padding":
            return
        dilations = [Name(name) for name in AFFINITY["dilation_rate"] if name in self.arguments]
        paddings = [Name(name) for name in AFFINITY["padding"] if name in self.arguments]
        for name in AFFINITY["kernel_size"]:
            if name not in self.arguments and name not in self.definitions:
                continue
            half = Binary("//", Name(name), Literal(2))
            yield half
            reach = Binary("//", Binary("-", Name(name), Literal(1)), Literal(2))
            yield from (Binary("*", reach, dilation) for dilation in dilations)
            for padding in paddings:
                yield Conditional(Binary("is", padding, Literal(None)), half, padding)

    def _mentioned(self, use: Use) -> Iterator[Code]:
        """Every argument in the member's own calls, those with a telling name first."""
        found = [
            (name, code)
            for fact in self._calls(use)
            if fact.function != "range" or use.function == "range"  # how many blocks there are is no size of theirs
            for name, given in (*(("", item) for item in fact.arguments), *fact.keywords)
            if given is not None and not isinstance(given, Literal)
            for code in (given, *self._items(given))
        ]
        liked = (use.parameter, *SOURCES.get(use.parameter, ()))
        yield from (code for name, code in found if name in liked)
        names = AFFINITY.get(use.parameter, ())
        yield from (code for _, code in found if isinstance(code, Function) and code.name in names)
        yield from (code for _, code in found)

    def _items(self, code: Code) -> Iterator[Code]:
        """What a name is in turn that goes over the items of something."""
        if not isinstance(code, Name):
            return
        for iterable in (over for name, over in self.facts.loops if name == code.name):
            whole = iterable.base if isinstance(iterable, Index) else iterable
            if isinstance(whole, Sequence):
                yield from whole.items
            elif isinstance(whole, Name):
                values = [scope.get(whole.name) for scope in self.scopes]
                length = min(len(value) if isinstance(value, list | tuple) else 0 for value in values)
                yield from (Index(whole, (Literal(place),)) for place in range(length))

    def _evidence(self, use: Use, value: Basic, wanted: Mapping[int, object]) -> Code | None:
        if isinstance(value, bool) or value is None or (isinstance(value, int | float) and value < TELLING):
            liked = {use.parameter, *SOURCES.get(use.parameter, ()), *AFFINITY.get(use.parameter, ())}
            return self._first(
                (code for code in self._mentioned(use) if isinstance(code, Function) and code.name in liked), wanted
            )
        return self._first(self._mentioned(use), wanted)

    def _setting(self, use: Use, value: Basic, wanted: Mapping[int, object]) -> Code | None:
        """An argument that a number which all instances share is taken to come from, though nothing shows it.

        Either it is called what such arguments are called, and varies among the instances; or the number is large, and
        a multiple or fraction of what the call that makes the member is given.
        """
        if isinstance(value, bool) or not isinstance(value, int):
            return None
        liked = (use.parameter, *SOURCES.get(use.parameter, ()), *AFFINITY.get(use.parameter, ()))
        for name in liked:
            if self._varies(name) and self.matches(Name(name), wanted):
                return Name(name)
        if value < LARGE or self._is_told_otherwise(use):
            return None
        areas = self._areas(value) if use.parameter == "shape" and value >= LARGE_AREA else ()
        return self._first((*self._multiples(use, value), *areas), wanted)

    def _is_told_otherwise(self, use: Use) -> bool:
        """Whether torch gives it what it has summed up so far: a multiple of some setting would be one by chance."""
        return any(not self.facts.running.isdisjoint(names_in(code)) for code in self._aligned(use))

    def _areas(self, value: int) -> Iterator[Code]:
        """`window[0] * window[1]`, and its square: as many weights as a window has places, or pairs of places."""
        for name in (*self.arguments, *self.definitions):
            sizes = self.scopes[0].get(name)
            whole = [size for size in sizes if type(size) is int] if isinstance(sizes, list | tuple) else []
            if len(whole) < 2 or len(whole) != len(sizes):  # type: ignore[arg-type]
                continue
            items: list[Code] = [Index(Name(name), (Literal(place),)) for place in range(len(whole))]
            area = functools.reduce(lambda one, other: Binary("*", one, other), items)
            if math.prod(whole) == value:
                yield area
            if math.prod(whole) ** 2 == value:
                yield Binary("**", area, Literal(2))

    def _varies(self, name: str) -> bool:
        known = name in self.arguments or name in self.definitions
        return known and len({key_of(scope[name]) for scope in self.scopes}) > 1

    def _multiples(self, use: Use, value: int) -> Iterator[Code]:
        """`3 * dim`, `dim // 2`, `dim // num_heads`: what sizes usually are of one another."""
        mentioned = self._origins(use) or {name for code in self._mentioned(use) for name in names_in(code)}
        names = [name for name in self.numbers(range(self.count)) if name in mentioned]
        written = self.facts.numbers | ({4, 8} if 2 in self.facts.numbers else set())  # doubled stage by stage
        for name in names:  # by a number that torch writes: among many sizes, some are multiples of others by chance
            yield from (Binary("*", Literal(factor), Name(name)) for factor in (2, 3, 4, 8) if factor in written)
            yield from (Binary("//", Name(name), Literal(factor)) for factor in (2, 4) if factor in written)
        for one in names:
            for other in names:
                first, second = self.scopes[0][one], self.scopes[0][other]
                if one != other and isinstance(second, int) and second > 1 and isinstance(first, int) and first > value:
                    yield Binary("//", Name(one), Name(other))

    def _constant_items(self, hole: HoleFact) -> Code | None:
        """The shape that a weight has on all instances, if one of its sizes comes from somewhere."""
        if hole.use.parameter != "shape":
            return None
        found = self._itemwise(hole)
        return None if found is None or is_value(found) else found

    def _names(self, use: Use) -> Iterator[Code]:
        liked = (use.parameter, *SOURCES.get(use.parameter, ()), *AFFINITY.get(use.parameter, ()))
        known = (*self.arguments, *self.definitions)
        yield from (Name(name) for name in liked if name in self.arguments or name in self.definitions)
        yield from (Name(name) for name in known)

    def numbers(self, rows: Iterable[int]) -> list[str]:
        """Arguments and locals that are numbers on these instances."""
        rows = list(rows)
        names = (*self.arguments, *self.definitions)
        return [name for name in names if all(_is_number(self.scopes[row].get(name)) for row in rows)]

    def _arithmetic(self, values: Mapping[int, Basic]) -> Iterator[Code]:
        first = next(iter(values.values()))
        distinct = len({key_of(value) for value in values.values()})
        sample = next(iter(values))
        for name, value in self.scopes[sample].items():
            if isinstance(value, list | tuple):
                yield Call(Name("len"), (Name(name),))
                yield from (Index(Name(name), (Literal(place),)) for place in range(len(value)))
        if not all(_is_number(value) for value in values.values()):
            return
        names = self.numbers(values)
        for name in names:
            yield from _scaled(name, self.scopes[sample][name], first)
        for one in names:
            for other in names:
                yield from _combined(one, other, divides=all(self._divides(one, other, row) for row in values))
        if distinct > 2:
            for name in names:
                yield from _moved(name, self.scopes[sample][name], first)

    def _divides(self, one: str, other: str, row: int) -> bool:
        """Whether a quotient leaves no rest: one that is cut off fits too many numbers to mean anything."""
        whole, by = self.scopes[row][one], self.scopes[row][other]
        return isinstance(whole, int) and isinstance(by, int) and by > 0 and whole % by == 0

    def _itemwise(self, hole: HoleFact) -> Code | None:
        """A tuple whose elements come from somewhere each."""
        values = list(hole.values.values())
        first = values[0]
        if not isinstance(first, list | tuple):
            return None
        if not all(isinstance(value, type(first)) and len(value) == len(first) for value in values):
            return None
        items = []
        for place in range(len(first)):
            part = {row: value[place] for row, value in hole.values.items()}  # type: ignore[index]
            item = self.find(HoleFact(Use(hole.use.member, parameter=hole.use.parameter), part))
            if item is None:
                return None
            items.append(item)
        return Sequence("list" if isinstance(first, list) else "tuple", tuple(items))

    def _override(self, hole: HoleFact, wanted: Mapping[int, object]) -> Code | None:
        """`k // 2 if p is None else p`: an argument that says it all, or leaves it to be computed."""
        for name, values in self.arguments.items():
            if name in self.definitions:
                continue
            rest = {row: value for row, value in hole.values.items() if key_of(values[row]) != wanted[row]}
            held = {key_of(values[row]): values[row] for row in rest}
            switch = next(iter(held.values()), 0)
            if len(held) != 1 or len(rest) == len(wanted) or not (switch is None or isinstance(switch, bool)):
                continue
            if any(key_of(values[row]) in held for row in wanted if row not in rest):
                continue
            keys = {row: wanted[row] for row in rest}
            code = self._first((*map(Name, self.numbers(rest)), *self._arithmetic(rest)), keys)
            if code is None and len(set(keys.values())) == 1:
                code = code_of(next(iter(rest.values())))
            if code is not None:
                return Conditional(Binary("is", Name(name), Literal(switch)), code, Name(name))
        return None


def _in_turn(calls: list[CallFact], ordinal: int) -> list[CallFact]:
    """The call of that ordinal first, then the others."""
    if ordinal < len(calls):
        return [calls[ordinal], *calls[:ordinal], *calls[ordinal + 1 :]]
    return calls


def _argument(fact: CallFact, order: tuple[str, ...], wanted: tuple[str, ...]) -> Iterator[Code]:
    named = dict(fact.keywords)
    for whole in wanted:
        name, _, attribute = whole.partition(".")
        place = order.index(name) if name in order else len(fact.arguments)
        code = named.get(name) or (fact.arguments[place] if place < len(fact.arguments) else None)
        if code is not None and not attribute:
            yield code
        elif isinstance(code, Name):
            yield Name(f"{code.name}.{attribute}")


def _scaled(name: str, value: Basic, wanted: Basic) -> Iterator[Code]:
    if not isinstance(value, int) or not isinstance(wanted, int) or value <= 0 or wanted <= 0:
        return
    if wanted % value == 0 and wanted // value > 1:
        yield Binary("*", Name(name), Literal(wanted // value))
    yield Binary("//", Name(name), Literal(2))
    yield Binary("//", Binary("-", Name(name), Literal(1)), Literal(2))
    if value % wanted == 0 and value // wanted > 2:
        yield Binary("//", Name(name), Literal(value // wanted))


def _moved(name: str, value: Basic, wanted: Basic) -> Iterator[Code]:
    if isinstance(value, int) and isinstance(wanted, int) and value != wanted:
        yield Binary("+" if wanted > value else "-", Name(name), Literal(abs(wanted - value)))


def _combined(one: str, other: str, *, divides: bool) -> Iterator[Code]:
    first, second = Name(one), Name(other)
    if one < other:
        yield Binary("*", first, second)
        yield Binary("+", first, second)
    if one != other:
        yield Call(Name("int"), (Binary("*", first, second),))
        if divides:
            yield Binary("//", first, second)
        yield Binary("-", first, second)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
