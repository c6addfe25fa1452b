"""One generated class from the instances of one torch class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from transpiler import code as c
from transpiler.code import Binary, Call, Code, Conditional, Function, Literal, Sequence, Unary
from transpiler.lowered import Basic, Body, Opaque
from transpiler.outline.choices import find_question, negated
from transpiler.outline.flow import Join, Merged, MergedBranch, MergedStep, merge
from transpiler.outline.forms import Form, refs
from transpiler.outline.holes import Choice, Hole, HoleFact, Run, Unifier, Use
from transpiler.outline.init_source import read_init
from transpiler.outline.keras_calls import written
from transpiler.outline.lines import BranchItem, Item, JoinItem, nested
from transpiler.outline.names import LAYER_ATTRIBUTES, LAYER_KEYWORDS, snake, usable
from transpiler.outline.program import (
    REQUIRED,
    Assign,
    ClassDefinition,
    Comprehension,
    If,
    Line,
    Name,
    Parameter,
    Required,
)
from transpiler.outline.recover import ChildFact, Scope, names_in
from transpiler.outline.trees import code_of, is_value, key_of, transform, value_of, walk
from transpiler.outline.variables import BodyWriter

MOST_FLAGS = 2
MOST_ALTERNATIVES = 3
IDENTITY = Call(Function("keras.layers.Identity"))


@dataclass(frozen=True, slots=True)
class GeneratedClass:
    """A class that is done, and what its parents must know to call it."""

    definition: ClassDefinition
    fact: ChildFact
    arguments: tuple[dict[str, Basic], ...]
    """Values of the parameters for each instance."""
    positional: int
    """How many leading parameters are written by position."""
    attributes: tuple[str, ...]
    """Members, to tell variants apart by name."""


def make_class(
    name: str, bodies: list[Body], forms: list[Form], children: Mapping[str, GeneratedClass], *, is_root: bool
) -> GeneratedClass | None:
    """The class for these instances; None if they are too different for one.

    Args:
        name: name of the class.
        bodies: one for each instance.
        forms: their forms.
        children: classes made so far, by name.
        is_root: whether this is the model itself.
    """
    merged = merge(forms)
    if merged is None:
        return None
    return _ClassMaker(name, bodies, forms, children, merged, is_root=is_root).made()


class _ClassMaker:
    def __init__(
        self,
        name: str,
        bodies: list[Body],
        forms: list[Form],
        children: Mapping[str, GeneratedClass],
        merged: Merged,
        *,
        is_root: bool,
    ) -> None:
        self.name = name
        self.bodies = bodies
        self.forms = forms
        self.children = children
        self.is_root = is_root
        self.rows = tuple(range(len(forms)))
        self.merged = merged
        self.attributes = _attributes(forms)
        self.identities: set[str] = set()
        facts = {child: made.fact for child, made in children.items()}
        forbidden = frozenset(f"self.{name}" for name in (*self.attributes, *LAYER_ATTRIBUTES))
        init = read_init(bodies[0].cls.init_source)
        self.scope = Scope([body.constructor for body in bodies], init, facts, forbidden)
        self.unifier = Unifier()
        self.extras: dict[str, dict[int, Basic]] = {}
        self.flags = 0
        self.assigned: dict[str, Code] = {}
        """Attributes of self that `call` reads and torch's constructor doesn't name."""
        self.read: dict[str, None] = {}
        """`self.` definitions that `call` reads."""
        self.solved: dict[object, Code] = {}
        self.tests: dict[tuple[tuple[int, ...], tuple[int, ...]], Code] = {}

    # ── the way through ────────────────────────────────────────────────────────────────────────────────────────────

    def made(self) -> GeneratedClass | None:
        items = [self._without_identity(item) for item in self.merged.items]
        members = {name: self._unified_member(name) for name in self.attributes}
        if any(isinstance(code, Choice) and len(code.items) > MOST_ALTERNATIVES for code, _ in members.values()):
            return None
        steps = [self._unified(item) for item in items]
        result = self.unifier.statement(self.merged.results, self.rows)
        setup = [line for name, (code, rows) in members.items() for line in self._setup(name, code, rows)]
        setup += self._frozen()
        body = [self._item(item) for item in steps]
        returned = self._resolved(result, self.rows)
        if self.flags > MOST_FLAGS and len(self.rows) > 1:
            return None
        return self._assembled(setup, body, returned)

    def _assembled(self, setup: list[Line], body: list[Item | BranchItem], returned: Code) -> GeneratedClass:
        form = self.forms[0]
        names = tuple(name for name, _ in form.arguments)
        lists = tuple(is_list for _, is_list in form.arguments)
        inner, returned = nested(body, returned)
        writer = BodyWriter(names, lists, inner, returned, frozenset(self.children))
        lines = writer.lines()
        attributes: list[Line] = [Assign((f"self.{name}",), code) for name, code in self.assigned.items()]
        used = _used([*attributes, *setup], self.read)
        definitions = self._definitions(used)
        used |= {name for _, code in definitions for name in names_in(code)}
        before: list[Line] = [Assign((name,), code) for name, code in definitions]
        parameters, values = self._parameters(used)
        renames = self._renames([parameter.name for parameter in parameters], [name for name, _ in definitions])
        definition = ClassDefinition(
            self.name,
            self._docstring(),
            tuple(Parameter(renames.get(p.name, p.name), p.default) for p in parameters),
            tuple(_renamed(line, renames) for line in _joined([*before, *attributes, *setup])),
            writer.arguments,
            lines,
            self.is_root,
        )
        order = tuple(name for name in self.scope.order)
        sources = {renames.get(parameter.name, parameter.name): parameter.name for parameter in parameters}
        fact = ChildFact(self.bodies[0].cls.name, order, sources)
        arguments = tuple({renames.get(name, name): value for name, value in row.items()} for row in values)
        return GeneratedClass(definition, fact, arguments, self._positional(parameters), tuple(self.attributes))

    # ── members ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _unified_member(self, name: str) -> tuple[Code, tuple[int, ...]]:
        codes = self.attributes[name]
        if name in self.identities:
            codes = {row: codes.get(row, IDENTITY) for row in self.rows}
        rows = tuple(sorted(codes))
        return self.unifier.member(name, [codes[row] for row in rows], rows), rows

    def _setup(self, name: str, code: Code, rows: tuple[int, ...]) -> list[Line]:
        """The lines of `__init__` that make a member."""
        target = (f"self.{name}",)
        lines = self._made(target, code, rows)
        if rows == self.rows:
            return lines
        test = self._question(rows, self.rows, name)
        absent = Literal(None)
        if len(lines) == 1 and isinstance(lines[0], Assign) and _size(lines[0].value) <= 12:
            return [Assign(target, Conditional(test, lines[0].value, absent))]
        return [Assign(target, absent), If(test, tuple(lines))]

    def _made(self, target: tuple[str, ...], code: Code, rows: tuple[int, ...]) -> list[Line]:
        if not isinstance(code, Choice):
            return [Assign(target, self._resolved(code, rows))]
        cases = self._cases(code, rows, target[0].removeprefix("self."))
        if len(cases) == 2 and sum(_size(value) for _, value in cases) <= 14 and cases[0][0] is not None:
            return [Assign(target, Conditional(cases[0][0], cases[0][1], cases[1][1]))]
        lines: tuple[Line, ...] = (Assign(target, cases[-1][1]),)
        for test, value in reversed(cases[:-1]):
            assert test is not None
            lines = (If(test, (Assign(target, value),), lines),)
        return list(lines)

    def _cases(self, choice: Choice, rows: tuple[int, ...], name: str) -> list[tuple[Code | None, Code]]:
        """Question and expression for each alternative; the last one has no question."""
        alternatives = sorted(
            zip(choice.items, choice.rows, strict=True), key=lambda pair: (_is_identity(pair[0]), not _is_special(pair[0]))
        )
        left = list(rows)
        cases: list[tuple[Code | None, Code]] = []
        for item, own in alternatives[:-1]:
            flag = name if len(alternatives) == 2 and _is_identity(alternatives[-1][0]) else f"{_kind(item)}_{name}"
            test = self._question(own, tuple(left), flag, by_equality=_is_special(item))
            cases.append((test, self._resolved(item, own)))
            left = [row for row in left if row not in own]
        item, own = alternatives[-1]
        return [*cases, (None, self._resolved(item, own))]

    def _frozen(self) -> list[Line]:
        frozen = tuple(row for row in self.rows if self.forms[row].frozen)
        if not frozen:
            return []
        line = Assign(("self.trainable",), Literal(False))
        return [line] if frozen == self.rows else [If(self._question(frozen, self.rows, "frozen"), (line,))]

    # ── holes ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _resolved(self, code: Code, rows: tuple[int, ...]) -> Code:
        """The expression with its holes filled, written as a person writes it."""

        def change(node: Code) -> Code | None:
            if isinstance(node, Hole):
                return self._filled(self.unifier.holes[node.number])
            if isinstance(node, Choice):
                cases = self._cases(node, tuple(sorted(row for own in node.rows for row in own)), "variant")
                value = cases[-1][1]
                for test, other in reversed(cases[:-1]):
                    assert test is not None
                    value = Conditional(test, other, value)
                return value
            if isinstance(node, Run):
                item = transform(node.items[0], change)
                return _repeated(item, transform(node.count, change))
            return None

        return self._written(transform(code, change))

    def _filled(self, hole: HoleFact) -> Code:
        key = (hole.use, tuple((row, key_of(value)) for row, value in hole.values.items()))
        if key not in self.solved:
            code = self._solved(hole)
            self.solved[key] = self._attribute(hole, code) if hole.use.in_call else code
        return self.solved[key]

    def _solved(self, hole: HoleFact) -> Code:
        code = self.scope.find(hole)
        return code if code is not None else self._by_question(hole) or self._parameter(hole)

    def _by_question(self, hole: HoleFact) -> Code | None:
        """`"silu" if act else "relu"`: a setting that is no number, told by a question."""
        groups: dict[object, list[int]] = {}
        for row, value in hole.values.items():
            groups.setdefault(key_of(value), []).append(row)
        values = list(hole.values.values())
        if len(groups) > 2 or not all(value is None or isinstance(value, str | bool) for value in values):
            return None
        inside = next(iter(groups.values()))
        test = find_question(self.scope, inside, tuple(hole.values), by_equality=False)
        if test is None:
            return None
        other = next(row for row in hole.values if row not in inside)
        if isinstance(values[0], bool):
            return test if hole.values[inside[0]] is True else negated(test)
        return Conditional(test, code_of(hole.values[inside[0]]), code_of(hole.values[other]))

    def _parameter(self, hole: HoleFact) -> Code:
        """A parameter of ours: nothing in the torch constructor says where the values come from."""
        wanted = {row: key_of(value) for row, value in hole.values.items()}
        for name, values in self.extras.items():
            if {row: key_of(value) for row, value in values.items()} == wanted:
                return Name(name)
        base = "_".join(part for part in (hole.use.member, hole.use.parameter) if part)
        return self._new_parameter(base or hole.use.function or "size", hole.values)

    def _new_parameter(self, base: str, values: dict[int, Basic]) -> Name:
        taken = {*self.scope.order, *self.scope.definitions, *self.extras, *LAYER_KEYWORDS}
        name = usable(snake(base), taken)
        self.extras[name] = dict(values)
        return Name(name)

    def _attribute(self, hole: HoleFact, code: Code) -> Code:
        """The attribute of self through which `call` reads a value of the constructor."""
        if is_value(code):
            return code
        if isinstance(code, Name) and code.name.startswith("self."):
            self.read[code.name] = None
            return code
        wanted = {row: key_of(value) for row, value in hole.values.items()}
        for name in self.scope.definitions:
            if name.startswith("self.") and self.scope.matches(Name(name), wanted):
                self.read[name] = None
                return Name(name)
        base = code.name if isinstance(code, Name) else hole.use.parameter or hole.use.function or "size"
        return self._assign(base, code)

    def _assign(self, base: str, code: Code) -> Name:
        for name, other in self.assigned.items():
            if other == code:
                return Name(f"self.{name}")
        defined = {name.removeprefix("self.") for name in self.scope.definitions if name.startswith("self.")}
        name = usable(snake(base), {*self.attributes, *self.assigned, *defined, *LAYER_ATTRIBUTES})
        self.assigned[name] = code
        return Name(f"self.{name}")

    # ── questions ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _question(
        self, inside: tuple[int, ...], rows: tuple[int, ...], name: str, *, by_equality: bool = False
    ) -> Code:
        """What is true on the instances `inside` only; a flag of ours if the constructor has no such thing."""
        key = (tuple(sorted(inside)), tuple(rows))
        if key not in self.tests:
            self.tests[key] = self._asked(inside, rows, name, by_equality=by_equality)
        return self.tests[key]

    def _asked(self, inside: tuple[int, ...], rows: tuple[int, ...], name: str, *, by_equality: bool) -> Code:
        present = self.scope.presence.get(name)
        if present is not None and all(present[row] == (row in inside) for row in rows):
            return Name(name)
        code = find_question(self.scope, inside, rows, by_equality=by_equality)
        if code is not None:
            return code
        for flag, values in self.scope.presence.items():
            if all(values[row] == (row in inside) for row in rows):
                return Name(flag)
            if all(values[row] != (row in inside) for row in rows):
                return Unary("not", Name(flag))
        wanted = {row: key_of(row in inside) for row in self.rows}
        for flag, chosen in self.extras.items():
            if {row: key_of(value) for row, value in chosen.items()} == wanted:
                return Name(flag)
        self.flags += 1
        return self._new_parameter(name, {row: row in inside for row in self.rows})

    def _branch_test(self, branch: MergedBranch) -> Code:
        """The question that `call` asks: whether a member is there, or an attribute of self."""
        for step in (*branch.then, *branch.otherwise):
            wanted = branch.rows if step in branch.then else tuple(r for r in self.rows if r not in branch.rows)
            for member in _members_called(step.codes[0]):
                if member.index is None and tuple(sorted(self.attributes[member.name])) == wanted:
                    there = "is not" if step in branch.then else "is"
                    return Binary(there, Name(f"self.{member.name}"), Literal(None))
        wanted_keys = {row: key_of(row in branch.rows) for row in self.rows}
        for name in self.scope.definitions:
            if name.startswith("self.") and self.scope.matches(Name(name), wanted_keys):
                self.read[name] = None
                return Name(name)
        code = self._question(branch.rows, self.rows, _branch_name(branch))
        if isinstance(code, Name):
            return self._assign(code.name, code)
        if isinstance(code, Unary) and isinstance(code.operand, Name):
            return Unary("not", self._assign(code.operand.name, code.operand))
        return self._assign(_branch_name(branch), code)

    # ── statements ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _without_identity(self, item: MergedStep | MergedBranch) -> MergedStep | MergedBranch:
        """A layer that some instances lack in a line that all of them run is an Identity there."""
        if isinstance(item, MergedStep) or len(item.then) != 1 or item.otherwise or len(item.joins) != 1:
            return item
        (step,), (join,) = item.then, item.joins
        if not _passes_through(step, join) or not self._shares_line(step):
            return item
        (member,) = _members_called(step.codes[0])
        if member.index is not None or tuple(sorted(self.attributes[member.name])) != item.rows:
            return item
        self.identities.add(member.name)
        return MergedStep((join.result,), (step.codes[0],) * len(self.rows), self.rows, step.step)

    def _shares_line(self, step: MergedStep) -> bool:
        line = step.step.source
        return line is not None and any(
            isinstance(other, MergedStep) and other.step.source == line for other in self.merged.items
        )

    def _unified(self, item: MergedStep | MergedBranch) -> MergedStep | MergedBranch:
        if isinstance(item, MergedStep):
            code = self.unifier.statement(item.codes, item.rows)
            return MergedStep(item.results, (code,), item.rows, item.step)
        then = tuple(step for step in map(self._unified, item.then) if isinstance(step, MergedStep))
        otherwise = tuple(step for step in map(self._unified, item.otherwise) if isinstance(step, MergedStep))
        return MergedBranch(item.rows, then, otherwise, item.joins)

    def _item(self, item: MergedStep | MergedBranch) -> Item | BranchItem:
        if isinstance(item, MergedStep):
            return self._step(item)
        joins = tuple(JoinItem(join.result, join.inside, join.outside) for join in item.joins)
        then, otherwise = tuple(map(self._step, item.then)), tuple(map(self._step, item.otherwise))
        return BranchItem(self._branch_test(item), then, otherwise, joins)

    def _step(self, step: MergedStep) -> Item:
        code = self._resolved(step.codes[0], step.rows)
        return Item(step.results, code, step.step.names, step.step.source, step.step.comment)

    # ── writing ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _written(self, code: Code) -> Code:
        """Calls with defaults left out and arguments by position, repeated elements as comprehensions."""
        below = _rebuilt(code, self._written)
        if isinstance(below, Call):
            if isinstance(below.function, Name) and below.function.name in self.children:
                return child_call(below, self.children[below.function.name])
            return _weight_call(below) if below.function == Name("self.add_weight") else written(below)
        if type(below) is Sequence and below.kind == "list":
            return Sequence("list", _compressed(below.items))
        return below

    # ── the signature ──────────────────────────────────────────────────────────────────────────────────────────────

    def _definitions(self, used: set[str]) -> list[tuple[str, Code]]:
        """Locals and attributes that are needed, in the constructor's order."""
        needed = set(used)
        for name, code in reversed(self.scope.definitions.items()):
            if name in needed:
                needed.update(names_in(code))
        return [(name, code) for name, code in self.scope.definitions.items() if name in needed]

    def _parameters(self, used: set[str]) -> tuple[list[Parameter], list[dict[str, Basic]]]:
        required: list[Parameter] = []
        optional: list[Parameter] = []
        columns: dict[str, dict[int, Basic]] = {}
        for name in self.scope.order:
            if name not in used or (name not in self.scope.arguments and name not in self.scope.presence):
                continue
            default = self.scope.defaults.get(name, REQUIRED) if name in self.scope.defaults else REQUIRED
            if name in self.scope.presence:
                columns[name] = dict(enumerate(self.scope.presence[name]))
                default = False if default is None else REQUIRED
            else:
                columns[name] = dict(enumerate(self.scope.arguments[name]))
            known = not isinstance(default, Opaque | Required)
            (optional if known else required).append(Parameter(name, default if known else REQUIRED))  # type: ignore[arg-type]
        for name, values in self.extras.items():
            if name in used:
                columns[name] = values
                is_partial = len(values) < len(self.rows)
                (optional if is_partial else required).append(Parameter(name, None if is_partial else REQUIRED))
        parameters = [*required, *optional]
        rows = [{parameter.name: columns[parameter.name].get(row) for parameter in parameters} for row in self.rows]
        return parameters, rows

    def _positional(self, parameters: list[Parameter]) -> int:
        """How many of the parameters torch's callers give by position, too."""
        constructors = [body.constructor for body in self.bodies if body.constructor is not None]
        given = max((constructor.positional for constructor in constructors), default=0)
        by_position = self.scope.order[:given]
        count = 0
        last = -1
        for parameter in parameters:
            if parameter.name not in by_position:
                break
            place = by_position.index(parameter.name)
            skipped = [name for name in by_position[last + 1 : place] if name in self.scope.defaults]
            if place < last or skipped:
                break
            count, last = count + 1, place
        return count

    def _renames(self, parameters: list[str], definitions: list[str]) -> dict[str, str]:
        """Parameters and locals whose torch names cannot be used here."""
        renames: dict[str, str] = {}
        for name in (*parameters, *definitions):
            if name.startswith("self."):
                continue
            good = usable(name, ())
            good = f"{good}_" if good in LAYER_KEYWORDS or good in self.children else good
            if good != name:
                renames[name] = usable(good, {*parameters, *definitions, *renames.values()})
        return renames

    def _docstring(self) -> tuple[str, ...]:
        body = self.bodies[0]
        where = f" ({body.cls.source})" if body.cls.source else ""
        patterns = ", ".join(argument.pattern for argument in body.arguments if argument.pattern)
        axes = f": {patterns} -> {body.result_pattern}" if patterns and body.result_pattern else ""
        lines = [f"{body.cls.name}{where}{axes}."]
        unused = list(dict.fromkeys(name for one in self.bodies for name in one.unused))
        if unused:
            lines += ["", f"Never called in torch: {', '.join(unused)}."]
        return tuple(lines)


