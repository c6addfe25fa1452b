"""In-place operators become functional ones: what they write replaces the value of the tensor they wrote to."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from transpiler.errors import Diagnostic, ModelError


def mutated_tensor(node: torch.fx.Node, positions: Mapping[str, int]) -> tuple[torch.fx.Node, ...]:
    """The nodes that name the tensor an in-place operator writes to; () for an operator that writes to nothing.

    Args:
        node: the operator's call.
        positions: of all nodes in the order in which they ran.

    Raises:
        ModelError: a view of the same memory, taken before, is read afterwards.
    """
    target = written_tensor(node)
    if target is None:
        return ()
    now = positions.get(node.name, -1)
    names, views = _aliases(target)
    for view in views:
        if positions.get(view.name, -1) > now or view is node:
            continue
        if any(positions.get(user.name, -1) > now for user in view.users):
            raise ModelError(
                Diagnostic(
                    f"{node.target} writes to a tensor that another view of it ({view.target}) still shows afterwards",
                    where=_where(node),
                    hint="write to a copy, or build the result with torch.cat",
                )
            )
    return tuple(names)


def written_tensor(node: torch.fx.Node) -> torch.fx.Node | None:
    """The tensor that an operator writes to."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return None
    for index, argument in enumerate(node.target._schema.arguments):
        if argument.alias_info and argument.alias_info.is_write and index < len(node.args):
            target = node.args[index]
            return target if isinstance(target, torch.fx.Node) else None
    return None


def functional_operator(operator: torch._ops.OpOverload) -> torch._ops.OpOverload:
    """`aten.relu_.default` as `aten.relu.default`; anything else as it is."""
    packet = operator.overloadpacket.__name__
    if packet == "detach_":  # export puts it behind every constant, which has no gradient to stop
        return torch.ops.aten.alias.default
    if not packet.endswith("_") or packet.endswith("__"):
        return operator
    functional = getattr(torch.ops.aten, packet[:-1], None)
    overload = getattr(functional, operator._overloadname, None) if functional is not None else None
    return overload if isinstance(overload, torch._ops.OpOverload) else operator


def _aliases(target: torch.fx.Node) -> tuple[list[torch.fx.Node], list[torch.fx.Node]]:
    """All nodes that name the tensor itself (the results of in-place operators are the tensor), and its views."""
    base = target
    while (parent := written_tensor(base) or _viewed(base)) is not None:
        base = parent
    names: list[torch.fx.Node] = []
    views: list[torch.fx.Node] = []
    waiting = [(base, _same_tensor(base, target))]
    while waiting:
        current, is_target = waiting.pop()
        (names if is_target else views).append(current)
        same = [user for user in current.users if written_tensor(user) is current or _viewed(user) is current]
        waiting += [(user, _same_tensor(user, target)) for user in same]
    return names, views


def _same_tensor(node: torch.fx.Node, target: torch.fx.Node) -> bool:
    return _tensor(node) is _tensor(target)


def _tensor(node: torch.fx.Node) -> torch.fx.Node:
    """The node that made the tensor that `node` names."""
    while (parent := written_tensor(node)) is not None:
        node = parent
    return node


def _viewed(node: torch.fx.Node) -> torch.fx.Node | None:
    """The tensor that `node` is a view of; in-place results are their own tensor under another name."""
    if getattr(node.target, "__name__", "") == "getitem" and isinstance(node.args[0], torch.fx.Node):
        return _viewed(node.args[0])
    if not isinstance(node.target, torch._ops.OpOverload):
        return None
    for index, argument in enumerate(node.target._schema.arguments):
        if argument.alias_info and index < len(node.args) and isinstance(node.args[index], torch.fx.Node):
            return node.args[index]  # type: ignore[return-value]
    return None


def _where(node: torch.fx.Node) -> str:
    stack = node.meta.get("nn_module_stack") or {}
    return next(reversed([str(entry[0]) for entry in stack.values()]), "")
