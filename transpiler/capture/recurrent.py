"""Recurrent layers as operators of one layer in one direction each.

torch runs all layers and directions in one call, with all weights in one list, and export bakes the length of the
sequence. `kerascribe::lstm`, `gru`, `rnn_tanh` and `rnn_relu` do one of them, batch first, with weights by name, so
that rules can serve them: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import get_innermost_proxy_mode, get_proxy_slot
from torch.nn import functional

_ONE_LAYER = (1, 0.0, False, False, True)
"""num_layers, dropout, train, bidirectional, batch_first."""
_ZEROS = ("aten.zeros.default", "aten.new_zeros.default", "aten.zeros_like.default")


def _operator(name: str, run: Callable[..., Any], states: tuple[str, ...]) -> Any:
    """An operator of PyTorch for one layer in one direction, batch first.

    It takes (n, l, i), weights, and states (n, h), zeros by default, to the sequence (n, l, h) and the last states.

    Args:
        name: of the operator.
        run: torch's operator for all layers, such as `torch.lstm`.
        states: their names; several are given to `run` as a list.
    """
    optional = "".join(f", Tensor? {each}=None" for each in ("bias_ih", "bias_hh", *states))
    returned = ", ".join(["Tensor"] * (1 + len(states)))
    schema = f"(Tensor x, Tensor weight_ih, Tensor weight_hh{optional}) -> ({returned})"

    def layer(x: Tensor, weight_ih: Tensor, weight_hh: Tensor, *others: Tensor | None) -> tuple[Tensor, ...]:
        bias_ih, bias_hh, *given = [*others, *[None] * (2 + len(states))][: 2 + len(states)]
        start = [x.new_zeros(1, x.shape[0], weight_hh.shape[1]) if state is None else state[None] for state in given]
        weights = [weight for weight in (weight_ih, weight_hh, bias_ih, bias_hh) if weight is not None]
        y, *last = run(x, start if len(states) > 1 else start[0], weights, bias_ih is not None, *_ONE_LAYER)
        return (y, *(state[0].clone() for state in last))

    def shapes(x: Tensor, _weight_ih: Tensor, weight_hh: Tensor, *_others: Tensor | None) -> tuple[Tensor, ...]:
        last = (x.new_empty(x.shape[0], weight_hh.shape[1]) for _ in states)
        return (x.new_empty(x.shape[0], x.shape[1], weight_hh.shape[1]), *last)

    def keep(ctx: Any, inputs: tuple[Tensor | None, ...], output: object) -> None:  # noqa: ARG001  (torch names it)
        ctx.given = inputs

    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        given = [None if tensor is None else tensor.detach().requires_grad_() for tensor in ctx.given]
        with torch.enable_grad():
            results = layer(*given)  # type: ignore[arg-type]  # only states and biases are None
        found = iter(torch.autograd.grad(results, [t for t in given if t is not None], gradients, allow_unused=True))
        return tuple(None if tensor is None else next(found) for tensor in given)

    operator = torch.library.custom_op(f"kerascribe::{name}", layer, mutates_args=(), schema=schema)
    operator.register_fake(shapes)
    operator.register_autograd(backward, setup_context=keep)
    return operator


_LAYERS = {
    "lstm": _operator("lstm", torch.lstm, ("hidden", "cell")),
    "gru": _operator("gru", torch.gru, ("hidden",)),
    "rnn_tanh": _operator("rnn_tanh", torch.rnn_tanh, ("hidden",)),
    "rnn_relu": _operator("rnn_relu", torch.rnn_relu, ("hidden",)),
}


def _lstm_cell(x: Tensor, states: tuple[Tensor, Tensor], *weights: Any) -> tuple[Tensor, Tensor]:
    """One step of `nn.LSTMCell`, in operators that leave the batch dynamic."""
    hidden, cell = states
    weight_ih, weight_hh, bias_ih, bias_hh = [*weights, None, None][:4]
    gates = functional.linear(x, weight_ih, bias_ih) + functional.linear(hidden, weight_hh, bias_hh)
    i, f, g, o = gates.chunk(4, 1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def _gru_cell(x: Tensor, hidden: Tensor, *weights: Any) -> Tensor:
    """One step of `nn.GRUCell`, likewise."""
    weight_ih, weight_hh, bias_ih, bias_hh = [*weights, None, None][:4]
    r, z, n = functional.linear(x, weight_ih, bias_ih).chunk(3, 1)
    r_2, z_2, n_2 = functional.linear(hidden, weight_hh, bias_hh).chunk(3, 1)
    update = (z + z_2).sigmoid()
    return (1 - update) * (n + (r + r_2).sigmoid() * n_2).tanh() + update * hidden


@contextlib.contextmanager
def layer_by_layer() -> Iterator[None]:
    """Let `nn.LSTM`, `nn.GRU` and `nn.RNN` call their layers one by one, and cells do what they do in the open."""
    functions = torch._VF
    with contextlib.ExitStack() as stack:
        for name, layer in _LAYERS.items():
            whole = getattr(functions, name)
            stack.enter_context(mock.patch.object(functions, name, functools.partial(_stacked, layer, whole)))
        stack.enter_context(mock.patch.object(functions, "lstm_cell", _lstm_cell))
        stack.enter_context(mock.patch.object(functions, "gru_cell", _gru_cell))
        yield


def _stacked(layer: Callable[..., Any], whole: Callable[..., Any], *arguments: Any) -> tuple[Tensor, ...]:
    """What the operator `whole` does with these arguments, by calls of `layer`."""
    x, given, params, *settings = arguments
    if not isinstance(params, list):  # packed sequences have other arguments
        return whole(*arguments)  # type: ignore[no-any-return]
    has_biases, num_layers, _, _, bidirectional, batch_first = settings
    directions, width = 2 if bidirectional else 1, 4 if has_biases else 2
    if len(params) != num_layers * directions * width:  # projections have weights of their own
        return whole(*arguments)  # type: ignore[no-any-return]
    states = given if isinstance(given, list | tuple) else [given]
    from_zero = all(map(_is_zero, states))
    x = x if batch_first else x.transpose(0, 1)
    lasts: list[tuple[Tensor, ...]] = []
    for number in range(num_layers):
        both: list[Tensor] = []
        for place in range(number * directions, (number + 1) * directions):
            weights = [*params[place * width : (place + 1) * width], None, None][:4]
            start = [] if from_zero else [state[place] for state in states]
            y, *last = layer(x.flip(1) if both else x, *weights, *start)
            both.append(y.flip(1) if both else y)  # the second direction runs backwards
            lasts.append(tuple(last))
        x = torch.cat(both, -1) if bidirectional else both[0]
    finals = (torch.stack(each) for each in zip(*lasts, strict=True))
    # torch's results are contiguous: models take views of them.
    return (x if batch_first else x.transpose(0, 1).contiguous(), *finals)


def _is_zero(tensor: Tensor) -> bool:
    """Whether the trace made this tensor as zeros."""
    mode = get_innermost_proxy_mode()
    proxy: Any = None if mode is None else get_proxy_slot(tensor, mode.tracer, None)
    return proxy is not None and str(getattr(proxy, "proxy", proxy).node.target) in _ZEROS
