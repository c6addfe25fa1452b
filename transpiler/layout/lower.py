"""Layout: a forward pass over the matched program that gives every value a physical order and every call its code.

Orders flow from the inputs; a transpose appears only where an operator must read an order that its operand does not
have. Each module call becomes a `Body`; weights are declared in the order in which they are read.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

from torch import nn

from transpiler import code as out
from transpiler.code import Call, Code, Index, Literal, Ref
from transpiler.code import Member as MemberCode
from transpiler.errors import Diagnostic, InternalError, KerascribeError, ModelError, RulesError
from transpiler.keras_functions import IDENTITY, SEQUENTIAL
from transpiler.language import syntax as rule
from transpiler.language.expressions import evaluate
from transpiler.layout import apply
from transpiler.layout.apply import Application
from transpiler.layout.apply_view import apply_view
from transpiler.layout.axes import fuse, scattered, together, usual, without_ones
from transpiler.layout.body import BodyBuilder, Held, Line, Tensor, unpoured
from transpiler.layout.contraction import Contraction, Key
from transpiler.layout.dataflow import only_views, passed_arguments, read_values
from transpiler.layout.emission import Emitter
from transpiler.layout.lookahead import Exhausted, Meter
from transpiler.layout.members import attribute_of, has_variables, member_path, variables_of
from transpiler.layout.names import attribute_name
from transpiler.layout.operands import Ordered
from transpiler.layout.pouring import poured
from transpiler.layout.results import argument as argument_of
from transpiler.layout.results import leaf_keys, shown, structure
from transpiler.layout.sequential import as_layer, as_sequential, with_sequence
from transpiler.layout.split_reshapes import with_reshaped_wholes
from transpiler.layout.splits import with_splits
from transpiler.lift.program import Block, BlockArgument, BlockCall, OpCall, Stored, SymbolicSize, Value, output_values
from transpiler.lowered import (
    Argument,
    AttributeValue,
    BlockAttribute,
    Body,
    LayerAttribute,
    Member,
    SequentialAttribute,
    WeightAttribute,
)
from transpiler.match.program import MatchedBlock, MatchedLayer, MatchedOp, MatchedProgram, MatchedStatement
from transpiler.match.scopes import ModuleNames, operator_scope
from transpiler.weights.plan import Dropped, PlanEntry

_ChildAttribute: TypeAlias = BlockAttribute | SequentialAttribute | LayerAttribute


class BlockLowering:
    """Lowers one module call: its statements in order, each value's tensor by the value's number."""

    def __init__(self, block: Block, kept: Mapping[str, MatchedProgram], parent: BlockLowering | None = None) -> None:
        """`kept`: for modules that nothing calls but that are kept, by path, a program that calls each once.

        With a meter, which a child has from its parent, the lowering is only a trial, of what it would cost.
        """
        self.block = block
        self.meter: Meter | None = parent.meter if parent else None
        self.body: BodyBuilder = BodyBuilder(block.path, self.meter, parent.body.elsewhere if parent else None)
        self.frozen: bool = (parent is not None and parent.frozen) or (
            type(block.module) is not nn.Sequential and is_frozen(block.module)
        )
        """Whether a class that this is in, or makes, says that nothing in it is trained."""
        self.env: dict[int, Tensor] = {}
        self.plan: list[PlanEntry] = []
        self.dropped: list[Dropped] = []
        self.kept = kept
        self._members: dict[tuple[str, object], MemberCode] = {}
        self._children: dict[str, list[tuple[MemberCode, _ChildAttribute]]] = {}
        self._counts: dict[str, int] = {}
        self._rest: Sequence[MatchedStatement] = ()
        self._views: dict[tuple[str, str], dict[int, int]] = {}
        """Views by torch's line and operator, and their results, numbered."""

    # ── values ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def tensor(self, value: Value) -> Tensor:
        """The tensor that holds a value here; parameters and buffers are there from the start."""
        if value.id not in self.env:
            if not isinstance(value, Stored):
                raise InternalError(f"{self.block.path}: value {value.id} is not in scope")
            self.env[value.id] = unpoured(value)
        return self.env[value.id]

    def bind(self, values: Sequence[Value], tensors: Sequence[Tensor]) -> None:
        """Give values their tensors."""
        for value, tensor in zip(values, tensors, strict=False):
            self.env[value.id] = tensor

    # ── statements ─────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, statements: Iterable[MatchedStatement]) -> None:
        """Lower all statements.

        Raises:
            ModelError: with the module path and the torch line.
        """
        statements = tuple(statements)
        for place, statement in enumerate(statements):
            self._rest = statements[place + 1 :]
            if self.meter:
                self.meter.step()
            self.body.line = self._line(statement)
            try:
                self._gather_early(statement)
                self._statement(statement)
            except RulesError:
                raise
            except KerascribeError as error:
                raise self._placed(error, statement) from error

    def _line(self, statement: MatchedStatement) -> Line:
        line = Line(statement.call.source, statement.call.names, _reader(statement))
        if not isinstance(statement, MatchedOp) or not isinstance(statement.rule.target, rule.View):
            return line
        on_line = self._views.setdefault((str(line.source), line.reader), {})
        place = on_line.setdefault(statement.call.results[0].id, len(on_line) + 1)
        return replace(line, view=place, cls=self.block.cls.qualified_name)

    def _placed(self, error: KerascribeError, statement: MatchedStatement) -> KerascribeError:
        if any(problem.where for problem in error.diagnostics):
            return error
        what = statement.call.name if isinstance(statement.call, OpCall) else statement.call.block.cls.name
        path = self.block.path or "the model"
        where = f"{path}, {self.block.cls.name} ({statement.call.source})" if statement.call.source else path
        return ModelError([replace(problem, where=f"{where}, {what}") for problem in error.diagnostics])

    def _statement(self, statement: MatchedStatement) -> None:
        match statement:
            case MatchedOp():
                self._operator(statement)
            case MatchedLayer():
                self._module(statement)
            case MatchedBlock():
                self._block(statement)

    # ── looking ahead ──────────────────────────────────────────────────────────────────────────────────────────────

    def _gather_early(self, statement: MatchedStatement) -> None:
        """Bring together what torch sees as one dimension, if later statements would have to do so several times."""
        if self.meter or isinstance(statement, MatchedBlock):
            return
        if isinstance(statement, MatchedOp) and isinstance(statement.rule.target, rule.View):
            return
        for value in read_values([statement]).values():
            held = self.env.get(value.id)
            if not isinstance(held, Held) or not scattered(held.layout):
                continue

            def gather(lowering: BlockLowering, value: Value = value, held: Held = held) -> None:
                lowering.env[value.id] = lowering.tidied(held)

            if self._cheapest([_as_it_is, gather], [statement, *self._rest]):
                gather(self)

    def _cheapest(
        self, choices: Sequence[Callable[[BlockLowering], None]], statements: Sequence[MatchedStatement]
    ) -> int:
        """Which choice makes these statements cost least, the first of equals; within a trial the first one."""
        if self.meter or len(choices) == 1:
            return 0
        costs = [self._cost(choice, statements) for choice in choices]
        return costs.index(min(costs))

    def _cost(
        self, choice: Callable[[BlockLowering], None], statements: Sequence[MatchedStatement]
    ) -> tuple[int, float, int]:
        meter = Meter(_HORIZON)
        trial = BlockLowering(self.block, self.kept)
        trial.meter, trial.body = meter, self.body.fork(meter)
        trial.env = dict(self.env)
        trial._members = dict(self._members)
        trial._children = {path: list(found) for path, found in self._children.items()}
        trial._counts = dict(self._counts)
        trial._views = {line: dict(found) for line, found in self._views.items()}
        with suppress(Exhausted):
            choice(trial)
            trial.run(statements)
            for value in output_values(self.block.output):
                meter.unusual += not usual(trial.settled(trial.tensor(value)).layout)
        return meter.cost

    def tidied(self, held: Held) -> Held:
        """The tensor with each of torch's dimensions in one axis."""
        layout = fuse(held.layout)
        return self.body.arrange(held, layout, together(layout))

    # ── operators ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _operator(self, statement: MatchedOp) -> None:
        applied, bindings = statement.rule, statement.bindings
        sources = {entry.source: bindings[entry.source] for entry in applied.weights}
        stored = {source: tensor for source, tensor in sources.items() if tensor is not None}
        layer = apply.is_layer(applied.target)
        if not isinstance(applied.target, rule.View):
            self._forget_ones(statement)
        operands, sizes = self._split(bindings, without=set(stored) if layer else set())
        application = Application(applied, operator_scope(bindings).names, operands, sizes, statement.call.results)
        if isinstance(applied.target, rule.View):
            self.bind(statement.call.results, apply_view(self.body, application, applied.target))
            return
        plan = None if layer else apply.contraction(application)
        if plan is not None:
            choices = [partial(_contract, application=application, plan=plan, axes=axes) for axes in plan.orders]
            choices[self._cheapest(choices, self._rest)](self)
            return
        ordered = apply.ordered(self.body, application)
        if not layer:
            self.emit(application, ordered)
            return
        results = [(layout, value.dtype) for layout, value in zip(ordered.results, application.results, strict=True)]
        owner = self._owner(stored.values())
        name = owner or self._weight_name(stored) or statement.call.name.split(".")[1]
        key = tuple(sorted((source, tensor.id) for source, tensor in stored.items()))
        member = self._layer(name, application, ordered, stored, key, listed=owner is not None)
        code = Call(member, tuple(ordered.codes.values()))
        self.bind(application.results, self.body.emit_many(code, results))

    def _forget_ones(self, statement: MatchedStatement) -> None:
        """Only views, and modules of nothing else, know of dimensions that are 1 here and larger elsewhere."""
        for value in read_values([statement]).values():
            tensor = self.env.get(value.id)
            if tensor is not None and (layout := without_ones(tensor.layout)) != tensor.layout:
                self.env[value.id] = replace(tensor, layout=layout)

    def emit(self, application: Application, ordered: Ordered) -> None:
        """Emit the rule's expression and bind the call's results to it."""
        results = [(layout, value.dtype) for layout, value in zip(ordered.results, application.results, strict=True)]
        code = apply.expression(self.body, application, ordered)
        self.bind(application.results, self.body.emit_many(code, results))

    def _split(self, bindings: Mapping[str, Any], without: set[str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Tensor operands and dynamic sizes among a rule's bindings."""
        operands: dict[str, Any] = {}
        sizes: dict[str, Any] = {}
        for name, value in bindings.items():
            if name in without:
                continue
            if isinstance(value, Value):
                operands[name] = self.tensor(value)
            elif isinstance(value, list) and any(isinstance(item, Value) for item in value):
                operands[name] = [None if item is None else self.tensor(item) for item in value]
            elif isinstance(value, SymbolicSize) or (
                isinstance(value, list) and any(isinstance(item, SymbolicSize) for item in value)
            ):
                sizes[name] = value
        return operands, sizes

    # ── modules that a rule serves ─────────────────────────────────────────────────────────────────────────────────

    def _module(self, statement: MatchedLayer) -> None:
        block, applied = statement.call.block, statement.rule
        results = output_values(statement.call.results)
        operands: dict[str, Any] = {}
        for argument in block.arguments:
            tensors = [self.tensor(value) for value in argument.values]
            operands[argument.name] = tensors if argument.is_list else tensors[0]
        if isinstance(applied.target, rule.Nothing):
            self.bind(results[:1], [next(iter(operands.values()))])
            self._drop_all(block, applied)
            return
        renamed = _operands_as_read(applied, operands)
        application = Application(applied, ModuleNames(block), renamed, {}, results)
        if isinstance(applied.target, rule.View):
            self.bind(results, apply_view(self.body, application, applied.target))
            return
        ordered = apply.ordered(self.body, application)
        if not apply.is_layer(applied.target):
            self.emit(application, ordered)
            return
        laid = [(layout, value.dtype) for layout, value in zip(ordered.results, results, strict=True)]
        stored = self._module_weights(block, applied)
        member = self._layer(self._local_path(block), application, ordered, stored, block.path, listed=True)
        self._drop_all(block, applied)
        code = self._call(member, applied, application, ordered)
        self.bind(results, self.body.emit_many(code, laid))

    def _call(self, member: MemberCode, applied: rule.ModuleRule, application: Application, ordered: Ordered) -> Code:
        if applied.calls is None:
            return Call(member, tuple(ordered.codes.values()))
        codes = dict(ordered.codes) | dict(zip(applied.calls.parameters, ordered.codes.values(), strict=False))
        emitter = Emitter(self.body, codes, application.sizes, application.scope(ordered.functions))
        call = applied.calls.call
        assert isinstance(call, rule.Call)
        return Call(
            member,
            tuple(emitter.code(argument) for argument in call.arguments),
            tuple((key, emitter.code(value)) for key, value in call.keywords),
        )

    def _module_weights(self, block: Block, applied: rule.ModuleRule) -> dict[str, Stored]:
        """The tensors that the rule's weight entries name; those that are None are left out."""
        found: dict[str, Stored] = {}
        for entry in applied.weights:
            owner: Any = block.module
            for part in entry.source.split("."):
                owner = getattr(owner, part, None)
            if owner is None:
                continue
            key = f"{block.path}.{entry.source}" if block.path else entry.source
            trainable = isinstance(owner, nn.Parameter) and owner.requires_grad
            dtype = str(owner.dtype).removeprefix("torch.")
            found[entry.source] = Stored(
                -1, tuple(owner.shape), dtype, key, in_state_dict=True, trainable=trainable, tensor=owner
            )
        return found

    def _drop_all(self, block: Block, applied: rule.ModuleRule) -> None:
        """Tensors of the module that the rule drops; those that it forgets are an error.

        Raises:
            ModelError: a parameter or buffer that the rule neither pours nor drops.
        """
        used = {entry.source for entry in applied.weights}
        reasons = {drop.name: drop.reason for drop in applied.drops}
        prefix = f"{block.path}." if block.path else ""
        forgotten = []
        for name in block.module.state_dict():
            if name in reasons:
                self.dropped.append(Dropped(prefix + name, reasons[name]))
            elif name not in used:
                forgotten.append(name)
        if forgotten:
            raise ModelError(
                Diagnostic(
                    f"the rule for {applied.cls} neither pours nor drops {', '.join(forgotten)}",
                    where=str(applied.position),
                    hint='add an entry to its weights { … }, or `drop NAME "reason"`',
                )
            )

    # ── layers ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _layer(
        self,
        path: str,
        application: Application,
        ordered: Ordered,
        stored: Mapping[str, Stored],
        key: object,
        *,
        listed: bool,
    ) -> MemberCode:
        """Declare the layer of a rule; the same module called again is the same member.

        Args:
            path: of the module below this one, or a name for the layer.
            application: of the rule.
            ordered: its operands.
            stored: its weights.
            key: what tells it from other layers of the same settings.
            listed: whether a number in the path is a place in a list.
        """
        if self.meter and ordered.behind:
            self.meter.unusual += 1
        calls = apply.constructors(self.body, application, ordered)
        if self._keeps_frozen(tuple(stored.values())):
            calls = tuple(_frozen(call) if len(calls) == 1 or has_variables(call) else call for call in calls)
        constructor = calls[0] if len(calls) == 1 else Call(SEQUENTIAL, (out.Sequence("list", calls),))
        identity = (str(key), constructor)
        if identity in self._members:
            return self._members[identity]
        member = self._declare(path, path, LayerAttribute(constructor), listed=listed)
        self._members[identity] = member
        scope = application.scope(ordered.functions)

        def size_of(entry: rule.WeightEntry, letter: str) -> int | None:
            given = dict(entry.sizes).get(letter)
            value = None if given is None else evaluate(given, scope)
            return value if isinstance(value, int) else None

        for entry in application.rule.weights:
            tensor = stored.get(entry.source)
            if tensor is None:
                continue
            variables = tuple(f"{member_path(member)}.{variable}" for variable in variables_of(entry.targets, calls))
            self.plan.append(poured(entry, tensor, variables, ordered.letters, size_of, ordered.behind))
        return member

    def _keeps_frozen(self, stored: Sequence[Stored]) -> bool:
        """Whether a layer's own parameters are frozen, and no class around it says so."""
        parameters = [tensor.tensor for tensor in stored if isinstance(tensor.tensor, nn.Parameter)]
        trained = [parameter.requires_grad for parameter in parameters]
        if any(trained) and not all(trained) and self.meter is None:
            self._tell_frozen(stored)
        return bool(parameters) and not any(trained) and not self.frozen

    def _tell_frozen(self, stored: Iterable[Stored]) -> None:
        """Keras freezes layers, not their single weights."""
        for tensor in stored:
            if isinstance(tensor.tensor, nn.Parameter) and not tensor.tensor.requires_grad:
                warnings.warn(
                    f"{tensor.key} is frozen in torch, but others of its layer are trained, and so is it in Keras: "
                    "set `trainable = False` on the variable once the model is built",
                    stacklevel=2,
                )

    def _owner(self, stored: Iterable[Stored]) -> str | None:
        """Where to put a layer whose weights `forward` takes from a module below: `F.linear(x, self.qkv.weight)`."""
        owners = {tensor.key.rpartition(".")[0] for tensor in stored if tensor.in_state_dict}
        owner = owners.pop() if len(owners) == 1 else ""
        below = owner != self.block.path and owner.startswith(f"{self.block.path}." if self.block.path else "")
        return self._relative(owner) if owner and below else None

    def _weight_name(self, stored: Mapping[str, Stored]) -> str:
        """What a layer is called whose weights are the module's own: `in_proj` for `in_proj_weight`."""
        name = next(iter(stored.values())).key.rpartition(".")[2] if stored else ""
        return name.removesuffix("weight").rstrip("_") if name.endswith("weight") else ""

    def _declare(self, relative: str, torch_path: str, value: Any, *, listed: bool) -> MemberCode:
        name, is_list = attribute_of(relative) if listed else (attribute_name(relative), False)
        if is_list:
            index = self._counts.get(name, 0)
            if index == 0:
                name = self.body.free_name(name)
            self._counts[name] = index + 1
            member = MemberCode(name, index)
        else:
            member = MemberCode(self.body.free_name(name))
        self.body.members.append(Member(member.name, member.index, torch_path, value))
        return member

    def _local_path(self, block: Block) -> str:
        """A module by the names of this one, which may share it with the module that it is called after."""
        relative = self._relative(block.path)
        if relative != block.path or not self.block.path:
            return relative
        named = self.block.module.named_modules(remove_duplicate=False)
        return next((name for name, module in named if name and module is block.module), relative)

    def _relative(self, path: str) -> str:
        prefix = f"{self.block.path}." if self.block.path else ""
        return path.removeprefix(prefix)

    # ── modules that become classes ────────────────────────────────────────────────────────────────────────────────

    def _block(self, statement: MatchedBlock) -> None:
        call = statement.call
        passed = passed_arguments(call.block, statement.statements)
        if not only_views(statement):
            self._forget_ones(statement)
        outer = [[self.body.hold(self.tensor(value)) for value in argument.values] for argument in passed]
        if any(scattered(tensor.layout) for tensors in outer for tensor in tensors) and not only_views(statement):
            outer = [[self._tidy(tensor) for tensor in tensors] for tensors in outer]
        self._call_block(statement, passed, outer)

    def _tidy(self, tensor: Held) -> Held:
        """What a class of its own is given: it should not need to know how its caller's dimensions came about."""
        return self.tidied(tensor) if scattered(tensor.layout) else tensor

    def _call_block(
        self, statement: MatchedBlock, passed: Sequence[BlockArgument], outer: Sequence[Sequence[Held]]
    ) -> None:
        call = statement.call
        block = call.block
        child = BlockLowering(block, self.kept, self)
        given: list[Argument] = []
        codes: list[Code] = []
        for argument, tensors in zip(passed, outer, strict=True):
            held = [child.body.argument(tensor.layout, tensor.dtype) for tensor in tensors]
            child.bind(argument.values, held)
            codes += [item.code for item in held]
            given.append(argument_of(argument.name, held, is_list=argument.is_list))
        if not given:
            given, codes, outer = self._something_given(child)
        child.run(statement.statements)
        self.dropped += child.dropped
        if not child.body.statements and not child.body.members:
            self._adopt_views(child, call, dict(zip(codes, [t for ts in outer for t in ts], strict=True)))
            return
        body, results = child.finish(tuple(given), block.output)
        member = self._child_member(block, body, child)
        arguments = tuple(
            out.Sequence("list", tuple(tensor.code for tensor in tensors)) if argument.is_list else tensors[0].code
            for argument, tensors in zip(given, outer, strict=True)
        )
        self._bind_results(Call(member, arguments), call.results, results)

    def _something_given(self, child: BlockLowering) -> tuple[list[Argument], list[Code], Sequence[Sequence[Held]]]:
        """Keras calls no layer without a tensor: a module that reads none is given the first one that is here."""
        tensor = self.body.scope[0]
        held = child.body.argument(tensor.layout, tensor.dtype)
        return [argument_of("inputs", [held], is_list=False)], [held.code], [[tensor]]

    def _adopt_views(self, child: BlockLowering, call: BlockCall, outer: Mapping[Code, Held]) -> None:
        """A module that only views its arguments leaves no code: its results are the caller's own tensors."""
        for inner, result in zip(output_values(call.block.output), output_values(call.results), strict=True):
            view = child.body.hold(child.tensor(inner))
            self.env[result.id] = Held(outer[view.code].code, view.layout, view.dtype)

    def _child_member(self, block: Block, body: Body, child: BlockLowering) -> MemberCode:
        """The member that holds a child; a child called again with the same body is the same member."""
        value, plan = _as_attribute(block.module, body, child)
        for member, known in self._children.get(block.path, ()):
            if known == value:
                return member
        if plan and block.path in self._children and self.meter is None:
            warnings.warn(
                f"{block.path} is called in ways that need different code: it becomes several layers, which begin with "
                "the same weights and are trained apart",
                stacklevel=2,
            )
        relative = self._local_path(block)
        member = self._declare(relative, relative, value, listed=True)
        self._children.setdefault(block.path, []).append((member, value))
        prefix = member_path(member)
        self.plan += [replace(entry, variables=tuple(f"{prefix}.{name}" for name in entry.variables)) for entry in plan]
        return member

    def _bind_results(self, call: Code, structure: Any, results: Sequence[Held]) -> None:
        leaves = output_values(structure)
        laid = [(held.layout, held.dtype) for held in results]
        if isinstance(structure, Mapping):
            number = self.body.opaque(call)
            for key, leaf, item in zip(leaf_keys(structure), leaves, laid, strict=True):
                self.env[leaf.id] = self.body.emit(Index(Ref(number), (Literal(key),)), *item)
            return
        self.bind(leaves, self.body.emit_many(call, laid))

    # ── the finished body ──────────────────────────────────────────────────────────────────────────────────────────

    def finish(self, arguments: tuple[Argument, ...], output: Any) -> tuple[Body, list[Held]]:
        """The body, and its results as the caller finds them."""
        results = [self.settled(self.tensor(value)) for value in output_values(output)]
        return self.closed(arguments, structure(output, iter(results)), results), results

    def settled(self, tensor: Tensor) -> Held:
        """A result as a class should return it: a shuffle is carried out, not left to the caller."""
        held = self._tidy(self.body.hold(tensor))
        layout = fuse(held.layout)
        axes = tuple(tuple(sorted(axis)) for axis in layout.axes)
        return held if axes == layout.axes else self.body.arrange(held, layout, axes)

    def closed(self, arguments: tuple[Argument, ...], result: Code, results: Sequence[Held]) -> Body:
        """The body with this result."""
        self._keep_unused()
        self.plan = [*self.body.plan, *self.plan]
        shapes = self.body.shapes()
        statements = with_splits(self.body.statements, shapes)
        statements, result = with_reshaped_wholes(statements, result, shapes, self.body.count)
        return Body(
            cls=self.block.cls,
            path=self.block.path,
            constructor=self.block.constructor,
            arguments=arguments,
            members=tuple(self.body.members),
            statements=statements,
            result=result,
            result_pattern=shown(results[0].layout) if results else "",
            unused=self.block.unused,
            frozen=is_frozen(self.block.module),
        )

    def _keep_unused(self) -> None:
        """Members for the modules that are kept although nothing calls them."""
        prefix = f"{self.block.path}." if self.block.path else ""
        for name in self.block.unused:
            program = self.kept.get(prefix + name)
            if program is None:
                continue
            holder = BlockLowering(replace(program.root, path=self.block.path), {})
            given = self.tensor(self.block.arguments[0].values[0])
            argument = holder.body.argument(given.layout, given.dtype)
            holder.bind([program.inputs[0][1]], [argument])
            holder.run(program.statements)
            value = _called_as_given(holder, argument, program)
            if value is None:
                continue
            member = Member(self.body.free_name(attribute_name(name)), None, name, value, called=False)
            self.body.members.append(member)
            self.plan += [replace(entry, source=prefix + entry.source) for entry in holder.plan]
            self.dropped += [replace(drop, source=prefix + drop.source) for drop in holder.dropped]


def is_frozen(module: nn.Module) -> bool:
    """Whether it has parameters, and none of them is trained."""
    parameters = list(module.parameters())
    return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)


