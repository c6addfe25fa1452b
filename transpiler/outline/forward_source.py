"""What torch's `forward` says, read with `ast`, never run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from transpiler.lowered import SEQUENCE


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
def words(source: str) -> frozenset[str]:
    r"""Everything in it that could be a name.

    >>> sorted(words("def forward(self, x):\n    return self.conv(x)"))
    ['conv', 'def', 'forward', 'return', 'self', 'x']
    """
    return frozenset(re.findall(r"[A-Za-z_]\w*", source))


@lru_cache(maxsize=4096)
def aliases(source: str, members: frozenset[str]) -> dict[str, tuple[str, ...]]:
    r"""Second names that it gives to values, by their first ones.

    A module that hands its argument on, and that is no member for that, names nothing new.

    >>> aliases("def forward(self, x):\n    shortcut = x\n    return self.conv(x) + shortcut", frozenset({"conv"}))
    {'x': ('shortcut',)}
    >>> aliases("def forward(self, x):\n    res = self.proj(x)\n    return self.conv(x) + res", frozenset({"conv"}))
    {'x': ('res',)}
    """
    found: dict[str, dict[str, None]] = {}
    members |= {node.name for node in _nodes(source) if isinstance(node, ast.FunctionDef)}
    for node in _nodes(source):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name(id=value)) if name != value:
                found.setdefault(value, {})[name] = None
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(func=ast.Attribute(value=ast.Name("self"), attr=called), args=[ast.Name(id=value)]),
            ) if name != value and called not in members:
                found.setdefault(value, {})[name] = None
            case _:
                pass
    return {value: tuple(names) for value, names in found.items()}


@lru_cache(maxsize=4096)
def collections(source: str) -> dict[str, str]:
    r"""Lists that it gathers the values of a variable in, by the variable.

    >>> collections("def forward(self, x):\n    for m in self.m:\n        x = m(x)\n        outs.append(x)")
    {'x': 'outs'}
    """
    found: dict[str, str] = {}
    for node in _nodes(source):
        match node:
            case ast.Call(func=ast.Attribute(value=gathered, attr="append"), args=[ast.Name(id=value)]):
                pass
            case ast.Assign(targets=[ast.Subscript(value=gathered)], value=ast.Name(id=value)):
                pass
            case ast.AugAssign(target=gathered, value=ast.List(elts=[ast.Name(id=value)])):
                pass
            case _:
                continue
        if isinstance(gathered, ast.Name | ast.Attribute):
            found.setdefault(value, gathered.id if isinstance(gathered, ast.Name) else gathered.attr)
    return found


@lru_cache(maxsize=4096)
def loop_variables(source: str) -> dict[str, str]:
    r"""What it calls an element of a list, of modules or of anything, by the list.

    The elements of a module that is a list or a dict of modules itself go by the list's name in the generated class.

    >>> loop_variables("def forward(self, x):\n    for i, blk in enumerate(self.blocks):\n        x = blk(x)")
    {'blocks': 'blk'}
    >>> loop_variables("def forward(self, x):\n    return [f(g(x)) for f, g in zip(self.fs, gs)]")
    {'fs': 'f', 'gs': 'g'}
    >>> loop_variables("def forward(self, x):\n    for name, mod in self.items():\n        x = mod(x)")
    {'sequence': 'mod'}
    """
    found: dict[str, str] = {}
    for node in _nodes(source):
        if isinstance(node, ast.For | ast.comprehension):
            for name, variable in _elements(node.target, node.iter):
                found.setdefault(name, variable)
    return found


def _elements(target: ast.expr, iterable: ast.expr) -> Iterator[tuple[str, str]]:
    """The lists that a loop goes through, each with what the loop calls an element of it."""
    match iterable, target:
        case ast.Call(func=ast.Name("enumerate"), args=[inner, *_]), ast.Tuple(elts=[_, element]):
            yield from _elements(element, inner)
        case ast.Call(func=ast.Name("zip"), args=lists), ast.Tuple(elts=elements) if len(lists) == len(elements):
            for inner, element in zip(lists, elements, strict=True):
                yield from _elements(element, inner)
        case (
            ast.Call(func=ast.Attribute(value=inner, attr="items" | "named_children"), args=[]),
            ast.Tuple(elts=[_, element]),
        ):
            yield from _elements(element, inner)
        case (
            (
                ast.Call(func=ast.Attribute(value=inner, attr="values" | "children"), args=[])
                | ast.Call(func=ast.Name("reversed" | "list" | "tuple"), args=[inner])
                | ast.Subscript(value=inner, slice=ast.Slice())
                | ast.Attribute(value=inner, attr="_modules")
            ),
            _,
        ):
            yield from _elements(target, inner)
        case ((ast.Attribute(value=ast.Name("self"), attr=name) | ast.Name(name)), ast.Name(element)):
            yield (SEQUENCE if name == "self" else name), element
        case _:
            pass


@lru_cache(maxsize=4096)
def shape_name(source: str, argument: str) -> str | None:
    r"""What it calls the height and width of an argument together.

    >>> shape_name("def forward(self, x):\n    size = x.shape[-2:]", "x")
    'size'
    """
    for node in _nodes(source):
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Subscript(
                    value=ast.Attribute(value=ast.Name(id=read), attr="shape")
                    | ast.Call(func=ast.Attribute(value=ast.Name(id=read), attr="size"), args=[]),
                    slice=ast.Slice(lower=lower, upper=None, step=None),
                ),
            ) if read == argument and lower is not None and ast.unparse(lower) in ("-2", "2"):
                return name
            case _:
                pass
    return None


@dataclass(frozen=True, slots=True)
class AuthorNames:
    r"""What the source of `forward` calls things.

    >>> AuthorNames.of("def forward(self, x):\n    shortcut = x\n    return self.conv(x) + shortcut", ()).aliases
    {'x': ('shortcut',)}
    """

    words: frozenset[str]
    """Empty if the source cannot be read."""
    aliases: Mapping[str, tuple[str, ...]]
    """Second names of values, by their first ones."""
    collections: Mapping[str, str]
    """Lists that the values of a variable are gathered in, by the variable."""
    loop_variables: Mapping[str, str]
    """Elements of lists, by the list."""
    appended: tuple[str, ...]
    """Lists that loops append to."""

    @staticmethod
    def of(source: str, members: Iterable[str], arguments: Iterable[str] = ()) -> AuthorNames:
        """The names in a source.

        Args:
            source: of `forward` and what it calls.
            members: attributes of the generated class.
            arguments: names that are there besides.
        """
        return AuthorNames(
            words(source) | frozenset(arguments) if source else frozenset(),
            aliases(source, frozenset(members)),
            collections(source),
            loop_variables(source),
            appended(source),
        )


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    """A node and those below it, as they stand in the source."""
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)


def takes_roots(source: str) -> bool:
    r"""Whether it raises something to a power below 1, or takes a square root.

    >>> takes_roots("def forward(self, q):\n    return q * (self.dim // self.num_heads) ** -0.5")
    True
    """
    for node in _nodes(source):
        match node:
            case ast.BinOp(op=ast.Pow(), right=ast.Constant(value=0.5) | ast.UnaryOp(operand=ast.Constant(value=0.5))):
                return True
            case ast.Call(func=ast.Attribute(attr="sqrt" | "rsqrt") | ast.Name(id="sqrt" | "rsqrt")):
                return True
            case _:
                pass
    return False


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
