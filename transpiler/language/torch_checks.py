"""Rules against torch: classes and their constructors, operators and their schemas."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from transpiler.language import syntax
from transpiler.language.expressions import names_in
from transpiler.language.name_checks import rule_expressions
from transpiler.language.problems import Problem
from transpiler.language.syntax import Literal, ModuleRule, OperatorRule, Parameter, Position, Template
from transpiler.language.torch_facts import ClassFacts, Missing, Schema, SchemaArgument, class_facts, schemas

OPERAND_SIZES = frozenset(["in_channels", "in_features", "num_features", "num_channels"])
"""Constructor parameters that every Keras layer learns from its operand: rules need not read them."""

ALWAYS_IGNORED = frozenset(["device", "dtype"])
"""Where and in which precision torch stores the weights is up to Keras afterwards."""


def visible_names(rule: ModuleRule | OperatorRule) -> frozenset[str] | None:
    """The names that a rule's expressions can see; None for a class of which nothing is known."""
    if isinstance(rule, OperatorRule):
        return frozenset(parameter.name for parameter in rule.parameters)
    facts = class_facts(rule.cls)
    if not isinstance(facts, ClassFacts) or facts.attributes is None:
        return None
    return facts.attributes | {*facts.operands}


def check_class(rule: ModuleRule) -> Iterator[Problem]:
    """The class, its constructor's parameters, and what `weights`, `drop`, `ignores` and `calls` name of it."""
    facts = class_facts(rule.cls)
    if isinstance(facts, Missing):
        hint = f"did you mean '{facts.nearest}'?" if facts.nearest else ""
        yield Problem(f"unknown class '{rule.cls}'", rule.position, hint)
    if not isinstance(facts, ClassFacts):
        return
    yield from _check_coverage(rule, facts)
    yield from _check_signatures(rule, facts)
    yield from _check_attributes(rule, facts)


def check_ignores(rules: Sequence[ModuleRule]) -> Iterator[Problem]:
    """What `ignores` names; with alternatives, one of the classes must have it."""
    alternatives: dict[Position, list[tuple[ModuleRule, ClassFacts]]] = {}
    for rule in rules:
        facts = class_facts(rule.cls)
        if isinstance(facts, ClassFacts):
            alternatives.setdefault(rule.position, []).append((rule, facts))
    for group in alternatives.values():
        rule = group[0][0]
        known = tuple(dict.fromkeys(name for _, facts in group for name in (*facts.parameters, *facts.others)))
        for name in rule.ignores:
            if name not in known:
                message = f"the constructor of {rule.cls} has no parameter '{name}' to ignore"
                yield Problem(message, rule.position, _nearest(name, known))


def check_operator(rule: OperatorRule) -> Iterator[Problem]:
    """The operator, the parameters against its schemas, and what `reads` and `weights` name of them."""
    names = [parameter.name for parameter in rule.parameters]
    operands = [(reads.operand, reads.pattern.position) for reads in rule.reads]
    sources = [(entry.source.partition(".")[0], entry.position) for entry in rule.weights]
    for name, position in (*operands, *sources):
        if name not in names:
            yield Problem(f"the rule has no parameter '{name}'", position, _nearest(name, names))
    found = schemas(rule.operator)
    if isinstance(found, Missing):
        hint = f"did you mean '{found.nearest}'?" if found.nearest else ""
        yield Problem(f"unknown operator '{rule.operator}'", rule.position, hint)
    if not isinstance(found, tuple):
        return
    misfits = [_misfit(rule, schema) for schema in found]
    if all(misfits):
        usual = [index for index, schema in enumerate(found) if not schema.is_variant] or list(range(len(found)))
        first = misfits[usual[0]]
        message, position = f"no overload of {rule.operator} has these parameters", rule.position
        if len(usual) == 1 and first is not None:
            message, position = first
        yield Problem(message, position, "\n".join(found[index].text for index in usual[:4]))


