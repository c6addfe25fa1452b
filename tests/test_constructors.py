"""Generated classes are built with other arguments than the model has, and mean the same as torch's."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision.models import convnext, densenet, mobilenetv2, resnet, swin_transformer, vision_transformer
from torchvision.ops import Conv2dNormActivation

from tests.networks import ROOT, calibrate
from transpiler import Port, transpile
from transpiler.capture.constructors import recording
from transpiler.errors import CheckpointError
from transpiler.verify.randomise import randomise
from transpiler.weights.arrange import to_keras
from transpiler.weights.plan_file import constant_value
from transpiler.weights.variables import find_variable

TOLERANCE = 1e-5
"""Of the largest output, float32: as `verify` has it."""


def slim_neck() -> Any:
    path = str(ROOT / "examples" / "slimneck")
    if path not in sys.path:
        sys.path.insert(0, path)
    return importlib.import_module("model")


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "resnet50": (lambda: resnet.resnet50(weights=None), (3, 64, 64)),
    "mobilenet_v2": (lambda: mobilenetv2.mobilenet_v2(weights=None), (3, 64, 64)),
    "convnext_tiny": (lambda: convnext.convnext_tiny(weights=None), (3, 64, 64)),
    "swin_t": (lambda: swin_transformer.swin_t(weights=None), (3, 224, 224)),
    "vit_b_16": (lambda: vision_transformer.vit_b_16(weights=None), (3, 224, 224)),
    "densenet121": (lambda: densenet.densenet121(weights=None), (3, 64, 64)),
    "slimneck": (lambda: slim_neck().SlimNeck(), (3, 192, 256)),
}


def port_of(factory: Callable[[], nn.Module], *inputs: torch.Tensor) -> tuple[nn.Module, Port]:
    with recording() as constructors:
        model = factory().eval()
    randomise(model, 0)
    if not any(isinstance(module, nn.MultiheadAttention) for module in model.modules()):
        calibrate(model, *inputs)
    return model, transpile(model, inputs, name="Network", constructors=constructors)


@functools.cache
def generated(name: str) -> tuple[str, Any]:
    """The source of a model, and the module that it is."""
    factory, shape = MODELS[name]
    _, port = port_of(factory, torch.randn(1, *shape, generator=torch.Generator().manual_seed(0)))
    path = Path(tempfile.mkdtemp()) / f"constructors_{name}.py"
    path.write_text(port.source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return port.source, module


class Around(nn.Module):
    """Gives a block images as torch has them, or channels last as some models hand them on."""

    def __init__(self, block: nn.Module, channels_last: bool) -> None:
        super().__init__()
        self.block, self.channels_last = block, channels_last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(x.permute(0, 2, 3, 1) if self.channels_last else x)


def variable_at(layer: keras.Layer, path: str) -> keras.Variable:
    """The variable at a path, which may lead into a Sequential that pads first where the path knows of no padding."""
    try:
        return find_variable(layer, path)
    except CheckpointError:
        owner, _, name = path.rpartition(".")
        return find_variable(layer, f"{owner}.1.{name}")


def check(
    model: str, cls: type[nn.Module], arguments: dict[str, Any], *shape: int, channels_last: bool = False
) -> None:
    """Build torch's class and the generated one with these arguments; the same weights give the same output.

    Args:
        model: whose generated class is built.
        cls: torch's class.
        arguments: of the constructor, by name.
        shape: of the input without the batch, channels first.
        channels_last: whether the block takes images channels last.
    """
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    around, port = port_of(lambda: Around(cls(**arguments), channels_last), x)
    made = getattr(generated(model)[1], cls.__name__.lstrip("_"))
    taken = inspect.signature(made.__init__).parameters
    layer = made(**{name: value for name, value in arguments.items() if name in taken})
    given_x = x.numpy().transpose(0, 2, 3, 1) if x.ndim == 4 else x.numpy()
    layer(given_x)  # builds it
    state = {key: value.numpy() for key, value in around.state_dict().items()}
    for entry in port.plan.entries:
        array = state[entry.source] if entry.constant is None else constant_value(entry)
        for path, value in zip(entry.variables, to_keras(entry, array), strict=True):
            variable_at(layer, path.removeprefix("block.")).assign(value)
    with torch.no_grad():
        wanted = around(x).numpy()
    found = keras.ops.convert_to_numpy(layer(given_x))
    if wanted.ndim == 4 and not channels_last:
        wanted = wanted.transpose(0, 2, 3, 1)
    assert found.shape == wanted.shape
    assert np.max(np.abs(found - wanted)) <= TOLERANCE * np.max(np.abs(wanted))


def proving(**arguments: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A property test of a few examples: each exports, builds and compares. KERASCRIBE_EXAMPLES asks for more."""
    few = settings(
        max_examples=int(os.environ.get("KERASCRIBE_EXAMPLES", "2")),
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # making a failure smaller takes minutes, and tells little more
    )
    return lambda test: few(given(**arguments)(test))


