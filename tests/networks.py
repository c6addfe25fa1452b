"""The networks that the project promises, with random weights that hide no error, and how to measure a port of one.

Weights are random by `randomise` and `calibrate`: freshly built networks have BatchNorm statistics of 0 and 1, heads of
0 and layer scales of 1e-6, behind which a wrong conversion goes unseen.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import einops
import numpy as np
import torch
import torchvision.models as zoo
from torch import Tensor, nn
from torchvision.models.segmentation import deeplabv3_resnet50, fcn_resnet50, lraspp_mobilenet_v3_large

from transpiler.verify.randomise import randomise

if TYPE_CHECKING:
    from transpiler.lowered import Signature

ROOT = Path(__file__).resolve().parent.parent
SLIMNECK = ROOT / "examples" / "slimneck"

EVEN = (64, 96)
ODD = (75, 107)


@dataclass(frozen=True, slots=True)
class Network:
    """One row of the table: how to build it, and what its port must show."""

    name: str
    build: Callable[[], nn.Module]
    sizes: tuple[tuple[int, int], ...] = (EVEN, ODD)
    """Heights and widths to try."""
    transposes: int = 0
    """How many Transpose nodes the built model may have."""
    fast: bool = False
    """Whether the default test run includes it."""


def networks() -> tuple[Network, ...]:
    """All networks, those of the default test run marked `fast`."""
    detector = slimneck_module("model")
    classifiers = (
        "alexnet",
        "vgg16",
        "vgg16_bn",
        "resnet18",
        "resnet50",
        "resnext50_32x4d",
        "wide_resnet50_2",
        "squeezenet1_1",
        "mobilenet_v2",
        "mobilenet_v3_large",
        "mnasnet1_0",
        "regnet_y_400mf",
        "efficientnet_b0",
        "densenet121",
        "googlenet",
        "inception_v3",
        "shufflenet_v2_x1_0",
        "convnext_tiny",
    )
    fast = {
        "resnet18",
        "squeezenet1_1",
        "mobilenet_v3_large",
        "regnet_y_400mf",
        "googlenet",
        "shufflenet_v2_x1_0",
    }
    # The initialisation that these two do by default takes half a minute, and is overwritten.
    quick = {"googlenet": {"init_weights": False}, "inception_v3": {"init_weights": False}}
    # inception_v3 takes no less than 75 pixels.
    sizes = {"inception_v3": ((96, 128), ODD)}
    # One for each of ShuffleNet's shuffles: both halves of a pair of channels must move.
    transposes = {"shufflenet_v2_x1_0": 16}

    return (
        # The three scales of Detect bring the anchors before the rows and columns; ShuffleNet's shuffle moves channels.
        Network("slimneck", detector.SlimNeck, ((64, 96), (96, 160)), transposes=4, fast=True),
        *(
            Network(
                name,
                partial(getattr(zoo, name), weights=None, **quick.get(name, {})),
                sizes.get(name, (EVEN, ODD)),
                transposes.get(name, 0),
                name in fast,
            )
            for name in classifiers
        ),
        Network("fcn_resnet50", partial(fcn_resnet50, weights=None, weights_backbone=None)),
        Network("deeplabv3_resnet50", partial(deeplabv3_resnet50, weights=None, weights_backbone=None)),
        Network(
            "lraspp_mobilenet_v3_large",
            partial(lraspp_mobilenet_v3_large, weights=None, weights_backbone=None),
            fast=True,
        ),
        # torchvision's ViT takes one size, a square.
        Network("vit_tiny", _vit_tiny, ((32, 32),), fast=True),
        Network("vit_b_16", partial(zoo.vit_b_16, weights=None), ((224, 224),)),
    )


def network(name: str) -> Network:
    """The network of that name."""
    return next(row for row in networks() if row.name == name)


def _vit_tiny() -> nn.Module:
    """vit_b_16's classes, small enough for every test run."""
    return zoo.VisionTransformer(
        image_size=32, patch_size=8, num_layers=3, num_heads=4, hidden_dim=48, mlp_dim=96, num_classes=10
    )


