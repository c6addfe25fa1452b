"""A step of training: the same batch, the same loss, the same weights as torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from tests.networks import calibrate, leaves, network, randomise, slimneck_module
from transpiler import transpile
from transpiler.capture.constructors import recording
from transpiler.weights.pour import unpour

RATE = 0.001
TOLERANCE = 1e-4


class Small(nn.Module):
    """Convolution, BatchNorm, attention, a frozen layer, and dropout that is off."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8, momentum=0.2)
        self.drop = nn.Dropout(0.0)
        self.frozen = nn.Conv2d(8, 8, 1).requires_grad_(requires_grad=False)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.frozen(self.drop(torch.relu(self.bn(self.conv(x))))))
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return self.head(tokens.mean(1))  # type: ignore[no-any-return]


def without_dropout(model: nn.Module) -> nn.Module:
    """The model with every rate at 0."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    return model


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int]]] = {
    "small": (Small, (12, 16)),
    "slimneck": (lambda: slimneck_module("model").SlimNeck(nc=3), (64, 96)),
    "resnet18": (lambda: network("resnet18").build(), (64, 64)),
    "mobilenet_v2": (lambda: network("mobilenet_v2").build(), (64, 64)),
    "vit_b_16": (lambda: torchvision.models.vit_b_16(weights=None, image_size=64), (64, 64)),
}


def torch_step(model: nn.Module, x: Tensor) -> float:
    """One step of gradient descent on the mean square of the outputs."""
    loss = torch.stack([output.square().mean() for output in leaves(model(x))]).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(RATE * parameter.grad)
    return float(loss)


def norms(model: nn.Module, x: Tensor) -> dict[str, tuple[float, int]]:
    """Momentum of every BatchNorm, and of how many values it takes the variance of a channel, by the variance's key."""
    found: dict[str, tuple[float, int]] = {}
    handles = []
    for path, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):

            def count(norm: nn.BatchNorm2d, given: tuple[Tensor], _: object, key: str = f"{path}.running_var") -> None:
                found[key] = (norm.momentum or 0.0, given[0].numel() // given[0].shape[1])

            handles.append(module.register_forward_hook(count))  # type: ignore[arg-type]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return found


def of_batch(old: Tensor, new: Tensor, momentum: float, count: int) -> Tensor:
    """A running variance as Keras keeps it, from torch's: of the batch, where torch takes n / (n - 1) times that."""
    kept = (1 - momentum) * old
    return kept + (new - kept) * (count - 1) / count


def keras_step(model: Any, x: Any) -> float:
    """The same in Keras."""
    import keras
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = sum(keras.ops.mean(keras.ops.square(output)) for output in leaves(model(x, training=True)))
    weights = model.trainable_variables
    for weight, gradient in zip(weights, tape.gradient(loss, [w.value for w in weights]), strict=True):
        weight.assign(weight - RATE * gradient)
    return float(loss)


@pytest.mark.parametrize(
    "name", [name if name == "small" else pytest.param(name, marks=pytest.mark.zoo) for name in MODELS]
)
def test_one_step(name: str) -> None:
    build, (height, width) = MODELS[name]
    torch.manual_seed(0)
    with recording() as constructors:
        model = without_dropout(build())
    randomise(model.eval(), 0)
    x = torch.randn(4, 3, height, width)
    with torch.no_grad():
        calibrate(model, x)
    port = transpile(model, (x,), name="Net", constructors=constructors)
    built = port.build()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    counts = norms(model, x)
    model.train()
    torch_loss = torch_step(model, x)
    keras_loss = keras_step(built, x.permute(0, 2, 3, 1).numpy())
    assert keras_loss == pytest.approx(torch_loss, rel=TOLERANCE)
    after = dict(model.state_dict())
    for key, (momentum, count) in counts.items():
        after[key] = of_batch(before[key], after[key], momentum, count)
    trained = unpour(built, port.plan)
    moved = 0
    for key, value in trained.items():
        if not after[key].is_floating_point():
            continue
        scale = max(float(np.abs(after[key].numpy()).max()), 1e-3)
        assert np.abs(value - after[key].numpy()).max() / scale <= TOLERANCE, key
        moved += not torch.equal(before[key], after[key])
    assert moved > len(trained) // 2
