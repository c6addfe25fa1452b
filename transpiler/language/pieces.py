"""The small parts that rules and declarations share: dotted names, `with` sizes, patterns, tensor types."""

from __future__ import annotations

from dataclasses import replace

from lark import Token, Tree

from transpiler.language.expression_builder import ExpressionBuilder, Node
from transpiler.language.patterns import OTHERS, mismatches, parse_pattern
from transpiler.language.problems import PlacedError
from transpiler.language.syntax import Expr, Pattern, TensorType

DTYPES = frozenset(
    (
        *("float16", "bfloat16", "float32", "float64", "complex64", "complex128", "bool"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    )
)


def trees(tree: Tree[Token]) -> list[Tree[Token]]:
    """The children that are trees."""
    return [child for child in tree.children if isinstance(child, Tree)]


def dotted(expressions: ExpressionBuilder, node: Node) -> str:
    """`torch.nn.Conv2d`; unlike names in expressions, module paths may have double underscores (`__main__.Net`)."""
    return ".".join(expressions.text(token) for token in _tokens(node))


def path(expressions: ExpressionBuilder, node: Node) -> str:
    """`layers.0.weight`: a dotted path whose parts are names or list positions."""
    parts = _tokens(node)
    return ".".join(str(part) if part.type == "INT" else expressions.identifier(part) for part in parts)


def names(expressions: ExpressionBuilder, tree: Tree[Token]) -> tuple[str, ...]:
    """`a, b, c`, each once."""
    found: list[str] = []
    for token in tree.children:
        name = expressions.identifier(token)
        if name in found:
            raise PlacedError(f"'{name}' is named twice", expressions.position(token))
        found.append(name)
    return tuple(found)


def pairs(expressions: ExpressionBuilder, tree: Tree[Token]) -> tuple[tuple[str, Expr], ...]:
    """`a = 1, b = 2`, from the tree that wraps them: of `with`, of a model's arguments."""
    found: dict[str, Expr] = {}
    wrapped = [child for child in trees(tree) if child.data == "pairs"]
    for pair in trees(wrapped[0]) if wrapped else []:
        name = expressions.identifier(pair.children[0])
        if name in found:
            raise PlacedError(f"'{name}' is given twice", expressions.position(pair.children[0]))
        found[name] = expressions.expr(pair.children[1])
    return tuple(found.items())


def pattern(expressions: ExpressionBuilder, token: Node) -> Pattern:
    """A pattern that keeps all letters: of views, inputs and results."""
    made = parse_pattern(expressions.string(token), expressions.position(token))
    if OTHERS in made.left or OTHERS in made.right:
        raise PlacedError("'*' belongs to the right side of 'reads' and 'writes'", made.position)
    return _matched(made)


def poured(expressions: ExpressionBuilder, token: Node) -> Pattern:
    """A pattern of `weights`: keeps all letters; `*` stands for the unit axes that go with `*` in `reads`."""
    made = parse_pattern(expressions.string(token), expressions.position(token))
    if OTHERS in made.left:
        raise PlacedError("'*' belongs to the right side, the order in Keras", made.position)
    _matched(replace(made, right=tuple(axis for axis in made.right if axis != OTHERS)))
    return made


def layout(expressions: ExpressionBuilder, token: Node) -> Pattern:
    """A pattern of `reads` or `writes`, which may gather what it does not name in `*`."""
    made = parse_pattern(expressions.string(token), expressions.position(token))
    if OTHERS in made.left:
        raise PlacedError("'*' belongs to the right side, the order in Keras", made.position)
    return _matched(made)


def tensor(expressions: ExpressionBuilder, tree: Tree[Token]) -> TensorType:
    """`float32[batch, 3, 640, 640]`."""
    dtype, *dimensions = _tokens(tree)
    if dtype not in DTYPES:
        raise PlacedError(f"'{dtype}' is no dtype", expressions.position(dtype), f"known: {', '.join(sorted(DTYPES))}")
    sizes: list[int | str] = []
    for token in dimensions:
        if len(token) > 9 and token.type == "INT":
            raise PlacedError("this size is too large", expressions.position(token))
        sizes.append(int(token) if token.type == "INT" else expressions.identifier(token))
    return TensorType(str(dtype), tuple(sizes), expressions.position(tree))


def _matched(made: Pattern) -> Pattern:
    wrong = mismatches(made)
    if wrong:
        first = wrong[0]
        raise PlacedError(first.message, first.position, first.hint)
    return made


def _tokens(node: Node) -> list[Token]:
    return [node] if isinstance(node, Token) else [child for child in node.children if isinstance(child, Token)]
