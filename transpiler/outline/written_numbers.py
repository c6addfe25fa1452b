"""The whole numbers in torch's `forward` that count or measure something; those that number dimensions do not."""

from __future__ import annotations

import ast
from functools import lru_cache

_ABOUT_DIMENSIONS = frozenset(
    [
        "cat",
        "concat",
        "flatten",
        "flip",
        "mean",
        "movedim",
        "permute",
        "size",
        "softmax",
        "squeeze",
        "stack",
        "sum",
        "swapaxes",
        "transpose",
        "unbind",
        "unsqueeze",
    ]
)
_DIMENSIONS = frozenset(["axis", "axes", "dim", "dims", "end_dim", "start_dim"])


@lru_cache(maxsize=4096)
def numbers_written(source: str) -> frozenset[int]:
    r"""The whole numbers that it writes out.

    >>> numbers_written("def forward(self, x):\n    return x.transpose(1, 2).reshape(-1, 3 * self.dim)") == {1, 3}
    True
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return frozenset()
    return frozenset(numbers_in(tree))


def numbers_in(node: ast.AST) -> set[int]:
    """The whole numbers that a part of a source writes out."""
    match node:
        case ast.Constant(int() as value) if not isinstance(value, bool):
            return {value}
        case ast.Call(ast.Attribute(owner, name), rest) if name in _ABOUT_DIMENSIONS:
            return {number for child in (owner, *rest) if not _is_constant(child) for number in numbers_in(child)}
        case ast.keyword(name) if name in _DIMENSIONS:
            return set()
        case ast.Tuple(items) | ast.List(items) if _is_permutation(items):
            return set()
        case _:
            return {number for child in ast.iter_child_nodes(node) for number in numbers_in(child)}


def _is_constant(node: ast.expr) -> bool:
    match node:
        case ast.Tuple(items) | ast.List(items):
            return all(map(_is_constant, items))
        case ast.UnaryOp(_, operand):
            return _is_constant(operand)
        case _:
            return isinstance(node, ast.Constant)


def _is_permutation(items: list[ast.expr]) -> bool:
    numbers = [item.value for item in items if isinstance(item, ast.Constant) and type(item.value) is int]
    return len(numbers) == len(items) > 2 and sorted(numbers) == list(range(len(numbers)))
