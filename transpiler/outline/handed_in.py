"""Members that torch's constructor is handed by its caller, as `Residual(fn)` is: here they are handed in, too.

>>> # class Residual(fn): self.fn = fn
>>> # Block: self.mix = Residual(keras.Sequential([…]))
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from transpiler.code import Name
from transpiler.lowered import Body, Opaque, WeightAttribute
from transpiler.outline.names import LAYER_ATTRIBUTES, usable
from transpiler.outline.program import Assign, ClassDefinition, Line, Parameter
from transpiler.outline.walk_lines import code_in, flat
from transpiler.trees import walk


def takes_layers(bodies: list[Body]) -> bool:
    """Whether the constructor was handed a module that its instance keeps."""
    given = (value for body in bodies if body.constructor for value in body.constructor.arguments.values())
    return any(isinstance(value, Opaque) and value.children for value in given)


def handed_in(bodies: list[Body], members: Iterable[str], filled: Collection[str]) -> dict[str, str]:
    """The members that the constructor is handed on every instance that has them, and the parameter that takes each.

    Args:
        bodies: one for each instance.
        members: names of attributes.
        filled: those that are an Identity where an instance lacks them.
    """
    found: dict[str, str] = {}
    for member in members:
        parameters = {parameter for body in bodies if (parameter := _parameter(body, member)) is not None}
        parameter = parameters.pop() if len(parameters) == 1 else None
        if parameter is not None and all(_is_told(body, member, parameter, filled) for body in bodies):
            found[member] = parameter
    return found


def _children(body: Body, member: str) -> tuple[str, ...]:
    """The children of torch's that a member is, or the list of it."""
    own = [one for one in body.members if one.name == member and not isinstance(one.value, WeightAttribute)]
    return tuple(one.torch_path for one in sorted(own, key=lambda one: one.index or 0))


def _parameter(body: Body, member: str) -> str | None:
    """The parameter that a member was handed in by."""
    children = _children(body, member)
    if not children or not all(children) or body.constructor is None:
        return None
    given = body.constructor.arguments.items()
    return next((name for name, value in given if isinstance(value, Opaque) and value.children == children), None)


def _is_told(body: Body, member: str, parameter: str, filled: Collection[str]) -> bool:
    """Whether what the parameter is given says what the member is on this instance."""
    if any(own.name == member for own in body.members):
        return _parameter(body, member) == parameter
    if body.constructor is None or parameter not in body.constructor.arguments:
        return False
    return member in filled or body.constructor.arguments[parameter] is None


def with_attributes(
    lines: Iterable[Line], parameters: Iterable[Parameter], taken: Collection[str]
) -> tuple[tuple[Line, ...], tuple[tuple[str, str], ...]]:
    """The lines of a constructor with an attribute for every parameter, and the attribute of each.

    Keras writes the config of a layer on its own only if it is given basic values; a layer that is handed layers gives
    its config back from attributes.

    Args:
        lines: of the constructor.
        parameters: of the constructor.
        taken: attributes that mean something else.
    """
    lines = tuple(lines)
    held = {
        line.value.name: line.targets[0].removeprefix("self.")
        for line in lines
        if isinstance(line, Assign) and type(line.value) is Name and line.targets[0].startswith("self.")
    }
    targets = (target for line in flat(lines) if isinstance(line, Assign) for target in line.targets)
    assigned = {target.removeprefix("self.") for target in targets}
    added: list[Line] = []
    for parameter in parameters:
        if parameter.name not in held:
            held[parameter.name] = usable(parameter.name, {*taken, *assigned, *held.values(), *LAYER_ATTRIBUTES})
            added.append(Assign((f"self.{held[parameter.name]}",), Name(parameter.name)))
    return (*added, *lines), tuple((parameter.name, held[parameter.name]) for parameter in parameters)


def length(definition: ClassDefinition) -> int:
    """How much the constructor says, and the config with it: names, literals, calls."""
    said = sum(1 for line in flat(definition.setup) for _ in walk(code_in(line)))
    return said + len(definition.parameters) + 2 * len(definition.config)
