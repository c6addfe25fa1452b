"""Views in which a dimension is 1 on some instances of a torch class and larger on others.

Left alone, the algebra of axes does nothing about a dimension of 1, and the instance would need a class of its own. The
dimension is marked instead (`One`), so that every instance is laid out alike.

>>> # x.view(B, H // 7, 7, W // 7, 7, C) of an image of 7 x 7 is (B, One, 7, One, 7, C) if others are (B, 8, 7, 8, 7, C)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

from transpiler.language.syntax import View
from transpiler.layout.dataflow import only_views
from transpiler.layout.sizes import ONE
from transpiler.lift.program import Size, Value
from transpiler.match.program import MatchedBlock, MatchedOp, MatchedProgram, MatchedStatement

FEW = 3
"""One of so many instances at most may have the 1: it pays for the common class with a transpose that moves nothing."""

_Place: TypeAlias = tuple[str, str, int]
"""Torch class, line of its source, and which view on that line."""


def with_marked_units(program: MatchedProgram) -> MatchedProgram:
    """The program with units marked that are larger on other instances."""
    shapes: dict[_Place, list[tuple[Size, ...]]] = defaultdict(list)
    for place, value in _views(program.root.cls.qualified_name, program.statements):
        shapes[place].append(value.shape)
    varying = {place: dims for place, found in shapes.items() if (dims := _varying(found))}
    if not varying:
        return program
    marked: dict[int, Value] = {}
    for place, value in _views(program.root.cls.qualified_name, program.statements):
        if place in varying:
            marked[value.id] = replace(value, shape=_marked(value.shape, varying[place]))
    return replace(program, statements=tuple(_with(statement, marked) for statement in program.statements))


def _views(cls: str, statements: tuple[MatchedStatement, ...]) -> Iterator[tuple[_Place, Value]]:
    """Every reshaping view with its result."""
    counts: dict[str, int] = defaultdict(int)
    for statement in statements:
        if isinstance(statement, MatchedBlock) and only_views(statement):
            continue  # it leaves no code, and its caller would have to know of the 1
        if isinstance(statement, MatchedBlock):
            yield from _views(statement.call.block.cls.qualified_name, statement.statements)
        elif _reshapes(statement):
            line = str(statement.call.source)
            counts[line] += 1
            (value,) = statement.call.results
            yield (cls, line, counts[line]), value


def _reshapes(statement: MatchedStatement) -> bool:
    if not isinstance(statement, MatchedOp) or statement.call.source is None:
        return False
    target = statement.rule.target
    return isinstance(target, View) and target.verb == "reshape" and len(statement.call.results) == 1


def _varying(shapes: list[tuple[Size, ...]]) -> tuple[int, ...]:
    """Dimensions that are 1 in a few of the shapes and a larger number in the others."""
    ranks = {len(shape) for shape in shapes}
    if len(ranks) > 1:
        return ()
    columns = enumerate(zip(*shapes, strict=True))
    return tuple(
        dim
        for dim, sizes in columns
        if all(isinstance(size, int) for size in sizes) and 0 < FEW * sizes.count(1) <= len(sizes)
    )


def _marked(shape: tuple[Size, ...], dims: tuple[int, ...]) -> tuple[Size, ...]:
    return tuple(ONE if dim in dims and size == 1 else size for dim, size in enumerate(shape))


def _with(statement: MatchedStatement, marked: Mapping[int, Value]) -> MatchedStatement:
    if isinstance(statement, MatchedBlock):
        return replace(statement, statements=tuple(_with(inner, marked) for inner in statement.statements))
    if isinstance(statement, MatchedOp) and any(value.id in marked for value in statement.call.results):
        results = tuple(marked.get(value.id, value) for value in statement.call.results)
        return replace(statement, call=replace(statement.call, results=results))
    return statement
