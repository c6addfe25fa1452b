"""Which instances share a class, and the order of classes: children before parents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from transpiler.code import Code, Function, Name
from transpiler.errors import InternalError
from transpiler.lowered import (
    AttributeValue,
    BlockAttribute,
    Body,
    LayerAttribute,
    LoweredProgram,
    Opaque,
    SequentialAttribute,
    WeightAttribute,
)
from transpiler.outline.class_calls import ClassCall, layers_in
from transpiler.outline.classes import GeneratedClass, make_class
from transpiler.outline.flow import flow_key, merge
from transpiler.outline.forms import Form, form_of
from transpiler.outline.helper_signatures import with_helpers_below
from transpiler.outline.holes import skeleton
from transpiler.outline.names import camel, usable
from transpiler.reserved import CORE
from transpiler.trees import key_of, walk


def children_of(body: Body) -> Iterator[Body]:
    """The bodies directly below a body, in order."""
    for member in body.members:
        if not isinstance(member.value, WeightAttribute):
            yield from _bodies_in(member.value)


def _bodies_in(value: AttributeValue) -> Iterator[Body]:
    if isinstance(value, BlockAttribute):
        yield value.body
    elif isinstance(value, SequentialAttribute):
        for child in value.children:
            yield from _bodies_in(child)


def _helpers_in(body: Body) -> Iterator[str]:
    """Names of the helpers that a body itself uses."""
    codes: list[Code] = [statement.code for statement in body.statements]
    for member in body.members:
        codes += _constructors_in(member.value)
    for code in codes:
        for node in walk(code):
            if isinstance(node, Function) and node.name.startswith("helpers."):
                yield node.name.removeprefix("helpers.").partition(".")[0]


def _constructors_in(value: AttributeValue | WeightAttribute) -> list[Code]:
    if isinstance(value, LayerAttribute):
        return [value.constructor]
    if isinstance(value, SequentialAttribute):
        return [code for child in value.children for code in _constructors_in(child)]
    return []


_Instance: TypeAlias = tuple[Body, Form, list[Body]]
"""One body, its form, and all bodies that are the same."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Bodies of one torch class; of one height, if the class contains itself."""

    key: tuple[str, int]
    bodies: list[Body]


