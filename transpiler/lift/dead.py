"""Operator calls whose results nothing reads are left out: what traced assertions and folded constants leave behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from transpiler.lift.program import Block, BlockCall, Statement, Value, output_values


def without_dead_calls(root: Block) -> Block:
    """The block without dead operator calls, in its children, too; module calls stay, they are the author's.

    >>> without_dead_calls(program.root)  # doctest: +SKIP
    """
    live = {value.id for value in output_values(root.output)}
    return _pruned(root, live)


def _pruned(block: Block, live: set[int]) -> Block:
    """Walk backwards; `live` holds the values that are read later, and is extended by what the block reads."""
    kept: list[Statement] = []
    for statement in reversed(block.statements):
        if isinstance(statement, BlockCall):
            inner = output_values(statement.block.output)
            live |= {value.id for value in inner}
            child = _pruned(statement.block, live)
            live |= {value.id for argument in child.arguments for value in argument.values}
            kept.append(replace(statement, block=child))
        elif any(value.id in live for value in statement.results):
            live |= _read(list(statement.arguments.values()))
            kept.append(statement)
    return replace(block, statements=tuple(reversed(kept)))


def _read(tree: Any) -> set[int]:
    if isinstance(tree, Value):
        return {tree.id}
    if isinstance(tree, list):
        return {number for item in tree for number in _read(item)}
    return set()