def _check_coverage(rule: ModuleRule, facts: ClassFacts) -> Iterator[Problem]:
    if isinstance(rule.target, Template):  # written by hand, and read by its author
        return
    read = {name.id for expr in rule_expressions(rule) for name in names_in(expr)}
    read |= {entry.source.partition(".")[0] for entry in rule.weights}
    if rule.calls is not None:
        read |= {name.id for name in names_in(rule.calls.call)}
    covered = read | {*rule.ignores} | ALWAYS_IGNORED | OPERAND_SIZES
    missed = [parameter for parameter in facts.parameters if parameter not in covered]
    unkept = [parameter for parameter in missed if facts.attributes is not None and parameter not in facts.attributes]
    kept = [parameter for parameter in missed if parameter not in unkept]
    if kept:
        hint = f"read what matters, guard against it with 'when', or say: ignores {', '.join(kept)}"
        yield Problem(f"the rule does not read {_listed(kept)} of {rule.cls}", rule.position, hint)
    if unkept:
        hint = f"guard what the constructor sets instead, and say: ignores {', '.join(unkept)}"
        yield Problem(f"instances of {rule.cls} don't keep {_listed(unkept)}", rule.position, hint)


def _check_signatures(rule: ModuleRule, facts: ClassFacts) -> Iterator[Problem]:
    if rule.calls is None:
        return
    for name in rule.calls.parameters:
        if name not in facts.operands and "args" not in facts.operands:
            hint = _nearest(name, facts.operands)
            yield Problem(f"forward of {rule.cls} has no parameter '{name}'", rule.calls.call.position, hint)


def _check_attributes(rule: ModuleRule, facts: ClassFacts) -> Iterator[Problem]:
    if facts.attributes is None:
        return
    sources = [(entry.source, entry.position) for entry in rule.weights]
    for source, position in (*sources, *((drop.name, drop.position) for drop in rule.drops)):
        root = source.partition(".")[0]
        if root not in facts.attributes:
            hint = _nearest(root, sorted(facts.attributes))
            yield Problem(f"{rule.cls} has no attribute '{root}'", position, hint)


def _misfit(rule: OperatorRule, schema: Schema) -> tuple[str, Position] | None:
    """Why the rule's parameters cannot bind to the arguments of this overload; None if they can."""
    by_position = [argument for argument in schema.arguments if not argument.keyword_only]
    by_name = {argument.name: argument for argument in schema.arguments if argument.keyword_only}
    taken = [parameter for parameter in rule.parameters if not parameter.keyword_only]
    if len(taken) > len(by_position):
        count = f"{len(by_position)} argument{'' if len(by_position) == 1 else 's'}"
        return f"{rule.operator} has {count} by position, not {len(taken)}", taken[len(by_position)].position
    bound = dict(zip((argument.name for argument in by_position), taken, strict=False))
    for parameter in rule.parameters:
        if parameter.keyword_only and parameter.name not in by_name:
            return f"{rule.operator} has no argument '{parameter.name}' by name", parameter.position
        if parameter.keyword_only:
            bound[parameter.name] = parameter
    for argument in schema.arguments:
        if argument.name not in bound:
            if not argument.has_default:
                return f"the rule lacks the argument '{argument.name}' of {rule.operator}", rule.position
            continue
        wrong = _wrong_default(bound[argument.name], argument)
        if wrong:
            return wrong, bound[argument.name].position
    return None


def _wrong_default(parameter: Parameter, argument: SchemaArgument) -> str:
    default = argument.default
    if parameter.default is None or argument.is_enumeration:
        return ""
    if not argument.has_default:
        return f"'{parameter.name}' has no default in torch"
    said = _literal(parameter.default)
    if said is None:
        return ""
    # `int[2] padding=0` is [0, 0] in the schema; a rule may say 0.
    repeated = isinstance(default, list) and bool(default) and all(item == said for item in default)
    if default == said or repeated:
        return ""
    return f"the default of '{parameter.name}' is {default!r} in torch, not {said!r}"


def _literal(expr: syntax.Expr) -> object:
    """The value of a literal or of a display of literals; None for anything else, and for None."""
    if isinstance(expr, Literal):
        return expr.value
    if isinstance(expr, syntax.Sequence):
        items = [item.value for item in expr.items if isinstance(item, Literal)]
        return items if len(items) == len(expr.items) else None
    return None


def _listed(names: list[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _nearest(name: str, known: tuple[str, ...] | list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{near[0]}'?" if near else ""
