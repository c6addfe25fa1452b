"""What torch's `forward` says, read with `ast`, never run."""

from __future__ import annotations

import ast
import re
from functools import lru_cache


@lru_cache(maxsize=4096)
def attributes_read(source: str) -> tuple[str, ...]:
    r"""Attributes of self that occur in it.

    >>> attributes_read("def forward(self, x):\n    return x * self.scale")
    ('scale',)
    """
    shapes = " ".join(re.findall(r"\b(?:view|reshape|unflatten|expand)\(([^()]*)\)", source))
    return tuple(dict.fromkeys(name for text in (shapes, source) for name in re.findall(r"\bself\.(\w+)", text)))


@lru_cache(maxsize=4096)
def attributes_counted(source: str) -> tuple[str, ...]:
    r"""Attributes of self that say how often a loop of it turns.

    >>> attributes_counted("def forward(self, x):\n    for i in range(self.depth):\n        x = self.block(x)")
    ('depth',)
    """
    return tuple(dict.fromkeys(re.findall(r"\brange\(\s*self\.(\w+)\s*\)", source)))


@lru_cache(maxsize=4096)
def unpacked_sizes(source: str, rank: int) -> tuple[str, ...]:
    r"""Names that it gives to the sizes of a tensor of this rank, in torch's order; () if it gives none.

    >>> unpacked_sizes("def forward(self, x):\n    B, N, C = x.shape", 3)
    ('B', 'N', 'C')
    """
    for node in _nodes(source):
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=value) if len(targets) == rank and _is_shape(
                value
            ):
                names = tuple(target.id for target in targets if isinstance(target, ast.Name))
                if len(set(names)) == rank:
                    return names
            case _:
                pass
    return ()


def _nodes(source: str) -> list[ast.AST]:
    try:
        return list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError):
        return []


def _is_shape(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(attr="shape") | ast.Call(func=ast.Attribute(attr="size"), args=[]):
            return True
        case _:
            return False


@lru_cache(maxsize=4096)
def aliases(source: str) -> dict[str, tuple[str, ...]]:
    r"""Second names that it gives to values, by their first ones.

    >>> aliases("def forward(self, x):\n    shortcut = x\n    return self.conv(x) + shortcut")
    {'x': ('shortcut',)}
    """
    found: dict[str, dict[str, None]] = {}
    for node in _nodes(source):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name(id=value)) if name != value:
                found.setdefault(value, {})[name] = None
            case _:
                pass
    return {value: tuple(names) for value, names in found.items()}


def has_loop(source: str) -> bool:
    r"""Whether it goes through something, in a loop or a comprehension.

    >>> has_loop("def forward(self, x):\n    return [branch(x) for branch in self.branches]")
    True
    """
    return any(isinstance(node, ast.For | ast.While | ast.comprehension) for node in _nodes(source))


@lru_cache(maxsize=4096)
def appended(source: str) -> tuple[str, ...]:
    r"""Lists that its loops append to.

    >>> appended("def forward(self, x):\n    y = []\n    for block in self.blocks:\n        y.append(block(x))")
    ('y',)
    """
    loops = [node for node in _nodes(source) if isinstance(node, ast.For | ast.While)]
    found: dict[str, None] = {}
    for node in (inner for loop in loops for inner in ast.walk(loop)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append")):
                found[name] = None
            case _:
                pass
    return tuple(found)
