"""Lays an operator example out as a call: which tensor and which setting goes to which argument of torch's schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import torch

from transpiler.language.syntax import OperatorRule


@dataclass(frozen=True, slots=True)
class Place:
    """An argument that takes the example's tensor of that number, or, as a list, all from there on."""

    number: int
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """One argument of the schema and what an example passes for it."""

    argument: str
    parameter: str
    """The rule's name for it."""
    keyword: bool
    value: object
    """A `Place`, or the setting itself."""


@dataclass(frozen=True, slots=True)
class OperatorCall:
    """An operator with its slots filled."""

    operator: Any
    slots: tuple[Slot, ...]

    def stored(self, parameters: AbstractSet[str]) -> dict[int, str]:
        """Numbers of the tensors that go to these parameters of the rule, with the argument's name in the schema."""
        found = (slot for slot in self.slots if slot.parameter in parameters)
        return {slot.value.number: slot.argument for slot in found if isinstance(slot.value, Place)}

    def on(self, parameters: AbstractSet[str]) -> BoundCall:
        """The call as a function of its inputs and its stored tensors."""
        return BoundCall(self.operator, self.slots, self.stored(parameters))


@dataclass(frozen=True, slots=True)
class BoundCall:
    """Calls the operator on the inputs and the stored tensors by name."""

    operator: Any
    slots: tuple[Slot, ...]
    names: Mapping[int, str]
    """Of the tensors that are stored, by number."""

    def __call__(self, inputs: Sequence[torch.Tensor], weights: Mapping[str, torch.Tensor]) -> Any:
        """What the operator gives."""
        waiting = iter(inputs)
        count = len(inputs) + len(weights)
        tensors = [weights[self.names[number]] if number in self.names else next(waiting) for number in range(count)]
        args = [_filled(slot.value, tensors) for slot in self.slots if not slot.keyword]
        kwargs = {slot.argument: _filled(slot.value, tensors) for slot in self.slots if slot.keyword}
        return self.operator(*args, **kwargs)


def operator_calls(rule: OperatorRule, settings: Mapping[str, object], tensors: int) -> Iterator[OperatorCall]:
    """One call for each overload that the rule's parameters fit; torch decides which of them takes the values.

    Args:
        rule: `aten.add` leaves the overload open, `aten.mean.dim` does not.
        settings: the values after `with`, by parameter of the rule.
        tensors: how many tensors the example has.
    """
    namespace, name, *overload = rule.operator.split(".")
    packet = getattr(getattr(torch.ops, namespace), name)
    for candidate in overload or packet.overloads():
        schema = getattr(packet, candidate)._schema  # noqa: SLF001  (torch shows schemas nowhere else)
        slots = _slots(rule, schema, settings, tensors)
        if slots is not None:
            yield OperatorCall(getattr(packet, candidate) if overload else packet, slots)


def _slots(rule: OperatorRule, schema: Any, settings: Mapping[str, object], tensors: int) -> tuple[Slot, ...] | None:
    """None if the parameters do not fit, or a tensor is left over."""
    positional = [argument for argument in schema.arguments if not argument.kwarg_only]
    by_name = {argument.name: argument for argument in schema.arguments if argument.kwarg_only}
    slots: list[Slot] = []
    taken = 0
    by_keyword = False
    places = iter(positional)
    for parameter in rule.parameters:
        argument = by_name.get(parameter.name) if parameter.keyword_only else next(places, None)
        if argument is None:
            return None
        if parameter.name in settings:
            value = _setting(settings[parameter.name], argument)
        elif "Tensor" in str(argument.type) and taken < tensors:
            is_list = "List" in str(argument.type)
            value = Place(taken, is_list)
            taken = tensors if is_list else taken + 1
        elif argument.has_default_value():
            by_keyword = True  # what comes after a gap is passed by name
            continue
        elif "Optional" in str(argument.type):
            value = None
        else:
            return None
        slots.append(Slot(argument.name, parameter.name, by_keyword or parameter.keyword_only, value))
    return tuple(slots) if taken == tensors else None


def _setting(value: object, argument: Any) -> object:
    """Dtypes are strings in rules."""
    if isinstance(value, str) and "ScalarType" in str(argument.real_type):
        return getattr(torch, value)
    return value


def _filled(value: object, tensors: Sequence[torch.Tensor]) -> object:
    if not isinstance(value, Place):
        return value
    return list(tensors[value.number :]) if value.is_list else tensors[value.number]