def _frozen(constructor: Call) -> Call:
    return replace(constructor, keywords=(*constructor.keywords, ("trainable", Literal(value=False))))


def _as_attribute(module: nn.Module, body: Body, child: BlockLowering) -> tuple[_ChildAttribute, list[PlanEntry]]:
    """What holds a child, and its entries of the plan: a class of its own, a Sequential, or a single layer."""
    layer = as_layer(module, body, child.plan)
    if layer is not None:
        return layer
    sequential = as_sequential(module, body, child.plan, child.body.scope)
    if sequential is None:
        return BlockAttribute(body), child.plan
    return sequential if type(module) is nn.Sequential else with_sequence(body, *sequential)


_HORIZON = 40
"""How many statements a trial looks ahead."""


def _as_it_is(_: BlockLowering) -> None:
    """The choice to do nothing."""


def _contract(lowering: BlockLowering, application: Application, plan: Contraction, axes: Sequence[Key]) -> None:
    """Emit a contraction whose result has these axes."""
    lowering.emit(application, apply.contracted(lowering.body, application, plan, axes))


_NOTHING = LayerAttribute(Call(IDENTITY))


def _called_as_given(
    holder: BlockLowering, argument: Held, program: MatchedProgram
) -> AttributeValue | WeightAttribute | None:
    """The one layer that the holder calls with its argument as it is; None where it takes more than that.

    `build` builds the layer for the shape that its parent is given: a transpose before it would be lost.
    """
    result = holder.tensor(output_values(program.root.output)[0])
    if not holder.body.members and not holder.body.statements:
        return _NOTHING if result == argument else None
    if len(holder.body.members) != 1 or len(holder.body.statements) != 1:
        return None
    match holder.body.statements[0].code:
        case Call(function=MemberCode(), arguments=(given,)) if given == argument.code:
            return holder.body.members[0].value
    return None


def _operands_as_read(applied: rule.ModuleRule, operands: dict[str, Any]) -> dict[str, Any]:
    """`reads x` names the first operand of a module whatever its `forward` calls it."""
    unknown = [entry.operand for entry in applied.reads if entry.operand not in operands]
    spare = [name for name in operands if all(entry.operand != name for entry in applied.reads)]
    names = dict(zip(spare, unknown, strict=False))
    return {names.get(name, name): operand for name, operand in operands.items()}


def _reader(statement: MatchedStatement) -> str:
    if isinstance(statement, MatchedOp):
        return statement.call.name
    block = statement.call.block
    return f"{block.path or 'the model'} ({block.cls.name})"
