"""Checks rules before they are used: everything at once, nothing run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from transpiler.errors import Diagnostic, RulesError
from transpiler.formats import target
from transpiler.language.book import RuleBook
from transpiler.language.keras_checks import check_calls, check_chain, check_helper, check_targets
from transpiler.language.loader import pack_file
from transpiler.language.name_checks import (
    check_calls_clause,
    check_entry,
    check_names,
    check_view,
    rule_expressions,
    target_expressions,
)
from transpiler.language.problems import Problem, diagnose_all
from transpiler.language.reachability import unreachable
from transpiler.language.style_checks import check_style
from transpiler.language.syntax import (
    Emit,
    Helper,
    ModelDeclaration,
    ModuleRule,
    OperatorRule,
    Position,
    View,
)
from transpiler.language.torch_checks import check_class, check_ignores, check_operator, visible_names
from transpiler.resources import pack_names


def check(book: RuleBook, files: Collection[str] | None = None) -> tuple[Diagnostic, ...]:
    """Everything that is wrong with the rules, in the order of files and lines; () if nothing is.

    >>> check(load_rules(Path("slimneck.rules")))  # doctest: +SKIP
    (Diagnostic(message="unknown argument 'stride' of keras.layers.Conv2D", where='slimneck.rules:12:17', …),)

    Imports torch if there is a rule to check. Classes of modules that are not loaded are not looked into.

    Args:
        book: all rules in force.
        files: which files' rules to check; all but the shipped packs, which their own tests check, if not given.
    """
    texts = dict(book.texts)
    chosen = set(texts) - {pack_file(name) for name in pack_names()} if files is None else set(files)
    return diagnose_all(_problems(book, texts, chosen), texts)


def _problems(book: RuleBook, texts: Mapping[str, str], chosen: set[str]) -> Iterator[Problem]:
    if book.model is not None and book.model.position.file in chosen:
        yield from _check_model(book.model)
    module_rules = list(book.module_rules.of_files(chosen))
    operator_rules = list(book.operator_rules.of_files(chosen))
    said: dict[Position, set[Position]] = {}
    rules: list[ModuleRule | OperatorRule] = [*module_rules, *operator_rules]
    for rule in rules:
        # Alternatives of one rule stand in one place: what is wrong with the first need not be said of the others.
        before = said.setdefault(rule.position, set())
        found = [problem for problem in _check_rule(rule, texts) if problem.position not in before]
        before.update(problem.position for problem in found)
        yield from found
    yield from check_ignores(module_rules)
    yield from unreachable(module_rules, operator_rules)


def _check_rule(rule: ModuleRule | OperatorRule, texts: Mapping[str, str]) -> Iterator[Problem]:
    text = texts.get(rule.position.file, "")
    yield from check_class(rule) if isinstance(rule, ModuleRule) else check_operator(rule)
    known = visible_names(rule)
    for expr in rule_expressions(rule):
        yield from check_names(expr, known)
    for expr in target_expressions(rule.target):
        yield from check_calls(expr, text)
    if isinstance(rule.target, Emit):
        yield from check_chain(rule.target)
        yield from check_targets(rule.target, rule.weights, text)
    if isinstance(rule.target, Helper):
        yield from check_helper(rule.target)
    if isinstance(rule.target, View):
        yield from check_view(rule.target, rule.position)
    for entry in rule.weights:
        yield from check_entry(entry)
    if isinstance(rule, ModuleRule) and rule.calls is not None:
        yield from check_calls_clause(rule.calls, known)


def _check_model(model: ModelDeclaration) -> Iterator[Problem]:
    for _, value in (*model.arguments, *model.style):
        yield from check_names(value, ())
    yield from check_style(model)
    for text, position in model.artefacts:
        try:
            target(text, Path("tf.py"))
        except RulesError as error:
            yield from (Problem(said.message, position, said.hint) for said in error.diagnostics)
