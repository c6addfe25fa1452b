"""In-place operators become functional ones: what they write replaces the value of the tensor they wrote to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from transpiler.lift.emission import Emission
from transpiler.lift.program import Value
from transpiler.lift.scatter import Known, scattered
from transpiler.lift.views import View, aten, view_of


@dataclass(frozen=True, slots=True)
class Alias:
    """A node of the graph that shares memory with others."""

    node: torch.fx.Node
    view: View | None
    """How it was taken from `parent`; None for the tensor itself under another name, and for the base."""
    parent: torch.fx.Node | None


@dataclass(frozen=True, slots=True)
class Family:
    """All nodes that share memory with a tensor, the base first and every view behind its parent."""

    members: tuple[Alias, ...]

    def chain(self, target: torch.fx.Node, needed: Collection[torch.fx.Node]) -> list[Alias]:
        """The steps from the tensor of `target` up to the last one of those that are needed."""
        of = {member.node: member for member in self.members}
        steps = []
        member = of[target]
        while member.parent is not None:
            if member.view is not None:
                steps.append(member)
            member = of[member.parent]
        while steps and _tensor(steps[-1].parent or target) not in needed:
            steps.pop()
        return steps

    @property
    def base(self) -> torch.fx.Node:
        """The tensor that all others are views of."""
        return self.members[0].node

    def names(self, node: torch.fx.Node) -> list[torch.fx.Node]:
        """All nodes that name the same tensor as `node`: in-place operators return the tensor that they wrote to."""
        tensor = _tensor(node)
        return [member.node for member in self.members if _tensor(member.node) is tensor]

    def needed(self, later: Callable[[torch.fx.Node], bool]) -> set[torch.fx.Node]:
        """Tensors that are read later, themselves or through a view that has been taken already."""
        needed: set[torch.fx.Node] = set()
        for member in reversed(self.members):
            if later(member.node) or _tensor(member.node) in needed:
                needed.add(_tensor(member.node))
                if member.parent is not None:
                    needed.add(_tensor(member.parent))
        return needed


def family(target: torch.fx.Node, positions: Mapping[str, int], now: int) -> Family:
    """What shares memory with `target` at position `now`."""
    members = [Alias(base_of(target), None, None)]
    for member in members:
        for user in sorted(member.node.users, key=lambda user: positions.get(user.name, -1)):
            if positions.get(user.name, -1) > now:
                continue
            if written_tensor(user) is member.node:
                members.append(Alias(user, None, member.node))
            elif (step := view_of(user)) is not None and step[1] is member.node and not _several(user):
                members.append(Alias(user, step[0], member.node))
            elif step is not None and step[1] is member.node:
                members += [Alias(item, View(user, item.args[1]), member.node) for item in user.users]  # type: ignore[arg-type]
    return Family(tuple(members))


def base_of(node: torch.fx.Node) -> torch.fx.Node:
    """The tensor that `node` is a view of, directly or not."""
    while (parent := written_tensor(node) or _viewed(node)) is not None:
        node = parent
    return node


def _several(node: torch.fx.Node) -> bool:
    return isinstance(node.meta.get("val"), tuple | list)


def _viewed(node: torch.fx.Node) -> torch.fx.Node | None:
    step = view_of(node)
    return None if step is None else step[1]


def _tensor(node: torch.fx.Node) -> torch.fx.Node:
    """The node that made the tensor that `node` names."""
    while (parent := written_tensor(node)) is not None:
        node = parent
    return node


def written_tensor(node: torch.fx.Node) -> torch.fx.Node | None:
    """The tensor that an operator writes to."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return None
    for index, argument in enumerate(node.target._schema.arguments):
        if argument.alias_info and argument.alias_info.is_write:
            target = node.args[index] if index < len(node.args) else node.kwargs.get(argument.name)
            return target if isinstance(target, torch.fx.Node) else None
    return None


def results_in_arguments(operator: torch._ops.OpOverload) -> list[str]:
    """The names of the arguments that an operator writes its results to and does not read: `out=`."""
    return [argument.name for argument in operator._schema.arguments if argument.is_out]


def functional_operator(operator: torch._ops.OpOverload) -> torch._ops.OpOverload:
    """`aten.relu_.default` and `aten.relu.out` as `aten.relu.default`; anything else as it is."""
    packet = operator.overloadpacket.__name__
    if results := results_in_arguments(operator):
        return _returning(operator, results)
    if packet == "detach_":  # export puts it behind every constant, which has no gradient to stop
        return torch.ops.aten.alias.default
    if not packet.endswith("_") or packet.endswith("__"):
        return operator
    functional = getattr(torch.ops.aten, packet[:-1], None)
    overload = getattr(functional, operator._overloadname, None) if functional is not None else None
    return overload if isinstance(overload, torch._ops.OpOverload) else operator


def _returning(operator: torch._ops.OpOverload, results: Collection[str]) -> torch._ops.OpOverload:
    """The overload of an operator that returns what this one writes to the arguments `results`."""

    def signature(schema: torch.FunctionSchema) -> list[tuple[str, str]]:
        kept = (argument for argument in schema.arguments if argument.name not in results)
        return [(argument.name, str(argument.type)) for argument in kept]

    packet = operator.overloadpacket
    others = (getattr(packet, name) for name in packet.overloads() if name != operator._overloadname)
    wanted = signature(operator._schema)
    return next((other for other in others if signature(other._schema) == wanted), operator)


def copies_itself(node: torch.fx.Node) -> bool:
    """Whether an operator copies a tensor to where it lies: `x[0] += 1` ends so, after the sum was made in place."""
    if getattr(node.target, "overloadpacket", None) is not aten.copy_:
        return False
    target, source = node.args[:2]
    return isinstance(target, torch.fx.Node) and isinstance(source, torch.fx.Node) and _place(target) == _place(source)


def _place(node: torch.fx.Node) -> tuple[object, ...]:
    """The memory that a tensor names: its base, and how views were taken from it, innermost last."""
    steps: list[object] = []
    while True:
        node = _tensor(node)
        step = view_of(node)
        if step is None:
            return (node, *reversed(steps))
        view, node = step
        given = tuple(argument for argument in view.node.args if argument is not node)
        steps.append((view.node.target, repr(given), repr(sorted(view.node.kwargs.items())), view.index))


def functional(
    operator: torch._ops.OpOverload, arguments: Mapping[str, Any], old: Value, known: Known, emit: Emission
) -> Value:
    """What an in-place operator leaves in its tensor, whose value was `old` and has the shape of the result."""
    packet = operator.overloadpacket.__name__
    if packet == "copy_":
        return _like(arguments["src"], old, emit)
    if packet == "zero_":
        return emit(aten.zeros_like.default, {"self": old}, old.shape)
    if packet == "fill_" and isinstance(arguments["value"], Value):
        return _like(arguments["value"], old, emit)
    if packet == "fill_":
        return emit(aten.full_like.default, {"self": old, "fill_value": arguments["value"]}, old.shape)
    plain = functional_operator(operator)
    arguments = {name: value for name, value in arguments.items() if name not in results_in_arguments(operator)}
    simpler = scattered(plain, arguments, known, emit)
    return emit(plain, arguments, old.shape) if simpler is None else simpler


def _like(source: Value, old: Value, emit: Emission) -> Value:
    """`source` in the shape and type of `old`."""
    if source.dtype != old.dtype:
        source = emit(aten.to.dtype, {"self": source, "dtype": getattr(torch, old.dtype)}, source.shape)
    if tuple(source.shape) != tuple(old.shape):
        source = emit(aten.expand.default, {"self": source, "size": list(old.shape)}, old.shape)
    return source