# ── pieces ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _attributes(forms: list[Form]) -> dict[str, dict[int, Code]]:
    attributes: dict[str, dict[int, Code]] = {}
    for row, form in enumerate(forms):
        for name, code in form.attributes:
            attributes.setdefault(name, {})[row] = code
    return attributes


def _members_called(code: Code) -> list[c.Member]:
    return [node for node in walk(code) if isinstance(node, c.Member)]


def _passes_through(step: MergedStep, join: Join) -> bool:
    code = step.codes[0]
    return (
        step.results == (join.inside,)
        and isinstance(code, Call)
        and isinstance(code.function, c.Member)
        and refs(code) == [join.outside]
        and len(code.arguments) == 1
        and not code.keywords
    )


def _branch_name(branch: MergedBranch) -> str:
    for step in branch.then:
        code = step.codes[0]
        if isinstance(code, Binary) and code.operator == "+":
            return "add"
        for member in _members_called(code):
            return f"use_{member.name}"
    return "branch"


def _is_identity(code: Code) -> bool:
    return isinstance(code, Call) and code.function == IDENTITY.function


def _is_special(code: Code) -> bool:
    """A depthwise convolution: one whose groups are its channels."""
    calls = (node.function for node in walk(code) if isinstance(node, Call))
    return any(isinstance(function, Function) and "Depthwise" in function.name for function in calls)


