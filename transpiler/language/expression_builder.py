"""From Lark's tree to the expressions of the syntax tree."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from lark import Token, Tree

from transpiler.language.problems import PlacedError
from transpiler.language.syntax import (
    Attribute,
    Binary,
    BoolOp,
    Call,
    Compare,
    Conditional,
    Ellipsis_,
    Expr,
    Index,
    Literal,
    Name,
    Position,
    Sequence,
    Slice,
    Unary,
)

Node: TypeAlias = "Tree[Token] | Token"
Subscript: TypeAlias = "Expr | Slice | Ellipsis_"

BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
DEPTH = 80
"""Deeper than a person nests, and shallow enough for Python's own stack."""

_WORDS: dict[str, None | bool] = {"None": None, "True": True, "False": False, "true": True, "false": False}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}
_INTEGER_DIGITS = 30


def expanded(token: str, alternative: int) -> str:
    """The token with one of the alternatives in its braces.

    >>> expanded("torch.nn.Conv{1,2,3}d", 1)
    'torch.nn.Conv2d'
    """
    return BRACES.sub(lambda match: match[1].split(",")[alternative].strip(), token)


@dataclass(frozen=True, slots=True)
class Source:
    """The text that a tree was parsed from; `line_offset` is added where a part of a file was parsed."""

    file: str
    lines: tuple[str, ...]
    line_offset: int = 0

    def position(self, node: Node) -> Position:
        """Where a token or tree stands; one that spans lines is shown to the end of its first."""
        place = node if isinstance(node, Token) else node.meta
        line, column = place.line or 1, place.column or 1
        if place.end_line == line and place.end_column is not None:
            return Position(self.file, line + self.line_offset, column, place.end_column)
        whole = self.lines[line - 1].partition("#")[0].rstrip()
        return Position(self.file, line + self.line_offset, column, max(len(whole), column) + 1)


