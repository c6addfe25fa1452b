"""The `model` block: which model, which inputs, where the weights lie and how the source should look."""

from __future__ import annotations

from collections.abc import Container

from lark import Token, Tree

from transpiler.language.expression_builder import ExpressionBuilder
from transpiler.language.pieces import dotted, pairs, pattern, tensor, trees
from transpiler.language.problems import PlacedError
from transpiler.language.syntax import Expr, InputDeclaration, ModelDeclaration, OutputDeclaration, Position


def build_model(expressions: ExpressionBuilder, tree: Tree[Token]) -> ModelDeclaration:
    """`model "model.py:SlimNeck" (nc = 80) { … }`.

    Raises:
        PlacedError: something is given twice or is not well formed.
    """
    factory = expressions.string(tree.children[0])
    if ":" not in factory:
        raise PlacedError(
            f"'{factory}' names no factory", expressions.position(tree.children[0]), 'as in "model.py:SlimNeck"'
        )
    settings: dict[str, tuple[str, ...]] = {}
    style: dict[str, Expr] = {}
    inputs: dict[str, InputDeclaration] = {}
    outputs: dict[str, OutputDeclaration] = {}
    arguments: tuple[tuple[str, Expr], ...] = ()
    places: dict[str, tuple[Position, ...]] = {}
    for node in trees(tree):
        match node.data:
            case "model_arguments":
                arguments = pairs(expressions, node)
            case "input":
                name = _new(expressions, node.children[0], inputs)
                inputs[name] = _input(expressions, name, node)
            case "result":
                name = _new(expressions, node.children[0], outputs)
                outputs[name] = OutputDeclaration(name, pattern(expressions, node.children[1]))
            case "style":
                for entry in trees(node):
                    _add_style(expressions, entry, style)
            case kind:
                setting = kind.removeprefix("model_")
                if setting in settings:
                    raise PlacedError(f"'{setting}' is given twice", expressions.position(node))
                settings[setting] = tuple(expressions.string(child) for child in node.children)
                places[setting] = tuple(expressions.position(child) for child in node.children)
    return ModelDeclaration(
        factory,
        arguments,
        tuple(inputs.values()),
        tuple(outputs.values()),
        _only(settings.get("weights")),
        _only(settings.get("output")),
        tuple(style.items()),
        expressions.position(tree.children[0]),
        _only(settings.get("part")),
        settings.get("until", ()),
        next(iter(places.get("output", ())), None),
        tuple(zip(settings.get("artefacts", ()), places.get("artefacts", ()), strict=True)),
        _only(settings.get("representative")),
    )


def _only(texts: tuple[str, ...] | None) -> str | None:
    return texts[0] if texts else None


def _add_style(expressions: ExpressionBuilder, entry: Tree[Token], style: dict[str, Expr]) -> None:
    key = dotted(expressions, entry.children[0])
    if key in style:
        raise PlacedError(f"'{key}' is given twice", expressions.position(entry.children[0]))
    style[key] = expressions.expr(entry.children[1])


def _new(expressions: ExpressionBuilder, node: Tree[Token] | Token, known: Container[str]) -> str:
    name = expressions.identifier(node)
    if name in known:
        raise PlacedError(f"'{name}' is declared twice", expressions.position(node))
    return name


def _input(expressions: ExpressionBuilder, name: str, node: Tree[Token]) -> InputDeclaration:
    _, kind, *rest = node.children
    assert isinstance(kind, Tree)
    return InputDeclaration(name, tensor(expressions, kind), pattern(expressions, rest[0]) if rest else None)
