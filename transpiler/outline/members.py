"""The lines of `__init__` that make members."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from transpiler.code import (
    Binary,
    Call,
    Code,
    Comprehension,
    Conditional,
    Function,
    Literal,
    Name,
    Sequence,
    Spread,
)
from transpiler.keras_functions import IDENTITY
from transpiler.lowered import Basic
from transpiler.outline.choices import negated
from transpiler.outline.class_calls import Signature, call_of_class
from transpiler.outline.holes import Choice, ElementHole, Hole, HoleFact, Maybe, Run, Series, Use
from transpiler.outline.keras_calls import default_of, parameters, written
from transpiler.outline.loops import NumberedList
from transpiler.outline.names import snake
from transpiler.outline.periods import segments
from transpiler.outline.program import Assign, For, If, Line, Numbered, Required
from transpiler.outline.series import INDEX
from transpiler.outline.settings import Settings
from transpiler.outline.tables import tabulated
from transpiler.trees import children, key_of, transform, walk, with_children

ONE_LINE = 14
"""Nodes of a conditional expression beyond which an `if` reads better."""


class MemberWriter:
    """Writes members with their holes filled.

    Args:
        settings: finds expressions for holes and questions.
        holes: by `Hole.number`.
        classes: generated classes by name.
    """

    def __init__(self, settings: Settings, holes: list[HoleFact], classes: Mapping[str, Signature]) -> None:
        self.settings = settings
        self.holes = holes
        self.classes = classes
        self.rows = settings.rows

    # ── lines ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def lines(self, name: str, code: Code, rows: tuple[int, ...]) -> list[Line]:
        """The lines that make member `name`, which the instances `rows` have.

        Args:
            name: attribute of self; for numbered members, their common part and `*`.
            code: what makes it, with holes.
            rows: the instances that have it.
        """
        if isinstance(code, NumberedList):
            return self._numbered(code)
        target = (f"self.{name}",)
        lines = self._made(target, code, rows)
        if rows == self.rows:
            return lines
        test = self.settings.question(rows, self.rows, name)
        absent = Literal(None)
        if len(lines) == 1 and isinstance(lines[0], Assign) and _size(lines[0].value) < ONE_LINE:
            return [Assign(target, Conditional(test, lines[0].value, absent))]
        return [Assign(target, absent), If(test, tuple(lines))]

    def _made(self, target: tuple[str, ...], code: Code, rows: tuple[int, ...]) -> list[Line]:
        if not isinstance(code, Choice):
            return [Assign(target, self._written(self._filled(code), self._counts(target, rows)))]
        cases = self._cases(code, rows, target[0].removeprefix("self."))
        if len({value for _, value in cases}) == 1:
            return [Assign(target, cases[0][1])]
        if len(cases) == 2 and sum(_size(value) for _, value in cases) <= ONE_LINE and cases[0][0] is not None:
            return [Assign(target, Conditional(cases[0][0], cases[0][1], cases[1][1]))]
        lines: tuple[Line, ...] = (Assign(target, cases[-1][1]),)
        for test, value in reversed(cases[:-1]):
            lines = (If(test, (Assign(target, value),), lines),) if test is not None else lines
        return list(lines)

    def _numbered(self, code: NumberedList) -> list[Line]:
        """`for index in range(n): setattr(self, f"layer{index + 1}", …)` where all are made alike."""
        made = children(self.resolved(Sequence("list", code.items)))
        only = made[0]
        if len(made) == 1 and isinstance(only, Comprehension):
            key = Numbered("index", code.name, code.start)
            line = Assign((), Call(Name("setattr"), (Name("self"), key, only.items[0])))
            return [For(("index",), only.iterable, (line,))]
        items = [part for item in made for part in _repeats(item)]
        return [Assign((f"self.{code.name}{code.start + place}",), item) for place, item in enumerate(items)]

    # ── expressions ────────────────────────────────────────────────────────────────────────────────────────────────

    def resolved(self, code: Code) -> Code:
        """The expression with its holes filled, written as a person writes it."""
        return self._written(self._filled(code))

    def _with_groups(self, code: Code) -> Code:
        """`groups = g` for convolutions that torch gives a number of groups which is 1 on all instances."""

        def change(node: Code) -> Code | None:
            if not isinstance(node, Call) or not isinstance(node.function, Function):
                return None
            if not node.function.name.startswith("keras.layers.Conv") or "Transpose" in node.function.name:
                return None
            hole = next((value for _, value in node.keywords if isinstance(value, Hole)), None)
            if hole is None or any(name == "groups" for name, _ in node.keywords):
                return None
            fact = self.holes[hole.number]
            groups = self.settings.scope.left_at_one(replace(fact.use, parameter="groups"), fact.values)
            return None if groups is None else _with_keyword(node, "groups", groups)

        return transform(code, change)

    def _filled(self, code: Code) -> Code:
        def change(node: Code) -> Code | None:
            match node:
                case ElementHole():
                    return self.settings.element(self.holes[node.number])
                case Series():
                    count = Call(Name("range"), (transform(node.count, change),))
                    return Comprehension("list", (transform(node.items[0], change),), (INDEX.name,), count)
                case Hole():
                    return self.settings.fill(self.holes[node.number])
                case Choice():
                    return self._conditional(node)
                case Run():
                    count = Call(Name("range"), (transform(node.count, change),))
                    return Comprehension("list", (transform(node.items[0], change),), ("_",), count)
                case Maybe():
                    test = self.settings.question(node.rows, node.among, f"use_{kind(node.items[0])}")
                    item = Sequence("list", (transform(node.items[0], change),))
                    return Spread("list", (Conditional(test, item, Sequence("list", ())),))
                case _:
                    return None

        return transform(self._with_groups(code), change)

    def _conditional(self, choice: Choice) -> Code:
        cases = self._cases(choice, tuple(sorted(row for own in choice.rows for row in own)), choice.member)
        value = cases[-1][1]
        if len({other for _, other in cases}) == 1:
            return value
        for test, other in reversed(cases[:-1]):
            value = Conditional(test, other, value) if test is not None else value
        return _affirmed(value)

    def _cases(self, choice: Choice, rows: tuple[int, ...], name: str) -> list[tuple[Code | None, Code]]:
        """Question and expression for each alternative; the last one has no question."""
        pairs = sorted(
            zip(choice.items, choice.rows, strict=True),
            key=lambda pair: (_is_identity(pair[0]), not is_depthwise(pair[0])),
        )
        left = list(rows)
        known: dict[str, Code] = {}
        cases: list[tuple[Code | None, Code]] = []
        all_depthwise = all(is_depthwise(item) for item, _ in pairs)
        for item, own in pairs[:-1]:
            if not self.settings.can_ask(own, left):
                self._tell_apart(name, pairs, own, left)
            flag = name if _is_identity(pairs[-1][0]) else f"use_{kind(item)}"
            test = self.settings.question(own, left, flag, by_equality=is_depthwise(item) and not all_depthwise)
            cases.append((test, self._written(_with_known(self._filled(item), known | _told_by(test)))))
            known |= _told_by(negated(test))
            left = [row for row in left if row not in own]
        return [*cases, (None, self._written(_with_known(self._filled(pairs[-1][0]), known)))]

    def _tell_apart(
        self, name: str, pairs: list[tuple[Code, tuple[int, ...]]], inside: tuple[int, ...], rows: list[int]
    ) -> None:
        """Make a parameter of a number that tells the alternatives apart, such as the strides."""
        if len(rows) != len(self.rows):
            return
        columns: dict[str, dict[int, Basic]] = {}
        for item, own in pairs:
            for parameter, values in self._parameters_in(item, own).items():
                columns.setdefault(parameter, {}).update(values)
        for parameter, values in columns.items():
            inner = {key_of(values[row]) for row in inside if row in values}
            outer = {key_of(values[row]) for row in rows if row in values and row not in inside}
            numeric = all(isinstance(value, int) and not isinstance(value, bool) for value in values.values())
            if numeric and len(values) == len(self.rows) and not inner & outer:
                made = self.settings.new_parameter(self.settings.name_for(name, parameter), values)
                self.settings.keep_default(made.name, "keras.layers.Conv2D", parameter)
                return

    def _parameters_in(self, code: Code, rows: tuple[int, ...]) -> dict[str, dict[int, Basic]]:
        """Values of the parameters of the last Keras call that has some of them, defaults too."""
        calls = [node for node in walk(code) if isinstance(node, Call) and node.keywords]
        if not calls:
            return {}
        call = calls[-1]
        found: dict[str, dict[int, Basic]] = {}
        strides = default_of(call.function, "strides")
        if not isinstance(strides, Required):
            found["strides"] = dict.fromkeys(rows, strides[0] if isinstance(strides, tuple) else strides)
        for name, value in call.keywords:
            if isinstance(value, Hole):
                found[name] = dict(self.holes[value.number].values)
        return found

    def _counts(self, target: tuple[str, ...], rows: tuple[int, ...]) -> Callable[[int], Code]:
        """Where the number of equal blocks comes from that a member holds on these instances."""
        use = Use(target[0].removeprefix("self."), "range", 0, "n")
        return lambda count: self.settings.fill(HoleFact(use, dict.fromkeys(rows, count)))

    # ── style ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _written(self, code: Code, counted: Callable[[int], Code] = Literal) -> Code:
        """Calls with defaults left out and arguments by position, repeated elements as comprehensions."""
        below = children(code)
        if below:
            code = with_children(code, tuple(self._written(child, counted) for child in below))
        if isinstance(code, Call):
            if isinstance(code.function, Name) and code.function.name in self.classes:
                return call_of_class(code, self.classes[code.function.name])
            return weight_call(code) if code.function == Name("self.add_weight") else written(code)
        if type(code) is Sequence and code.kind == "list":
            return Sequence("list", tuple(self._listed(code.items, counted)))
        return code

    def _listed(self, items: tuple[Code, ...], counted: Callable[[int], Code]) -> Iterator[Code]:
        """The elements of a list with repeated ones as comprehensions."""
        for segment in segments(items, counted, self.classes):
            if isinstance(segment, Comprehension):
                yield segment
            else:
                yield from _compressed(tabulated(segment, counted, self.classes), counted)


def _with_keyword(call: Call, name: str, value: Code) -> Call:
    """The call with one more keyword, in Keras's order."""
    order = parameters(call.function)
    keywords = sorted((*call.keywords, (name, value)), key=lambda pair: order.index(pair[0]))
    return replace(call, keywords=tuple(keywords))