class ExpressionBuilder:
    """Builds expressions; `alternative` chooses in `Conv{1,2,3}d`, None leaves no braces to choose in."""

    def __init__(self, source: Source, alternative: int | None = None) -> None:
        self.source = source
        self.alternative = alternative
        self._depth = 0
        self._builders: dict[str, Callable[[Tree[Token]], Expr]] = {
            "name": self._name,
            "integer": self._integer,
            "decimal": self._decimal,
            "string": lambda tree: Literal(self.string(tree.children[0]), self.position(tree)),
            "tuple": lambda tree: Sequence("tuple", self.exprs(tree.children), self.position(tree)),
            "list": lambda tree: Sequence("list", self.exprs(tree.children), self.position(tree)),
            "attribute": self._attribute,
            "call": self._call,
            "index": self._index,
            "unary": lambda tree: Unary(str(tree.children[0]), self.expr(tree.children[1]), self.position(tree)),
            "negate": lambda tree: Unary("not", self.expr(tree.children[0]), self.position(tree)),
            "binary": self._binary,
            "comparison": self._comparison,
            "both": lambda tree: BoolOp("and", self.exprs(tree.children), self.position(tree)),
            "either": lambda tree: BoolOp("or", self.exprs(tree.children), self.position(tree)),
            "conditional": self._conditional,
        }

    def position(self, node: Node) -> Position:
        return self.source.position(node)

    def expr(self, node: Node) -> Expr:
        assert isinstance(node, Tree)
        if self._depth >= DEPTH:
            raise PlacedError("this expression is nested too deeply", self.position(node), "split the rule in two")
        self._depth += 1
        try:
            return self._builders[node.data](node)
        finally:
            self._depth -= 1

    def exprs(self, nodes: list[Node]) -> tuple[Expr, ...]:
        return tuple(self.expr(node) for node in nodes)

    def text(self, token: Token) -> str:
        """The token's text with its braces expanded."""
        if "{" not in token or self.alternative is None:
            return str(token)
        return expanded(token, self.alternative)

    def identifier(self, node: Node) -> str:
        """A name that generated source may bear."""
        assert isinstance(node, Token)
        return self.checked(self.text(node), node)

    def checked(self, text: str, node: Node) -> str:
        """The text, if it can be a name; `node` is where it stands."""
        if "__" in text:
            raise PlacedError(f"'{text}' has a double underscore, which names in rules never have", self.position(node))
        if keyword.iskeyword(text) or not text.isidentifier():
            raise PlacedError(f"'{text}' cannot be a name", self.position(node))
        return text

    def string(self, node: Node) -> str:
        """The value of a string token."""
        assert isinstance(node, Token)
        text = self.text(node)[1:-1]
        if "\\" not in text:
            return text
        unknown = next((found for found in re.findall(r"\\(.)", text) if found not in _ESCAPES), None)
        if unknown is not None:
            hint = r"""known: \n \t \r \\ \" \'"""
            raise PlacedError(f"unknown escape '\\{unknown}' in a string", self.position(node), hint)
        return re.sub(r"\\(.)", lambda match: _ESCAPES[match[1]], text)

    def arguments(self, tree: Tree[Token] | None) -> tuple[tuple[Expr, ...], tuple[tuple[str, Expr], ...]]:
        """Positional and keyword arguments."""
        positional: list[Expr] = []
        keywords: dict[str, Expr] = {}
        for child in tree.children if tree is not None else []:
            if not isinstance(child, Tree) or child.data != "keyword":
                if keywords:
                    raise PlacedError("a positional argument follows a keyword argument", self.position(child))
                positional.append(self.expr(child))
                continue
            name = self.identifier(child.children[0])
            if name in keywords:
                raise PlacedError(f"the argument '{name}' is given twice", self.position(child.children[0]))
            keywords[name] = self.expr(child.children[1])
        return tuple(positional), tuple(keywords.items())

    def _name(self, tree: Tree[Token]) -> Expr:
        token = tree.children[0]
        text = self.text(token) if isinstance(token, Token) else ""
        if text in _WORDS:
            return Literal(_WORDS[text], self.position(tree))
        if text.isdigit():  # `axis({1,2,3})`
            return Literal(int(text), self.position(tree))
        return self._nested(None, token, self.position(tree))

    def _integer(self, tree: Tree[Token]) -> Expr:
        (token,) = tree.children
        if len(str(token)) > _INTEGER_DIGITS:
            raise PlacedError("this number is too large", self.position(tree))
        return Literal(int(str(token)), self.position(tree))

    def _decimal(self, tree: Tree[Token]) -> Expr:
        (token,) = tree.children
        value = float(str(token))
        if value in (float("inf"), float("-inf")):
            raise PlacedError("this number is too large", self.position(tree), 'say float("inf") for infinity')
        return Literal(value, self.position(tree))

    def _attribute(self, tree: Tree[Token]) -> Expr:
        base, name = tree.children
        return self._nested(self.expr(base), name, self.position(tree))

    def _nested(self, base: Expr | None, node: Node, position: Position) -> Expr:
        """`base.name`; an alternative may be dotted itself: `keras.{ops.relu,activations.silu}`."""
        assert isinstance(node, Token)
        for part in self.text(node).split("."):
            name = self.checked(part, node)
            base = Name(name, position) if base is None else Attribute(base, name, position)
        assert base is not None
        return base

    def _call(self, tree: Tree[Token]) -> Expr:
        function, *rest = tree.children
        arguments = rest[0] if rest and isinstance(rest[0], Tree) else None
        positional, keywords = self.arguments(arguments)
        return Call(self.expr(function), positional, keywords, self.position(tree))

    def _index(self, tree: Tree[Token]) -> Expr:
        base, subscripts = tree.children
        assert isinstance(subscripts, Tree)
        return Index(self.expr(base), tuple(self._subscript(item) for item in subscripts.children), self.position(tree))

    def _subscript(self, node: Node) -> Subscript:
        if not isinstance(node, Tree):
            raise PlacedError("an index needs an expression", self.position(node))
        if node.data == "ellipsis":
            return Ellipsis_(self.position(node))
        if node.data != "slice":
            return self.expr(node)
        bounds = [child for child in node.children if isinstance(child, Tree)]
        values = [self.expr(bound.children[0]) if bound.children else None for bound in bounds]
        start, stop, step = [*values, None][:3]
        return Slice(start, stop, step, self.position(node))

    def _binary(self, tree: Tree[Token]) -> Expr:
        left, operator, right = tree.children
        return Binary(str(operator), self.expr(left), self.expr(right), self.position(tree))

    def _comparison(self, tree: Tree[Token]) -> Expr:
        first, *rest = tree.children
        operators = tuple(" ".join(map(str, child.children)) for child in rest[::2] if isinstance(child, Tree))
        return Compare(self.expr(first), operators, self.exprs(rest[1::2]), self.position(tree))

    def _conditional(self, tree: Tree[Token]) -> Expr:
        then, test, otherwise = self.exprs(tree.children)
        return Conditional(test, then, otherwise, self.position(tree))
