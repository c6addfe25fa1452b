"""Writes transpiler/language/keras_signatures.json: what Keras's layers and functions take, and what layers hold.

`kerascribe` checks rules and leaves out default arguments without importing Keras; this script imports it once, builds
a small instance of every layer to see its variables, and writes the table. Run it after an update of Keras:

    python scripts/keras_signatures.py
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

TABLE = Path(__file__).parent.parent / "transpiler" / "language" / "keras_signatures.json"

FUNCTION_MODULES = (
    keras.ops,
    keras.ops.image,
    keras.ops.linalg,
    keras.ops.nn,
    keras.ops.numpy,
    keras.activations,
    keras.random,
    keras.initializers,
    keras.regularizers,
    keras.constraints,
    keras.layers,
)

SETTINGS: dict[str, object] = {
    "activation": "relu",
    "cropping": 1,
    "axes": -1,
    "factor": 0.1,
    "filters": 4,
    "function": lambda x: x,
    "head_dim": 2,
    "height": 4,
    "input_dim": 10,
    "kernel_size": 3,
    "key_dim": 4,
    "num_heads": 2,
    "num_key_value_heads": 2,
    "num_query_heads": 2,
    "num_tokens": 4,
    "output_dim": 4,
    "output_shape": (4,),
    "output_size": 2,
    "pool_size": 2,
    "rate": 0.5,
    "scale": 2.0,
    "stddev": 0.5,
    "seed": 1,
    "target_shape": (-1,),
    "units": 4,
    "width": 4,
    "n": 2,
    "dims": (1,),
}
"""A value for every required parameter; a layer that needs another one is listed with unknown variables."""

OPTIONS: dict[str, dict[str, object]] = {
    "EinsumDense": {"equation": "...x,xy->...y", "bias_axes": "y"},
    "GroupNormalization": {"groups": 2},
    "RandomCrop": {"seed": 1},
}
"""What makes a layer hold every variable that it can hold."""

SHAPES = ((2, 4), (2, 6, 4), (2, 8, 8, 4), (2, 8, 8, 8, 4), (2, 3, 8, 8, 8, 4))


def main() -> None:
    """Writes the table, one entry a line, sorted."""
    layers = {f"keras.layers.{name}": _layer(cls) for name, cls in _public(keras.layers) if _is_layer(cls)}
    functions = {
        f"{module.__name__.replace('keras._tf_keras.', '').replace('keras.api.', 'keras.')}.{name}": _parameters(member)
        for module in FUNCTION_MODULES
        for name, member in _public(module)
        if callable(member) and not _is_layer(member)
    }
    sections = {"layers": layers, "functions": functions}
    lines = [f'  "keras": {json.dumps(keras.__version__)}']
    for section, entries in sections.items():
        body = ",\n".join(f"    {json.dumps(name)}: {json.dumps(entries[name])}" for name in sorted(entries))
        lines.append(f'  "{section}": {{\n{body}\n  }}')
    TABLE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _public(module: ModuleType) -> Iterator[tuple[str, object]]:
    for name in sorted(dir(module)):
        member = getattr(module, name)
        if not name.startswith("_") and not isinstance(member, ModuleType):
            yield name, member


def _is_layer(member: object) -> bool:
    return inspect.isclass(member) and issubclass(member, keras.layers.Layer)


def _parameters(function: object) -> list[list[object]]:
    """`[name, kind]` or `[name, kind, default]`; kind is "any" or "keyword", "*" and "**" for those that gather."""
    try:
        signature = inspect.signature(function)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return [["args", "*"], ["kwargs", "**"]]
    kinds = {
        inspect.Parameter.KEYWORD_ONLY: "keyword",
        inspect.Parameter.VAR_POSITIONAL: "*",
        inspect.Parameter.VAR_KEYWORD: "**",
    }
    found: list[list[object]] = []
    for parameter in signature.parameters.values():
        entry: list[object] = [parameter.name, kinds.get(parameter.kind, "any")]
        if parameter.default is not inspect.Parameter.empty:
            entry.append(_encoded(parameter.default))
        found.append(entry)
    return found


def _encoded(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return {type(value).__name__: [_encoded(item) for item in value]}
    return {"opaque": getattr(value, "__name__", type(value).__name__)}


def _layer(cls: type) -> dict[str, object]:
    parameters = _parameters(cls)
    if any(kind == "**" for _, kind, *_ in parameters):  # those of the base class, which every layer passes on
        named = {name for name, *_ in parameters}
        inherited = _parameters(keras.layers.Layer.__init__)[1:]  # without self
        base = [entry for entry in inherited if entry[0] not in named and not str(entry[1]).startswith("*")]
        parameters = [entry for entry in parameters if entry[1] != "**"]
        parameters += [[name, "keyword", *default] for name, _, *default in base]
    return {"parameters": parameters, "variables": _variables(cls)}


def _variables(cls: type) -> list[list[str]] | None:
    """`[name by path, name by attributes]` of every weight; None where no instance could be built."""
    settings = {
        name: SETTINGS[name]
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.default is inspect.Parameter.empty and name in SETTINGS
    }
    settings.update(OPTIONS.get(cls.__name__, {}))
    if "layer" in inspect.signature(cls).parameters:
        return None
    for shape in SHAPES:
        for count in (1, 2, 3):
            for nested in (False, True):
                inputs = [np.ones(shape, "float32") for _ in range(count)]
                try:
                    layer = cls(**settings)
                    layer(inputs) if nested else layer(*inputs)
                except Exception:  # noqa: BLE001, S112 - whatever it is, these inputs don't fit this layer
                    continue
                return [[_by_path(layer, variable), _by_attributes(layer, variable)] for variable in layer.weights]
    return None


def _by_path(layer: keras.layers.Layer, variable: keras.Variable) -> str:
    return ".".join(variable.path.removeprefix(f"{layer.path}/").split("/"))


def _by_attributes(layer: keras.layers.Layer, variable: keras.Variable) -> str:
    """`cell.kernel`: the way from the layer to the variable through attributes, public ones first, shortest first."""
    waiting = [("", layer)]
    seen: set[int] = set()
    while waiting:
        prefix, owner = waiting.pop(0)
        if id(owner) in seen:
            continue
        seen.add(id(owner))
        for name in sorted(dir(owner), key=lambda name: (name.startswith("_"), name)):
            if name.startswith("__"):
                continue
            try:
                member = getattr(owner, name)
            except Exception:  # noqa: BLE001, S112 - a property may raise what it likes
                continue
            if member is variable:
                return f"{prefix}{name}"
            if isinstance(member, keras.layers.Layer):
                waiting.append((f"{prefix}{name}.", member))
    return _by_path(layer, variable)


if __name__ == "__main__":
    main()
