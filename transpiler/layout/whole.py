"""Layout of a whole program: the root body between channels-last inputs and outputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from transpiler import code as out
from transpiler.code import Code
from transpiler.errors import Diagnostic, ModelError
from transpiler.language.syntax import ModelDeclaration, Pattern
from transpiler.layout.axes import Layout, channels_last, fuse, ordered
from transpiler.layout.body import Held, Line
from transpiler.layout.lower import BlockLowering
from transpiler.layout.program import LaidOut
from transpiler.layout.results import argument as argument_of
from transpiler.layout.units import with_marked_units
from transpiler.letters import dimension_letters
from transpiler.lift.program import Size, Value, output_values
from transpiler.lowered import Argument, ModelInput, ModelOutput, Signature
from transpiler.match.program import MatchedProgram
from transpiler.weights.plan import Dropped, Tied


def layout(
    program: MatchedProgram, declaration: ModelDeclaration | None, kept: Mapping[str, MatchedProgram]
) -> LaidOut:
    """Give every value its physical order and every call its code.

    Inputs and outputs of rank 4 and 5 are channels-last unless the rules say otherwise for that name. `kept` holds the
    modules that nothing calls and that are kept all the same, by path.

    Raises:
        ModelError: a rule cannot be applied, with the module path and the torch line.
    """
    program = with_marked_units(program)
    lowering = BlockLowering(program.root, kept)
    asked = {entry.name: entry.pattern for entry in declaration.inputs if entry.pattern} if declaration else {}
    held = {}
    inputs: list[ModelInput] = []
    for name, value in program.inputs:
        order = _order(value, asked.get(name))
        tensor = lowering.body.argument(ordered(value.shape, order), value.dtype)
        lowering.bind([value], [tensor])
        held[value.id] = tensor
        inputs.append(_input(name, value, tensor.layout, _pattern_text(len(value.shape), order, asked.get(name))))
    lowering.run(program.statements)
    lowering.body.line = Line(None)
    outputs = {entry.name: entry.pattern for entry in declaration.outputs} if declaration else {}
    leaves = _named(program.root.output)
    results, described = _results(lowering, leaves, outputs)
    body = lowering.closed(_arguments(program, held), _rebuilt(program.root.output, iter(results)), results)
    entries = _unique(lowering.plan)
    poured = {entry.source for entry in entries}
    known = {drop.source for drop in lowering.dropped}
    tied = _tied(program, poured)
    owned = {tie.key for tie in tied} | poured
    dropped = [drop for drop in lowering.dropped if drop.source not in owned]
    state = program.root.module.state_dict()
    dropped += [Dropped(key, "no output depends on it") for key in state if key not in owned and key not in known]
    shaped = tuple(_with_shape(drop, state[drop.source]) for drop in dropped)
    return LaidOut(body, Signature(tuple(inputs), described), entries, shaped, tied)


def _with_shape(drop: Dropped, tensor: Any) -> Dropped:
    """What is dropped, with what a zero in its place must look like."""
    return replace(drop, shape=tuple(tensor.shape), dtype=str(tensor.dtype).removeprefix("torch."))


def _tied(program: MatchedProgram, poured: Collection[str]) -> tuple[Tied, ...]:
    """For every tensor under several names the one that is poured, and the others.

    Another one may be poured as well, where two layers share a tensor: in Keras, each layer has its own.
    """
    groups: dict[str, list[str]] = {}
    for key, source in program.tied:
        groups.setdefault(source, [source]).append(key)
    found = []
    for names in groups.values():
        owner = next((name for name in names if name in poured), None)
        if owner is not None:
            found += [Tied(name, owner) for name in names if name != owner]
    return tuple(found)


def _order(value: Value, pattern: Pattern | None) -> tuple[int, ...]:
    """Which torch dimension each Keras axis is."""
    rank = len(value.shape)
    if pattern is not None:
        left = [axis[0] if axis else "1" for axis in pattern.left]
        right = [axis[0] if axis else "1" for axis in pattern.right]
        if sorted(left) != sorted(right) or len(left) != rank:
            raise ModelError(
                Diagnostic(f"pattern {pattern.text!r} is not an order of {rank} dimensions", str(pattern.position))
            )
        return tuple(left.index(letter) for letter in right)
    return channels_last(rank) or tuple(range(rank))


def _pattern_text(rank: int, order: Sequence[int], pattern: Pattern | None) -> str:
    if pattern is not None:
        return pattern.text
    letters = dimension_letters(rank)
    return f"{' '.join(letters)} -> {' '.join(letters[dim] for dim in order)}"


def _input(name: str, value: Value, laid: Layout, pattern: str) -> ModelInput:
    return ModelInput(
        name=name,
        dtype=value.dtype,
        shape=_known(value.shape),
        keras_shape=_known(laid.physical_shape),
        pattern=pattern,
    )


def _known(shape: Sequence[Size]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in shape)


def _arguments(program: MatchedProgram, held: Mapping[int, Held]) -> tuple[Argument, ...]:
    """The root's own arguments, under the names of its `forward`; inputs that nothing reads are kept."""
    arguments = []
    for argument in program.root.arguments:
        tensors = [held[value.id] for value in argument.values]
        arguments.append(argument_of(argument.name, tensors, is_list=argument.is_list))
    return tuple(arguments)