def _told_by(test: Code) -> dict[str, Code]:
    """What is known of a name where the answer is yes: after `s == 1`, that s is 1."""
    match test:
        case Binary("==", Name(name), Literal() as value):
            return {name: value}
        case _:
            return {}


def _with_known(code: Code, known: Mapping[str, Code]) -> Code:
    """Arguments that are a known name as their values, so that defaults can be left out."""
    if not known:
        return code

    def change(node: Code) -> Code | None:
        if not isinstance(node, Call):
            return None
        keywords = tuple(
            (word, known.get(value.name, value) if type(value) is Name else transform(value, change))
            for word, value in node.keywords
        )
        return Call(node.function, tuple(transform(item, change) for item in node.arguments), keywords)

    return transform(code, change)


def is_depthwise(code: Code) -> bool:
    """Whether it makes a depthwise convolution: one whose groups are its channels."""
    calls = (node.function for node in walk(code) if isinstance(node, Call))
    return any(isinstance(function, Function) and "Depthwise" in function.name for function in calls)


def kind(code: Code) -> str:
    """What an expression makes, for the name of a flag.

    >>> kind(Call(Function("keras.layers.ZeroPadding2D")))
    'zero_padding'
    """
    for node in walk(code):
        if isinstance(node, Call) and isinstance(node.function, Function) and node.function.name != "keras.Sequential":
            return snake(node.function.name.rpartition(".")[2].rstrip("123D").replace("LU", "lu"))
    return "other"