CHANNELS = st.integers(4, 8).map(lambda half: 2 * half)  # with 1 in a group, torch and Keras name a layer otherwise


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_bears_a_name_of_torchs_constructor(name):
    source, _ = generated(name)
    model = MODELS[name][0]()
    known = {type(module).__name__.lstrip("_"): type(module) for module in model.modules()}
    foreign = []
    for node in ast.parse(source).body:
        is_helper = isinstance(node, ast.ClassDef) and not (ast.get_docstring(node) or "").startswith(f"{node.name} (")
        if not isinstance(node, ast.ClassDef) or is_helper:
            continue
        init = next((item for item in node.body if getattr(item, "name", "") == "__init__"), None)
        names = [argument.arg for argument in init.args.args[1:]] if init else []
        torch_names = {
            parameter for base in known[node.name].__mro__ for parameter in inspect.signature(base.__init__).parameters
        }
        foreign += [f"{node.name}({each})" for each in names if each.rstrip("_") not in torch_names]
    assert foreign == []


@proving(c1=CHANNELS, c2=CHANNELS, k=st.sampled_from([1, 3, 5]), s=st.sampled_from([1, 2]), act=st.booleans())
def test_conv(c1, c2, k, s, act):
    check("slimneck", slim_neck().Conv, {"c1": c1, "c2": c2, "k": k, "s": s, "act": act}, c1, 13, 10)


@proving(c1=CHANNELS, c2=CHANNELS, k=st.sampled_from([1, 3]), s=st.sampled_from([1, 2]))
def test_gsconv(c1, c2, k, s):
    check("slimneck", slim_neck().GSConv, {"c1": c1, "c2": c2, "k": k, "s": s}, c1, 13, 10)
    check("slimneck", slim_neck().GSConvShuffleNet, {"c1": c1, "c2": c2, "k": k, "s": s}, c1, 13, 10)


# Halved twice, and what GSConv then makes is even.
@proving(c1=st.sampled_from([8, 12, 16]), c2=st.sampled_from([8, 16]), n=st.integers(1, 3), shortcut=st.booleans())
def test_stages_of_the_slim_neck(c1, c2, n, shortcut):
    check("slimneck", slim_neck().C3, {"c1": c1, "c2": c2, "n": n, "shortcut": shortcut}, c1, 9, 12)
    check("slimneck", slim_neck().VoVGSCSP, {"c1": c1, "c2": 2 * c2, "n": n}, c1, 9, 12)


@proving(planes=st.sampled_from([8, 16, 24]), groups=st.sampled_from([1, 2]), base_width=st.sampled_from([64, 128]))
def test_bottleneck(planes, groups, base_width):
    arguments = {"inplanes": 4 * planes, "planes": planes, "groups": groups, "base_width": base_width}
    check("resnet50", resnet.Bottleneck, arguments, 4 * planes, 9, 12)


@proving(
    inp=CHANNELS,
    oup=CHANNELS,
    stride=st.sampled_from([1, 2]),
    expand_ratio=st.sampled_from([1, 2, 6]),
    same=st.booleans(),
)
def test_inverted_residual(inp, oup, stride, expand_ratio, same):
    arguments = {"inp": inp, "oup": inp if same else oup, "stride": stride, "expand_ratio": expand_ratio}
    check("mobilenet_v2", mobilenetv2.InvertedResidual, arguments, inp, 13, 10)


