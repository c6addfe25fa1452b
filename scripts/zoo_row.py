"""Ports one model of the zoo in this process and measures what the table tells."""

from __future__ import annotations

import importlib
import inspect
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from scripts.source_measures import measure
from tests.networks import calibrate, relative_errors
from transpiler import transpile
from transpiler.capture.constructors import recording
from transpiler.errors import KerascribeError
from transpiler.port import Port
from transpiler.verify.randomise import randomise

TOLERANCE = 1e-4
_PERMUTES = ("aten.permute", "aten.transpose", "aten.t", "aten.movedim", "aten.swapaxes", "aten.numpy_T", "aten.mT")
_IMAGE = (3, 224, 224)
_VIDEO = (3, 16, 224, 224)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table; figures stay zero where the model did not get so far."""

    name: str
    problem: str = ""
    refused: bool = False
    """Whether `torch.export` itself does not take the model."""
    max_rel_err: float = 0.0
    transposes: int = 0
    permutes: int = 0
    export_seconds: float = 0.0
    transpile_seconds: float = 0.0
    build_seconds: float = 0.0
    peak_megabytes: int = 0
    classes: int = 0
    """Generated from torch's; helpers are counted apart."""
    torch_classes: int = 0
    """Those that the trace enters."""
    helpers: int = 0
    lines: int = 0
    line_ratios: tuple[float, ...] = ()
    """Lines of each generated class by those of its torch class."""
    names: int = 0
    """Local variables of `call`."""
    invented: int = 0
    """Those whose name does not occur in torch's source."""


def examine(name: str) -> Row:
    """Traced with a batch of 1, compared with a batch of 2; every constant parameter and statistic is random."""
    torch.manual_seed(0)
    with recording() as constructors:
        model, shapes = made(name)
    randomise(model.eval(), 0)
    if len(shapes) == 1:
        calibrate(model, *inputs(shapes, 2, seed=2))
    example = inputs(shapes, 1, seed=0)

    start = time.perf_counter()
    two = tuple(torch.cat([x, x]) for x in example)  # export takes a batch of 1 for a constant
    try:
        exported = torch.export.export(model, two, strict=False, dynamic_shapes=_batch_dynamic(model, two))
    except Exception as error:  # noqa: BLE001  (whatever the model raises)
        return Row(name, f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}", refused=True)
    export_seconds = time.perf_counter() - start
    permutes = sum(_name(node) in _PERMUTES for node in exported.graph.nodes)

    start = time.perf_counter()
    try:
        port = transpile(model, example, name="Network", constructors=constructors)
    except KerascribeError as error:
        return Row(name, str(error).strip().splitlines()[0][:300], permutes=permutes, export_seconds=export_seconds)
    transpile_seconds = time.perf_counter() - start
    row = Row(name, permutes=permutes, export_seconds=export_seconds, transpile_seconds=transpile_seconds)
    return _built(row, port, model, shapes)


def _built(row: Row, port: Port, model: nn.Module, shapes: list[tuple[int, ...]]) -> Row:
    start = time.perf_counter()
    keras_model = port.build()
    build_seconds = time.perf_counter() - start
    error = max(relative_errors(model, keras_model, port.signature, inputs(shapes, 2, seed=1)))
    measured = measure(port)
    return replace(
        row,
        problem="" if error <= TOLERANCE else f"outputs differ by {error:.1e}",
        max_rel_err=error,
        transposes=input_dependent_transposes(keras_model),
        build_seconds=build_seconds,
        peak_megabytes=peak_megabytes(),
        classes=len(measured.classes),
        torch_classes=len(measured.entered),
        helpers=len(measured.helpers),
        lines=len(port.source.splitlines()),
        line_ratios=tuple(round(one.lines / one.torch_lines, 2) for one in measured.classes if one.torch_lines),
        names=sum(one.locals for one in measured.classes),
        invented=sum(len(one.invented) for one in measured.classes),
    )


def made(name: str) -> tuple[nn.Module, list[tuple[int, ...]]]:
    """The model, with random weights, and the shapes of its inputs without the batch."""
    library, _, rest = name.partition(".")
    if library == "timm":
        timm: Any = importlib.import_module("timm")
        settings = timm.get_pretrained_cfg(rest)
        return timm.create_model(rest, pretrained=False), [tuple(settings.input_size) if settings else _IMAGE]
    family, _, function = f"models.{rest}".rpartition(".")
    arguments = {"weights_backbone": None} if "segmentation" in family else {}
    shapes = {"models.video": [_VIDEO], "models.optical_flow": [(3, 128, 160)] * 2}.get(family, [_IMAGE])
    module = importlib.import_module(f"torchvision.{family}")
    return getattr(module, function)(weights=None, **arguments), shapes


def inputs(shapes: list[tuple[int, ...]], batch: int, seed: int) -> tuple[Tensor, ...]:
    """Random inputs."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(batch, *shape, generator=generator) for shape in shapes)


def _batch_dynamic(model: nn.Module, args: tuple[Tensor, ...]) -> Any:
    names = inspect.signature(model.forward).bind(*args).arguments
    return {name: {0: torch.export.Dim.DYNAMIC} for name in names}


def _name(node: torch.fx.Node) -> str:
    return str(node.target).rsplit(".", 1)[0]


def input_dependent_transposes(keras_model: Any) -> int:
    """Transpose nodes of the frozen graph, batch dynamic, whose value depends on an input.

    Freezing puts functions in line and constants for variables, and folds nothing. It is left out where there are no
    functions, for the count is the same without, and a frozen graph of more than 2 GB can't be made.
    """
    import tensorflow as tf  # noqa: PLC0415  (slow to import, and not before torch)

    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in keras_model.inputs]
    call = tf.function(lambda *given: keras_model(given if len(given) > 1 else given[0], training=False))
    concrete = call.get_concrete_function(*specs)
    if any(_calls_function(operation) for operation in concrete.graph.get_operations()):
        concrete = _frozen(concrete)
    return sum(operation.type == "Transpose" for operation in _from_inputs(concrete.graph, len(specs)))


def _calls_function(operation: Any) -> bool:
    attributes = operation.node_def.attr.values()
    return any(value.HasField("func") or value.list.func for value in attributes)


def _frozen(concrete: Any) -> Any:
    from tensorflow.python.framework.convert_to_constants import (  # noqa: PLC0415
        convert_variables_to_constants_v2,
    )

    return convert_variables_to_constants_v2(concrete)


def _from_inputs(graph: Any, inputs: int) -> Iterator[Any]:
    """Operations that depend on one of the first `inputs` inputs: the others are variables."""
    dependent = {tensor.op.name for tensor in graph.inputs[:inputs]}
    for operation in graph.get_operations():
        if any(given.op.name in dependent for given in operation.inputs):
            dependent.add(operation.name)
            yield operation


def peak_megabytes() -> int:
    """The most memory that this process has held."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 1_000_000