def _kind(code: Code) -> str:
    """What an alternative is, for the name of a flag."""
    for node in walk(code):
        if isinstance(node, Call) and isinstance(node.function, Function) and node.function.name != "keras.Sequential":
            return snake(node.function.name.rpartition(".")[2])
    return "other"


def _size(code: Code) -> int:
    return sum(1 for _ in walk(code))


def _repeated(item: Code, count: Code) -> Code:
    return Comprehension("list", (item,), ("_",), Call(Name("range"), (count,)))


def _rebuilt(code: Code, change: object) -> Code:
    from transpiler.outline.trees import children, with_children

    below = children(code)
    if not below:
        return code
    new = tuple(change(child) for child in below)  # type: ignore[operator]
    return with_children(code, new)


def _compressed(items: tuple[Code, ...]) -> tuple[Code, ...]:
    """Equal neighbours as a comprehension: from three on, or two of our own blocks."""
    runs: list[tuple[Code, int]] = []
    for item in items:
        if runs and runs[-1][0] == item and isinstance(item, Call):
            runs[-1] = (item, runs[-1][1] + 1)
        else:
            runs.append((item, 1))
    written_items: list[Code] = []
    for item, count in runs:
        is_ours = isinstance(item, Call) and isinstance(item.function, Name)
        if count >= 3 or (count == 2 and is_ours):
            written_items.append(_repeated(item, Literal(count)))
        else:
            written_items += [item] * count
    return tuple(written_items)


