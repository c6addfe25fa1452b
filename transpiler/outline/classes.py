"""One generated class from the instances of one torch class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby, islice

from transpiler import code as c
from transpiler.code import Binary, Call, Code, Conditional, Literal, Name, Ref
from transpiler.keras_functions import IDENTITY, TRANSPOSE
from transpiler.lowered import Body
from transpiler.outline.built_weights import built_weight
from transpiler.outline.call_body import call_body
from transpiler.outline.call_numbers import CallNumbers, which_size
from transpiler.outline.class_calls import Signature
from transpiler.outline.constructor import (
    joined,
    needed_definitions,
    parameters_of,
    positional_count,
    renamed,
    renames_for,
    used_names,
    without_aliases,
)
from transpiler.outline.flow import Join, Merged, MergedBranch, MergedStep, merge
from transpiler.outline.forms import Form
from transpiler.outline.forward_source import AuthorNames
from transpiler.outline.handed_in import handed_in, length, takes_layers, with_attributes
from transpiler.outline.holes import Choice, Unifier
from transpiler.outline.init_source import read_init
from transpiler.outline.lines import BranchItem, Item, JoinItem, body_codes
from transpiler.outline.local_names import UnassignedError
from transpiler.outline.members import MemberWriter
from transpiler.outline.merged_axes import with_the_rest
from transpiler.outline.names import LAYER_ATTRIBUTES
from transpiler.outline.program import Assign, ClassDefinition, If, Line, Parameter, Required
from transpiler.outline.recover import ChildFact, Scope
from transpiler.outline.settings import Settings
from transpiler.outline.size_names import size_names, size_reads
from transpiler.reserved import GATHERED
from transpiler.trees import names_in, refs, walk

MOST_FLAGS = 8
"""Flags of ours that a class may have before its variants are classes of their own."""

MOST_ALTERNATIVES = 3

OWN = 15
"""What a parameter of ours weighs, in names, literals and calls: nobody knows it from torch."""

_CHANNELS_LAST = {"n c h w": "n h w c", "n c d h w": "n d h w c"}


@dataclass(frozen=True, slots=True)
class GeneratedClass:
    """A class that is done, and what its parents must know to call it."""

    definition: ClassDefinition
    fact: ChildFact
    signature: Signature
    arguments: tuple[dict[str, Code], ...]
    """Values of the parameters for each instance."""
    attributes: tuple[str, ...]
    """Members, to tell variants apart by name."""
    invented: frozenset[str]
    """Local variables of `call` whose names are not torch's."""
    own: frozenset[str]
    """Parameters of ours, which torch's constructor does not have."""


def make_class(
    name: str,
    bodies: list[Body],
    forms: list[Form],
    classes: Mapping[str, GeneratedClass],
    reserved: frozenset[str],
    *,
    is_root: bool,
) -> GeneratedClass | None:
    """The class for these instances; None if they are too different for one.

    Args:
        name: name of the class.
        bodies: one for each instance.
        forms: their forms.
        classes: classes made so far, by name.
        reserved: other names of the module.
        is_root: whether this is the model itself.
    """
    merged = merge(forms)
    if merged is None:
        return None

    def maker() -> _ClassMaker:
        return _ClassMaker(bodies, forms, classes, merged, reserved)

    try:
        made = maker().in_place(name, is_root=is_root)
        if is_root or not takes_layers(bodies):
            return made
        handed = maker().handed_in(name)
        return handed if handed is not None and (made is None or _is_simpler(handed, made)) else made
    except UnassignedError:
        if len(forms) > 1:
            return None
        raise


def _is_simpler(handed: GeneratedClass, made: GeneratedClass) -> bool:
    """Whether a class is better handed its layers than told how to make them."""
    if length(handed.definition) >= length(made.definition):
        return False
    return _said(handed) + OWN * len(handed.own) < _said(made) + OWN * len(made.own)


def _said(made: GeneratedClass) -> int:
    """How much is said of the layers of a class, by itself and by those that make instances."""
    given = (code for arguments in made.arguments for code in arguments.values() if code != Literal(None))
    return length(made.definition) + sum(1 for code in given for _ in walk(code))


