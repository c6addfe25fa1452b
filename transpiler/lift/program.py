"""What lift hands to match: a tree of blocks, one per module call, whose statements name values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import sympy
import torch
from torch import nn

from transpiler.lowered import Constructor, SourceLine, TorchClass

Size: TypeAlias = "int | sympy.Expr"


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor: its number is unique in the program."""

    id: int
    shape: tuple[Size, ...]
    dtype: str
    """torch's name without the prefix: "float32", "int64", "bool"."""


@dataclass(frozen=True, slots=True)
class Stored(Value):
    """A parameter, buffer or constant."""

    key: str
    """Name in the state dict; for constants, the name that export gave them."""
    in_state_dict: bool
    trainable: bool
    tensor: torch.Tensor


@dataclass(frozen=True, slots=True)
class SymbolicSize:
    """A size used as a number: read again from a tensor in scope."""

    expression: sympy.Expr


CONSTANT = "a constant tensor"
"""Stands in `Block.settings` for a tensor that is none of the graph's, such as a mask that the caller keeps: no rule
that asks for None takes it."""

Argument: TypeAlias = Any
"""Nested lists whose leaves are Values, SymbolicSizes and plain Python values."""


@dataclass(frozen=True, slots=True)
class OpCall:
    """One ATen call, already functional."""

    operator: torch._ops.OpOverload
    arguments: Mapping[str, Argument]
    """By schema name; those left at their default are absent."""
    results: tuple[Value, ...]
    source: SourceLine | None
    names: tuple[str | None, ...]

    @property
    def name(self) -> str:
        """`aten.cat.default`."""
        return str(self.operator)


@dataclass(frozen=True, slots=True)
class BlockCall:
    """A call of a child module."""

    block: Block
    results: Any
    """Like `block.output`, as the caller knows it: a module that returned its argument has a result of its own."""
    source: SourceLine | None
    names: tuple[str | None, ...]


Statement: TypeAlias = OpCall | BlockCall


@dataclass(frozen=True, slots=True)
class BlockArgument:
    """One parameter of `forward` as it was passed: tensors, or a list of tensors; other values are specialised."""

    name: str
    values: tuple[Value, ...]
    is_list: bool


@dataclass(frozen=True, slots=True)
class Block:
    """One call of one module: everything that ran inside it."""

    path: str
    call: int
    cls: TorchClass
    module: nn.Module
    constructor: Constructor | None
    arguments: tuple[BlockArgument, ...]
    settings: Mapping[str, Any]
    """Arguments of `forward` that are not tensors."""
    statements: tuple[Statement, ...]
    output: Any
    """Nested tuples, lists and dicts of Values and None."""
    unused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Program:
    root: Block
    inputs: tuple[tuple[str, Value], ...]
    dropped: tuple[str, ...]
    """Keys of the state dict that the trace never reads."""
    tied: tuple[tuple[str, str], ...]
    """(key, the key of the same tensor that is read)."""


def output_values(tree: Any) -> tuple[Value, ...]:
    """The tensors of an output structure, in order."""
    if isinstance(tree, Value):
        return (tree,)
    if isinstance(tree, tuple | list):
        return tuple(value for item in tree for value in output_values(item))
    if isinstance(tree, Mapping):
        return tuple(value for item in tree.values() for value in output_values(item))
    return ()
