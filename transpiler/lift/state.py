"""Buffers that a model writes to while it runs: what one call leaves for the next has no counterpart in a function.

A buffer that is overwritten before it is read is scratch memory, which is fine. One whose old content reaches a result
makes every call differ from the one before; the Keras model would be right once, so this is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from transpiler.errors import Diagnostic, ModelError
from transpiler.lift.program import Block, BlockCall, OpCall, Stored

aten = torch.ops.aten
_OVERWRITING = ("copy_", "zero_", "fill_", "index_put_", "index_fill_", "index_copy_", "masked_fill_")
"""In-place operators that do not look at what was there."""


@dataclass(slots=True)
class Writes:
    """The writes to buffers, as they are met."""

    stored: dict[str, tuple[Stored, list[str]]] = field(default_factory=dict)
    """The first values of buffers, by the names of their nodes, each with where it is written."""

    def add(self, base: torch.fx.Node, value: object, where: str) -> None:
        """Note a write to memory whose base holds `value` now; what is no buffer is passed over."""
        if base.name in self.stored:
            self.stored[base.name][1].append(where)
        elif base.op == "placeholder" and isinstance(value, Stored):
            self.stored[base.name] = (value, [where])

    def add_folded(self, node: torch.fx.Node, base: torch.fx.Node, value: object, where: str) -> None:
        """Note a write to memory whose content is known, such as that of a buffer that is not in the state dict.

        Raises:
            ModelError: it depends on what was there, and a result depends on it.
        """
        if (
            isinstance(value, Stored)
            and base.op == "placeholder"
            and _reads_what_it_writes(node)
            and _reaches_output(base)
        ):
            raise ModelError(_carried(value.key, where))

    def check(self, root: Block, cuts: Collection[int]) -> None:
        """Refuse buffers whose first value is read by a live operator.

        A buffer that is written to once keeps the rest of it for ever, so the slices that put it together anew, the
        operators whose results are `cuts`, may read it.

        Raises:
            ModelError: state is carried from one call to the next.
        """
        problems = []
        calls = list(_calls(root))
        for buffer, places in self.stored.values():
            for call in calls:
                kept = len(places) == 1 and call.operator is aten.slice.Tensor and call.results[0].id in cuts
                if buffer.id in _read(list(call.arguments.values())) and not kept:
                    problems.append(_carried(buffer.key, places[0]))
                    break
        if problems:
            raise ModelError(problems)


def _reads_what_it_writes(node: torch.fx.Node) -> bool:
    """Whether an in-place operator's result depends on what it overwrites."""
    return str(node.target.overloadpacket.__name__) not in _OVERWRITING  # type: ignore[union-attr]


def _reaches_output(node: torch.fx.Node) -> bool:
    """Whether a result of the graph depends on a node."""
    seen, waiting = {node}, [node]
    while waiting:
        for user in waiting.pop().users:
            if user.op == "output":
                return True
            if user not in seen:
                seen.add(user)
                waiting.append(user)
    return False


def _carried(key: str, where: str) -> Diagnostic:
    """The problem, with what to do about it."""
    return Diagnostic(
        f"buffer {key} carries state from one call to the next",
        where=where,
        hint="write to a copy of it (.clone()), or pass the state in and return it",
    )


def _calls(block: Block) -> Iterator[OpCall]:
    for statement in block.statements:
        if isinstance(statement, BlockCall):
            yield from _calls(statement.block)
        else:
            yield statement


def _read(tree: Any) -> set[int]:
    if isinstance(tree, Stored):
        return {tree.id}
    if isinstance(tree, list | tuple):
        return {number for item in tree for number in _read(item)}
    return set()