class _ClassMaker:
    def __init__(
        self,
        bodies: list[Body],
        forms: list[Form],
        classes: Mapping[str, GeneratedClass],
        merged: Merged,
        reserved: frozenset[str],
    ) -> None:
        self.reserved = reserved | classes.keys()
        self.bodies = bodies
        self.forms = forms
        self.classes = classes
        self.rows = tuple(range(len(forms)))
        self.merged = merged
        self.attributes = _attributes(forms)
        self.identities: set[str] = set()
        """Members that are an Identity where an instance lacks them."""
        self.items = [self._without_identity(item) for item in merged.items]
        self.unifier = Unifier()
        scope = self._scope()
        self.settings = Settings(scope, self.attributes, CallNumbers(scope, bodies))
        signatures = {name: made.signature for name, made in classes.items()}
        self.writer = MemberWriter(self.settings, self.unifier.holes, signatures)

    def _scope(self) -> Scope:
        facts = {name: made.fact for name, made in self.classes.items()}
        forbidden = frozenset(f"self.{name}" for name in (*self.attributes, *LAYER_ATTRIBUTES))
        cls = self.bodies[0].cls
        init = read_init(cls.init_source, cls.base_inits, cls.init_methods)
        return Scope([body.constructor for body in self.bodies], init, facts, forbidden)

    def in_place(self, name: str, *, is_root: bool) -> GeneratedClass | None:
        """The class that makes all of its members itself."""
        return self._made(name, {}, is_root=is_root)

    def handed_in(self, name: str) -> GeneratedClass | None:
        """The class that is handed those members that torch's is handed; None if there are none."""
        handed = handed_in(self.bodies, self.attributes, self.identities)
        for member, parameter in handed.items():
            self.settings.hand_in(parameter, self._layers(member))
        return self._made(name, handed, is_root=False) if handed else None

    def _made(self, name: str, handed: Mapping[str, str], *, is_root: bool) -> GeneratedClass | None:
        members = {name: self._unified_member(name) for name in self.attributes if name not in handed}
        if any(isinstance(code, Choice) and len(code.items) > MOST_ALTERNATIVES for code, _ in members.values()):
            return None
        steps = [self._unified(item) for item in self.items]
        result = self.unifier.statement(self.merged.results, self.rows)
        self.settings.prepare(self.unifier.holes)
        setup: list[Line] = []
        build: list[Line] = []
        for key in self.attributes:
            if key in handed:
                setup.append(Assign((f"self.{key}",), Name(handed[key])))
                continue
            code, rows = members[key]
            built = built_weight(self.settings, self.unifier.holes, key, code, rows)
            setup += self.writer.lines(key, code, rows) if built is None else built.setup
            build += () if built is None else built.build
        setup += self._frozen()
        body = [self._item(item) for item in steps]
        returned = self.writer.resolved(result)
        body = [*self._sizes([*body_codes(body), returned]), *body]
        if self.settings.flags > MOST_FLAGS and len(self.rows) > 1:
            return None
        return self._assembled(name, (setup, build), body, returned, is_root=is_root)

    def _assembled(
        self,
        name: str,
        made: tuple[list[Line], list[Line]],
        body: list[Item | BranchItem],
        returned: Code,
        *,
        is_root: bool,
    ) -> GeneratedClass:
        settings = self.settings
        setup, build = made
        arguments = self.merged.arguments
        author = AuthorNames.of(
            self.bodies[0].cls.forward_source, self.attributes, arguments=[argument for argument, _ in arguments]
        )
        written = call_body(arguments, body, returned, self.reserved, author)
        attributes: list[Line] = [Assign((f"self.{key}",), code) for key, code in settings.assigned.items()]
        setup = [without_aliases(settings, line) for line in setup]
        used = used_names([*attributes, *setup], settings.read)
        definitions = needed_definitions(settings, used)
        used |= {key for _, code in definitions for key in names_in(code)}
        before: list[Line] = [Assign((key,), code) for key, code in definitions]
        parameters, values = parameters_of(settings, used)
        renames = renames_for((*(item.name for item in parameters), *(key for key, _ in definitions)), self.reserved)
        final = tuple(Parameter(renames.get(item.name, item.name), item.default) for item in parameters)
        lines = tuple(renamed(line, renames) for line in joined([*before, *attributes, *setup]))
        config: tuple[tuple[str, str], ...] = ()
        if settings.handed:
            lines, config = with_attributes(lines, final, self.attributes)
        definition = ClassDefinition(
            name,
            self._docstring(),
            final,
            lines,
            written.arguments,
            written.lines,
            is_root,
            self._kept(),
            self.bodies[0].cls.module,
            tuple(written.arguments[place] for place in self.merged.optional),
            tuple(joined(build)),
            config,
        )
        constructors = [body.constructor for body in self.bodies if body.constructor is not None]
        sources = {renames.get(item.name, item.name): item.name for item in parameters}
        defaults = {item.name: item.default for item in final if not isinstance(item.default, Required)}
        return GeneratedClass(
            definition,
            ChildFact(self.bodies[0].cls.name, settings.scope.order, sources, defaults),
            Signature(final, positional_count(settings, parameters, constructors)),
            tuple({renames.get(key, key): value for key, value in row.items()} for row in values),
            tuple(self.attributes),
            written.invented,
            frozenset(settings.extras.keys() & {item.name for item in parameters}),
        )

    def _sizes(self, codes: list[Code]) -> list[Item]:
        """Statements that read the sizes of arguments which others need."""
        needed = sorted({value for code in codes for value in refs(code) if which_size(value)})
        items: list[Item] = []
        for argument, group in groupby(needed, lambda value: (which_size(value) or (0, 0))[0]):
            values = tuple(group)
            axes = [(which_size(value) or (0, 0))[1] for value in values]
            names = size_names(self.bodies[0].arguments[argument], axes, self.bodies[0].cls.forward_source)
            left = iter(values)
            for read, named in size_reads(Ref(argument), axes, names):
                items.append(Item(tuple(islice(left, len(named))), read, named, None))
        return items

    # ── members ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _unified_member(self, name: str) -> tuple[Code, tuple[int, ...]]:
        codes = self._layers(name)
        rows = tuple(sorted(codes))
        return self.unifier.member(name, [codes[row] for row in rows], rows), rows

    def _layers(self, name: str) -> dict[int, Code]:
        """What makes a member on each instance that has it."""
        codes = self.attributes[name]
        return {row: codes.get(row, Call(IDENTITY)) for row in self.rows} if name in self.identities else codes

    def _frozen(self) -> list[Line]:
        frozen = tuple(row for row in self.rows if self.forms[row].frozen)
        if not frozen:
            return []
        line = Assign(("self.trainable",), Literal(value=False))
        return [line] if frozen == self.rows else [If(self.settings.question(frozen, self.rows, "frozen"), (line,))]

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
        others = (item for item in self.merged.items if isinstance(item, MergedStep))
        return line is not None and any(other.step.source == line for other in others)

    def _unified(self, item: MergedStep | MergedBranch) -> MergedStep | MergedBranch:
        if isinstance(item, MergedBranch):
            then, otherwise = tuple(map(self._unified_step, item.then)), tuple(map(self._unified_step, item.otherwise))
            return MergedBranch(item.rows, then, otherwise, item.joins)
        return self._unified_step(item)

    def _unified_step(self, step: MergedStep) -> MergedStep:
        return MergedStep(step.results, (self.unifier.statement(step.codes, step.rows),), step.rows, step.step)

    def _item(self, item: MergedStep | MergedBranch) -> Item | BranchItem:
        if isinstance(item, MergedStep):
            return self._step(item)
        joins = tuple(JoinItem(join.result, join.inside, join.outside) for join in item.joins)
        then, otherwise = tuple(map(self._step, item.then)), tuple(map(self._step, item.otherwise))
        return BranchItem(self._branch_test(item), then, otherwise, joins)

    def _step(self, step: MergedStep) -> Item:
        code = with_the_rest(self.settings.numbers.distinguished(self.writer.resolved(step.codes[0])))
        names = step.step.names
        is_gathered = len(names) == 1 and names[0] is not None and names[0].endswith(GATHERED)
        gathered = names[0].removesuffix(GATHERED) if is_gathered and names[0] else None
        names = (None,) if gathered is not None else names
        comment = "" if _reorders_in_several_ways(code) else step.step.comment
        return Item(step.results, code, names, step.step.source, comment, gathered)

    def _branch_test(self, branch: MergedBranch) -> Code:
        """The question that `call` asks: whether a member is there, or an attribute of self."""
        others = tuple(row for row in self.rows if row not in branch.rows)
        for place, given in self.merged.optional.items():
            if given in (branch.rows, others):
                return Binary("is not" if given == branch.rows else "is", Ref(place), Literal(None))
        for steps, rows, there in ((branch.then, branch.rows, "is not"), (branch.otherwise, others, "is")):
            for member in (member for step in steps for member in _members_called(step.codes[0])):
                if member.index is None and tuple(sorted(self.attributes.get(member.name, ()))) == rows:
                    return Binary(there, Name(f"self.{member.name}"), Literal(None))
        for name, codes in self.attributes.items():
            if tuple(sorted(codes)) == branch.rows and not name.endswith("*"):
                return Binary("is not", Name(f"self.{name}"), Literal(None))
        return self.settings.answer_in_call(branch.rows, _branch_name(branch))

    def _docstring(self) -> tuple[str, ...]:
        body = max(self.bodies, key=lambda body: len(body.arguments))
        where = f" ({body.cls.source})" if body.cls.source else ""
        patterns = ", ".join(_read(argument.pattern, body) for argument in body.arguments if argument.pattern)
        axes = f": {patterns} -> {_read(body.result_pattern, body)}" if patterns and body.result_pattern else ""
        lines = [f"{body.cls.name}{where}{axes}."]
        unused = list(dict.fromkeys(name for one in self.bodies for name in one.unused if name not in self.attributes))
        if unused:
            lines += ["", f"Never called in torch: {', '.join(unused)}."]
        if self._kept():
            lines += ["", f"Never called in torch, and kept: {', '.join(self._kept())}."]
        return tuple(lines)

    def _kept(self) -> tuple[str, ...]:
        """Members that no instance calls and every instance has."""
        idle = [{member.name for member in body.members if not member.called} for body in self.bodies]
        return tuple(name for name in self.attributes if all(name in names for names in idle))


