"""A body in the form in which instances of one torch class are compared.

Values are numbered anew (arguments first, a list argument is one value), chains of calls over a whole list of members
are one `Loop`, members of one attribute stand together, and children are calls of classes that exist already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from transpiler import code as c
from transpiler.code import Call, Code, Function, Index, Literal, Ref, Sequence
from transpiler.errors import InternalError
from transpiler.lowered import (
    AttributeValue,
    BlockAttribute,
    Body,
    LayerAttribute,
    Member,
    SequentialAttribute,
    SourceLine,
    WeightAttribute,
)
from transpiler.outline.keras_calls import normalised
from transpiler.outline.program import Name
from transpiler.outline.trees import code_of, transform, walk

ADD_WEIGHT = Name("self.add_weight")
SEQUENTIAL = Function("keras.Sequential")


@dataclass(frozen=True, slots=True)
class Loop(Call):
    """`for block in self.blocks: x = block(x)`: a call of every element of the list `function`, each with the result of
    the one before as its first argument."""


@dataclass(frozen=True, slots=True)
class Step:
    """A statement. Only `code` and `width` tell steps apart; the rest is how people called and wrote it."""

    code: Code
    width: int
    names: tuple[str | None, ...] = field(default=(), compare=False)
    source: SourceLine | None = field(default=None, compare=False)
    comment: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Form:
    arguments: tuple[tuple[str, bool], ...]
    """Name, and whether it is a list."""
    attributes: tuple[tuple[str, Code], ...]
    """Name and the expression that makes it; a list of members is a display."""
    steps: tuple[Step, ...]
    result: Code
    frozen: bool


def form_of(body: Body, child: Callable[[Body], Code], frozen: bool) -> Form:
    """The form of a body.

    Args:
        body: the body of one instance.
        child: gives the call that makes the layer of a child's body.
        frozen: whether this body is the topmost of frozen ones.
    """
    steps, result = _numbered(body)
    lengths = _list_lengths(body)
    steps, result = _with_loops(len(body.arguments), steps, result, lengths)
    return Form(
        tuple((argument.name, argument.is_list) for argument in body.arguments),
        tuple(_attributes(body, child)),
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
        ("name", Literal(name if index is None else f"{name}_{index}")),
    ]
    return Call(ADD_WEIGHT, (), tuple(keywords))


# ── values ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _numbered(body: Body) -> tuple[list[Step], Code]:
    values: dict[int, Code] = {}
    lists: dict[tuple[Code, ...], Ref] = {}
    for place, argument in enumerate(body.arguments):
        if not argument.is_list:
            values[argument.values[0]] = Ref(place)
            continue
        for position, value in enumerate(argument.values):
            values[value] = Index(Ref(place), (Literal(position),))
        lists[tuple(Ref(value) for value in argument.values)] = Ref(place)

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
        code = transform(statement.code, change)
        if isinstance(code, c.Member) and len(statement.results) == 1:
            values[statement.results[0]] = code
            continue
        for result in statement.results:
            values[result] = Ref(count)
            count += 1
        steps.append(Step(code, len(statement.results), statement.names, statement.source, statement.comment))
    return steps, transform(body.result, change)


def refs(code: Code) -> list[int]:
    """The values that an expression reads, one entry a use."""
    return [node.value for node in walk(code) if isinstance(node, Ref)]


def shifted(code: Code, numbers: Callable[[int], Code]) -> Code:
    """The expression with every `Ref` replaced."""
    return transform(code, lambda node: numbers(node.value) if isinstance(node, Ref) else None)


# ── loops ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _list_lengths(body: Body) -> dict[str, int]:
    lengths: dict[str, int] = {}
    for member in body.members:
        if member.index is not None:
            lengths[member.name] = lengths.get(member.name, 0) + 1
    return lengths


def _with_loops(
    arguments: int, steps: list[Step], result: Code, lengths: dict[str, int]
) -> tuple[list[Step], Code]:
    """Fold `x = self.m[0](x); x = self.m[1](x); …` over all elements of a list into one step."""
    if not lengths:
        return steps, result
    starts: list[int] = []
    count = arguments
    for step in steps:
        starts.append(count)
        count += step.width
    uses: dict[int, int] = {}
    for code in (*(step.code for step in steps), result):
        for value in refs(code):
            uses[value] = uses.get(value, 0) + 1
    calls: dict[str, dict[int, int]] = {}
    for place, step in enumerate(steps):
        called = _list_call(step)
        if called is not None and called.index is not None:
            calls.setdefault(called.name, {}).setdefault(called.index, place)
    folded: dict[int, Step] = {}
    dropped: set[int] = set()
    for name, places in calls.items():
        chain = [places.get(index, -1) for index in range(lengths[name])]
        if -1 not in chain and _is_chain(chain, steps, starts, uses) and not _called_again(name, chain, steps):
            first = steps[chain[0]].code
            assert isinstance(first, Call)
            last = steps[chain[-1]]
            code = Loop(c.Member(name), first.arguments, first.keywords)
            folded[chain[-1]] = Step(code, 1, last.names, last.source, last.comment)
            dropped.update(chain[:-1])
    numbers: dict[int, Code] = {place: Ref(place) for place in range(arguments)}
    new: list[Step] = []
    count = arguments
    for place, step in enumerate(steps):
        if place in dropped:
            continue
        step = folded.get(place, step)
        code = shifted(step.code, numbers.__getitem__)
        for offset in range(step.width):
            numbers[starts[place] + offset] = Ref(count)
            count += 1
        new.append(Step(code, step.width, step.names, step.source, step.comment))
    return new, shifted(result, numbers.__getitem__)


def _list_call(step: Step) -> c.Member | None:
    if isinstance(step.code, Call) and isinstance(step.code.function, c.Member) and step.width == 1:
        return step.code.function
    return None


def _is_chain(chain: list[int], steps: list[Step], starts: list[int], uses: dict[int, int]) -> bool:
    first = steps[chain[0]].code
    assert isinstance(first, Call)
    if not first.arguments or not isinstance(first.arguments[0], Ref):
        return False
    if any(starts[chain[0]] <= value for code in first.arguments[1:] for value in refs(code)):
        return False
    for before, here in zip(chain, chain[1:], strict=False):
        code = steps[here].code
        assert isinstance(code, Call)
        continues = code.arguments[:1] == (Ref(starts[before]),) and uses.get(starts[before]) == 1
        if not continues or code.arguments[1:] != first.arguments[1:] or code.keywords != first.keywords:
            return False
    return True


def _called_again(name: str, chain: list[int], steps: list[Step]) -> bool:
    """Whether the list is also used outside of the chain."""
    inside = set(chain)
    return any(
        isinstance(node, c.Member) and node.name == name
        for place, step in enumerate(steps)
        if place not in inside
        for node in walk(step.code)
    )


