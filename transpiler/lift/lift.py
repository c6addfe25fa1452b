"""Lift: the flat graph becomes a tree of blocks, one per module call.

Every graph node belongs to the innermost module call that made it (capture recorded which). Sizes are not data: nodes
that compute them are left out, and whoever needs a size reads it from a tensor in scope.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import sympy
import torch
from torch.export.graph_signature import InputKind

from transpiler.capture.frames import from_text
from transpiler.capture.trace import ModuleCall, NodeRef, SourceFrame, Trace, display_path
from transpiler.errors import Diagnostic, InternalError, ModelError
from transpiler.lift.attention import attention_of_some
from transpiler.lift.dead import without_dead_calls
from transpiler.lift.decompose import decomposed
from transpiler.lift.emission import Emission, is_whole_slice
from transpiler.lift.folding import Folding
from transpiler.lift.indexing import indexed
from transpiler.lift.mutation import (
    Alias,
    Family,
    base_of,
    copies_itself,
    family,
    functional,
    functional_operator,
    results_in_arguments,
    written_tensor,
)
from transpiler.lift.program import (
    CONSTANT,
    Block,
    BlockArgument,
    BlockCall,
    OpCall,
    Program,
    Size,
    Statement,
    Stored,
    SymbolicSize,
    Value,
    output_values,
)
from transpiler.lift.scatter import Known, scattered
from transpiler.lift.simplify import drops_nothing, neutral, rate_of, repeated, same_tensor, unchanged
from transpiler.lift.source_names import first_line, names, torch_class
from transpiler.lift.state import Writes
from transpiler.lift.views import Emit, put_back
from transpiler.lowered import SourceLine
from transpiler.reserved import GATHERED

_NUMBERS = torch.SymInt | torch.SymFloat | torch.SymBool | int | float


def lift(trace: Trace, without_rule: Collection[str] = ()) -> Program:
    """Turn a trace into a tree of blocks.

    Args:
        trace: of the model.
        without_rule: names of operators to replace by PyTorch's own decompositions, where it has any.

    Raises:
        ModelError: the model does something that has no functional form here.
    """
    return _Lifter(trace, without_rule).program()


class _Lifter:
    def __init__(self, trace: Trace, without_rule: Collection[str]) -> None:
        self.trace = trace
        self.without_rule = without_rule
        self.numbers = itertools.count()
        self.values: dict[str, Any] = {}
        self.children: dict[int | None, list[ModuleCall]] = {}
        for call in trace.calls:
            self.children.setdefault(call.parent, []).append(call)
        self.read: set[str] = set()
        self.folding = Folding()
        self.constants: dict[str, Stored] = {}
        self.origins: dict[int, Value] = {}
        """What is in eval mode the same tensor as another: the result of a dropout, of a module that does nothing."""
        self.made: dict[int, OpCall] = {}
        """How values were made that the graph does not have."""
        self.state = Writes()
        self.hidden: set[int] = set()
        """Values that a module made and did not return."""
        self.graph_nodes = {node.name: node for node in trace.exported.graph.nodes}
        self.parts: dict[str, tuple[int, int]] = {}
        """Which one of how many results of an operator a node of its decomposition makes."""
        self.node_positions = {name: position for position, name in enumerate(trace.nodes)}
        self.used = {path for call in trace.calls for path in _with_parents(call.path)}
        """Modules that are called or whose tensors are read, or some below them."""
        exported = trace.exported
        self.dropping = {_frame(node) for node in self.graph_nodes.values() if float(rate_of(node) or 0) > 0}
        """Lines on which something drops in training; others on them do so at a rate of 0."""
        self.keys: set[str] = {*exported.state_dict, *exported.constants, *dict(trace.model.named_modules())}
        """Names that are taken: no constant may bear them."""

    def program(self) -> Program:
        inputs = self._placeholders()
        self._sizes()
        root = without_dead_calls(self._block(self.trace.calls[0]))
        self.state.check(root, self.made.keys())
        tied, dropped = self._unread()
        return Program(root, inputs, dropped, tied)

    # ── values ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _placeholders(self) -> tuple[tuple[str, Value], ...]:
        exported = self.trace.exported
        nodes = {node.name: node for node in exported.graph.nodes if node.op == "placeholder"}
        inputs: list[tuple[str, Value]] = []
        names = iter(self.trace.input_names)
        for spec in exported.graph_signature.input_specs:
            name = getattr(spec.arg, "name", "")
            if name not in nodes:
                continue
            fake = nodes[name].meta.get("val")
            if spec.kind is InputKind.USER_INPUT:
                if isinstance(fake, torch.Tensor):
                    value = self._value(fake)
                    self.values[name] = value
                    inputs.append((next(names), value))
                continue
            key = spec.target or name
            tensor = exported.state_dict.get(key)
            in_state = tensor is not None
            if tensor is None:
                tensor = exported.constants.get(key)
            if not isinstance(tensor, torch.Tensor):
                continue
            if not in_state:
                self.folding.add_constant(name, tensor)
            trainable = isinstance(tensor, torch.nn.Parameter) and tensor.requires_grad
            self.values[name] = Stored(
                next(self.numbers), tuple(tensor.shape), dtype_name(tensor.dtype), key, in_state, trainable, tensor
            )
        return tuple(inputs)

    def _sizes(self) -> None:
        """Sizes and arithmetic on them are known at once, wherever export put their nodes."""
        for node in self.trace.exported.graph.nodes:
            fake = node.meta.get("val")
            if node.op == "call_function" and isinstance(fake, _NUMBERS):
                self.values[node.name] = number(fake)

    def _value(self, fake: torch.Tensor) -> Value:
        return Value(next(self.numbers), tuple(size_of(size) for size in fake.shape), dtype_name(fake.dtype))

    # ── statements ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _block(self, call: ModuleCall) -> Block:
        arguments, settings = self._arguments(call)
        statements: list[Statement] = []
        position = call.begin
        for child in self.children.get(call.index, ()):
            statements += self._nodes(position, child.begin)
            block = self._block(child)
            results = self._results_of(child, block)
            source, names = self._line_of_call(child.source, results)
            statements.append(BlockCall(block, results, source, names))
            position = child.end
        statements += self._nodes(position, call.end)
        output = self._tree(call.output)
        made = {value.id for statement in statements for value in output_values(statement.results)}
        self.hidden |= made - {value.id for value in output_values(output)}
        unused = tuple(
            name
            for name, _ in call.module.named_children()
            if (f"{call.path}.{name}" if call.path else name) not in self.used
        )
        module = self.trace.stand_ins.get(call.path)
        if module is None:
            module = call.module
        else:  # takes one tensor, under a name of its own
            arguments = tuple(
                replace(given, name=name) for given, name in zip(arguments, _parameters(module), strict=True)
            )
            settings = {}
        return Block(
            path=call.path,
            call=call.index,
            cls=torch_class(call.module),
            module=module,
            constructor=self.trace.constructors.get(call.path),
            arguments=arguments,
            settings=settings,
            statements=tuple(statements),
            output=output,
            unused=unused,
        )

    def _nodes(self, begin: int, end: int) -> list[Statement]:
        nodes = (self.graph_nodes.get(name) for name in self.trace.nodes[begin:end])
        calls = (node for node in nodes if node is not None and node.op == "call_function")
        return [statement for node in calls for statement in self._node(node)]

    def _results_of(self, call: ModuleCall, block: Block) -> Any:
        """A module that returned its argument (dropout in eval mode) gets a result of its own, at its place."""
        given = {value.id for argument in block.arguments for value in argument.values}
        output = block.output
        if block.statements or not isinstance(output, Value) or output.id not in given:
            return output
        name = call.output.name
        if self._later_reads(name, call.end) > 1:  # a residual reads the same tensor: which one is meant is not known
            return output
        result = Value(next(self.numbers), output.shape, output.dtype)
        self.values[name] = result
        self.origins[result.id] = output
        return result

    def _later_reads(self, name: str, position: int) -> int:
        node = self.graph_nodes[name]
        return sum(
            sum(argument is node for argument in user.all_input_nodes + list(user.args[1:2]))
            if len(user.all_input_nodes) == 1 and user.args[:2] == (node, node)
            else 1
            for user in node.users
            if self.node_positions.get(user.name, -1) >= position
        )

    def _node(self, node: torch.fx.Node) -> list[Statement]:
        if not isinstance(node.target, torch._ops.OpOverload):
            return []  # arithmetic on sizes and assertions leave no trace; `getitem` went with its operator
        fake = node.meta.get("val")
        if isinstance(fake, _NUMBERS):
            return []
        self.folding.run(node)
        self._refuse_out(node)
        target = written_tensor(node)
        if target is not None and self.folding.write(node, target):
            base = base_of(target)
            self.state.add_folded(node, base, self.values.get(base.name), self._where(node))
            return []
        if self.folding.written(node.name) is not None:
            return []
        if target is not None:
            self._forget(target)
            return self._write(node, target)
        return self._read_only(node, fake)

    def _refuse_out(self, node: torch.fx.Node) -> None:
        """Several results that are written to tensors that were there before."""
        names = results_in_arguments(node.target)  # type: ignore[arg-type]
        if len(names) > 1 or (names and functional_operator(node.target) is node.target):  # type: ignore[arg-type]
            what = f"{node.target} writes to its argument{'s' * (len(names) > 1)} {', '.join(map(repr, names))}"
            hint = f"assign the result instead of passing {names[0] if len(names) == 1 else 'out'}="
            raise ModelError(Diagnostic(what, where=self._where(node), hint=hint))

    def _forget(self, target: torch.fx.Node) -> None:
        """A known tensor that something unknown is written to: constants up to here, and values from now on."""
        names = self.folding.sharing(target)
        self.values |= {name: value for name in names if (value := self._constant(name)) is not None}
        self.folding.forget(names)

    def _read_only(self, node: torch.fx.Node, fake: Any) -> list[Statement]:
        """An operator that writes to nothing."""
        assert isinstance(node.target, torch._ops.OpOverload)
        if str(node.target) in self.without_rule and (replaced := self._without_rule(node)) is not None:
            return replaced
        arguments = {name: self._argument(value) for name, value in _bound(node).items()}
        if node.name in self.trace.attention_rates:
            arguments["dropout_p"] = self.trace.attention_rates[node.name]
        results = self._results(node, fake)
        operator = functional_operator(node.target)
        source, names = self._line(_frame(node), len(results), self.parts.get(node.name, (0, 1)))
        if len(results) == 1:
            if (origin := same_tensor(operator, arguments, results[0])) is not None:
                self.origins[results[0].id] = origin
            same = unchanged(operator, arguments, results[0]) or neutral(operator, arguments, results[0])
            if drops_nothing(operator, arguments) and _frame(node) not in self.dropping:
                same = arguments["input"]
            if same is not None:
                self.values[node.name] = same
                return []
            statements, emit = self._emitter(results[0].dtype, source, names)
            simpler = self._simpler(node, operator, arguments, results[0], emit)
            if simpler is not None:
                self.values[node.name] = simpler
                return statements
        call = OpCall(operator, arguments, results, source, names)
        if is_whole_slice(call):
            self.made[results[0].id] = call
        return [call]

    def _simpler(
        self, node: torch.fx.Node, operator: torch._ops.OpOverload, arguments: dict[str, Any], result: Value, emit: Emit
    ) -> Value | None:
        """The result by other operators, where those say more of it."""
        ways: tuple[Callable[[], Value | None], ...] = (
            lambda: attention_of_some(node, arguments, result, self._known(node), emit),
            lambda: repeated(operator, arguments, result, emit),
            lambda: indexed(node, arguments, result, self._known(node), emit),
            lambda: self._written_anew(node, operator, arguments, emit),
        )
        return next((found for way in ways if (found := way()) is not None), None)

    def _without_rule(self, node: torch.fx.Node) -> list[Statement] | None:
        """An operator that no rule serves: a constant, if no input flows into it (a window, say), or decomposed."""
        if (tensor := self.folding.known(node.name)) is not None:
            self.values[node.name] = self._stored(tensor, node)
            return []
        graph = decomposed(node)
        return None if graph is None else self._replaced(node, graph)

    def _replaced(self, node: torch.fx.Node, graph: torch.fx.Graph) -> list[Statement]:
        """The statements of an operator's decomposition, in its place."""
        given = iter(dict.fromkeys(node.all_input_nodes))
        statements: list[Statement] = []
        for inner in graph.nodes:
            inner.name = f"{node.name}.{inner.name}"
            if inner.op == "output" and isinstance(inner.args[0], list | tuple):
                made = [part.name for part in inner.args[0] if isinstance(part, torch.fx.Node)]
                self.parts |= {name: (place, len(made)) for place, name in enumerate(made)}
        for inner in graph.nodes:
            fake = inner.meta.get("val")
            if inner.op == "placeholder":
                self.values[inner.name] = self._argument(next(given))
            elif inner.op == "get_attr":
                self.values[inner.name] = self._stored(getattr(graph.owning_module, str(inner.target)), node)
            elif inner.op == "call_function" and isinstance(fake, _NUMBERS):
                self.values[inner.name] = number(fake)
            elif inner.op == "call_function":
                inner.meta |= {key: node.meta.get(key) for key in ("stack_trace", "nn_module_stack")}
                statements += self._node(inner)
            elif inner.op == "output":
                result = self._argument(inner.args[0])
                self.values[node.name] = tuple(result) if isinstance(result, list) else result
                self._pick(node, self.values[node.name])
        return statements

    def _emitter(
        self, dtype: str, source: SourceLine | None, names: tuple[str | None, ...]
    ) -> tuple[list[Statement], Emission]:
        """A list, and a function that adds calls of operators to it; all results have this type."""
        emission = Emission(dtype, source, names, self.numbers, self.made)
        return emission.statements, emission

    def _written_anew(
        self, node: torch.fx.Node, operator: torch._ops.OpOverload, arguments: Mapping[str, Any], emit: Emit
    ) -> Value | None:
        """The result of a functional scatter, in simpler operators."""
        try:
            return scattered(operator, arguments, self._known(node), emit)
        except ModelError as error:
            raise self._placed(error, node) from error

    def _known(self, node: torch.fx.Node) -> Known:
        """The tensors among a node's arguments that no input flows into, by their values."""

        def known(value: Value) -> torch.Tensor | None:
            names = (other.name for other in node.all_input_nodes if same_value(self._argument(other), value))
            return next((tensor for name in names if (tensor := self.folding.known(name)) is not None), None)

        def same_value(one: Any, other: Value) -> bool:
            return isinstance(one, Value) and one.id == other.id

        return known

    def _write(self, node: torch.fx.Node, target: torch.fx.Node) -> list[Statement]:
        """An in-place operator: its functional form, and what the write means for others that share the memory."""
        if copies_itself(node):
            self.values[node.name] = self._argument(target)
            return []
        source, names = self._line(_frame(node))
        arguments = {name: self._argument(value) for name, value in _bound(node).items()}
        old = self._argument(target)
        if results_in_arguments(node.target):  # type: ignore[arg-type]
            old = replace(old, shape=self._value(node.meta["val"]).shape)  # an empty tensor gets the shape it needs
        statements, emit = self._emitter(old.dtype, source, names)
        new = functional(node.target, arguments, old, self._known(node), emit)  # type: ignore[arg-type]
        now = self.node_positions.get(node.name, -1)
        memory = family(target, self.node_positions, now)
        self.state.add(memory.base, self.values.get(memory.base.name), self._where(node))
        needed = memory.needed(lambda member: any(self.node_positions.get(u.name, now + 1) > now for u in member.users))
        self._rename(memory, node, new)
        changed = set(memory.names(node))
        for step in memory.chain(target, needed):
            assert step.view is not None
            assert step.parent is not None
            try:
                new = put_back(step.view, self._argument(step.parent), new, emit)
            except ModelError as error:
                raise self._placed(error, node) from error
            self._rename(memory, step.parent, new)
            changed |= set(memory.names(step.parent))
        for member in memory.members:
            stale = member.view is not None and member.node not in changed and member.parent in changed
            if stale and needed & set(memory.names(member.node)):
                statements += self._taken_again(member, memory, source)
                changed |= set(memory.names(member.node))
        return statements

    def _rename(self, memory: Family, node: torch.fx.Node, value: Value) -> None:
        for other in memory.names(node):
            self.values[other.name] = value

    def _taken_again(self, member: Alias, memory: Family, source: SourceLine | None) -> list[Statement]:
        """A view of what has been written meanwhile."""
        assert member.view is not None
        node = member.view.node
        arguments = {name: self._argument(value) for name, value in _bound(node).items()}
        fakes = node.meta["val"]
        several = isinstance(fakes, tuple | list)
        results = tuple(self._value(fake) for fake in (fakes if several else [fakes]))
        statements, emit = self._emitter(results[0].dtype, source, (None,))
        if (simpler := self._written_anew(node, node.target, arguments, emit)) is not None:  # type: ignore[arg-type]
            self._rename(memory, member.node, simpler)
            return statements
        self._rename(memory, member.node, results[member.view.index or 0])
        call = OpCall(node.target, arguments, results, source, (None,) * len(results))  # type: ignore[arg-type]
        if is_whole_slice(call):
            self.made[results[0].id] = call
        return [call]

    def _placed(self, error: ModelError, node: torch.fx.Node) -> ModelError:
        return ModelError([replace(problem, where=self._where(node)) for problem in error.diagnostics])

    def _where(self, node: torch.fx.Node) -> str:
        frame = _frame(node)
        path = _module_path(node) or "the model"
        return f"{path} ({frame.shown()})" if frame else path

    def _results(self, node: torch.fx.Node, fake: Any) -> tuple[Value, ...]:
        if isinstance(fake, torch.Tensor):
            value = self._value(fake)
            self.values[node.name] = value
            return (value,)
        if isinstance(fake, tuple | list):
            results = tuple(self._value(item) for item in fake if isinstance(item, torch.Tensor))
            self._pick(node, results)
            return results
        return ()

    def _pick(self, node: torch.fx.Node, results: Any) -> None:
        """Names for the results of an operator that has several."""
        for user in node.users:
            if getattr(user.target, "__name__", "") == "getitem":
                self.values[user.name] = results[user.args[1]]
                self.folding.pick(user, node.name, user.args[1])  # type: ignore[arg-type]

    def _argument(self, argument: Any) -> Any:
        if isinstance(argument, torch.fx.Node):
            value = self._constant(argument.name) or self._seen(argument.name)
            if isinstance(value, Stored):
                self._reads(value)
            if value is None:
                raise InternalError(f"graph node {argument.name} is used before lift has seen it")
            return value
        if isinstance(argument, list | tuple):
            return [self._argument(item) for item in argument]
        return argument

    def _reads(self, stored: Stored) -> None:
        if stored.key not in self.read:
            self.read.add(stored.key)
            self.used.update(_with_parents(stored.key))

    def _seen(self, name: str) -> Any:
        """The value of a node, as it is known here: what a module did not return goes by the name of its argument."""
        value = self.values.get(name)
        while isinstance(value, Value) and value.id in self.hidden and value.id in self.origins:
            value = self.origins[value.id]
        return value

    def _constant(self, name: str) -> Stored | None:
        """A tensor that no input flows into, if something was written to it."""
        tensor = self.folding.written(name)
        if tensor is None:
            return None
        known = self.constants.get(name)
        if known is not None and torch.equal(known.tensor, tensor):
            return known
        stored = self.constants[name] = self._stored(tensor, self.graph_nodes.get(name))
        return stored

    def _stored(self, tensor: torch.Tensor, node: torch.fx.Node | None) -> Stored:
        """A constant that the state dict does not have, called as the module's source calls it."""
        dtype, shape, key = dtype_name(tensor.dtype), tuple(tensor.shape), self._constant_key(node)
        self.keys.add(key)
        return Stored(next(self.numbers), shape, dtype, key, in_state_dict=False, trainable=False, tensor=tensor)

    def _constant_key(self, node: torch.fx.Node | None) -> str:
        frame = None if node is None else _frame(node)
        (named,) = (None,) if frame is None else names(frame, 1)
        named = named and named.removesuffix(GATHERED)
        prefix = "" if node is None else f"{_module_path(node)}."
        base = f"{prefix.lstrip('.')}{named or 'constant'}"
        taken = (f"{base}_{number}" for number in itertools.count(2))
        return next(key for key in itertools.chain([base], taken) if key not in self.keys)

    def _arguments(self, call: ModuleCall) -> tuple[tuple[BlockArgument, ...], dict[str, Any]]:
        arguments: list[BlockArgument] = []
        settings: dict[str, Any] = {}
        for name, value in call.arguments.items():
            tree = self._tree(value)
            if isinstance(tree, Value):
                arguments.append(BlockArgument(name, (tree,), is_list=False))
            elif isinstance(tree, list | tuple) and tree and all(isinstance(item, Value) for item in tree):
                arguments.append(BlockArgument(name, tuple(tree), is_list=True))
            elif isinstance(tree, Mapping) and tree and all(isinstance(item, Value) for item in tree.values()):
                arguments += [BlockArgument(str(key), (item,), is_list=False) for key, item in tree.items()]
            else:
                settings[name] = CONSTANT if isinstance(value, torch.Tensor) else tree
        return tuple(arguments), settings

    def _tree(self, tree: Any) -> Any:
        if isinstance(tree, NodeRef):
            value = self._constant(tree.name) or self._seen(tree.name)
            if isinstance(value, Stored):
                self._reads(value)
            return value
        if isinstance(tree, tuple):
            return tuple(self._tree(item) for item in tree)
        if isinstance(tree, list):
            return [self._tree(item) for item in tree]
        if isinstance(tree, Mapping):
            return {str(key): self._tree(item) for key, item in tree.items()}
        return None if isinstance(tree, torch.Tensor) else tree

    def _line(
        self, frame: SourceFrame | None, count: int = 1, part: tuple[int, int] = (0, 1)
    ) -> tuple[SourceLine | None, tuple[str | None, ...]]:
        if frame is None:
            return None, (None,) * count
        return SourceLine(display_path(frame.file), first_line(frame.file, frame.line)), names(frame, count, part)

    def _line_of_call(
        self, frame: SourceFrame | None, results: Any
    ) -> tuple[SourceLine | None, tuple[str | None, ...]]:
        """The line of a module's call; what it returns that is no tensor may have a name there, too."""
        values = output_values(results)
        if not isinstance(results, tuple | list) or len(results) == len(values):
            return self._line(frame, len(values))
        if any(len(output_values(item)) > 1 for item in results):
            return self._line(frame, len(values))
        source, named = self._line(frame, len(results))
        found = tuple(name for name, item in zip(named, results, strict=True) if output_values(item))
        return (source, found) if any(found) else self._line(frame, len(values))

    # ── what was not read ──────────────────────────────────────────────────────────────────────────────────────────

    def _unread(self) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
        state = self.trace.model.state_dict(keep_vars=True)
        owners: dict[tuple[int, tuple[int, ...]], str] = {}
        for key in sorted(self.read):
            if key in state:
                owners.setdefault(_identity(state[key]), key)
        tied = []
        dropped = []
        for key, tensor in state.items():
            if key in self.read:
                continue
            owner = owners.get(_identity(tensor)) if tensor.numel() else None
            if owner is None:
                dropped.append(key)
            else:
                tied.append((key, owner))
        return tuple(tied), tuple(dropped)