def _attributes(forms: list[Form]) -> dict[str, dict[int, Code]]:
    """What makes each attribute on each instance that has it, in the order in which torch registered them."""
    attributes: dict[str, dict[int, Code]] = {}
    # The form with most attributes has the most complete order.
    for form in sorted(forms, key=lambda form: -len(form.attributes)):
        for name, _ in form.attributes:
            attributes.setdefault(name, {})
    for row, form in enumerate(forms):
        for name, code in form.attributes:
            attributes[name][row] = code
    return attributes


def _members_called(code: Code) -> list[c.Member]:
    return [node for node in walk(code) if isinstance(node, c.Member)]


def _passes_through(step: MergedStep, join: Join) -> bool:
    code = step.codes[0]
    if step.results != (join.inside,) or not isinstance(code, Call) or not isinstance(code.function, c.Member):
        return False
    return refs(code) == [join.outside] and len(code.arguments) == 1 and not code.keywords


def _read(pattern: str, body: Body) -> str:
    """Axes for people: where a module within the model keeps torch's order, torch has its channels last as well."""
    return _CHANNELS_LAST.get(pattern, pattern) if body.path else pattern


def _branch_name(branch: MergedBranch) -> str:
    for step in branch.then:
        code = step.codes[0]
        if isinstance(code, Binary) and code.operator == "+":
            return "add"
        for member in _members_called(code):
            return f"use_{member.name}"
    return "branch"


def _reorders_in_several_ways(code: Code) -> bool:
    """Whether instances transpose differently here, so that no comment can name the axes."""
    return any(
        isinstance(node, Call)
        and node.function == TRANSPOSE
        and any(isinstance(part, Conditional | Name) for axes in node.arguments[1:] for part in walk(axes))
        for node in walk(code)
    )
