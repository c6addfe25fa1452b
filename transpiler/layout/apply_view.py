"""A `view` target applied to one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from transpiler.errors import InternalError
from transpiler.language import syntax as rule
from transpiler.language.expressions import Scope, evaluate
from transpiler.layout import views
from transpiler.layout.apply import Application
from transpiler.layout.body import BodyBuilder, Tensor
from transpiler.layout.operands import flat
from transpiler.lift.program import SymbolicSize, Value

Verb: TypeAlias = Callable[[BodyBuilder, Tensor, "list[Any]", "tuple[Value, ...]"], "tuple[Tensor, ...]"]


def apply_view(body: BodyBuilder, application: Application, target: rule.View) -> tuple[Tensor, ...]:
    """View the first operand as the rule says; an indexing verb emits code, the others none.

    Raises:
        InternalError: the verb is none, or the pattern does not fit the tensor.
    """
    tensor = flat(application.operands)[0]
    scope = application.scope()
    if target.pattern is not None:
        sizes = {name: evaluate(value, scope) for name, value in target.sizes}
        numbers = {name: size for name, size in sizes.items() if isinstance(size, int)}
        return (views.rearranged(tensor, target.pattern, numbers),)
    verb = _VERBS.get(target.verb or "")
    if verb is None:
        raise InternalError(f"{application.rule.position}: unknown view {target.verb}")
    arguments = [_argument(expr, application, scope) for expr in target.arguments]
    return verb(body, tensor, arguments, application.results)


def _argument(expr: rule.Expr, application: Application, scope: Scope) -> Any:
    """A view's argument: a plain value, or a dynamic size."""
    if isinstance(expr, rule.Name) and isinstance(application.sizes.get(expr.id), SymbolicSize):
        return application.sizes[expr.id]
    return evaluate(expr, scope)


def _identity(_: BodyBuilder, tensor: Tensor, __: list[Any], ___: tuple[Value, ...]) -> tuple[Tensor, ...]:
    return (tensor,)


def _reshape(body: BodyBuilder, tensor: Tensor, _: list[Any], results: tuple[Value, ...]) -> tuple[Tensor, ...]:
    return (views.reshaped(body, tensor, results[0].shape),)


def _expand(_: BodyBuilder, tensor: Tensor, __: list[Any], results: tuple[Value, ...]) -> tuple[Tensor, ...]:
    return (views.expanded(tensor, results[0].shape),)


def _repeat(body: BodyBuilder, tensor: Tensor, _: list[Any], results: tuple[Value, ...]) -> tuple[Tensor, ...]:
    return (views.repeated(body, tensor, results[0].shape),)


def _permute(_: BodyBuilder, tensor: Tensor, arguments: list[Any], __: tuple[Value, ...]) -> tuple[Tensor, ...]:
    return (views.permuted(tensor, [int(dim) for dim in arguments[0]]),)


def _transpose(_: BodyBuilder, tensor: Tensor, arguments: list[Any], __: tuple[Value, ...]) -> tuple[Tensor, ...]:
    order = list(range(len(tensor.layout.dims)))
    if order:
        first, second = (int(dim) for dim in arguments)
        order[first], order[second] = order[second], order[first]
    return (views.permuted(tensor, order),)


def _select(body: BodyBuilder, tensor: Tensor, arguments: list[Any], _: tuple[Value, ...]) -> tuple[Tensor, ...]:
    return (views.selected(body, tensor, int(arguments[0]), int(arguments[1])),)


def _slice(body: BodyBuilder, tensor: Tensor, arguments: list[Any], results: tuple[Value, ...]) -> tuple[Tensor, ...]:
    given: list[Any] = [0, None, None, 1]
    given[: len(arguments)] = arguments
    dim, start, stop, step = given
    return (views.sliced(body, tensor, dim, start, stop, step, results[0].shape[dim]),)


def _split(body: BodyBuilder, tensor: Tensor, arguments: list[Any], results: tuple[Value, ...]) -> tuple[Tensor, ...]:
    dim = int(arguments[0])
    return views.pieces(body, tensor, dim, [value.shape[dim] for value in results])


def _unbind(body: BodyBuilder, tensor: Tensor, arguments: list[Any], _: tuple[Value, ...]) -> tuple[Tensor, ...]:
    return views.unbound(body, tensor, int(arguments[0]) if arguments else 0)


_VERBS: Mapping[str, Verb] = {
    "identity": _identity,
    "reshape": _reshape,
    "expand": _expand,
    "repeat": _repeat,
    "permute": _permute,
    "transpose": _transpose,
    "select": _select,
    "slice": _slice,
    "split": _split,
    "unbind": _unbind,
}
