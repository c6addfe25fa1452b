"""`torch.nn.LSTM`, `GRU` and `RNN`: layers, directions, states, any length."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from transpiler import transpile
from transpiler.verify.compare import compare
from transpiler.verify.inputs import Case, given_like
from transpiler.weights.pour import unpour

TOLERANCE = 1e-5


class Reader(nn.Module):
    """A recurrent layer with all that it returns, from zero or from a state of its own."""

    def __init__(self, kind: type[nn.RNNBase], start: bool = False, **settings: Any) -> None:
        super().__init__()
        self.rnn = kind(4, 6, **settings)
        count = self.rnn.num_layers * (2 if self.rnn.bidirectional else 1)
        self.start = nn.Parameter(torch.randn(count, 1, 6)) if start else None

    def forward(self, x: Tensor) -> Any:
        if self.start is None:
            return self.rnn(x)
        state = self.start.expand(-1, x.shape[0], -1).contiguous()
        return self.rnn(x, (state, state) if isinstance(self.rnn, nn.LSTM) else state)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize(
    "settings",
    [{}, {"start": True}, {"num_layers": 2, "bidirectional": True, "start": True}, {"num_layers": 2, "bias": False}],
    ids=["plain", "start", "deep", "bare"],
)
def test_recurrent_layers_at_two_lengths(kind: type[nn.RNNBase], settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = Reader(kind, batch_first=True, **settings).eval()
    port = transpile(model, (torch.randn(1, 7, 4),), dynamic={"x": ("batch", "length", None)})
    built = port.build()
    for batch, length in ((2, 7), (1, 4)):
        tensors, call = given_like((torch.randn(batch, length, 4),), {})
        assert compare(model, built, port.signature, [Case(batch, tensors)], call).max_rel_err <= TOLERANCE
    returned = unpour(built, port.plan)
    assert all(torch.equal(torch.from_numpy(returned[key]), value) for key, value in model.state_dict().items())


def test_time_before_batch() -> None:
    model = nn.LSTM(4, 6, bidirectional=True).eval()
    port = transpile(model, (torch.randn(5, 2, 4),), dynamic={"input": (None, "batch", None)})
    tensors, call = given_like((torch.randn(5, 3, 4),), {})
    assert compare(model, port.build(), port.signature, [Case(3, tensors)], call).max_rel_err <= TOLERANCE


def test_projections_as_torch_unrolls_them() -> None:
    port = transpile(nn.LSTM(4, 6, proj_size=3, batch_first=True).eval(), (torch.randn(2, 3, 4),))
    assert port.verify(batches=(1, 2)).max_rel_err <= TOLERANCE


class Decoder(nn.Module):
    """A layer, whose Keras layer has a cell below it, and a cell of torch's own of the same name."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.GRU(4, 6, batch_first=True)
        self.cell = nn.GRUCell(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        _, state = self.encoder(x)
        return self.cell(x[:, 0], self.cell(x[:, 1], state[-1]))  # type: ignore[no-any-return]


def test_a_cell_beside_a_layer_of_the_same_kind() -> None:
    port = transpile(Decoder().eval(), (torch.rand(2, 5, 4),), name="Network")
    assert port.verify(batches=(1, 2)).max_rel_err <= TOLERANCE
