"""Which values a run of statements reads and makes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from transpiler.language import syntax as rule
from transpiler.lift.program import Block, BlockArgument, Stored, Value, output_values
from transpiler.match.program import MatchedBlock, MatchedLayer, MatchedOp, MatchedStatement


def read_values(statements: Sequence[MatchedStatement]) -> dict[int, Value]:
    """Values that the statements read, in order; those of child modules among them."""
    read: dict[int, Value] = {}
    for statement in statements:
        match statement:
            case MatchedOp():
                values: Iterable[Value] = _leaves(list(statement.call.arguments.values()))
            case MatchedLayer():
                values = (value for argument in statement.call.block.arguments for value in argument.values)
            case MatchedBlock():
                inner = read_values(statement.statements)
                own = made_values(statement.statements)
                given = (value for argument in statement.call.block.arguments for value in argument.values)
                outputs = output_values(statement.call.block.output)
                used = {**inner, **{value.id: value for value in outputs}}
                values = [value for value in given if value.id in used]
                known = {value.id for value in values} | own
                values = [*values, *(value for key, value in used.items() if key not in known)]
        read |= {value.id: value for value in values}
    return read


def made_values(statements: Sequence[MatchedStatement]) -> set[int]:
    """Numbers of the values that the statements compute."""
    made: set[int] = set()
    for statement in statements:
        match statement:
            case MatchedOp():
                made |= {value.id for value in statement.call.results}
            case MatchedLayer():
                made |= {value.id for value in output_values(statement.call.results)}
            case MatchedBlock():
                made |= {value.id for value in output_values(statement.call.results)}
                made |= made_values(statement.statements)
    return made


def _leaves(tree: Any) -> Iterable[Value]:
    if isinstance(tree, Value):
        yield tree
    elif isinstance(tree, list):
        for item in tree:
            yield from _leaves(item)


def passed_arguments(block: Block, statements: Sequence[MatchedStatement]) -> list[BlockArgument]:
    """The arguments of `forward` that its body reads, and what it reads from outside without being given it."""
    read = read_values(statements) | {value.id: value for value in output_values(block.output)}
    passed = [argument for argument in block.arguments if any(value.id in read for value in argument.values)]
    known = {value.id for argument in block.arguments for value in argument.values} | made_values(statements)
    captured = [value for key, value in read.items() if key not in known and not isinstance(value, Stored)]
    return [
        *passed,
        *(BlockArgument(f"extra_{place}", (value,), is_list=False) for place, value in enumerate(captured)),
    ]


def only_views(statement: MatchedStatement) -> bool:
    """Whether a module call rewrites dimensions and does nothing else."""
    match statement:
        case MatchedBlock():
            return all(only_views(inner) for inner in statement.statements)
        case MatchedOp() | MatchedLayer():
            return isinstance(statement.rule.target, rule.View | rule.Nothing)
