"""Complex tensors as pairs of real ones: Keras computes with those on every backend.

What is linear is done to both parts, by the rules that serve real tensors; products are written out; the rest is a
formula. A complex value that a module takes or returns becomes two.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from transpiler.errors import Diagnostic, ModelError
from transpiler.lift.complex_formulas import FORMULAS, LINEAR, MULTILINEAR
from transpiler.lift.dead import without_dead_calls
from transpiler.lift.emission import Emission
from transpiler.lift.fourier import Pair
from transpiler.lift.program import (
    Block,
    BlockArgument,
    BlockCall,
    OpCall,
    Program,
    Statement,
    Stored,
    Value,
    output_values,
)

PARTS = {"complex64": "float32", "complex128": "float64"}
"""The type of both parts, by the type of the whole."""


def is_complex(value: Value) -> bool:
    return value.dtype in PARTS


def without_complex(program: Program) -> Program:
    """The program with every complex value as two real ones.

    Calls of operators that have no form on pairs are left, for match to report or to have decomposed.

    Raises:
        ModelError: an input or output of the model is complex.
    """
    if not any(is_complex(value) for value in _values(program.root)):
        return program
    problems = [
        Diagnostic(f"input {name!r} is complex", hint="take torch.view_as_real of it, and view_as_complex in the model")
        for name, value in program.inputs
        if is_complex(value)
    ]
    if any(is_complex(value) for value in output_values(program.root.output)):
        problems.append(
            Diagnostic("an output is complex", hint="return torch.view_as_real of it, or its real and imaginary parts")
        )
    if problems:
        raise ModelError(problems)
    rewriter = _Rewriter(max(value.id for value in _values(program.root)) + 1)
    root = rewriter.block(program.root)
    return replace(program, root=root if rewriter.left else without_dead_calls(root))


def _values(block: Block) -> Iterator[Value]:
    """Every value that a block and those in it name."""
    for argument in block.arguments:
        yield from argument.values
    yield from output_values(block.output)
    for statement in block.statements:
        yield from output_values(statement.results)
        if isinstance(statement, BlockCall):
            yield from _values(statement.block)
        else:
            yield from output_values(list(statement.arguments.values()))


class _Rewriter:
    def __init__(self, first: int) -> None:
        self._numbers = itertools.count(first)
        self._pairs: dict[int, Pair] = {}
        self._real: dict[int, Value] = {}
        """What stands for real values that a formula gave."""
        self.left = False
        """Whether calls on complex tensors were left."""

    def block(self, block: Block) -> Block:
        """The block, and those in it, on pairs."""
        arguments = tuple(self._argument(argument) for argument in block.arguments)
        statements: list[Statement] = []
        for statement in block.statements:
            if isinstance(statement, OpCall):
                statements += self._call(statement)
                continue
            inner = self.block(statement.block)
            statements.append(replace(statement, block=inner, results=self._tree(statement.results)))
        return replace(block, arguments=arguments, statements=tuple(statements), output=self._tree(block.output))

    def _argument(self, argument: BlockArgument) -> BlockArgument:
        if not any(is_complex(value) for value in argument.values):
            return replace(argument, values=tuple(self._tree(value) for value in argument.values))
        parts = (self._pair(value) if is_complex(value) else (self._tree(value),) for value in argument.values)
        return BlockArgument(argument.name, tuple(itertools.chain.from_iterable(parts)), is_list=True)

    def _tree(self, tree: Any) -> Any:
        """A structure of values with pairs for the complex ones."""
        if isinstance(tree, Value):
            return self._pair(tree) if is_complex(tree) else self._real.get(tree.id, tree)
        if isinstance(tree, tuple | list):
            return type(tree)(self._tree(item) for item in tree)
        if isinstance(tree, Mapping):
            return {key: self._tree(item) for key, item in tree.items()}
        return tree

    def _pair(self, value: Value, emit: Emission | None = None) -> Pair:
        """Both parts of a complex value; those of a stored one are read where it is used."""
        if isinstance(value, Stored) and emit is not None:
            return _stored_parts(value, emit)
        if value.id not in self._pairs:
            re, im = (Value(next(self._numbers), value.shape, PARTS[value.dtype]) for _ in range(2))
            self._pairs[value.id] = re, im
        return self._pairs[value.id]

    def _call(self, call: OpCall) -> list[Statement]:
        given = output_values(list(call.arguments.values()))
        if not any(is_complex(value) for value in (*given, *call.results)):
            arguments = {name: self._tree(value) for name, value in call.arguments.items()}
            return [replace(call, arguments=arguments)]
        dtype = next((PARTS[value.dtype] for value in (*call.results, *given) if is_complex(value)), "")
        emit = Emission(dtype, call.source, (None,), self._numbers, {})
        arguments = {name: self._operand(value, emit) for name, value in call.arguments.items()}
        found = _on_pairs(call, arguments, emit)
        if found is None:
            self.left = True
            return [call]
        named: dict[int, str] = {}
        for value, result, name in zip(call.results, found, call.names, strict=False):
            if isinstance(result, Value):
                self._real[value.id] = result
                named |= {result.id: name} if name else {}
            else:
                self._pairs[value.id] = result
                named |= {part.id: f"{name}_{end}" for part, end in zip(result, ("re", "im"), strict=True) if name}
        return [_named(statement, named) for statement in emit.statements]

    def _operand(self, tree: Any, emit: Emission) -> Any:
        if isinstance(tree, Value):
            return self._pair(tree, emit) if is_complex(tree) else self._real.get(tree.id, tree)
        return [self._operand(item, emit) for item in tree] if isinstance(tree, list) else tree


def _named(statement: Statement, names: Mapping[int, str]) -> Statement:
    """The statement with the torch line's names for what is its result."""
    assert isinstance(statement, OpCall)
    return replace(statement, names=tuple(names.get(value.id) for value in statement.results))