def _is_identity(code: Code) -> bool:
    return isinstance(code, Call) and code.function == IDENTITY


def _size(code: Code) -> int:
    return sum(1 for _ in walk(code))


def _compressed(items: tuple[Code, ...], counted: Callable[[int], Code]) -> tuple[Code, ...]:
    """Equal neighbours as a comprehension: from three on, or two of our own blocks."""
    runs: list[tuple[Code, int]] = []
    for item in items:
        if runs and runs[-1][0] == item and isinstance(item, Call | Conditional):
            runs[-1] = (item, runs[-1][1] + 1)
        else:
            runs.append((item, 1))
    compressed: list[Code] = []
    for item, count in runs:
        is_ours = isinstance(item, Call) and isinstance(item.function, Name)
        if count >= 3 or (count == 2 and is_ours):
            compressed.append(Comprehension("list", (item,), ("_",), Call(Name("range"), (counted(count),))))
        else:
            compressed += [item] * count
    return tuple(part for item in compressed for part in _repeats(item, 2))


def _affirmed(code: Code) -> Code:
    """`"same" if stride == 1 else "valid"` for `"valid" if stride != 1 else "same"`."""
    match code:
        case Conditional(Binary("!=") as test, Literal() as then, Literal() as otherwise):
            return Conditional(negated(test), otherwise, then)
        case _:
            return code


def _repeats(item: Code, most: int = 1 << 16) -> list[Code]:
    """The elements that a comprehension with a small literal count stands for."""
    match item:
        case Comprehension(items=(one,), iterable=Call(_, (Literal(int() as count),))):
            is_ours = isinstance(one, Call) and isinstance(one.function, Name)
            if count <= most and (most > 2 or count < 2 or not is_ours):
                return [one] * count
    return [item]


def weight_call(call: Call) -> Call:
    """`self.add_weight(shape=…)` without what is the default."""
    usual = {"dtype": Literal("float32"), "trainable": Literal(value=True)}
    return Call(call.function, (), tuple((name, value) for name, value in call.keywords if usual.get(name) != value))
