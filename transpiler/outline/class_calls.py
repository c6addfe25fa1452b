"""How generated classes are called: the first arguments by position, defaults left out."""

from __future__ import annotations

from dataclasses import dataclass, field

from transpiler.code import Call, Code, Function, Literal
from transpiler.outline.program import Parameter, Required
from transpiler.trees import code_of, is_value, key_of, value_of, walk


@dataclass(frozen=True, slots=True)
class Signature:
    """How a generated class is called."""

    parameters: tuple[Parameter, ...]
    positional: int
    """How many leading parameters are written by position."""


@dataclass(frozen=True, slots=True)
class ClassCall(Call):
    """A call that makes an instance of a generated class, every argument by name."""

    layers: frozenset[str] = field(default=frozenset(), compare=False)
    """The Keras layers that this instance is made of: what tells instances with other numbers apart."""


def layers_in(code: Code) -> frozenset[str]:
    """Which layers an expression makes, those of generated classes included."""
    found: set[str] = set()
    for node in walk(code):
        if isinstance(node, ClassCall):
            found |= node.layers
        elif isinstance(node, Call) and type(node.function) is Function:
            found.add(node.function.name)
    return frozenset(found - {"keras.Sequential"})


def call_of_class(call: Call, signature: Signature) -> Call:
    """`TFConv(c1, c_, k, s, act=act)`: the first arguments by position, defaults left out."""
    given = dict(call.keywords)
    arguments: list[Code] = []
    keywords: list[tuple[str, Code]] = []
    by_position = True
    for place, parameter in enumerate(signature.parameters):
        if parameter.name not in given:
            by_position = False
            continue
        value = given[parameter.name]
        default = parameter.default
        if not isinstance(default, Required) and is_value(value) and key_of(value_of(value)) == key_of(default):
            by_position = False
            continue
        is_flag = isinstance(value, Literal) and isinstance(value.value, bool)
        by_position = by_position and place < signature.positional and not is_flag
        if by_position:
            arguments.append(value)
        else:
            keywords.append((parameter.name, value))
    return Call(call.function, (*call.arguments, *arguments), tuple(keywords))


def arguments_by_name(call: Call, signature: Signature) -> dict[str, Code] | None:
    """Every argument of a call that `call_of_class` wrote, defaults too; None if a required one is missing."""
    given = dict(zip((parameter.name for parameter in signature.parameters), call.arguments, strict=False))
    given |= dict(call.keywords)
    found: dict[str, Code] = {}
    for parameter in signature.parameters:
        default = parameter.default
        if parameter.name in given:
            found[parameter.name] = given[parameter.name]
        elif isinstance(default, Required):
            return None
        else:
            found[parameter.name] = code_of(default)
    return found
