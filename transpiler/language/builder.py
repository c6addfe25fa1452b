"""From Lark's tree to rules and declarations; collects every problem it finds instead of stopping at the first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from lark import Token, Tree

from transpiler.language.clauses import Clauses, read_clauses
from transpiler.language.expression_builder import BRACES, ExpressionBuilder, Node, Source
from transpiler.language.model_builder import build_model
from transpiler.language.pieces import dotted, trees
from transpiler.language.problems import PlacedError, Problem
from transpiler.language.syntax import (
    Example,
    ModelDeclaration,
    ModuleRule,
    Name,
    OperatorRule,
    Parameter,
    Position,
    Target,
    Use,
)

Rule: TypeAlias = ModuleRule | OperatorRule
Statement: TypeAlias = Use | ModelDeclaration | Rule

_FOR_MODULES_ONLY = ("calls", "ignores", "drop")


class Builder:
    """Builds the statements of one tree; `problems` holds what is wrong with those that are missing."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []

    def statements(self, tree: Tree[Token]) -> Iterator[Statement]:
        """All statements that are well formed, in the order of the file."""
        for node in trees(tree):
            try:
                if node.data in ("module_rule", "operator_rule"):
                    yield from self._rules(node)
                elif node.data == "model":
                    yield build_model(ExpressionBuilder(self.source), node)
                else:
                    yield self._use(node)
            except PlacedError as error:
                self.problems.append(error.problem)

    def _use(self, tree: Tree[Token]) -> Use:
        (name,) = tree.children
        position = self.source.position(name)
        if isinstance(name, Tree):
            return Use(".".join(map(str, name.children)), is_file=False, position=position)
        return Use(ExpressionBuilder(self.source).string(name), is_file=True, position=position)

    def _rules(self, tree: Tree[Token]) -> Iterator[Rule]:
        found: dict[Problem, None] = {}  # alternatives of one rule share most problems
        used: set[Position] = set()
        for alternative in self._alternatives(tree):
            expressions = ExpressionBuilder(self.source, alternative)
            build = _module_rule if tree.data == "module_rule" else _operator_rule
            try:
                rule, problems = build(expressions, tree)
            except PlacedError as error:
                found[error.problem] = None
                continue
            found.update(dict.fromkeys(problems))
            if rule is not None:
                used.update(example.position for example in rule.examples)
                yield rule
        self.problems.extend(found or _idle_examples(self.source, tree, used))

    def _alternatives(self, tree: Tree[Token]) -> tuple[int | None, ...]:
        """Which of the braces' alternatives to build: (None,) for a rule without braces in its head."""
        head, *clauses = trees(tree)
        names = [token for token in _tokens(head) if "{" in token]
        inside = [token for node in clauses for token in _tokens(node) if BRACES.search(token)]
        if not names:
            stray = next((token for token in inside if token.type == "NAME"), None)
            if stray is None:
                return (None,)
            message = "braces expand only if the name after 'module' or 'op' has them too"
            raise PlacedError(message, self.source.position(stray))
        count = _counts(names[0])[0]
        for token in (*names, *inside):
            other = next((found for found in _counts(token) if found != count), None)
            if other is not None:
                message = f"these braces have {other} alternatives, the first ones in the head of the rule {count}"
                raise PlacedError(message, self.source.position(token))
        return tuple(range(count))


def _module_rule(expressions: ExpressionBuilder, tree: Tree[Token]) -> tuple[ModuleRule | None, list[Problem]]:
    head, *nodes = trees(tree)
    cls = dotted(expressions, head)
    position = expressions.position(head)
    clauses = read_clauses(expressions, nodes, position)
    target = _sound(clauses)
    if target is None:
        return None, clauses.problems
    rule = ModuleRule(
        cls,
        clauses.when,
        target,
        clauses.calls,
        clauses.reads,
        clauses.writes,
        clauses.pointwise,
        clauses.weights,
        clauses.drops,
        clauses.ignores,
        tuple(example for example in clauses.examples if _builds(example, cls)),
        position,
    )
    return rule, []


def _operator_rule(expressions: ExpressionBuilder, tree: Tree[Token]) -> tuple[OperatorRule | None, list[Problem]]:
    head, *nodes = trees(tree)
    operator = dotted(expressions, head)
    position = expressions.position(head)
    parameters: tuple[Parameter, ...] = ()
    if nodes and nodes[0].data == "parameters":
        parameters = _parameters(expressions, nodes.pop(0))
    stray = next((node for node in nodes if node.data in _FOR_MODULES_ONLY), None)
    if stray is not None:
        raise PlacedError(f"'{stray.data}' belongs to module rules", expressions.position(stray))
    clauses = read_clauses(expressions, nodes, position)
    if clauses.drops:
        raise PlacedError("'drop' belongs to module rules", clauses.drops[0].position)
    target = _sound(clauses)
    if target is None:
        return None, clauses.problems
    rule = OperatorRule(
        operator,
        parameters,
        clauses.when,
        target,
        clauses.reads,
        clauses.writes,
        clauses.pointwise,
        clauses.weights,
        clauses.examples,
        position,
    )
    return rule, []


def _sound(clauses: Clauses) -> Target | None:
    return None if clauses.problems else clauses.target


def _parameters(expressions: ExpressionBuilder, tree: Tree[Token]) -> tuple[Parameter, ...]:
    found: dict[str, Parameter] = {}
    keyword_only = False
    for node in trees(tree):
        position = expressions.position(node)
        if node.data == "keyword_only":
            if keyword_only:
                raise PlacedError("a second '*' among the parameters", position)
            keyword_only = True
            continue
        name, *rest = node.children
        text = expressions.identifier(name)
        if text in found:
            raise PlacedError(f"the parameter '{text}' is named twice", position)
        default = expressions.expr(rest[0]) if rest else None
        previous = next(reversed(found.values()), None)
        if default is None and not keyword_only and previous is not None and previous.default is not None:
            raise PlacedError(f"'{text}' has no default, but '{previous.name}' before it has one", position)
        found[text] = Parameter(text, default, keyword_only, expressions.position(name))
    return tuple(found.values())


def _builds(example: Example, cls: str) -> bool:
    """A rule for `Conv{1,2,3}d` keeps `example Conv2d(…)` for its second alternative."""
    if example.constructor is None or not isinstance(example.constructor.function, Name):
        return False
    return example.constructor.function.id.rpartition(".")[2] == cls.rpartition(".")[2]


def _idle_examples(source: Source, tree: Tree[Token], used: set[Position]) -> Iterator[Problem]:
    if tree.data != "module_rule":
        return
    for node in trees(tree):
        if node.data == "example" and source.position(node) not in used:
            hint = "begin with its constructor, as in: example Conv2d(8, 16, 3) float32[2, 8, 13, 17]"
            yield Problem("this example does not build the rule's class", source.position(node), hint)


def _tokens(tree: Node) -> Iterator[Token]:
    """All tokens below, without recursion: hostile input nests deeply."""
    waiting: list[Node] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Token):
            yield node
        else:
            waiting.extend(reversed(node.children))


def _counts(token: Token) -> list[int]:
    return [alternatives.count(",") + 1 for alternatives in BRACES.findall(token)]