def _stored_parts(stored: Stored, emit: Emission) -> Pair:
    """Parts of a parameter, poured as one real tensor with two elements behind; those of a constant are constants."""
    if not stored.in_state_dict:
        whole = torch.view_as_real(stored.tensor.detach().resolve_conj())
        name = stored.key.rpartition(".")[2]
        return emit.constant(whole[..., 0].clone(), f"{name}_re"), emit.constant(whole[..., 1].clone(), f"{name}_im")
    real = replace(stored, shape=(*stored.shape, 2), dtype=PARTS[stored.dtype])
    re, im = (
        emit(torch.ops.aten.select.int, {"self": real, "dim": len(stored.shape), "index": index}, stored.shape)
        for index in (0, 1)
    )
    return re, im


def _on_pairs(call: OpCall, arguments: Mapping[str, Any], emit: Emission) -> Sequence[Pair | Value] | None:
    """What stands for each of the call's results; None if nothing does."""
    name = call.operator.overloadpacket.__name__
    if name in FORMULAS:
        result = FORMULAS[name](arguments, call.results[0].shape, emit)
        return None if result is None else [result]
    if name in MULTILINEAR:
        return [_product(call, arguments, emit)]
    if name in LINEAR and _is_linear(name, arguments):
        parts = [_done_to(call, arguments, part, emit) for part in (0, 1)]
        return list(zip(*parts, strict=True))
    return None


def _is_linear(name: str, arguments: Mapping[str, Any]) -> bool:
    """Padding with a number adds it to the real part alone; joining wants all tensors complex."""
    if name in ("pad", "constant_pad_nd"):
        return arguments.get("mode", "constant") != "constant" or not arguments.get("value")
    tensors = arguments.get("tensors", ())
    return all(isinstance(item, tuple) for item in tensors)


def _done_to(call: OpCall, arguments: Mapping[str, Any], part: int, emit: Emission) -> tuple[Value, ...]:
    """The operator on real or imaginary parts."""
    shapes = [value.shape for value in call.results]
    return emit.several(call.operator, {name: _part(value, part) for name, value in arguments.items()}, shapes)


def _part(argument: Any, part: int) -> Any:
    if isinstance(argument, tuple):
        return argument[part]
    if isinstance(argument, list):
        return [_part(item, part) for item in argument]
    if isinstance(argument, torch.dtype):
        return argument.to_real()
    return argument


def _product(call: OpCall, arguments: Mapping[str, Any], emit: Emission) -> Pair:
    """A product, multiplied out: i times i is -1."""
    shape = call.results[0].shape
    operands = arguments["tensors"] if "tensors" in arguments else _factors(arguments)
    sums: list[list[tuple[int, Value]]] = [[], []]
    for choice in itertools.product(*(_choices(operand) for operand in operands)):
        power = sum(part for part, _ in choice)
        chosen = [value for _, value in choice]
        sums[power % 2].append((1 if power % 4 < 2 else -1, _multiplied(call, arguments, chosen, emit)))
    re, im = (_total(terms, shape, emit) for terms in sums)
    if re is None or im is None:  # with a number that is all real or all imaginary
        given = re or im
        assert given is not None
        zero = emit(torch.ops.aten.zeros_like.default, {"self": given}, shape)
        return re or zero, im or zero
    return re, im


def _factors(arguments: Mapping[str, Any]) -> list[Any]:
    return list(arguments.values())[:2]


def _choices(operand: Any) -> list[tuple[int, Any]]:
    """The parts of a factor that are not zero, with the power of i that goes with each."""
    if isinstance(operand, complex):
        operand = (operand.real, operand.imag)
    if not isinstance(operand, tuple):
        return [(0, operand)]
    return [(power, part) for power, part in enumerate(operand) if isinstance(part, Value) or part != 0]


def _multiplied(call: OpCall, arguments: Mapping[str, Any], chosen: list[Any], emit: Emission) -> Value:
    if "tensors" in arguments:
        given = {**arguments, "tensors": chosen}
    else:
        given = {**arguments, **dict(zip(list(arguments)[:2], chosen, strict=True))}
    return emit(call.operator, given, call.results[0].shape)


def _total(terms: list[tuple[int, Value]], shape: Sequence[Any], emit: Emission) -> Value | None:
    aten = torch.ops.aten
    total: Value | None = None
    for sign, term in sorted(terms, key=lambda each: -each[0]):
        if total is None:
            total = term if sign > 0 else emit(aten.neg.default, {"self": term}, shape)
            continue
        operator = aten.add.Tensor if sign > 0 else aten.sub.Tensor
        total = emit(operator, {"self": total, "other": term}, shape)
    return total