def _identity(tensor: torch.Tensor) -> tuple[int, tuple[int, ...]]:
    return tensor.data_ptr(), tuple(tensor.shape)


def _parameters(module: torch.nn.Module) -> tuple[str, ...]:
    return tuple(inspect.signature(module.forward).parameters)


def _with_parents(path: str) -> Iterator[str]:
    """A path and those that it begins with.

    >>> list(_with_parents("layers.0.attn"))
    ['layers.0.attn', 'layers.0', 'layers']
    """
    while path:
        yield path
        path = path.rpartition(".")[0]


def _bound(node: torch.fx.Node) -> dict[str, Any]:
    """The node's arguments by schema name."""
    schema = node.target._schema  # type: ignore[union-attr]
    names = [argument.name for argument in schema.arguments]
    return dict(zip(names, node.args, strict=False)) | dict(node.kwargs)


def _frame(node: torch.fx.Node) -> SourceFrame | None:
    return from_text(node.meta.get("stack_trace") or "")


def _module_path(node: torch.fx.Node) -> str:
    """The module whose `forward` made a node."""
    stack = node.meta.get("nn_module_stack") or {}
    return next(reversed([str(entry[0]) for entry in stack.values()]), "")


def dtype_name(dtype: torch.dtype) -> str:
    """`torch.float32` as "float32"."""
    return str(dtype).removeprefix("torch.")


def size_of(size: int | torch.SymInt) -> Size:
    """A dimension as an int where it is fixed, else as sympy's expression."""
    if isinstance(size, int):
        return size
    expression = size.node.expr
    return int(expression) if expression.is_number else expression


def number(value: Any) -> Any:
    """A size or scalar of the graph: a plain number where it is fixed."""
    if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
        expression: sympy.Expr = value.node.expr
        if expression.is_number:
            return int(expression) if expression.is_integer else float(expression)
        return SymbolicSize(expression)
    return value
