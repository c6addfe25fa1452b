"""Rules that never apply: one above them in the same file takes all that they would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from transpiler.language.problems import Problem
from transpiler.language.syntax import ModuleRule, OperatorRule, Position


def unreachable(module_rules: Sequence[ModuleRule], operator_rules: Sequence[OperatorRule]) -> Iterator[Problem]:
    """One problem for every rule that an earlier one without a guard shadows.

    Between files this is how rules are overridden, and no problem.

    Args:
        module_rules: highest priority first.
        operator_rules: highest priority first.
    """
    classes: dict[tuple[str, str], Position] = {}
    for rule in module_rules:
        key = (rule.position.file, rule.cls)
        if key in classes:
            yield _problem(rule.position, classes[key])
        elif rule.when is None:
            classes[key] = rule.position
    unguarded: dict[tuple[str, str], list[OperatorRule]] = {}
    for operator in operator_rules:
        packet = ".".join(operator.operator.split(".")[:2])
        above = unguarded.setdefault((operator.position.file, packet), [])
        shadow = next((earlier for earlier in above if _covers(earlier, operator)), None)
        if shadow is not None:
            yield _problem(operator.position, shadow.position)
        elif operator.when is None and not operator.weights:  # one with weights applies to stored tensors only
            above.append(operator)


def _covers(earlier: OperatorRule, later: OperatorRule) -> bool:
    """Whether the earlier rule binds every argument that the later one does, of every overload of it."""
    if earlier.operator not in (later.operator, ".".join(later.operator.split(".")[:2])):
        return False
    earlier_named = {parameter.name for parameter in earlier.parameters if parameter.keyword_only}
    later_named = {parameter.name for parameter in later.parameters if parameter.keyword_only}
    earlier_count = len(earlier.parameters) - len(earlier_named)
    later_count = len(later.parameters) - len(later_named)
    if earlier.operator == later.operator and "." not in earlier.operator.partition(".")[2]:
        # The overload is open: one with fewer arguments may fit the later rule only.
        return earlier_count == later_count and earlier_named == later_named
    return earlier_count >= later_count and earlier_named >= later_named


def _problem(position: Position, earlier: Position) -> Problem:
    hint = f"put this rule above the one in line {earlier.line}, or give that one a 'when'"
    return Problem(f"this rule is never reached: the one in line {earlier.line} has no 'when'", position, hint)