def _results(
    lowering: BlockLowering, leaves: Sequence[tuple[str, Value]], patterns: Mapping[str, Pattern]
) -> tuple[list[Held], tuple[ModelOutput, ...]]:
    results, described = [], []
    for name, value in leaves:
        tensor = lowering.tensor(value)
        order = _order(value, patterns.get(name))
        laid = fuse(tensor.layout)
        axes = tuple(laid.atoms_of(dim) for dim in order)
        results.append(lowering.body.arrange(tensor, laid, axes))
        text = _pattern_text(len(value.shape), order, patterns.get(name))
        described.append(ModelOutput(name, value.dtype, _known(value.shape), text))
    return results, tuple(described)


def _named(output: Any) -> list[tuple[str, Value]]:
    """The leaves of the output with their names: dict keys, else `output` and a number."""
    leaves = output_values(output)
    names = _leaf_names(output, "")
    if names == [""]:
        return [("output", leaves[0])]
    return [(name or "output", leaf) for name, leaf in zip(names, leaves, strict=True)]


def _leaf_names(tree: Any, prefix: str) -> list[str]:
    if isinstance(tree, Value):
        return [prefix]
    if isinstance(tree, Mapping):
        pairs = [(f"{prefix}_{key}" if prefix else key, item) for key, item in tree.items()]
    elif isinstance(tree, tuple | list):
        pairs = [(f"{prefix or 'output'}_{index}", item) for index, item in enumerate(tree)]
    else:
        pairs = []
    return [name for path, item in pairs for name in _leaf_names(item, path)]


def _rebuilt(tree: Any, results: Any) -> Code:
    """The output's own structure; what is None in torch is left out."""
    if isinstance(tree, Value):
        code: Code = next(results).code
        return code
    if isinstance(tree, Mapping):
        kept = [(key, item) for key, item in tree.items() if output_values(item)]
        return out.Mapping(tuple((key, _rebuilt(item, results)) for key, item in kept))
    items = tuple(_rebuilt(item, results) for item in tree if output_values(item))
    if len(items) == 1 and isinstance(tree, tuple) and len(tree) > 1:
        return items[0]
    return out.Sequence("list" if isinstance(tree, list) else "tuple", items)


def _unique(entries: Sequence[Any]) -> tuple[Any, ...]:
    """Entries in their order, each variable once."""
    seen: set[tuple[str, ...]] = set()
    kept = []
    for entry in entries:
        if entry.variables not in seen:
            seen.add(entry.variables)
            kept.append(entry)
    return tuple(kept)