def child_call(call: Call, child: GeneratedClass) -> Call:
    """`TFConv(c1, c_, k, s, act=act)`: the first arguments by position, defaults left out."""
    given = dict(call.keywords)
    arguments: list[Code] = []
    keywords: list[tuple[str, Code]] = []
    by_position = True
    for place, parameter in enumerate(child.definition.parameters):
        value = given[parameter.name]
        if not isinstance(parameter.default, Required) and is_value(value):
            if key_of(value_of(value)) == key_of(parameter.default):
                by_position = False
                continue
        is_flag = isinstance(value, Literal) and isinstance(value.value, bool)
        by_position = by_position and place < child.positional and not is_flag
        if by_position:
            arguments.append(value)
        else:
            keywords.append((parameter.name, value))
    return Call(call.function, tuple(arguments), tuple(keywords))


def _weight_call(call: Call) -> Call:
    """`self.add_weight(shape=…)` without what is the default."""
    usual = {"dtype": Literal("float32"), "trainable": Literal(True)}
    return Call(call.function, (), tuple((name, value) for name, value in call.keywords if usual.get(name) != value))


def _used(lines: list[Line], read: Mapping[str, None]) -> set[str]:
    used = set(read)
    for line in lines:
        match line:
            case Assign(_, value, _):
                used.update(names_in(value))
            case If(test, then, otherwise):
                used.update(names_in(test))
                used |= _used([*then, *otherwise], {})
            case _:
                pass
    return used


def _renamed(line: Line, renames: Mapping[str, str]) -> Line:
    def change(node: Code) -> Code | None:
        return Name(renames[node.name]) if isinstance(node, Name) and node.name in renames else None

    match line:
        case Assign(targets, value, comment):
            return Assign(tuple(renames.get(t, t) for t in targets), transform(value, change), comment)
        case If(test, then, otherwise):
            return If(
                transform(test, change),
                tuple(_renamed(inner, renames) for inner in then),
                tuple(_renamed(inner, renames) for inner in otherwise),
            )
        case _:
            return line


def _joined(lines: list[Line]) -> list[Line]:
    """Neighbouring `if`s that ask the same are one."""
    joined: list[Line] = []
    for line in lines:
        last = joined[-1] if joined else None
        if isinstance(line, If) and isinstance(last, If) and line.test == last.test:
            joined[-1] = If(line.test, (*last.then, *line.then), (*last.otherwise, *line.otherwise))
        else:
            joined.append(line)
    return joined