def slimneck_module(name: str) -> ModuleType:
    """`examples/slimneck/<name>.py`, imported from its place once."""
    qualified = f"slimneck_{name}"
    if qualified not in sys.modules:
        spec = importlib.util.spec_from_file_location(qualified, SLIMNECK / f"{name}.py")
        if spec is None or spec.loader is None:
            raise FileNotFoundError(SLIMNECK / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[qualified] = module  # before it runs: inspect.getsource looks classes up there
        spec.loader.exec_module(module)
    return sys.modules[qualified]


# ── random weights ─────────────────────────────────────────────────────────────────────────────────────────────────


def prepared(row: Network, size: tuple[int, int], seed: int = 0) -> nn.Module:
    """The network in eval mode, with random weights that suit inputs of that size."""
    model = row.build().eval()
    randomise(model, seed)
    calibrate(model, images(4, size, seed))
    return model


def images(batch: int, size: tuple[int, int], seed: int) -> Tensor:
    """Random numbers of shape (batch, 3, height, width), about normal, negative ones among them.

    Noise alone would look the same to a network that averages over all pixels, so each image has its own colour and
    coarse structure as well.
    """
    generator = torch.Generator().manual_seed(seed)
    fine = torch.randn(batch, 3, *size, generator=generator)
    coarse = torch.randn(batch, 3, 3, 4, generator=generator)
    return (fine + nn.functional.interpolate(coarse, size, mode="bilinear")) / 2**0.5


@torch.no_grad()
def calibrate(model: nn.Module, inputs: Tensor) -> None:
    """Scales the weights of convolutions and linear layers, in the order of their calls, so that each result has
    standard deviation 1: through a hundred layers nothing vanishes or explodes.

    BatchNorm statistics stay as they are. If they fitted the data, differences between inputs would keep their size
    through the whole depth, and so would rounding errors: at the end of a ResNet they'd reach 1e-5.
    """
    linear = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)
    handles = [
        module.register_forward_hook(_unit_deviation) for module in model.modules() if isinstance(module, linear)
    ]
    try:
        model(inputs)
    finally:
        for handle in handles:
            handle.remove()


def _unit_deviation(module: nn.Module, _: object, result: Tensor) -> Tensor:
    deviation = result.std()
    if not 1e-6 < deviation < 1e6:  # a constant result, or one that has overflowed, has no scale to take out
        return result
    for parameter in module.parameters(recurse=False):
        parameter.div_(deviation)
    return result / deviation


def constant_tensors(model: nn.Module) -> list[str]:
    """Names of the parameters and floating-point buffers with one value throughout: an error may hide behind them."""
    return [
        name
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point() and tensor.numel() > 1 and bool(tensor.min() == tensor.max())
    ]


# ── measuring a port ───────────────────────────────────────────────────────────────────────────────────────────────


def leaves(structure: object) -> Iterator[Any]:
    """The arrays of a nested output, depth first, dictionaries in the order of their sorted keys.

    >>> list(leaves({"out": 1, "aux": (2, 3)}))
    [2, 3, 1]
    """
    if isinstance(structure, Mapping):
        for key in sorted(structure):
            yield from leaves(structure[key])
    elif isinstance(structure, (tuple, list)):
        for item in structure:
            yield from leaves(item)
    else:
        yield structure


def outputs_of_torch(model: nn.Module, signature: Signature, inputs: Sequence[Tensor]) -> list[np.ndarray]:
    """Outputs of the torch model, their dimensions in Keras's order."""
    with torch.no_grad():
        results = [result.numpy() for result in leaves(model(*inputs))]
    return [in_keras_order(result, output.pattern) for result, output in zip(results, signature.outputs, strict=True)]


def outputs_of_keras(model: Any, signature: Signature, inputs: Sequence[Tensor]) -> list[np.ndarray]:
    """Outputs of the Keras model for the same inputs."""
    arrays = [
        in_keras_order(value.numpy(), declared.pattern)
        for value, declared in zip(inputs, signature.inputs, strict=True)
    ]
    results = model(arrays if len(arrays) > 1 else arrays[0], training=False)
    return [np.asarray(result) for result in leaves(results)]


def in_keras_order(array: np.ndarray, pattern: str) -> np.ndarray:
    """The array rearranged by "n c h w -> n h w c"; a pattern without an arrow keeps the order."""
    return einops.rearrange(array, pattern) if "->" in pattern else array


def relative_error(expected: np.ndarray, actual: np.ndarray) -> float:
    """max |expected - actual| / max |expected|; infinite where the shapes differ or a value is not finite.

    >>> relative_error(np.array([1.0, 4.0]), np.array([1.0, 3.0]))
    0.25
    """
    if expected.shape != actual.shape or not (np.isfinite(expected).all() and np.isfinite(actual).all()):
        return float("inf")
    return float(np.abs(expected - actual).max() / np.abs(expected).max())


def relative_errors(
    model: nn.Module, keras_model: Any, signature: Signature, inputs: Sequence[Tensor]
) -> tuple[float, ...]:
    """`relative_error` of each output of the Keras model."""
    expected = outputs_of_torch(model, signature, inputs)
    actual = outputs_of_keras(keras_model, signature, inputs)
    return tuple(relative_error(a, b) for a, b in zip(expected, actual, strict=True))


def transpose_count(keras_model: Any) -> int:
    """Number of Transpose nodes in the TensorFlow graph of the model at inference, functions that it calls included."""
    graph = inference_graph(keras_model).graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return sum(node.op == "Transpose" for node in nodes)


def inference_graph(keras_model: Any) -> Any:
    """The model at inference as a concrete TensorFlow function, batch dynamic."""
    import tensorflow as tf

    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in keras_model.inputs]
    call = tf.function(lambda *inputs: keras_model(inputs if len(inputs) > 1 else inputs[0], training=False))
    return call.get_concrete_function(*specs)
