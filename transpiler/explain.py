"""What each stage made of a model, as text: `kerascribe explain RULES --stage layout`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from transpiler.code import Call, Code, Function, Index, Literal, Member, Name, Ref
from transpiler.lift.program import Block, BlockCall, OpCall, SymbolicSize, Value, output_values
from transpiler.lowered import BlockAttribute, Body, LayerAttribute, SequentialAttribute, WeightAttribute
from transpiler.match.program import MatchedBlock, MatchedLayer, MatchedOp, MatchedStatement
from transpiler.outline import outline
from transpiler.outline.grouping import children_of
from transpiler.pipeline import Stages
from transpiler.render.expressions import text
from transpiler.session import Project
from transpiler.trees import transform

INDENT = "  "


def show_stage(project: Project, stage: str) -> str:
    """The result of one stage.

    Args:
        project: the rules file with its model.
        stage: "lift", "match", "layout" or "outline".
    """
    return "\n".join(_PRINTERS[stage](project.port.stages))


def _lift(stages: Stages) -> Iterator[str]:
    yield from _block(stages.lifted.root, 0)


def _block(block: Block, depth: int) -> Iterator[str]:
    pad = INDENT * depth
    arguments = ", ".join(f"{argument.name}: {_values(argument.values)}" for argument in block.arguments)
    yield f"{pad}{block.path or 'model'} = {block.cls.name}({arguments}) -> {_values(output_values(block.output))}"
    if block.unused:
        yield f"{pad}{INDENT}# never called: {', '.join(block.unused)}"
    for statement in block.statements:
        if isinstance(statement, BlockCall):
            yield from _block(statement.block, depth + 1)
        else:
            yield f"{pad}{INDENT}{_operator(statement)}"


def _operator(call: OpCall) -> str:
    arguments = ", ".join(f"{name}={_argument(value)}" for name, value in call.arguments.items())
    line = f"  # {call.source}" if call.source else ""
    return f"{_values(call.results)} = {call.name}({arguments}){line}"


def _argument(value: Any) -> str:
    if isinstance(value, Value):
        return f"%{value.id}"
    if isinstance(value, SymbolicSize):
        return str(value.expression)
    if isinstance(value, list):
        return f"[{', '.join(_argument(item) for item in value)}]"
    return repr(value)


def _values(values: tuple[Value, ...]) -> str:
    return ", ".join(f"%{value.id} {value.dtype}[{', '.join(map(str, value.shape))}]" for value in values)


def _match(stages: Stages) -> Iterator[str]:
    yield from _matched(stages.matched.statements, 0)


def _matched(statements: tuple[MatchedStatement, ...], depth: int) -> Iterator[str]:
    for statement in statements:
        pad = INDENT * depth
        match statement:
            case MatchedOp(call, rule, _):
                yield f"{pad}{call.name}  <- {rule.operator} ({rule.position})"
            case MatchedLayer(call, rule):
                yield f"{pad}{call.block.path}: {call.block.cls.name}  <- {rule.cls} ({rule.position})"
            case MatchedBlock(call, inner):
                yield f"{pad}{call.block.path}: {call.block.cls.name}  <- a class of its own"
                yield from _matched(inner, depth + 1)


def _layout(stages: Stages) -> Iterator[str]:
    yield from _body(stages.laid_out.root, 0)
    moved = list(_transposes(stages.laid_out.root))
    yield f"# {len(moved)} transposes"
    yield from (f"#   {line}" for line in moved)


def _body(body: Body, depth: int) -> Iterator[str]:
    pad = INDENT * depth
    arguments = ", ".join(f"{argument.name} {argument.pattern}" for argument in body.arguments)
    yield f"{pad}{body.path or 'model'}: {body.cls.name}({arguments}) -> {body.result_pattern}"
    for member in body.members:
        name = member.name if member.index is None else f"{member.name}[{member.index}]"
        yield from _member(name, member.value, depth + 1)
    for statement in body.statements:
        results = ", ".join(f"v{number}" for number in statement.results)
        comment = f"  # {statement.comment}" if statement.comment else ""
        yield f"{pad}{INDENT}{results} = {_code(statement.code)}{comment}"
    yield f"{pad}{INDENT}return {_code(body.result)}"


def _member(name: str, value: object, depth: int) -> Iterator[str]:
    pad = INDENT * depth
    match value:
        case LayerAttribute(constructor):
            yield f"{pad}.{name} = {_code(constructor)}"
        case WeightAttribute(shape, dtype, _):
            yield f"{pad}.{name}: {dtype}{list(shape)}"
        case BlockAttribute(body):
            yield f"{pad}.{name} ="
            yield from _body(body, depth + 1)
        case SequentialAttribute(children):
            yield f"{pad}.{name} = Sequential"
            for index, child in enumerate(children):
                yield from _member(str(index), child, depth + 1)


def _code(code: Any) -> str:
    return text(transform(code, _named))


def _named(code: Code) -> Code | None:
    """Values and members under names that can be printed."""
    if isinstance(code, Ref):
        return Name(f"v{code.value}")
    if isinstance(code, Member):
        name = Name(f"self.{code.name}")
        return name if code.index is None else Index(name, (Literal(code.index),))
    return None


def _transposes(body: Body) -> Iterator[str]:
    """Every transpose with its pattern, the torch line, and what wants its operand in that order."""
    for statement in body.statements:
        function = statement.code.function if isinstance(statement.code, Call) else None
        if isinstance(function, Function) and function.name == "keras.ops.transpose":
            yield f"{body.path or 'model'} ({statement.source or 'end'}): {statement.comment}, for {statement.reason}"
    for child in children_of(body):
        yield from _transposes(child)


def _outline(stages: Stages) -> Iterator[str]:
    program = outline(stages.lowered)
    for definition in program.classes:
        parameters = ", ".join(parameter.name for parameter in definition.parameters)
        yield f"{definition.name}({parameters}): call({', '.join(definition.arguments)})"


_PRINTERS: Mapping[str, Callable[[Stages], Iterator[str]]] = {
    "lift": _lift,
    "match": _match,
    "layout": _layout,
    "outline": _outline,
}
