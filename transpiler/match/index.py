"""Which rule serves a module or an operator call: the highest that matches."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from transpiler.language.book import Entry, RuleBook
from transpiler.language.expressions import Scope, holds
from transpiler.language.problems import PlacedError
from transpiler.language.syntax import Emit, ModuleRule, OperatorRule
from transpiler.lift.program import Block, OpCall, Stored
from transpiler.match.scopes import module_scope, operator_scope


class RuleIndex:
    """The rules of a book, by class and by operator."""

    def __init__(self, book: RuleBook) -> None:
        self._module_rules = book.module_rules
        self._by_class: dict[type[nn.Module], tuple[ModuleRule, ...]] = {}
        self._by_operator: dict[str, list[Entry[OperatorRule]]] = {}
        self._resolved: dict[str, object] = {}
        for entry in book.operator_rules.entries:
            self._by_operator.setdefault(entry.name, []).append(entry)

    def module_rule(self, block: Block) -> ModuleRule | None:
        """The rule for a module's class, or for a base class whose `forward` it inherits."""
        candidates = self._rules_for(type(block.module))
        if not candidates:
            return None
        scope = module_scope(block)
        return next((rule for rule in candidates if _stores(block.module, rule) and _holds(rule.when, scope)), None)

    def operator_rule(self, call: OpCall) -> tuple[OperatorRule, Mapping[str, Any]] | None:
        """The rule for an ATen call, with the call's arguments by the rule's parameter names."""
        for rule in self.rules_named(call.name):
            bindings = bind(rule, call)
            if bindings is None or not _weights_are_stored(rule, bindings):
                continue
            if _holds(rule.when, operator_scope(bindings)):
                return rule, bindings
        return None

    def rules_named(self, name: str) -> Iterator[OperatorRule]:
        """Rules for `aten.mean.dim`, and those for `aten.mean` that leave the overload open."""
        for known in (name, name.rsplit(".", 1)[0]):
            for entry in self._by_operator.get(known, ()):
                yield from entry.rules()

    def _rules_for(self, cls: type[nn.Module]) -> tuple[ModuleRule, ...]:
        if cls not in self._by_class:
            bases = _sharing_forward(cls)
            self._by_class[cls] = tuple(
                rule
                for base in bases
                for entry in self._module_rules.entries
                if self._is(entry.name, base)
                for rule in entry.rules()
            )
        return self._by_class[cls]

    def _is(self, dotted: str, cls: type[nn.Module]) -> bool:
        if dotted == f"{cls.__module__}.{cls.__qualname__}":
            return True
        if dotted.rsplit(".", 1)[-1] != cls.__name__:
            return False
        if dotted not in self._resolved:
            self._resolved[dotted] = resolve(dotted)
        return self._resolved[dotted] is cls


def _stores(module: nn.Module, rule: ModuleRule) -> bool:
    """Whether what the rule pours is stored in the module: weights that are computed (a parametrization, a hook that
    normalises them) are the body's to compute.
    """
    return all(_is_stored(module, entry.source) for entry in rule.weights)


def _is_stored(module: nn.Module, source: str) -> bool:
    *path, name = source.split(".")
    owner: object = module
    for part in path:
        owner = getattr(owner, part, None)
    if not isinstance(owner, nn.Module):
        return True
    stored = name in owner._parameters or name in owner._buffers
    return stored or not isinstance(getattr(owner, name, None), torch.Tensor)


def resolve(dotted: str) -> object | None:
    """The object of a dotted name, looked up in the modules that are loaded; nothing is imported."""
    parts = dotted.split(".")
    for length in range(len(parts) - 1, 0, -1):
        value: object | None = sys.modules.get(".".join(parts[:length]))
        if value is None:
            continue
        for name in parts[length:]:
            value = getattr(value, name, None)
        return value
    return None


def bind(rule: OperatorRule, call: OpCall) -> dict[str, Any] | None:
    """The call's arguments by the rule's parameter names; None if the rule leaves out one that is not at its default.

    Parameters bind by position, those after `*` by name.
    """
    arguments = call.operator._schema.arguments
    positional = [argument for argument in arguments if not argument.kwarg_only]
    named = {argument.name: argument for argument in arguments if argument.kwarg_only}
    bindings: dict[str, Any] = {}
    used = set()
    for place, parameter in enumerate(parameter for parameter in rule.parameters if not parameter.keyword_only):
        if place >= len(positional):
            return None
        argument = positional[place]
        bindings[parameter.name] = call.arguments.get(argument.name, argument.default_value)
        used.add(argument.name)
    for parameter in rule.parameters:
        if not parameter.keyword_only:
            continue
        if parameter.name not in named:
            return None
        bindings[parameter.name] = call.arguments.get(parameter.name, named[parameter.name].default_value)
        used.add(parameter.name)
    for argument in arguments:
        if argument.name in used or argument.name not in call.arguments:
            continue
        if call.arguments[argument.name] != argument.default_value:
            return None
    return bindings


def _weights_are_stored(rule: OperatorRule, bindings: Mapping[str, Any]) -> bool:
    if not rule.weights or not isinstance(rule.target, Emit):
        return True
    sources = [bindings.get(entry.source) for entry in rule.weights]
    return any(source is not None for source in sources) and all(
        source is None or isinstance(source, Stored) for source in sources
    )


def _sharing_forward(cls: type[nn.Module]) -> list[type[nn.Module]]:
    """The class and its bases up to the one that defines the `forward` in use."""
    shared = []
    for base in cls.__mro__:
        shared.append(base)
        if "forward" in base.__dict__:
            break
    return shared


def _holds(condition: Any, scope: Scope) -> bool:
    """A guard that has no answer (a dynamic size compared, an absent attribute) does not hold."""
    try:
        return holds(condition, scope)
    except PlacedError:
        return False
