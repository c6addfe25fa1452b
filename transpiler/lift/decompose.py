"""PyTorch's own decomposition of an operator that no rule serves, as a small graph of simpler operators."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import sympy
import torch
from torch._decomp import decomposition_table
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from transpiler.lift import short_time

_OURS: Mapping[Any, Callable[..., Any]] = {
    torch.ops.aten.stft.default: short_time.stft,
    torch.ops.aten.istft.default: short_time.istft,
}
"""Where PyTorch's end in operators that have no counterpart."""


def decomposed(node: torch.fx.Node) -> torch.fx.Graph | None:
    """The graph of an operator's call, its placeholders the nodes that it reads, in order; None if torch has none.

    The call is traced on the fake tensors of the exported graph, so dynamic sizes stay dynamic. A decomposition that
    asks whether such a size is, say, even would hold for the example alone, and is none.
    """
    operator = node.target
    assert isinstance(operator, torch._ops.OpOverload)
    function = _decomposition(operator)
    if function is None:
        return None
    read = list(dict.fromkeys(node.all_input_nodes))
    fakes = [other.meta["val"] for other in read]
    mode = next((fake.fake_mode for fake in fakes if isinstance(fake, FakeTensor)), None)
    if mode is None:
        return None

    def call(*given: Any) -> Any:
        of = dict(zip(read, given, strict=True))
        args, kwargs = pytree.tree_map(
            lambda leaf: of[leaf] if isinstance(leaf, torch.fx.Node) else leaf,
            (node.args, node.kwargs),
            is_leaf=lambda leaf: isinstance(leaf, torch.fx.Node),
        )
        result = function(*args, **kwargs)
        return tuple(result) if isinstance(result, tuple | list) else result  # no named tuples of torch's

    guards: list[Any] = [] if mode.shape_env is None else mode.shape_env.guards
    known = len(guards)
    try:
        with mode, torch.no_grad(), _trusted(operator, mode.shape_env):
            graph: torch.fx.Graph = make_fx(call)(*fakes).graph
    except Exception:  # noqa: BLE001  (a decomposition that fails is none)
        return None
    if any(guard.expr.has(sympy.Eq) for guard in guards[known:]):  # right for the example's sizes only
        return None
    calls = [other for other in graph.nodes if other.op == "call_function"]
    return None if any(other.target is operator for other in calls) else graph


def _trusted(operator: torch._ops.OpOverload, sizes: Any) -> contextlib.AbstractContextManager[object]:
    """Our own functions ask nothing about sizes; what torch asks below them, of strides, binds no size."""
    ours = operator in _OURS and sizes is not None
    return sizes.suppress_guards() if ours else contextlib.nullcontext()


def _decomposition(operator: torch._ops.OpOverload) -> Callable[..., Any] | None:
    if operator in _OURS:
        return _OURS[operator]
    table: Mapping[Any, Callable[..., Any]] = decomposition_table
    composite = operator.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd)
    found = table.get(operator)
    # References in Python end in operators of `prims`, which no rule serves; composites end in those of `aten`.
    if found is None or (composite and found.__module__.startswith("torch._refs")):
        return operator.decompose if composite else found
    return found