class Grouping:
    """Makes the classes of a program.

    Args:
        program: the lowered program.
    """

    def __init__(self, program: LoweredProgram) -> None:
        self.program = program
        self.classes: dict[str, GeneratedClass] = {}
        self._calls: dict[int, Code] = {}
        """By id of the body: the call that makes its layer."""
        self._bodies: list[tuple[Body, int, bool]] = []
        self._visit(program.root, inside_frozen=False)
        self._helpers = with_helpers_below(name for body, _, _ in self._bodies for name in _helpers_in(body))
        self._taken: set[str] = {*CORE, *self._helpers}

    def make(self) -> tuple[dict[str, GeneratedClass], Code]:
        """All classes by name, children first, and the call that makes the root."""
        for group in self._groups():
            self._make(group)
        return self.classes, self._calls[id(self.program.root)]

    def _visit(self, body: Body, *, inside_frozen: bool) -> int:
        heights = [self._visit(child, inside_frozen=inside_frozen or body.frozen) for child in children_of(body)]
        height = 1 + max(heights, default=-1)
        self._bodies.append((body, height, body.frozen and not inside_frozen))
        return height

    # ── order ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _groups(self) -> list[_Group]:
        """Groups such that all children of a group's bodies are in earlier groups."""
        recursive = self._recursive()
        groups: dict[tuple[str, int], _Group] = {}
        key_of_body: dict[int, tuple[str, int]] = {}
        for body, height, _ in self._bodies:
            name = body.cls.qualified_name
            key = (name, height if name in recursive else -1)
            if body is self.program.root:
                key = (name, height)
            groups.setdefault(key, _Group(key, [])).bodies.append(body)
            key_of_body[id(body)] = key
        ordered: dict[tuple[str, int], None] = {}

        def place(group: _Group) -> None:
            if group.key in ordered:
                return
            for body in group.bodies:
                for child in children_of(body):
                    place(groups[key_of_body[id(child)]])
            ordered[group.key] = None

        for group in groups.values():
            place(group)
        return [groups[key] for key in ordered]

    def _recursive(self) -> set[str]:
        """Torch classes that contain themselves, directly or not."""
        below: dict[str, set[str]] = {}
        for body, _, _ in self._bodies:
            names = below.setdefault(body.cls.qualified_name, set())
            names.update(child.cls.qualified_name for child in children_of(body))
        return {name for name, direct in below.items() if name in _reached(direct, below)}

    # ── classes ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _make(self, group: _Group) -> None:
        frozen = {id(body): topmost for body, _, topmost in self._bodies}
        rows: dict[object, list[Body]] = {}
        forms: dict[object, Form] = {}
        for body in group.bodies:
            form = form_of(body, lambda child: self._calls[id(child)], frozen=frozen[id(body)])
            key = (form, _constructor_key(body))
            forms.setdefault(key, form)
            rows.setdefault(key, []).append(body)
        instances = [(bodies[0], forms[key], bodies) for key, bodies in rows.items()]
        pending = [instances]
        while pending:
            some = pending.pop(0)
            made = self._class_of(some)
            if made is None and len(some) == 1:
                raise InternalError(f"{some[0][0].path or 'the model'}: its calls cannot be put into one class")
            if made is None:
                pending = [*self._fewest(some), *pending]

    def _fewest(self, instances: list[_Instance]) -> list[list[_Instance]]:
        """Instances that are too different for one class, in few groups: what runs the same, and what goes with it."""
        parts = _split(instances)
        order = {id(body): place for place, (body, _, _) in enumerate(instances)}
        groups: list[list[_Instance]] = []
        for part in parts:
            for place, group in enumerate(groups):
                both = sorted((*group, *part), key=lambda instance: order[id(instance[0])])
                if len(both) < len(instances) and self._go_together(both):
                    groups[place] = both
                    break
            else:
                groups.append(part)
        return groups

    def _go_together(self, instances: list[_Instance]) -> bool:
        """Whether they can be one class in which statements are not shared by chance, and values bear torch's names."""
        merged = merge([form for _, form, _ in instances])
        made = None if merged is None or merged.strays else self._made(instances)
        return made is not None and not made.invented

    def _made(self, instances: list[_Instance]) -> GeneratedClass | None:
        bodies = [body for body, _, _ in instances]
        is_root = bodies[0] is self.program.root
        forms = [form for _, form, _ in instances]
        return make_class(self._name(instances), bodies, forms, self.classes, self._helpers, is_root=is_root)

    def _class_of(self, instances: list[_Instance]) -> GeneratedClass | None:
        made = self._made(instances)
        if made is None:
            return None
        forms = [form for _, form, _ in instances]
        name = made.definition.name
        self.classes[name] = made
        self._taken.add(name)
        for row, (_, _, same) in enumerate(instances):
            arguments = tuple(made.arguments[row].items())
            layers = frozenset(layer for _, code in forms[row].attributes for layer in layers_in(code))
            call = ClassCall(Name(name), (), arguments, layers)
            for body in same:
                self._calls[id(body)] = call
        return made

    def _name(self, instances: list[_Instance]) -> str:
        cls = instances[0][0].cls
        name = self.program.style.name_of(cls)
        # Keras makes scope names of class names, and they must not begin with an underscore.
        name = usable(name.lstrip("_") or "Block", ())
        if name not in self._taken:
            return name
        earlier = {
            attribute
            for made in self.classes.values()
            if made.definition.name.startswith(name)
            for attribute in made.attributes
        }
        own = [attribute for attribute, _ in instances[0][1].attributes if attribute not in earlier]
        name = f"{name}{camel(own[0])}" if own else name
        number = 2
        while (f"{name}{number}" if number > 2 or name in self._taken else name) in self._taken:
            number += 1
        return f"{name}{number}" if name in self._taken else name


def _reached(names: set[str], below: dict[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += below.get(name, ())
    return reached


def _constructor_key(body: Body) -> object:
    if body.constructor is None:
        return None
    return tuple(
        (name, value.text if isinstance(value, Opaque) else key_of(value))
        for name, value in body.constructor.arguments.items()
    )


def _split(instances: list[_Instance]) -> list[list[_Instance]]:
    """Instances by what they run; if that is one and the same, by how their members are made."""
    for key_of_form in (flow_key, _members_key, lambda form: form):
        groups: dict[object, list[_Instance]] = {}
        for instance in instances:
            groups.setdefault(key_of_form(instance[1]), []).append(instance)
        if len(groups) > 1:
            return list(groups.values())
    return [[instance] for instance in instances]


def _members_key(form: Form) -> object:
    return tuple((name, skeleton(code)) for name, code in form.attributes)
