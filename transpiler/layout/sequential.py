"""Bodies that need no class of their own, or a simpler one: chains of layers, and single layers.

A called `nn.Sequential` stays a `keras.Sequential` wherever its body is a straight chain of layers; a class that
inherits from `nn.Sequential` becomes a class that holds one. A class that inherits from one of torch's layers and does
no more than one Keras layer does is that layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from transpiler.code import Call, Code, Function, Literal, Ref
from transpiler.code import Member as MemberCode
from transpiler.code import Sequence as CodeSequence
from transpiler.keras_functions import SEQUENTIAL
from transpiler.layout.axes import Layout
from transpiler.layout.body import Held
from transpiler.layout.members import member_path
from transpiler.layout.sizes import same
from transpiler.lowered import (
    SEQUENCE,
    AttributeValue,
    BlockAttribute,
    Body,
    LayerAttribute,
    Member,
    SequentialAttribute,
    Statement,
    WeightAttribute,
)
from transpiler.weights.plan import PlanEntry

_SHAPE_OPERATIONS = ("keras.ops.reshape", "keras.ops.squeeze", "keras.ops.expand_dims")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a child of torch's stands in the Sequential; the layers of a chain stand there side by side."""

    first: int
    is_chain: bool

    def variable(self, parts: Sequence[str]) -> list[str]:
        """The path of one of its variables: position, then what follows."""
        if not self.is_chain:
            return [str(self.first), *parts]
        return [str(self.first + int(parts[0])), *parts[1:]]


def as_sequential(
    module: nn.Module, body: Body, plan: Sequence[PlanEntry], scope: Sequence[Held]
) -> tuple[SequentialAttribute, list[PlanEntry]] | None:
    """The children in order, with the plan by their positions; None where the body is no chain of layers."""
    if type(module).forward is not nn.Sequential.forward or len(body.arguments) != 1 or body.arguments[0].is_list:
        return None
    values = {MemberCode(member.name, member.index): member.value for member in body.members}
    layouts: dict[Code, Layout] = {held.code: held.layout for held in scope}
    children: list[AttributeValue] = []
    places: dict[str, _Place] = {}
    current: Code = Ref(body.arguments[0].values[0])
    for statement in body.statements:
        if len(statement.results) != 1 or not isinstance(statement.code, Call):
            return None
        child = _child(statement, current, values, layouts)
        if child is None:
            return None
        chain = _chain(child)
        function = statement.code.function
        if isinstance(function, MemberCode):
            path = function.name if function.index is None else f"{function.name}.{function.index}"
            if path in places:
                return None
            places[path] = _Place(len(children), is_chain=chain is not None)
        children += chain or [child]
        current = Ref(statement.results[0])
    if body.result != current or not children:
        return None
    return SequentialAttribute(tuple(children)), [_placed(entry, places) for entry in plan]


def with_sequence(
    body: Body, chain: SequentialAttribute, plan: Sequence[PlanEntry]
) -> tuple[BlockAttribute, list[PlanEntry]]:
    """The body of a class that holds the chain and calls it; `plan` is by the positions in the chain."""
    (argument,) = body.arguments[0].values
    result = argument + 1
    call = Statement((result,), Call(MemberCode(SEQUENCE), (Ref(argument),)), (None,), None)
    made = replace(body, members=(Member(SEQUENCE, None, "", chain),), statements=(call,), result=Ref(result))
    return BlockAttribute(made), [
        replace(entry, variables=tuple(f"{SEQUENCE}.{name}" for name in entry.variables)) for entry in plan
    ]


def as_layer(module: nn.Module, body: Body, plan: Sequence[PlanEntry]) -> tuple[LayerAttribute, list[PlanEntry]] | None:
    """The one layer that the body calls with its one argument, for a class that inherits from a layer of torch's."""
    inherited = (base for base in type(module).__mro__ if base.__module__.startswith("torch.nn.modules"))
    if next(inherited, nn.Module) in (nn.Module, nn.Sequential) or any(True for _ in module.children()):
        return None
    if len(body.members) != 1 or len(body.statements) != 1 or len(body.arguments) != 1 or body.arguments[0].is_list:
        return None
    (member,), (statement,), (argument,) = body.members, body.statements, body.arguments[0].values
    call = Call(MemberCode(member.name, member.index), (Ref(argument),))
    if statement.code != call or (body.result,) != tuple(map(Ref, statement.results)):
        return None
    if not isinstance(member.value, LayerAttribute):
        return None
    prefix = f"{member_path(MemberCode(member.name, member.index))}."
    entries = [replace(entry, variables=tuple(name.removeprefix(prefix) for name in entry.variables)) for entry in plan]
    return member.value, entries


def _child(
    statement: Statement,
    current: Code,
    values: dict[MemberCode, AttributeValue | WeightAttribute],
    layouts: dict[Code, Layout],
) -> AttributeValue | None:
    call = statement.code
    assert isinstance(call, Call)
    if isinstance(call.function, MemberCode):
        value = values[call.function]
        fits = call.arguments == (current,) and not call.keywords and not isinstance(value, WeightAttribute)
        return value if fits else None  # type: ignore[return-value]
    if isinstance(call.function, Function) and call.arguments[0] == current:
        return _shape_layer(call, layouts.get(current), layouts.get(Ref(statement.results[0])))
    return None


def _shape_layer(call: Call, before: object, after: object) -> LayerAttribute | None:
    """A reshape or transpose that keeps the batch, as a layer."""
    assert isinstance(call.function, Function)
    if not isinstance(before, Layout) or not isinstance(after, Layout) or before.axes[:1] != after.axes[:1]:
        return None
    if not before.axes or not same(before.physical_shape[0], after.physical_shape[0]):
        return None
    shape = after.physical_shape[1:]
    if call.function.name in _SHAPE_OPERATIONS and all(isinstance(size, int) for size in shape):
        if len(shape) == 1:
            return LayerAttribute(Call(Function("keras.layers.Flatten")))
        return LayerAttribute(Call(Function("keras.layers.Reshape"), (_numbers(shape),)))
    if call.function.name == "keras.ops.transpose" and isinstance(call.arguments[1], CodeSequence):
        order = CodeSequence("tuple", call.arguments[1].items[1:])
        return LayerAttribute(Call(Function("keras.layers.Permute"), (order,)))
    return None


def _numbers(shape: Sequence[object]) -> CodeSequence:
    return CodeSequence("tuple", tuple(Literal(size) for size in shape if isinstance(size, int)))


def _chain(child: AttributeValue) -> list[LayerAttribute] | None:
    """The layers that a rule makes of one, such as a convolution behind its padding; None if it is another child."""
    match child:
        case LayerAttribute(Call(function, (CodeSequence(_, items),), ())) if function == SEQUENTIAL:
            made = [LayerAttribute(item) for item in items if isinstance(item, Call)]
            return made if len(made) == len(items) else None
        case _:
            return None


def _placed(entry: PlanEntry, places: dict[str, _Place]) -> PlanEntry:
    """`m.0.kernel` by its position in the Sequential: `0.kernel`."""

    def renamed(variable: str) -> str:
        parts = variable.split(".")
        for length in (2, 1):
            path = ".".join(parts[:length])
            if path in places:
                return ".".join(places[path].variable(parts[length:]))
        return variable

    return replace(entry, variables=tuple(renamed(variable) for variable in entry.variables))
