"""Text of a rules file to its syntax tree, or everything that is wrong with it at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache, partial

from lark import Lark, Token, Tree, UnexpectedInput

from transpiler.errors import RulesError
from transpiler.language.book import Entry, Rules, RulesFile
from transpiler.language.builder import Builder, Statement
from transpiler.language.expression_builder import BRACES, Source, expanded
from transpiler.language.mistakes import explain
from transpiler.language.problems import Problem, diagnose_all
from transpiler.language.syntax import ModelDeclaration, ModuleRule, OperatorRule, Use
from transpiler.resources import read_grammar

_STATEMENT = re.compile(r"^(?:use|model|module|op)\b", re.MULTILINE)
_HEAD = re.compile(r"(?P<kind>module|op)\s+(?P<name>(?:[\w.]|\{[^{}]*\})+)")


def parse_rules(text: str, file: str) -> RulesFile:
    """Parses one rules file; `use` is resolved by the loader.

    >>> rules = parse_rules("module torch.nn.Identity => nothing", "identity.rules")
    >>> rules.module_rules[0].cls
    'torch.nn.Identity'

    Args:
        text: the whole file.
        file: its name, as messages and the header of generated source show it.

    Raises:
        RulesError: with one diagnostic for every problem found. After a syntax error, parsing goes on with the next
            `use`, `model`, `module` or `op` at the beginning of a line.
    """
    problems: list[Problem] = []
    statements: list[Statement] = []
    for source, tree in _trees(text, file, problems):
        builder = Builder(source)
        statements.extend(builder.statements(tree))
        problems.extend(builder.problems)
    if problems:
        raise RulesError(diagnose_all(problems, {file: text}))
    return RulesFile(
        path=file,
        text=text,
        uses=tuple(item for item in statements if isinstance(item, Use)),
        models=tuple(item for item in statements if isinstance(item, ModelDeclaration)),
        module_rules=Rules.of_modules(item for item in statements if isinstance(item, ModuleRule)),
        operator_rules=Rules.of_operators(item for item in statements if isinstance(item, OperatorRule)),
    )


def skim_rules(text: str, file: str) -> RulesFile:
    r"""`parse_rules` for a file that is known to be well formed, each rule when it is asked for.

    >>> skim_rules("module torch.nn.Identity\n    => nothing", "identity.rules").module_rules.entries[0].name
    'torch.nn.Identity'

    Args:
        text: the whole file; every statement begins at the beginning of a line.
        file: its name.

    Raises:
        RulesError: by this function for what is no rule, by the rules when they are asked for.
    """
    rest: list[str] = []
    modules: list[Entry[ModuleRule]] = []
    operators: list[Entry[OperatorRule]] = []
    for line, chunk in _chunks(text):
        head = _HEAD.match(chunk)
        rest.append(chunk if head is None else "\n" * chunk.count("\n"))
        if head is None:
            continue
        read = cache(partial(parse_rules, "\n" * line + chunk, file))
        for name in _names(head["name"]):
            if head["kind"] == "module":
                modules.append(Entry(name, file, partial(_modules, read, name)))
            else:
                operators.append(Entry(name, file, partial(_operators, read, name)))
    parsed = parse_rules("".join(rest), file)
    return RulesFile(file, text, parsed.uses, parsed.models, Rules(modules), Rules(operators))


def _names(head: str) -> tuple[str, ...]:
    """The names that the head of a rule stands for: each alternative of braces is one."""
    braces = BRACES.search(head)
    count = braces[1].count(",") + 1 if braces else 1
    return tuple(dict.fromkeys(expanded(head, alternative) for alternative in range(count)))


def _modules(read: Callable[[], RulesFile], name: str) -> tuple[ModuleRule, ...]:
    return tuple(rule for rule in read().module_rules if rule.cls == name)


def _operators(read: Callable[[], RulesFile], name: str) -> tuple[OperatorRule, ...]:
    return tuple(rule for rule in read().operator_rules if rule.operator == name)


@lru_cache(maxsize=1)
def lark_parser() -> Lark:
    """The parser of `grammars/rules.lark`, built once per process."""
    return Lark(
        read_grammar("rules.lark"),
        parser="lalr",
        lexer="contextual",
        propagate_positions=True,
        maybe_placeholders=False,
    )


def _trees(text: str, file: str, problems: list[Problem]) -> Iterator[tuple[Source, Tree[Token]]]:
    """The whole file as one tree; if it has syntax errors, the trees of its statements that have none."""
    parser = lark_parser()
    try:
        tree = parser.parse(text)
    except UnexpectedInput:
        yield from _sound_statements(text, file, parser, problems)
    else:
        yield Source(file, tuple(text.split("\n"))), tree


def _sound_statements(
    text: str, file: str, parser: Lark, problems: list[Problem]
) -> Iterator[tuple[Source, Tree[Token]]]:
    for line, chunk in _chunks(text):
        source = Source(file, tuple(chunk.split("\n")), line)
        try:
            tree = parser.parse(chunk)
        except UnexpectedInput as error:
            problems.append(explain(error, source, parser))
        else:
            yield source, tree


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """Cuts before every keyword that stands at the beginning of a line: (lines before, text)."""
    starts = sorted({0, *(match.start() for match in _STATEMENT.finditer(text))})
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield text.count("\n", 0, start), text[start:end]
