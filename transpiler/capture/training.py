"""What a model does in training only: a trace in eval mode does not show it, so it is seen from outside.

A module that hands its argument on in eval mode is given ones in training mode: what comes back as zero tells what it
drops (whole samples, channels, single values) and at which rate. The rate at which attention drops is what the model
hands to `scaled_dot_product_attention` when it is run in training mode once, on fake tensors.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.nn import functional
from torch.utils import _pytree as pytree

from transpiler.capture.trace import ModuleCall, NodeRef

_SAMPLES = 4096
_SIGMAS = 6
"""How far the share of zeros may lie from the rate, in standard deviations."""


class SampleDropout(nn.Module):
    """Drops whole samples while training: any module that was seen to do so (stochastic depth, "drop path")."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """`x`, in training with whole samples set to zero and the others scaled to keep the mean."""
        if not self.training or self.p == 0.0:
            return x
        kept = x.new_empty(x.shape[0], *[1] * (x.dim() - 1)).bernoulli_(1 - self.p)
        return x * kept / (1 - self.p)


def stand_ins(calls: Iterable[ModuleCall], graph: torch.fx.Graph) -> dict[str, nn.Module]:
    """By path, for modules that hand their argument on in eval mode: what drops in training as they do.

    Of a class of which one is seen to drop whole samples, all are taken to do so, the others at a rate of 0.

    Args:
        calls: all module calls of a trace.
        graph: the graph that was traced.
    """
    nodes = {node.name: node for node in graph.nodes}
    found: dict[str, nn.Module] = {}
    idle: dict[str, type[nn.Module]] = {}
    for call in calls:
        given = [value for value in call.arguments.values() if isinstance(value, NodeRef)]
        is_own = not type(call.module).__module__.startswith("torch.nn.") and not list(call.module.children())
        if not is_own or len(given) != 1 or call.output != given[0] or call.begin != call.end:
            continue
        value = nodes[given[0].name].meta.get("val")
        seen = dropping(call.module, value.dim()) if isinstance(value, Tensor) else None
        if seen is None:
            idle[call.path] = type(call.module)
        else:
            found[call.path] = seen
    modules = {call.path: call.module for call in calls}
    of_samples = {type(modules[path]) for path, module in found.items() if isinstance(module, SampleDropout)}
    return {path: SampleDropout(0.0) for path, cls in idle.items() if cls in of_samples} | found


def attention_rates(
    model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], graph: torch.fx.Graph
) -> dict[str, float]:
    """Rates at which attention drops in training, by node; empty where training runs other calls than evaluation.

    Args:
        model: a copy of it on fake tensors is run in training mode.
        args: its example inputs.
        kwargs: further ones by name.
        graph: the graph that was traced.
    """
    attending = [
        node.name for node in graph.nodes if node.target is torch.ops.aten.scaled_dot_product_attention.default
    ]
    rates = _rates_in_order(model, args, kwargs) if attending else ()
    if len(rates) != len(attending):
        return {}
    return {name: rate for name, rate in zip(attending, rates, strict=True) if rate > 0}


def dropping(module: nn.Module, rank: int) -> nn.Module | None:
    """A module of ours or torch's that drops in training what this one drops; None if it is not seen to drop.

    >>> dropping(timm.layers.DropPath(0.1), 4)  # doctest: +SKIP
    SampleDropout()

    Args:
        module: returns its one argument in eval mode.
        rank: of that argument; the first dimension is the batch.
    """
    if rank < 2:
        return None
    shape = (_SAMPLES, *[2] * (rank - 1))
    try:
        with torch.random.fork_rng(devices=()), torch.no_grad():
            torch.manual_seed(0)
            returned = copy.deepcopy(module).train()(torch.ones(shape))
    except Exception:  # noqa: BLE001 — whatever the module's own code raises: then nothing is known of it
        return None
    if not isinstance(returned, Tensor) or returned.shape != shape:
        return None
    return _like(returned, module)


def _like(returned: Tensor, module: nn.Module) -> nn.Module | None:
    """What drops as was seen here, on ones."""
    zero = returned == 0
    kept = returned[~zero]
    if not zero.any() or not len(kept) or not torch.allclose(kept, kept[0].expand_as(kept)) or kept[0] <= 1:
        return None
    rate = _exact(1 - 1 / float(kept[0]), module)
    if abs(float(zero.float().mean()) - rate) > _SIGMAS * math.sqrt(rate * (1 - rate) / _SAMPLES):
        return None
    samples, channels = zero.flatten(1), zero.flatten(2) if zero.dim() > 2 else None
    if bool((samples.all(1) == samples.any(1)).all()):
        return SampleDropout(rate)
    if channels is not None and bool((channels.all(2) == channels.any(2)).all()):
        kind = {3: nn.Dropout1d, 4: nn.Dropout2d, 5: nn.Dropout3d}.get(returned.dim())
        return kind(rate) if kind else None
    return nn.Dropout(rate)


def _exact(rate: float, module: nn.Module) -> float:
    """The rate as the module keeps it, since what is seen is rounded to float32."""
    settings = (value for value in vars(module).values() if isinstance(value, float))
    near = (value for own in settings for value in (own, 1 - own) if math.isclose(value, rate, abs_tol=1e-5))
    return next(near, round(rate, 5))


def _rates_in_order(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[float, ...]:
    """One rate for each call of `scaled_dot_product_attention` in training; () if the model cannot be run like that."""
    seen: list[float] = []
    attend = functional.scaled_dot_product_attention

    def watched(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        *others: Any,
        **named: Any,
    ) -> Tensor:
        seen.append(float(dropout_p))
        return attend(query, key, value, attn_mask, 0.0, *others, **named)

    fake = FakeTensorMode()
    try:
        with FakeCopyMode(fake):
            copied = copy.deepcopy(model).train()
        given = pytree.tree_map_only(Tensor, fake.from_tensor, (args, dict(kwargs)))
        with (
            torch.random.fork_rng(devices=()),
            mock.patch.object(functional, "scaled_dot_product_attention", watched),
            fake,
            torch.no_grad(),
        ):
            copied(*given[0], **given[1])
    except Exception:  # noqa: BLE001 — whatever the model's own code raises: then nothing is known of it
        return ()
    return tuple(seen)


@contextlib.contextmanager
def dropout_of_attention_kept() -> Iterator[None]:
    """Let `nn.MultiheadAttention` show in eval mode at which rate it drops in training: it leaves the call out."""
    attention, dropout = functional.multi_head_attention_forward, functional.dropout

    def shown(*args: Any, **kwargs: Any) -> Any:
        idle = functools.partial(dropout, training=False)
        with mock.patch.object(functional, "dropout", idle):
            given = inspect.signature(attention).bind(*args, **kwargs).arguments
            return attention(**given | {"training": True})

    with mock.patch.object(functional, "multi_head_attention_forward", shown):
        yield
