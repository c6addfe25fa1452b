from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from torch import nn

from transpiler.lowered import ModelInput, ModelOutput, Signature
from transpiler.verify.divergence import first_divergence
from transpiler.verify.inputs import fresh_cases

SIGNATURE = Signature(
    (ModelInput("x", "float32", (None, 3, 5, 7), (None, 5, 7, 3), "n c h w -> n h w c"),),
    (ModelOutput("y", "float32", (None, 2), "b c -> b c"),),
)


class TorchBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, 4, 1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.act(self.conv(x))


class TorchNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.m = nn.Sequential(TorchBlock(3), TorchBlock(4))
        self.flat = nn.Flatten()
        self.fc = nn.Linear(4 * 5 * 7, 2)

    def forward(self, x):
        return self.fc(self.flat(self.m(x)))


class KerasBlock(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.conv = keras.layers.Conv2D(4, 1)
        self.act = keras.layers.ReLU()

    def call(self, x):
        return self.act(self.conv(x))


class KerasNet(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.m = keras.Sequential([KerasBlock(), KerasBlock()])
        self.flat = keras.layers.Flatten()
        self.fc = keras.layers.Dense(2)

    def call(self, x):
        return self.fc(self.flat(self.m(x)))


@pytest.fixture
def models():
    torch.manual_seed(0)
    torch_net, keras_net = TorchNet(), KerasNet()
    x = keras.Input((5, 7, 3))
    model = keras.Model(x, keras_net(x))
    for theirs, ours in zip(torch_net.m, keras_net.m.layers, strict=True):
        ours.conv.kernel.assign(theirs.conv.weight.detach().numpy().transpose(2, 3, 1, 0))
        ours.conv.bias.assign(theirs.conv.bias.detach().numpy())
    columns = torch_net.fc.weight.detach().numpy().reshape(2, 4, 5, 7).transpose(2, 3, 1, 0)
    keras_net.fc.kernel.assign(columns.reshape(140, 2))
    keras_net.fc.bias.assign(torch_net.fc.bias.detach().numpy())
    return torch_net, model, keras_net


@pytest.fixture
def case():
    return next(fresh_cases(SIGNATURE, (torch.zeros(2, 3, 5, 7),), batches=(3,)))


def test_equal_models_do_not_part_and_nothing_stays_patched(models, case):
    torch_net, model, _ = models
    before = keras.Layer.__call__
    assert first_divergence(torch_net, model, SIGNATURE, case) is None
    assert keras.Layer.__call__ is before
    assert not torch_net.fc._forward_hooks


def test_the_first_module_that_differs_is_named(models, case):
    torch_net, model, keras_net = models
    keras_net.m.layers[1].conv.bias.assign(np.ones(4))
    found = first_divergence(torch_net, model, SIGNATURE, case)
    assert (found.path, found.torch_class) == ("m.1.conv", "Conv2d")
    assert str(found).startswith("first difference: m.1.conv (Conv2d), max_rel_err ")


def test_a_flattened_map_in_keras_order_is_no_difference_but_wrong_columns_are(models, case):
    torch_net, model, keras_net = models
    keras_net.fc.kernel.assign(torch_net.fc.weight.detach().numpy().T)
    assert first_divergence(torch_net, model, SIGNATURE, case).path == "fc"
