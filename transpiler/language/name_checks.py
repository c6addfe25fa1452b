"""Names in expressions: each must be something that the rule can see when it is applied."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator

from transpiler.language.expressions import dotted_name, walk
from transpiler.language.functions import FUNCTIONS, OF_THE_LAYOUT
from transpiler.language.helper_names import is_helper_layer
from transpiler.language.patterns import letters
from transpiler.language.problems import Problem
from transpiler.language.syntax import (
    Call,
    Calls,
    Emit,
    Expr,
    Helper,
    ModuleRule,
    Name,
    OperatorRule,
    Pattern,
    Position,
    Target,
    View,
    WeightEntry,
)

VIEW_ARGUMENTS = {
    "permute": (1, 1),
    "transpose": (2, 2),
    "reshape": (0, 0),
    "expand": (0, 0),
    "repeat": (0, 0),
    "select": (2, 2),
    "slice": (1, 4),
    "split": (1, 1),
    "unbind": (1, 1),
    "identity": (0, 0),
}
"""Least and most arguments of each verb."""

_KNOWN_FUNCTIONS = (*FUNCTIONS, *OF_THE_LAYOUT)


def target_expressions(target: Target) -> tuple[Expr, ...]:
    """All expressions of a target."""
    if isinstance(target, Emit):
        return target.chain
    if isinstance(target, View):
        return (*target.arguments, *(value for _, value in target.sizes))
    if isinstance(target, Helper):
        return (*target.call.arguments, *(value for _, value in target.call.keywords))
    return ()


def rule_expressions(rule: ModuleRule | OperatorRule) -> tuple[Expr, ...]:
    """All expressions of a rule but those of `calls` and `example`."""
    guard = () if rule.when is None else (rule.when,)
    sizes = tuple(value for entry in rule.weights for _, value in entry.sizes)
    return (*guard, *target_expressions(rule.target), *sizes)


def check_names(expr: Expr, known: Collection[str] | None, others: Iterable[str] = ()) -> Iterator[Problem]:
    """Names and functions of one expression.

    Args:
        expr: any expression of a rule.
        known: the names it can see; None where nothing is known of them.
        others: names it can see besides.
    """
    visible = None if known is None else {*known, *others}
    for part in walk(expr):
        if isinstance(part, Call):
            yield from _check_function(part)
        elif isinstance(part, Name) and visible is not None and part.id not in visible and part.id != "keras":
            near = difflib.get_close_matches(part.id, sorted(visible), n=1)
            yield Problem(f"unknown name '{part.id}'", part.position, f"did you mean '{near[0]}'?" if near else "")


def check_calls_clause(calls: Calls, known: Collection[str] | None) -> Iterator[Problem]:
    """`calls (q, k) => self(q, k)` calls the layer, and nothing else."""
    call = calls.call
    if not isinstance(call, Call) or dotted_name(call.function) != "self":
        yield Problem("'calls' calls the layer", call.position, "as in: calls (query, key) => self(query, key)")
        return
    for value in (*call.arguments, *(value for _, value in call.keywords)):
        yield from check_names(value, known, calls.parameters)


def check_view(target: View, position: Position) -> Iterator[Problem]:
    """The number of a verb's arguments, the sizes of a pattern."""
    if target.pattern is not None:
        yield from _check_sizes(target.pattern, target.sizes, known=())
    if target.verb is None:
        return
    least, most = VIEW_ARGUMENTS[target.verb]
    if not least <= len(target.arguments) <= most:
        count = str(least) if least == most else f"{least} to {most}"
        where = target.arguments[-1].position if target.arguments else position
        message = f"'view {target.verb}' takes {count} argument{'' if most == 1 else 's'}, not {len(target.arguments)}"
        yield Problem(message, where)


def check_entry(entry: WeightEntry) -> Iterator[Problem]:
    """The pattern of one weight: its targets, its sizes."""
    if entry.pattern is None:
        if len(entry.targets) > 1:
            hint = "several variables take the slices of the pattern's first axis on the right"
            yield Problem("several variables need a pattern", entry.position, hint)
        return
    stacked: tuple[str, ...] = ()
    if len(entry.targets) > 1:
        stacked = entry.pattern.right[0] if entry.pattern.right else ()
        if len(stacked) != 1 or stacked[0] == "...":
            yield Problem("the first axis on the right must be one letter, for the variables", entry.pattern.position)
    yield from _check_sizes(entry.pattern, entry.sizes, stacked)


def _check_sizes(pattern: Pattern, sizes: tuple[tuple[str, Expr], ...], known: tuple[str, ...]) -> Iterator[Problem]:
    named = letters(pattern.left)
    for letter, value in sizes:
        if letter not in named:
            yield Problem(f"'{letter}' is no letter of the pattern", value.position, f"its letters: {', '.join(named)}")
    told = {*known, *(letter for letter, _ in sizes)}
    for axis in pattern.left:
        open_letters = [letter for letter in axis if letter not in told]
        if len(open_letters) > 1:
            listed = " and ".join(f"'{letter}'" for letter in open_letters)
            hint = f"give all but one: with {open_letters[0]} = …"
            yield Problem(f"the sizes of {listed} are not known", pattern.position, hint)


def _check_function(call: Call) -> Iterator[Problem]:
    name = dotted_name(call.function)
    if name is None:
        yield Problem("only functions can be called", call.function.position)
    elif not name.startswith("keras.") and name not in _KNOWN_FUNCTIONS and not is_helper_layer(name):
        near = difflib.get_close_matches(name, _KNOWN_FUNCTIONS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(_KNOWN_FUNCTIONS))}, and keras.…"
        yield Problem(f"unknown function '{name}'", call.function.position, hint)
