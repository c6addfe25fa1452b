"""What capture hands to lift: the exported graph and the tree of module calls around its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import nn

from transpiler.lowered import Constructor, SourceLine


@dataclass(frozen=True, slots=True)
class NodeRef:
    """A tensor of a module call: the name of the graph node that holds it."""

    name: str


Span: TypeAlias = tuple[int, int, int, int]
"""An expression of a source file: line and column of its first character, and of the one behind its last."""

Tree: TypeAlias = Any
"""Nested tuples, lists and dicts whose tensor leaves are `NodeRef`s; other leaves are as they were passed."""


@dataclass(frozen=True, slots=True)
class ModuleCall:
    """One call of one module, in the order in which calls begin."""

    index: int
    parent: int | None
    path: str
    module: nn.Module
    arguments: Mapping[str, Tree]
    """Bound to the names of `forward`."""
    output: Tree
    source: SourceFrame | None
    """The caller's line."""
    begin: int
    end: int
    """Positions in `Trace.nodes`: what ran inside the call is `nodes[begin:end]`."""


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """A line of Python that ran, by the absolute file name (for reading it) and as it is shown."""

    file: str
    line: int
    span: Span | None = None
    """What of the line ran."""
    outer: SourceFrame | None = None
    """The line that called this function, up to the `forward` of the module that runs."""

    def shown(self) -> SourceLine:
        """As people read it: below the package or folder it belongs to, never absolute."""
        return SourceLine(display_path(self.file), self.line)


@dataclass(frozen=True, slots=True)
class Trace:
    """A model that was run once on fake tensors."""

    model: nn.Module
    exported: torch.export.ExportedProgram
    calls: tuple[ModuleCall, ...]
    nodes: tuple[str, ...]
    """Names of all nodes in the order in which they were traced."""
    constructors: Mapping[str, Constructor]
    input_names: tuple[str, ...]
    """Names of the tensor inputs as in `forward`'s signature, flattened."""
    attention_rates: Mapping[str, float] = field(default_factory=dict)
    """Rates at which attention drops in training, by the node that attends."""
    stand_ins: Mapping[str, nn.Module] = field(default_factory=dict)
    """By path of a module: one that does in training what this one was seen to do."""


def display_path(file: str) -> str:
    """`…/site-packages/torchvision/models/resnet.py` as `torchvision/models/resnet.py`, a user's file by its name."""
    for marker in ("/site-packages/", "/dist-packages/"):
        if marker in file:
            return file.rsplit(marker, 1)[1]
    return file.rsplit("/", 1)[-1]
