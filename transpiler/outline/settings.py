"""What the generated constructor takes, computes and asks: one place for all instances of a class.

Holes and questions come in; expressions over parameters go out. Nothing that a class does not use is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from transpiler.code import Binary, Code, Conditional, Function, Index, Literal, Name, Unary
from transpiler.lowered import Basic
from transpiler.outline.call_numbers import CallNumbers
from transpiler.outline.choices import find_question, negated
from transpiler.outline.holes import AXES, HoleFact, Use, families
from transpiler.outline.init_expressions import FUNCTIONS
from transpiler.outline.keras_calls import default_of, usual
from transpiler.outline.names import LAYER_ATTRIBUTES, LAYER_KEYWORDS, snake, usable
from transpiler.outline.program import Required
from transpiler.outline.recover import Scope
from transpiler.outline.series import INDEX
from transpiler.trees import code_of, is_value, key_of, transform


class Settings:
    """Finds an expression for every hole and every question.

    Args:
        scope: arguments and locals of torch's constructor on every instance.
        members: attributes that are layers or weights, whose names are taken.
        numbers: finds the numbers in `call`.
    """

    def __init__(self, scope: Scope, members: Collection[str], numbers: CallNumbers) -> None:
        self.scope = scope
        self.numbers = numbers
        self.rows = tuple(range(scope.count))
        self.extras: dict[str, dict[int, Basic]] = {}
        """Parameters of ours, that torch's constructor doesn't have, by instance."""
        self.defaults: dict[str, Basic] = {}
        """Of those parameters."""
        self.handed: dict[str, dict[int, Code]] = {}
        """Parameters that take layers, by instance."""
        self.flags = 0
        """How many of them answer questions."""
        self.assigned: dict[str, Code] = {}
        """Attributes of self that `call` reads and torch's constructor doesn't name."""
        self.read: dict[str, None] = {}
        """`self.` definitions of torch's constructor that `call` reads."""
        self._members = members
        self._solved: dict[object, Code] = {}
        self._answers: dict[object, Code] = {}
        self._holes: Sequence[HoleFact] = ()
        self._families: dict[Use, HoleFact] = {}
        self._alone: set[str] = set()
        """Parameters of layers that vary in one way only: ours is called the same, without the member's name."""

    # ── holes ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def fill(self, hole: HoleFact) -> Code:
        """The expression for a hole; in `call`, one that reads an attribute of self."""
        key = (hole.use, tuple((row, key_of(value)) for row, value in hole.values.items()))
        if key not in self._solved:
            self._solved[key] = self._solved_in_call(hole) if hole.use.in_call else self._solved_hole(hole)
        return self._solved[key]

    def element(self, hole: HoleFact) -> Code:
        """What a value is at place `i` of a list: `drop_path[i]`, `kernel_size[i] // 2`."""
        halves = {row: [2 * value for value in _integers(values)] for row, values in hole.values.items()}
        for name in self.scope.arguments:
            wholes = {row: _integers(self.scope.scopes[row][name]) for row in hole.values}
            if all(wholes[row] and [whole - whole % 2 for whole in wholes[row]] == halves[row] for row in wholes):
                return Binary("//", Index(Name(name), (INDEX,)), Literal(2))
        return Index(self.series(hole), (INDEX,))

    def series(self, hole: HoleFact) -> Name:
        """The argument, or a parameter of ours, that holds a value for each place of a list."""
        lists: dict[int, Basic] = {
            row: list(value) for row, value in hole.values.items() if isinstance(value, tuple | list)
        }
        for values in (hole.values, lists):
            wanted = {row: key_of(value) for row, value in values.items()}
            for name in (hole.use.parameter, *self.scope.arguments):
                if self.scope.matches(Name(name), wanted):
                    return Name(name)
        for name, held in self.extras.items():
            if {row: key_of(value) for row, value in held.items()} == {
                row: key_of(value) for row, value in hole.values.items()
            }:
                return Name(name)
        return self.new_parameter(self.name_for(hole.use.member, hole.use.parameter), hole.values)

    def prepare(self, holes: Sequence[HoleFact]) -> None:
        """Say which holes there are, before any is filled."""
        self._holes = holes
        self._families = families(holes)
        vectors: dict[str, set[object]] = {}
        for hole in holes:
            if hole.varies() and hole.use.parameter:
                vectors.setdefault(hole.use.parameter, set()).add(tuple(map(key_of, hole.values.values())))
        self._alone = {parameter for parameter, found in vectors.items() if len(found) == 1}

    def _solved_hole(self, hole: HoleFact) -> Code:
        whole = self._families.get(hole.use, hole)
        is_part = len(whole.values) > len(hole.values)
        if is_part and whole.varies():
            code = self.scope.find(whole) or self._by_question(whole)
            if code is not None:
                return code
        code = self.scope.find(hole)
        if is_part and (code is None or is_value(code)) and self._is_setting(whole):
            return self._parameter(whole)
        if code is not None:
            return code
        return self._by_question(hole) or self._parameter(hole)

    def _is_setting(self, whole: HoleFact) -> bool:
        """Whether the alternatives differ in it not only among each other: then it is a parameter, for all of them."""
        return whole.varies() and any(
            hole.varies() and hole.use == whole.use for hole in self._holes if hole.values.keys() <= whole.values.keys()
        )

    def _by_question(self, hole: HoleFact) -> Code | None:
        """`"silu" if act else "relu"`: a setting that is no number, told by a question."""
        groups: dict[object, list[int]] = {}
        for row, value in hole.values.items():
            groups.setdefault(key_of(value), []).append(row)
        if len(groups) > 2 or not all(value is None or isinstance(value, str | bool) for value in hole.values.values()):
            return None
        inside = next(iter(groups.values()))
        test = find_question(self.scope, inside, tuple(hole.values), by_equality=False)
        if test is None:
            return None
        one = hole.values[inside[0]]
        other = next(value for row, value in hole.values.items() if row not in inside)
        if isinstance(one, bool) and isinstance(other, bool):
            return test if one else negated(test)
        return Conditional(test, code_of(one), code_of(other))

    def _parameter(self, hole: HoleFact) -> Code:
        """A parameter of ours: nothing in torch's constructor says where the values come from."""
        hole = self._widest(hole)
        wanted = {row: key_of(value) for row, value in hole.values.items()}
        for name, values in self.extras.items():
            if {row: key_of(value) for row, value in values.items()} == wanted:
                return Name(name)
        parameter = self.new_parameter(self.name_for(hole.use.member, hole.use.parameter), hole.values)
        default = self.scope.child_default(hole.use)
        if isinstance(default, Required):
            self.keep_default(parameter.name, hole.use.function, hole.use.parameter)
        elif key_of(default) in map(key_of, hole.values.values()):
            self.defaults[parameter.name] = default
        return parameter

    def _widest(self, hole: HoleFact) -> HoleFact:
        """The hole that more instances have and that agrees with this one, if they differ in it: both are one thing."""
        own = {(row, key_of(value)) for row, value in hole.values.items()}
        kind = hole.use.in_call, hole.use.parameter
        wider = [
            other
            for other in self._holes
            if (other.use.in_call, other.use.parameter) == kind
            and own < {(row, key_of(value)) for row, value in other.values.items()}
        ]
        return max(wider, key=lambda other: len(other.values)) if wider and hole.varies() else hole

    def keep_default(self, name: str, function: str, parameter: str) -> None:
        """Give parameter `name` of ours the default of the Keras parameter that it is for, if an instance has it."""
        default = default_of(Function(function), parameter)
        if isinstance(default, Required) or default is None:
            return
        default = usual(parameter, default)
        if key_of(default) in map(key_of, self.extras[name].values()):
            self.defaults[name] = default

    def name_for(self, member: str, parameter: str) -> str:
        """What to call a parameter of ours: `strides` if there is one such, else `conv2_strides`."""
        parts = [member.rstrip("*"), parameter] if parameter not in self._alone else [parameter]
        return "_".join(part for part in parts if part) or "size"

    def new_parameter(self, base: str, values: Mapping[int, Basic]) -> Name:
        """A parameter named after `base`, with a value for each instance that needs it."""
        taken = {*self.scope.order, *self.scope.arguments, *self.scope.definitions, *self.extras, *LAYER_KEYWORDS}
        name = usable(snake(base), taken)
        self.extras[name] = dict(values)
        self.scope.add(name, values)
        return Name(name)

    def _solved_in_call(self, hole: HoleFact) -> Code:
        if hole.use.parameter in AXES:
            return self._axis(hole)
        code = self.numbers.find(hole)
        if code is None and not hole.varies():
            return code_of(next(iter(hole.values.values())))
        return self.through_self(code if code is not None else self._solved_hole(hole))

    def _axis(self, hole: HoleFact) -> Code:
        """`2 if self.branch else 1`."""
        first = next(iter(hole.values.values()))
        if not hole.varies():
            return code_of(first)
        inside = [row for row, value in hole.values.items() if key_of(value) == key_of(first)]
        others = {key_of(value): value for row, value in hole.values.items() if row not in inside}
        if len(others) > 1 or len(hole.values) < len(self.rows):
            return self.through_self(self._parameter(hole))
        return Conditional(self.answer_in_call(inside, "branch"), code_of(first), code_of(*others.values()))

    def through_self(self, code: Code) -> Code:
        """The expression with attributes of self for what only the constructor knows."""

        def change(node: Code) -> Code | None:
            return self._attribute(node.name) if type(node) is Name and node.name not in FUNCTIONS else None

        return transform(code, change)

    def _attribute(self, name: str) -> Name:
        """The attribute of self that holds an argument or a local of the constructor."""
        if name in self.scope.definitions and name.startswith("self."):
            self.read[name] = None
            return Name(name)
        vector = self.scope.vector(Name(name))
        for defined in self.scope.definitions:
            if defined.startswith("self.") and self.scope.vector(Name(defined)) == vector:
                self.read[defined] = None
                return Name(defined)
        return self.assign(name, Name(name))

    def assign(self, base: str, code: Code) -> Name:
        """An attribute of self named after `base` that holds the value of `code`."""
        for name, other in self.assigned.items():
            if other == code:
                return Name(f"self.{name}")
        defined = {name.removeprefix("self.") for name in self.scope.definitions if name.startswith("self.")}
        name = usable(snake(base), {*self._members, *self.assigned, *defined, *LAYER_ATTRIBUTES})
        self.assigned[name] = code
        return Name(f"self.{name}")

    def hand_in(self, parameter: str, layers: dict[int, Code]) -> None:
        """Let a parameter of torch's take a layer, as it does there; instances without one are given None."""
        self.handed[parameter] = layers
        self.scope.presence.pop(parameter, None)

    # ── questions ──────────────────────────────────────────────────────────────────────────────────────────────────

    def question(self, inside: Collection[int], rows: Collection[int], name: str, *, by_equality: bool = False) -> Code:
        """What is true on the instances `inside` only; a flag of ours, `name`, if torch's constructor has none.

        Args:
            inside: instances that the answer is yes for.
            rows: all instances that are asked.
            name: what a flag would be called.
            by_equality: whether `a == b` says more than a comparison with a literal.
        """
        key = (tuple(sorted(inside)), tuple(sorted(rows)))
        if key not in self._answers:
            self._answers[key] = self._asked(inside, rows, name, by_equality=by_equality)
        return self._answers[key]

    def can_ask(self, inside: Collection[int], rows: Collection[int]) -> bool:
        """Whether torch's constructor (or a parameter that we have already) knows the answer."""
        key = (tuple(sorted(inside)), tuple(sorted(rows)))
        return key in self._answers or self._known(inside, rows, "", by_equality=False) is not None

    def _asked(self, inside: Collection[int], rows: Collection[int], name: str, *, by_equality: bool) -> Code:
        known = self._known(inside, rows, name, by_equality=by_equality)
        if known is not None:
            return known
        self.flags += 1
        return self.new_parameter(name, {row: row in inside for row in self.rows})

    def _known(self, inside: Collection[int], rows: Collection[int], name: str, *, by_equality: bool) -> Code | None:
        related = self._related(inside, rows, name)
        if related is not None:
            return related
        present = self.scope.presence.get(name)
        if present is not None and all(present[row] == (row in inside) for row in rows):
            return Name(name)
        code = find_question(self.scope, inside, rows, by_equality=by_equality)
        return code if code is not None else self._told_by_presence(inside, rows)

    def _told_by_presence(self, inside: Collection[int], rows: Collection[int]) -> Code | None:
        """Whether a parameter was given that only the instances `inside` are given."""
        for extra, given in self.extras.items():
            if len(given) < len(self.rows) and extra not in self.defaults and given.keys() & set(rows) == set(inside):
                return Binary("is not", Name(extra), Literal(None))
        for parameter, layers in self.handed.items():
            if all((row in layers) == (row in inside) for row in rows):
                return Binary("is not", Name(parameter), Literal(None))
        for flag, values in self.scope.presence.items():
            if all(values[row] == (row in inside) for row in rows):
                return Name(flag)
            if all(values[row] != (row in inside) for row in rows):
                return Unary("not", Name(flag))
        return None

    def _related(self, inside: Collection[int], rows: Collection[int], name: str) -> Code | None:
        """Whether an argument was given whose name tells of what is asked for: `norm_layer` of `use_normalization`."""
        for argument in self.scope.arguments:
            words = [word for word in argument.split("_") if len(word) > 2]
            values = {row: self.scope.scopes[row][argument] for row in rows}
            if not any(word in name for word in words) or not any(value is None for value in values.values()):
                continue
            if all((value is not None) == (row in inside) for row, value in values.items()):
                return Binary("is not", Name(argument), Literal(None))
            if all((value is None) == (row in inside) for row, value in values.items()):
                return Binary("is", Name(argument), Literal(None))
        return None

    def answer_in_call(self, inside: Collection[int], name: str) -> Code:
        """The same as a question that `call` asks, of an attribute of self."""
        wanted = {row: key_of(row in inside) for row in self.rows}
        for defined in self.scope.definitions:
            if defined.startswith("self.") and self.scope.matches(Name(defined), wanted):
                self.read[defined] = None
                return Name(defined)
        code = self.question(inside, self.rows, name)
        if isinstance(code, Name):
            return self._attribute(code.name)
        if isinstance(code, Unary) and isinstance(code.operand, Name):
            return Unary("not", self._attribute(code.operand.name))
        return self.assign(name, code)


def _integers(values: Basic) -> list[int]:
    """The elements of a list of whole numbers, none of anything else."""
    if not isinstance(values, list | tuple):
        return []
    found = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    return found if len(found) == len(values) else []
