"""A body in the form in which instances of one torch class are compared.

Values are numbered anew (arguments first, a list argument is one value), chains of calls over a whole list of members
are one `Loop`, members of one attribute stand together, and children are calls of classes that exist already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from transpiler import code as c
from transpiler.code import Call, Code, Index, Literal, Name, Ref, Sequence
from transpiler.errors import InternalError
from transpiler.keras_functions import SEQUENTIAL
from transpiler.lowered import (
    AttributeValue,
    BlockAttribute,
    Body,
    LayerAttribute,
    Member,
    SequentialAttribute,
    WeightAttribute,
)
from transpiler.outline.keras_calls import normalised
from transpiler.outline.loops import MemberList, NumberedList, Step, member_lists, with_loops
from transpiler.outline.repeats import with_repeats
from transpiler.trees import code_of, transform

ADD_WEIGHT = Name("self.add_weight")


@dataclass(frozen=True, slots=True)
class Form:
    arguments: tuple[tuple[str, bool], ...]
    """Name, and whether it is a list."""
    attributes: tuple[tuple[str, Code], ...]
    """Name and the expression that makes it; a list of members is a display."""
    steps: tuple[Step, ...]
    result: Code
    frozen: bool


def form_of(body: Body, child: Callable[[Body], Code], *, frozen: bool) -> Form:
    """The form of a body.

    Args:
        body: the body of one instance.
        child: gives the call that makes the layer of a child's body.
        frozen: whether this body is the topmost of frozen ones.
    """
    steps, result = _numbered(body)
    lists = member_lists(body)
    steps, result, grown = with_loops(len(body.arguments), steps, result, lists)
    members = {members.name: members.length for members in lists.values() if members.start is None}
    steps, result = with_repeats(body.arguments, members, steps, result, body.cls.forward_source)
    return Form(
        tuple((argument.name, argument.is_list) for argument in body.arguments),
        tuple(_with_numbered(_attributes(body, child), [lists[name] for name in grown])),
        tuple(steps),
        result,
        frozen,
    )


# ── members ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _attributes(body: Body, child: Callable[[Body], Code]) -> list[tuple[str, Code]]:
    singles: dict[str, Code] = {}
    lists: dict[str, dict[int, Code]] = {}
    for member in body.members:
        made = _made(member, child)
        if member.index is None:
            singles[member.name] = made
        else:
            lists.setdefault(member.name, {})[member.index] = made
            singles.setdefault(member.name, made)
    for name, items in lists.items():
        if sorted(items) != list(range(len(items))):
            raise InternalError(f"{body.path}: the indices of list {name} are not dense: {sorted(items)}")
        singles[name] = Sequence("list", tuple(items[index] for index in range(len(items))))
    return list(singles.items())


def _with_numbered(attributes: list[tuple[str, Code]], grown: list[MemberList]) -> list[tuple[str, Code]]:
    """Members `layer1`, `layer2`, … that a loop calls, as one list."""
    made = dict(attributes)
    for numbered in grown:
        if numbered.start is None:
            continue
        names = [f"{numbered.name}{numbered.start + index}" for index in range(numbered.length)]
        items = tuple(made[name] for name in names)
        attributes = [
            (numbered.key, NumberedList("list", items, numbered.name, numbered.start)) if name == names[0] else pair
            for pair in attributes
            if (name := pair[0]) == names[0] or name not in names
        ]
    return attributes


def _made(member: Member, child: Callable[[Body], Code]) -> Code:
    if isinstance(member.value, WeightAttribute):
        return _weight(member.name, member.index, member.value)
    return _layer(member.value, child)


def _layer(value: AttributeValue, child: Callable[[Body], Code]) -> Code:
    match value:
        case LayerAttribute(constructor):
            return normalised(constructor)
        case BlockAttribute(body):
            return child(body)
        case SequentialAttribute(layers):
            return Call(SEQUENTIAL, (Sequence("list", tuple(_layer(layer, child) for layer in layers)),))


def _weight(name: str, index: int | None, weight: WeightAttribute) -> Code:
    keywords: list[tuple[str, Code]] = [
        ("shape", code_of(weight.shape)),
        ("initializer", Literal("zeros")),
        ("dtype", Literal(weight.dtype)),
        ("trainable", Literal(weight.trainable)),
        ("name", Literal(name.lstrip("_") if index is None else f"{name.lstrip('_')}_{index}")),
    ]
    return Call(ADD_WEIGHT, (), tuple(keywords))


# ── values ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _arguments(body: Body) -> tuple[dict[int, Code], dict[tuple[Code, ...], Ref]]:
    """The values of the arguments, and for each list argument its elements, which together are the argument itself."""
    values: dict[int, Code] = {}
    lists: dict[tuple[Code, ...], Ref] = {}
    for place, argument in enumerate(body.arguments):
        if argument.is_list:
            values.update(
                (value, Index(Ref(place), (Literal(position),))) for position, value in enumerate(argument.values)
            )
            lists[tuple(Ref(value) for value in argument.values)] = Ref(place)
        else:
            values[argument.values[0]] = Ref(place)
    return values, lists


def _numbered(body: Body) -> tuple[list[Step], Code]:
    """Statements and result over values numbered without gaps; weights are no values, but read where they are used."""
    values, lists = _arguments(body)

    def change(code: Code) -> Code | None:
        if isinstance(code, Ref):
            if code.value not in values:
                raise InternalError(f"{body.path}: value {code.value} is used before it is computed")
            return values[code.value]
        if type(code) is Sequence:
            return lists.get(code.items)
        return None

    steps: list[Step] = []
    count = len(body.arguments)
    for statement in body.statements:
        code = _picked(transform(statement.code, change))
        if isinstance(code, c.Member) and len(statement.results) == 1:
            values[statement.results[0]] = code
            continue
        for result in statement.results:
            values[result] = Ref(count)
            count += 1
        steps.append(Step(code, len(statement.results), statement.names, statement.source, statement.comment))
    return steps, _picked(transform(body.result, change))


def _picked(code: Code) -> Code:
    """`[a, b][0]` as `a`."""

    def change(node: Code) -> Code | None:
        match node:
            case Index(Sequence(_, items), (Literal(int() as place),)) if -len(items) <= place < len(items):
                return _picked(items[place])
            case _:
                return None

    return transform(code, change)