@proving(channels=CHANNELS, kernel_size=st.sampled_from([1, 3, 5]), stride=st.sampled_from([1, 2]), deep=st.booleans())
def test_conv_norm_activation(channels, kernel_size, stride, deep):
    arguments = {"in_channels": channels, "out_channels": channels, "kernel_size": kernel_size, "stride": stride}
    arguments |= {"groups": channels if deep else 1, "activation_layer": nn.ReLU6}
    check("mobilenet_v2", Conv2dNormActivation, arguments, channels, 13, 10)


@proving(dim=CHANNELS)
def test_convnext_block(dim):
    arguments = {"dim": dim, "layer_scale": 1e-6, "stochastic_depth_prob": 0.1}
    check("convnext_tiny", convnext.CNBlock, arguments, dim, 9, 12)


@proving(
    heads=st.sampled_from([1, 2, 4]),
    width=st.sampled_from([4, 8]),
    ratio=st.sampled_from([2.0, 4.0]),
    rows=st.integers(1, 2),
    columns=st.integers(3, 4),  # never as many as rows, as in the model that the class was generated from
)
def test_swin_block(heads, width, ratio, rows, columns):
    arguments = {"dim": heads * width, "num_heads": heads, "window_size": [7, 7], "shift_size": [0, 0]}
    arguments |= {"mlp_ratio": ratio}
    shape = (heads * width, 7 * rows, 7 * columns)
    check("swin_t", swin_transformer.SwinTransformerBlock, arguments, *shape, channels_last=True)


@proving(
    heads=st.sampled_from([2, 4]),
    window=st.sampled_from([(4, 4), (5, 7), (8, 4)]),
    shift=st.sampled_from([2, 3]),
    rows=st.integers(2, 3),
)
def test_swin_block_with_shifted_windows(heads, window, shift, rows):
    """The mask of shifted windows and the table of positions have the sizes that the input and the window ask for."""
    arguments = {"dim": heads * 4, "num_heads": heads, "window_size": [*window], "shift_size": [shift, shift]}
    shape = (heads * 4, window[0] * rows, window[1] * (rows + 1))
    check("swin_t", swin_transformer.SwinTransformerBlock, arguments, *shape, channels_last=True)


@proving(dim=CHANNELS)
def test_patch_merging(dim):
    check("swin_t", swin_transformer.PatchMerging, {"dim": dim}, dim, 8, 12, channels_last=True)


@proving(heads=st.sampled_from([1, 2, 4]), width=st.sampled_from([4, 8]), mlp_dim=CHANNELS, length=st.integers(2, 9))
def test_encoder_block(heads, width, mlp_dim, length):
    arguments = {"num_heads": heads, "hidden_dim": heads * width, "mlp_dim": mlp_dim}
    arguments |= {"dropout": 0.1, "attention_dropout": 0.1}
    check("vit_b_16", vision_transformer.EncoderBlock, arguments, length, heads * width)


@proving(heads=st.sampled_from([1, 2]), num_layers=st.integers(1, 3), patch=st.sampled_from([4, 8]), mlp_dim=CHANNELS)
def test_vision_transformer(heads, num_layers, patch, mlp_dim):
    arguments = {"image_size": 32, "patch_size": patch, "num_layers": num_layers, "num_heads": heads}
    arguments |= {"hidden_dim": 8 * heads, "mlp_dim": mlp_dim, "num_classes": 10}
    check("vit_b_16", vision_transformer.VisionTransformer, arguments, 3, 32, 32)


@proving(growth=st.sampled_from([4, 8]), depth=st.integers(1, 3), bn_size=st.sampled_from([2, 4]))
def test_dense_block(growth, depth, bn_size):
    arguments = {"num_layers": depth, "num_input_features": 8, "growth_rate": growth, "bn_size": bn_size}
    check("densenet121", densenet._DenseBlock, arguments | {"drop_rate": 0.0}, 8, 9, 12)
