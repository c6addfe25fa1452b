"""What match hands to layout: the tree of blocks with the rule that serves each call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from transpiler.language.syntax import ModuleRule, OperatorRule
from transpiler.lift.program import Block, BlockCall, OpCall, Value


@dataclass(frozen=True, slots=True)
class MatchedOp:
    """An ATen call and its rule; `bindings` holds the call's arguments by the rule's parameter names."""

    call: OpCall
    rule: OperatorRule
    bindings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MatchedLayer:
    """A module call that a module rule serves as a whole."""

    call: BlockCall
    rule: ModuleRule


@dataclass(frozen=True, slots=True)
class MatchedBlock:
    """A module call whose body is lifted as a class."""

    call: BlockCall
    statements: tuple[MatchedStatement, ...]


MatchedStatement: TypeAlias = MatchedOp | MatchedLayer | MatchedBlock


@dataclass(frozen=True, slots=True)
class MatchedProgram:
    root: Block
    statements: tuple[MatchedStatement, ...]
    """The root's."""
    inputs: tuple[tuple[str, Value], ...]
    dropped: tuple[str, ...]
    tied: tuple[tuple[str, str], ...]


def rule_for_module(program: MatchedProgram, path: str) -> ModuleRule | None:
    """The module rule that serves the module at `path`; None where its body became a class."""
    waiting = list(program.statements)
    while waiting:
        statement = waiting.pop()
        if isinstance(statement, MatchedLayer) and statement.call.block.path == path:
            return statement.rule
        if isinstance(statement, MatchedBlock):
            waiting += statement.statements
    return None
