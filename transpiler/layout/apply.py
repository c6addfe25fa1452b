"""One rule applied to one call: operands in order, code emitted, weights planned."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transpiler import code as out
from transpiler.errors import InternalError
from transpiler.language import syntax as rule
from transpiler.language.expressions import Scope, dotted_name, evaluate, walk
from transpiler.layout import operands as order
from transpiler.layout.body import BodyBuilder
from transpiler.layout.contraction import Contraction, Key, is_matmul
from transpiler.layout.emission import Emitter
from transpiler.layout.operands import Operand, Ordered
from transpiler.layout.pouring import permutable_letters
from transpiler.lift.program import Value
from transpiler.match.scopes import TENSOR_FUNCTIONS, attribute


@dataclass(frozen=True, slots=True)
class Application:
    """A rule with what its names stand for in one call."""

    rule: rule.ModuleRule | rule.OperatorRule
    names: Any
    """Values of the rule's names for expressions: settings, attributes, operands as guards see them."""
    operands: Mapping[str, Operand]
    sizes: Mapping[str, Any]
    """Arguments that are known only when the model runs but are no tensors: dynamic sizes."""
    results: tuple[Value, ...]

    @property
    def shapes(self) -> tuple[tuple[Any, ...], ...]:
        """torch's shapes of the results."""
        return tuple(value.shape for value in self.results)

    def scope(self, functions: Mapping[str, Callable[..., object]] | None = None) -> Scope:
        """What the rule's expressions see; `functions` are those that depend on the layout."""
        return Scope(self.names, {**TENSOR_FUNCTIONS, **(functions or {})}, attribute)


def is_layer(target: rule.Target) -> bool:
    """Whether the target is built once and called: a Keras layer, a chain of them, or a helper class."""
    if isinstance(target, rule.Helper):
        return (dotted_name(target.call.function) or "")[:1].isupper()
    return isinstance(target, rule.Emit) and all(_is_layer_call(link) for link in target.chain)


def _is_layer_call(expr: rule.Expr) -> bool:
    if not isinstance(expr, rule.Call):
        return False
    name = dotted_name(expr.function) or ""
    return name.startswith("keras.layers.") or ("." not in name and name[:1].isupper())


def contraction(application: Application) -> Contraction | None:
    """The plan for a rule that calls `equation`, None for other rules and where operands must lie as in torch."""
    asked = _calls(application.rule.target, {"equation"})
    if not asked or not order.flat(application.operands):
        return None
    text = evaluate(asked[0].arguments[0], application.scope())
    return order.contracting(application.operands, str(text), len(application.shapes[0]))


def contracted(body: BodyBuilder, application: Application, plan: Contraction, axes: Sequence[Key]) -> Ordered:
    """Bring the operands of a contraction into the order of the plan, for a result with these axes."""
    return order.contracted(body, application.operands, plan, axes)


def ordered(body: BodyBuilder, application: Application) -> Ordered:
    """Bring the operands into the order that the rule asks for."""
    applied = application.rule
    operands, shapes = application.operands, application.shapes
    if applied.pointwise and order.flat(operands):
        return order.pointwise(body, operands, shapes)
    asked = _calls(applied.target, {"axis", "axes"})
    if asked and order.flat(operands):
        dims = _dims(asked, application, len(order.flat(operands)[0].layout.dims))
        single = any(dotted_name(call.function) == "axis" for call in asked)
        apart = [entry.operand for entry in applied.reads]
        if apart:
            return order.indexed(body, operands, apart, dims[0], shapes[0])
        return order.along_axes(body, operands, dims, shapes, single=single)
    if applied.reads or applied.writes:
        return order.by_patterns(
            body, operands, applied.reads, applied.writes, shapes, permutable_letters(applied.weights)
        )
    as_torch = order.as_in_torch(body, operands, shapes)
    return replace(as_torch, functions={"equation": lambda text: text})


def _calls(target: rule.Target, names: Collection[str]) -> list[rule.Call]:
    """Calls of these functions in a target."""
    chain = target.chain if isinstance(target, rule.Emit) else ()
    if isinstance(target, rule.Helper):
        chain = (target.call,)
    return [
        part
        for link in chain
        for part in walk(link)
        if isinstance(part, rule.Call) and dotted_name(part.function) in names
    ]


def _dims(calls: Sequence[rule.Call], application: Application, rank: int) -> list[int]:
    scope = application.scope()
    dims: list[int] = []
    for call in calls:
        value = evaluate(call.arguments[0], scope) if call.arguments else None
        given: list[Any] = [*value] if isinstance(value, tuple | list) else [value]
        if value is None or not given:
            given = [*range(rank)]
        dims += [dim for dim in given if isinstance(dim, int)]
    return list(dict.fromkeys(dims))


def links(target: rule.Target) -> tuple[rule.Call, ...]:
    """The layers of a chain."""
    if isinstance(target, rule.Helper):
        return (target.call,)
    if isinstance(target, rule.Emit):
        return tuple(link for link in target.chain if isinstance(link, rule.Call))
    return ()


def constructors(body: BodyBuilder, application: Application, operands: Ordered) -> tuple[out.Call, ...]:
    """The constructor of each layer of the rule's target."""
    emitter = Emitter(body, {}, application.sizes, application.scope(operands.functions))
    return tuple(_named_helper(emitter.call(link)) for link in links(application.rule.target))


def expression(body: BodyBuilder, application: Application, operands: Ordered) -> out.Code:
    """The code of a target that is an expression or a helper function."""
    emitter = Emitter(body, operands.codes, application.sizes, application.scope(operands.functions))
    target = application.rule.target
    if isinstance(target, rule.Helper):
        return _named_helper(emitter.call(target.call))
    if isinstance(target, rule.Emit) and len(target.chain) == 1:
        return _plain(emitter.code(target.chain[0]))
    raise InternalError(f"{application.rule.position}: this target cannot be emitted")


def _plain(code: out.Code) -> out.Code:
    """`matmul` where an einsum says no more than that."""
    match code:
        case out.Call(out.Function("keras.ops.einsum"), (out.Literal(str(text)), left, right)) if is_matmul(text):
            return out.Call(out.Function("keras.ops.matmul"), (left, right))
    return code


def _named_helper(call: out.Call) -> out.Call:
    """Helper names are bare in rules and qualified in code, so that render knows which text to emit."""
    function = call.function
    if isinstance(function, out.Function) and "." not in function.name:
        return out.Call(out.Function(f"helpers.{function.name}"), call.arguments, call.keywords)
    return call
