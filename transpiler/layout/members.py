"""Names of members: attributes for torch paths, variables for weight entries."""

from __future__ import annotations

from collections.abc import Sequence

from transpiler.code import Call, Function
from transpiler.code import Member as MemberCode
from transpiler.language import signatures
from transpiler.layout.names import attribute_name


def variables_of(targets: Sequence[str], calls: Sequence[Call]) -> list[str]:
    """A chain's variables belong to the one layer of the chain that has them."""
    if len(calls) == 1:
        return list(targets)
    for index, call in enumerate(calls):
        signature = signatures.layer(call.function.name) if isinstance(call.function, Function) else None
        if (
            signature is not None
            and signature.variables
            and targets[0].split(".")[0] in {name.split(".")[0] for name in signature.variables}
        ):
            return [f"{index}.{target}" for target in targets]
    return [f"{len(calls) - 1}.{target}" for target in targets]


def has_variables(call: Call) -> bool:
    """Whether the layer that a call makes has weights."""
    signature = signatures.layer(call.function.name) if isinstance(call.function, Function) else None
    return signature is not None and bool(signature.variables)


def member_path(member: MemberCode) -> str:
    return member.name if member.index is None else f"{member.name}.{member.index}"


def attribute_of(relative: str) -> tuple[str, bool]:
    """The attribute for a torch path: `m.0` is an element of the list `m`, deeper paths are joined.

    >>> attribute_of("m.0"), attribute_of("layers.1.attn"), attribute_of("conv")
    (('m', True), ('layers_attn', True), ('conv', False))
    """
    parts = relative.split(".")
    numbers = [part for part in parts if part.isdigit()]
    names = [part for part in parts if not part.isdigit()]
    if not names:
        return attribute_name("_".join(["sequence", *parts[:-1]])), True
    name = attribute_name("_".join(names + numbers[:-1]))
    return name, bool(numbers)
