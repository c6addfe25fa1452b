"""Lists rules for people: what is known, where it stands, which rule is tried first."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from transpiler.errors import Diagnostic, RulesError
from transpiler.language.book import RuleBook
from transpiler.language.loader import load_rules
from transpiler.language.syntax import ModuleRule, OperatorRule, Position

Rule = ModuleRule | OperatorRule


def describe_rules(path: Path | None) -> str:
    """One line for each rule, in the order in which they are tried.

    >>> describe_rules(None).splitlines()[0]  # doctest: +SKIP
    'module torch.nn.Conv2d    packs/torch.nn.rules:12:1'

    Args:
        path: a rules file; None for the packs that ship with kerascribe.

    Raises:
        RulesError: the file cannot be read or parsed.
    """
    rules = _rules(load_rules(path))
    width = max((len(_title(rule)) for rule in rules), default=0)
    return "\n".join(f"{_title(rule):{width}}  {rule.position}" for rule in rules)


def explain_rule(name: str, path: Path | None) -> str:
    """The text of every rule for `name`, the first that is tried at the top.

    Args:
        name: `torch.nn.Conv2d`, `Conv2d`, `aten.mean` or `aten.mean.dim`.
        path: as in `describe_rules`.

    Raises:
        RulesError: no rule is for that name; similar names are shown.
    """
    book = load_rules(path)
    found = [rule for rule in _rules(book) if _is_for(rule, name)]
    if not found:
        known = {short for rule in _rules(book) for short in (_subject(rule), _subject(rule).rpartition(".")[2])}
        near = difflib.get_close_matches(name, sorted(known), n=3)
        hint = f"did you mean {', '.join(map(repr, near))}?" if near else ""
        raise RulesError(Diagnostic(f"no rule is for {name!r}", hint=hint))
    texts = dict(book.texts)
    parts = (f"{number}. {rule.position}\n{_excerpt(rule.position, texts)}" for number, rule in enumerate(found, 1))
    return "\n\n".join(parts)


def _rules(book: RuleBook) -> tuple[Rule, ...]:
    return (*book.module_rules, *book.operator_rules)


def _subject(rule: Rule) -> str:
    return rule.cls if isinstance(rule, ModuleRule) else rule.operator


def _title(rule: Rule) -> str:
    return f"{'module' if isinstance(rule, ModuleRule) else 'op'} {_subject(rule)}"


def _is_for(rule: Rule, name: str) -> bool:
    subject = _subject(rule)
    return subject == name or subject.endswith(f".{name}") or subject.startswith(f"{name}.")


def _excerpt(position: Position, texts: Mapping[str, str]) -> str:
    lines = texts[position.file].splitlines()[position.line - 1 :]
    # A rule goes on for as long as its lines are indented, empty, or close a brace.
    length = next(
        (number for number, line in enumerate(lines) if number and line[:1] not in ("", " ", "\t", "}")), None
    )
    return "\n".join(lines[:length]).rstrip()
