"""Keras calls of rules against Keras's signatures, weights against the variables of layers."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from transpiler.language import signatures
from transpiler.language.expressions import dotted_name, walk
from transpiler.language.helper_names import is_helper, is_helper_layer, nearest_helper
from transpiler.language.problems import Problem
from transpiler.language.signatures import REQUIRED, FunctionSignature, LayerSignature
from transpiler.language.syntax import Attribute, Call, Conditional, Emit, Expr, Helper, Position, WeightEntry

_LAYERS = "keras.layers."


def check_calls(expr: Expr, text: str) -> Iterator[Problem]:
    """Every Keras name and call in an expression.

    Args:
        expr: of a target.
        text: of the file it stands in: keyword arguments are found in it.
    """
    for part in walk(expr):
        if isinstance(part, Call):
            name = dotted_name(part.function)
            if name is not None and name.startswith("keras."):
                yield from _check_call(part, name, text)
        elif isinstance(part, Attribute):
            name = dotted_name(part)
            if name is not None and name.startswith("keras.") and name.count(".") > 1:
                yield from _unknown(name, part.position)


def check_chain(target: Emit) -> Iterator[Problem]:
    """`a >> b` is a Sequential: both must be layers."""
    if len(target.chain) < 2:
        return
    for link in target.chain:
        if not layers_of(link):
            yield Problem("'>>' chains layers", link.position, "as in: keras.layers.ZeroPadding2D(1) >> keras.layers.…")


def check_helper(target: Helper) -> Iterator[Problem]:
    """The helper must be one that ships."""
    name = dotted_name(target.call.function)
    if name is not None and not is_helper(name):
        yield Problem(f"unknown helper '{name}'", target.call.function.position, nearest_helper(name))


def check_targets(target: Emit, weights: tuple[WeightEntry, ...], text: str) -> Iterator[Problem]:
    """Every variable that `weights` fills must be one of a layer that the target makes."""
    layers = [signatures.layer(name) for link in target.chain for name in layers_of(link)]
    known = [found for found in layers if found is not None]
    if len(known) < len(layers) or not known:
        return
    if any(found.variables is None for found in known):
        return
    variables = tuple(dict.fromkeys(name for found in known for name in found.variables or ()))
    attributes = {name for found in known for name in found.attributes or ()}
    shown = " >> ".join(dict.fromkeys(found.name for found in known))
    for entry in weights:
        for variable in entry.targets:
            if variable in variables or variable in attributes:
                continue
            near = difflib.get_close_matches(variable, variables, n=1)
            hint = f"did you mean '{near[0]}'?" if near else _list_of("it has", variables)
            yield Problem(f"{shown} has no variable '{variable}'", _word(variable, entry.position, text), hint)


def layers_of(expr: Expr) -> tuple[str, ...]:
    """The layers that an expression may be: one, or those of a conditional's branches."""
    if isinstance(expr, Conditional):
        return (*layers_of(expr.then), *layers_of(expr.otherwise))
    name = dotted_name(expr.function) if isinstance(expr, Call) else None
    return (name,) if name is not None and (name.startswith(_LAYERS) or is_helper_layer(name)) else ()


def _check_call(call: Call, name: str, text: str) -> Iterator[Problem]:
    signature = _signature(name)
    if signature is None:
        yield from _unknown(name, call.function.position)
        return
    positional = signature.positional()
    if len(call.arguments) > len(positional) and not signature.gathers_positional:
        extra = call.arguments[len(positional)]
        count = f"{len(positional)} argument{'' if len(positional) == 1 else 's'}"
        yield Problem(f"{name} takes {count} by position, not {len(call.arguments)}", extra.position)
    given = {parameter.name for parameter in positional[: len(call.arguments)]}
    names = tuple(parameter.name for parameter in signature.parameters)
    for keyword, value in call.keywords:
        position = _keyword(keyword, value.position, text)
        if keyword in given:
            yield Problem(f"the argument '{keyword}' of {name} is given by position, too", position)
        elif keyword not in names and not signature.gathers_keywords:
            near = difflib.get_close_matches(keyword, names, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else _list_of("it takes", names)
            yield Problem(f"unknown argument '{keyword}' of {name}", position, hint)
        given.add(keyword)
    missing = [item.name for item in signature.parameters if item.default is REQUIRED and item.name not in given]
    if missing:
        yield Problem(f"{name} needs the argument '{missing[0]}'", call.function.position)


def _signature(name: str) -> FunctionSignature | LayerSignature | None:
    return signatures.layer(name) or signatures.function(name)


def _unknown(name: str, position: Position) -> Iterator[Problem]:
    if _signature(name) is not None:
        return
    by_lower = {known.lower(): known for known in signatures.names()}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.8)
    kind = "layer" if name.startswith(_LAYERS) else "function"
    yield Problem(f"unknown Keras {kind} '{name}'", position, f"did you mean '{by_lower[near[0]]}'?" if near else "")


def _list_of(lead: str, names: tuple[str, ...]) -> str:
    return f"{lead}: {', '.join(names)}" if names else f"{lead} none"


def _keyword(name: str, value: Position, text: str) -> Position:
    """Where the keyword of an argument stands: the tree has the places of values only."""
    lines = text.split("\n")
    for line in range(value.line, max(value.line - 5, 0), -1):
        before = lines[line - 1][: value.column - 1] if line == value.line else lines[line - 1]
        found = list(re.finditer(rf"\b{re.escape(name)}\b(?=\s*(?:=|$))", before))
        if found:
            start = found[-1].start() + 1
            return Position(value.file, line, start, start + len(name))
    return value


def _word(word: str, entry: Position, text: str) -> Position:
    """Where a variable stands in its entry."""
    lines = text.split("\n")
    line = lines[entry.line - 1] if entry.line <= len(lines) else ""
    start = line.find(word, entry.column - 1)
    return entry if start < 0 else Position(entry.file, entry.line, start + 1, start + 1 + len(word))
