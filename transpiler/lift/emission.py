"""Adds calls of operators that the graph does not have, and remembers how their results were put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from transpiler.lift.program import OpCall, Statement, Stored, Value
from transpiler.lowered import SourceLine

aten = torch.ops.aten


def is_whole_slice(call: OpCall) -> bool:
    """Whether a call is a slice that leaves nothing out: `x[:, 0]` begins with one of the first dimension."""
    source = call.arguments.get("self")
    return (
        call.operator is aten.slice.Tensor
        and isinstance(source, Value)
        and tuple(source.shape) == tuple(call.results[0].shape)
    )


class Emission:
    """A list of statements that grows; results are of one type unless a call says otherwise.

    Args:
        dtype: of results, torch's name.
        source: the line of the torch source that the statements stand for.
        names: of the variables on that line.
        numbers: of values, the program's.
        made: how values were made, shared by all emissions of a program; extended here.
    """

    def __init__(
        self,
        dtype: str,
        source: SourceLine | None,
        names: tuple[str | None, ...],
        numbers: Iterator[int],
        made: dict[int, OpCall],
    ) -> None:
        self.statements: list[Statement] = []
        self._dtype, self._source, self._names = dtype, source, names
        self._numbers, self._made = numbers, made

    @property
    def dtype(self) -> str:
        """Of results, unless a call says otherwise."""
        return self._dtype

    def __call__(
        self,
        operator: torch._ops.OpOverload,
        arguments: Mapping[str, Any],
        shape: Sequence[Any],
        dtype: str | None = None,
    ) -> Value:
        """Call an operator with these arguments by name; its result has this shape."""
        result = Value(next(self._numbers), tuple(shape), dtype or self._dtype)
        call = OpCall(operator, dict(arguments), (result,), self._source, self._names)
        self.statements.append(call)
        self._made[result.id] = call
        return result

    def several(
        self, operator: torch._ops.OpOverload, arguments: Mapping[str, Any], shapes: Sequence[Sequence[Any]]
    ) -> tuple[Value, ...]:
        """Call an operator with several results, of these shapes."""
        results = tuple(Value(next(self._numbers), tuple(shape), self._dtype) for shape in shapes)
        names = self._names if len(self._names) == len(results) else (None,) * len(results)
        self.statements.append(OpCall(operator, dict(arguments), results, self._source, names))
        return results

    def constant(self, tensor: torch.Tensor, name: str) -> Stored:
        """A tensor that the model does not store, under a name that says what it is for."""
        number = next(self._numbers)
        dtype = str(tensor.dtype).removeprefix("torch.")
        return Stored(
            number, tuple(tensor.shape), dtype, f"{name}_{number}", in_state_dict=False, trainable=False, tensor=tensor
        )

    def pieces(self, value: Value, dim: int) -> tuple[Value, ...]:
        """What was joined along `dim` to make `value`; the value itself if it was not made so here."""
        call = self._made.get(value.id)
        if call is not None and is_whole_slice(call):
            return self.pieces(call.arguments["self"], dim)
        if call is None or call.operator is not aten.cat.default or call.arguments["dim"] != dim:
            return (value,)
        pieces: Sequence[Value] = call.arguments["tensors"]
        return tuple(part for piece in pieces for part in self.pieces(piece, dim))

    def reshaped_from(self, value: Value) -> Iterator[Value]:
        """The value, and those that were reshaped here to make it, nearest first."""
        yield value
        while (call := self._made.get(value.id)) is not None and call.operator is aten.reshape.default:
            value = call.arguments["self"]
            yield value

    def window(self, value: Value, dim: int) -> tuple[Value, int]:
        """What `value` was cut out of here along `dim`, and where it begins there."""
        call = self._made.get(value.id)
        if call is not None and is_whole_slice(call):
            return self.window(call.arguments["self"], dim)
        if call is None or call.operator is not aten.slice.Tensor or call.arguments["dim"] != dim:
            return value, 0
        whole, begin = self.window(call.arguments["self"], dim)
        return whole, begin + int(call.arguments["start"])
