"""After a step of training in Keras, the torch model that loads the result computes what Keras computes.

That untrained weights return bit for bit is checked for every model that any test builds: see conftest.py.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from tests.networks import calibrate, leaves, network, randomise, slimneck_module
from tests.test_training import Small
from transpiler import transpile
from transpiler.capture.constructors import recording
from transpiler.verify.compare import compare
from transpiler.verify.inputs import fresh_cases

TOLERANCE = 1e-5


class Reads(nn.Module):
    """A recurrent layer and a head on what it ends with."""

    def __init__(self, kind: type[nn.RNNBase], **settings: Any) -> None:
        super().__init__()
        self.rnn = kind(4, 6, batch_first=True, **settings)
        self.head = nn.Linear(12 if settings.get("bidirectional") else 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0].mean(1))  # type: ignore[no-any-return]


class Names(nn.Module):
    """A shared module, a parameter of its own, spare modules and a buffer that no state dict holds."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(6, 6)
        self.gain = nn.Parameter(torch.randn(6))
        self.spare = nn.BatchNorm1d(3)
        self.register_buffer("shift", torch.randn(6), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.one(torch.tanh(self.one(x)) * self.gain + self.shift)  # type: ignore[no-any-return]


IMAGE = (2, 3, 64, 96)
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "batchnorm and attention": (Small, (2, 3, 12, 16)),
    "slim neck": (lambda: slimneck_module("model").SlimNeck(nc=3), IMAGE),
    "lstm": (lambda: Reads(nn.LSTM, num_layers=2, bidirectional=True), (2, 7, 4)),
    "gru": (lambda: Reads(nn.GRU), (2, 7, 4)),
    "names": (Names, (2, 6)),
    "vit": (lambda: network("vit_tiny").build(), (2, 3, 32, 32)),
    "resnet18": (lambda: network("resnet18").build(), IMAGE),
    "mobilenet_v3": (lambda: torchvision.models.mobilenet_v3_small(weights=None), IMAGE),
}
SLOW = ("resnet18", "mobilenet_v3")


def train(built: Any, given: np.ndarray) -> None:
    """One step with Keras's own means, towards outputs that are a little off."""
    import keras

    outputs = built(given)
    aims = [np.asarray(output) * 0.9 + 0.1 for output in leaves(outputs)]
    built.compile(optimizer=keras.optimizers.SGD(1e-3), loss=["mse"] * len(aims))
    built.train_on_batch(given, aims if len(aims) > 1 else aims[0])


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.zoo] * (name in SLOW)) for name in MODELS])
def test_a_step_of_training_in_keras_goes_back_to_torch(name: str) -> None:
    build, shape = MODELS[name]
    torch.manual_seed(0)
    with recording() as constructors:
        model = build().eval()
    randomise(model, 0)
    x = torch.randn(shape)
    if len(shape) == 4:
        calibrate(model, x)
    port = transpile(model, (x,), name="Net", constructors=constructors)
    built = port.build()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    train(built, (x.permute(0, 2, 3, 1) if len(shape) == 4 else x).numpy())

    fresh = copy.deepcopy(model)
    returned = port.unpour(built)
    fresh.load_state_dict(returned, strict=True)
    cases = list(fresh_cases(port.signature, (x,), batches=(3,), seed=1))
    report = compare(fresh, built, port.signature, cases)
    assert report.max_rel_err <= TOLERANCE, report
    # It was trained at all: with the old weights torch gives something else.
    assert compare(model, built, port.signature, cases).max_rel_err > 10 * TOLERANCE
    frozen = {key for key, value in model.named_parameters() if not value.requires_grad}
    spare = {each.source for each in port.plan.dropped}
    for key in frozen | spare:
        assert torch.equal(returned[key], before[key]), key
