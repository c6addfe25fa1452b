"""The clauses of a rule, in any order."""

from __future__ import annotations

from dataclasses import dataclass, field

from lark import Token, Tree

from transpiler.language.expression_builder import ExpressionBuilder
from transpiler.language.pieces import dotted, layout, names, pairs, path, pattern, poured, tensor, trees
from transpiler.language.problems import PlacedError, Problem
from transpiler.language.syntax import (
    Call,
    Calls,
    Drop,
    Emit,
    Example,
    Expr,
    Helper,
    Name,
    Nothing,
    Pattern,
    Position,
    Reads,
    Target,
    Template,
    View,
    WeightEntry,
)

VERBS = ("permute", "transpose", "reshape", "expand", "repeat", "select", "slice", "split", "unbind", "identity")

_ONCE = ("when", "target", "calls", "writes", "pointwise")


@dataclass(slots=True)
class Clauses:
    """What the clauses of one rule say; `problems` holds what is wrong with them."""

    when: Expr | None = None
    target: Target | None = None
    calls: Calls | None = None
    reads: tuple[Reads, ...] = ()
    writes: tuple[Pattern, ...] = ()
    pointwise: bool = False
    weights: tuple[WeightEntry, ...] = ()
    drops: tuple[Drop, ...] = ()
    ignores: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    problems: list[Problem] = field(default_factory=list)


def read_clauses(expressions: ExpressionBuilder, nodes: list[Tree[Token]], head: Position) -> Clauses:
    """Reads all clauses of a rule, collecting the problems of each.

    Args:
        expressions: for the file and the alternative at hand.
        nodes: the clauses' trees.
        head: the rule's name, for what is missing.
    """
    clauses = Clauses()
    seen: set[str] = set()
    for node in nodes:
        kind = str(node.data)
        try:
            _refuse_second(kind, seen, expressions.position(node))
            _read(clauses, expressions, node)
        except PlacedError as error:
            clauses.problems.append(error.problem)
        seen.add(kind)
    if "target" not in seen:
        clauses.problems.append(Problem("this rule has no '=>'", head, "say what it becomes: => keras.layers.…"))
    return clauses


def _refuse_second(kind: str, seen: set[str], position: Position) -> None:
    if kind in _ONCE and kind in seen:
        raise PlacedError(f"a second '{'=>' if kind == 'target' else kind}' in one rule", position)


def _read(clauses: Clauses, expressions: ExpressionBuilder, node: Tree[Token]) -> None:  # noqa: C901 - a case a clause
    match node.data:
        case "when":
            clauses.when = expressions.expr(node.children[0])
        case "target":
            clauses.target = _target(expressions, trees(node)[0])
        case "calls":
            clauses.calls = _calls(expressions, node)
        case "reads":
            for read in trees(node):
                clauses.reads += (_reads(expressions, read, clauses.reads),)
        case "writes":
            clauses.writes = tuple(layout(expressions, token) for token in node.children)
        case "pointwise":
            clauses.pointwise = True
        case "weights":
            for child in trees(node):
                _read_weight(clauses, expressions, child)
        case "drop":
            _read_weight(clauses, expressions, node)
        case "ignores":
            clauses.ignores += names(expressions, trees(node)[0])
        case _:
            clauses.examples += (_example(expressions, node),)


def _target(expressions: ExpressionBuilder, tree: Tree[Token]) -> Target:
    match tree.data:
        case "nothing":
            return Nothing()
        case "template":
            return Template(expressions.string(tree.children[0]))
        case "helper":
            return Helper(_named_call(expressions, tree))
        case "view_verb":
            return _view(expressions, tree)
        case "view_pattern":
            sizes = pairs(expressions, trees(tree)[0]) if trees(tree) else ()
            return View(None, (), pattern(expressions, tree.children[0]), sizes)
        case _:
            return Emit(expressions.exprs(tree.children))


def _named_call(expressions: ExpressionBuilder, tree: Tree[Token]) -> Call:
    name = tree.children[0]
    positional, keywords = expressions.arguments(trees(tree)[0] if trees(tree) else None)
    function = Name(expressions.identifier(name), expressions.position(name))
    return Call(function, positional, keywords, expressions.position(tree))


def _view(expressions: ExpressionBuilder, tree: Tree[Token]) -> View:
    call = _named_call(expressions, tree)
    verb = call.function
    if not isinstance(verb, Name) or verb.id not in VERBS:
        raise PlacedError("unknown view", verb.position, f"known: {', '.join(VERBS)}, or a pattern in quotes")
    if call.keywords:
        raise PlacedError("a view takes its arguments by position", call.keywords[0][1].position)
    return View(verb.id, call.arguments, None, ())


def _calls(expressions: ExpressionBuilder, node: Tree[Token]) -> Calls:
    *first, call = trees(node)
    return Calls(names(expressions, first[0]) if first else (), expressions.expr(call))


def _reads(expressions: ExpressionBuilder, tree: Tree[Token], known: tuple[Reads, ...]) -> Reads:
    operand = expressions.identifier(tree.children[0])
    if any(reads.operand == operand for reads in known):
        raise PlacedError(f"'{operand}' is read twice", expressions.position(tree.children[0]))
    return Reads(operand, layout(expressions, tree.children[1]))


def _read_weight(clauses: Clauses, expressions: ExpressionBuilder, tree: Tree[Token]) -> None:
    if tree.data == "drop":
        name, reason = tree.children
        clauses.drops += (Drop(path(expressions, name), expressions.string(reason), expressions.position(tree)),)
        return
    targets, source, *rest = tree.children
    assert isinstance(targets, Tree)
    strings = [node for node in rest if isinstance(node, Token)]
    sizes = [node for node in rest if isinstance(node, Tree)]
    entry = WeightEntry(
        tuple(path(expressions, target) for target in targets.children),
        path(expressions, source),
        poured(expressions, strings[0]) if strings else None,
        pairs(expressions, sizes[0]) if sizes else (),
        expressions.position(tree),
    )
    taken = {target for other in clauses.weights for target in other.targets}
    for target in entry.targets:
        if target in taken or entry.targets.count(target) > 1:
            raise PlacedError(f"'{target}' is filled twice", entry.position)
    clauses.weights += (entry,)


def _example(expressions: ExpressionBuilder, node: Tree[Token]) -> Example:
    parts = {str(child.data): child for child in trees(node)}
    constructor = parts.get("constructor")
    call: Call | None = None
    if constructor is not None:
        head, *rest = trees(constructor)
        positional, keywords = expressions.arguments(rest[0] if rest else None)
        function = Name(dotted(expressions, head), expressions.position(head))
        call = Call(function, positional, keywords, expressions.position(constructor))
    inputs = tuple(tensor(expressions, child) for child in trees(parts["tensors"])) if "tensors" in parts else ()
    arguments = pairs(expressions, parts["sizes"]) if "sizes" in parts else ()
    return Example(call, inputs, arguments, expressions.position(node))
