"""Which names generated source may use, and how to make one that it may."""

from __future__ import annotations

import keyword
import re
from collections.abc import Container

from transpiler.reserved import AMBIGUOUS, LOOP_BUILTINS, MODULE_NAMES

LAYER_KEYWORDS = frozenset(
    {"name", "dtype", "trainable", "autocast", "activity_regularizer", "input_shape", "batch_input_shape", "kwargs"}
    | {"input_dtype", "weights", "training", "inputs", "batch_size", "batch_shape", "sparse", "ragged"}
)
"""What `keras.layers.Layer.__init__` takes (or hands on): a parameter of ours would hide it."""

LAYER_ATTRIBUTES = frozenset(
    [
        "activity_regularizer",
        "add_loss",
        "add_metric",
        "add_variable",
        "add_weight",
        "autocast",
        "build",
        "build_from_config",
        "built",
        "call",
        "compute_dtype",
        "compute_mask",
        "compute_output_shape",
        "compute_output_spec",
        "count_params",
        "dtype",
        "dtype_policy",
        "from_config",
        "get_build_config",
        "get_config",
        "get_weights",
        "input",
        "input_dtype",
        "input_shape",
        "input_spec",
        "load_own_variables",
        "losses",
        "metrics",
        "metrics_variables",
        "name",
        "non_trainable_variables",
        "non_trainable_weights",
        "output",
        "output_shape",
        "path",
        "quantization_mode",
        "quantize",
        "quantized_build",
        "quantized_call",
        "rematerialized_call",
        "save_own_variables",
        "set_weights",
        "stateless_call",
        "supports_jit",
        "supports_masking",
        "symbolic_call",
        "trainable",
        "trainable_variables",
        "trainable_weights",
        "variable_dtype",
        "variables",
        "weights",
    ]
)
"""Attributes of `keras.layers.Layer` that must not be assigned."""


def usable(name: str, taken: Container[str]) -> str:
    """A name like `name` that is an identifier, shadows nothing and is not taken.

    >>> usable("x", {"x"}), usable("lambda", ()), usable("layers", ()), usable("conv.1", ())
    ('x_2', 'lambda_', 'layers_', 'conv_1')
    """
    base = re.sub(r"\W", "_", name) or "value"
    base = f"_{base}" if base[0].isdigit() else base
    if keyword.iskeyword(base) or base in MODULE_NAMES or base in LOOP_BUILTINS or base in AMBIGUOUS:
        base = f"{base}_"
    if base.startswith("__"):
        base = base.lstrip("_") or "value"
    if base not in taken:
        return base
    stem = base.rstrip("_") or "value"
    number = 2
    while f"{stem}_{number}" in taken:
        number += 1
    return f"{stem}_{number}"


def snake(name: str) -> str:
    """Snake case, `[a-z0-9_]` only.

    >>> snake("SlimNeck"), snake("VoVGSCSP"), snake("ResNet-50"), snake("GroupedConv2D")
    ('slim_neck', 'vo_vgscsp', 'res_net_50', 'grouped_conv2d')
    """
    words = re.sub(r"([a-z])([A-Z])|([A-Z0-9])([A-Z][a-z])", r"\1\3_\2\4", name)
    words = re.sub(r"[^0-9A-Za-z]+", "_", words).strip("_").lower()
    return words or "model"


def camel(name: str) -> str:
    """Camel case, for class names and their suffixes.

    >>> camel("downsample"), camel("conv_sc"), camel("layer1")
    ('Downsample', 'ConvSc', 'Layer1')
    """
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^0-9A-Za-z]+", name) if part)


def singular(name: str) -> str:
    """The loop variable for a list.

    >>> singular("blocks"), singular("m"), singular("branches"), singular("layers"), singular("convs")
    ('block', 'layer', 'branch', 'layer', 'conv')
    """
    if name.endswith(("ches", "shes", "sses", "xes")):
        return name[:-2]
    if name.endswith("s") and not name.endswith("ss") and len(name) > 2:
        return name[:-1]
    return "layer"


def element_name(name: str, known: Container[str]) -> str:
    """The loop variable for a list, one of the words that the author knows if one would do.

    >>> element_name("x_parts", {"x"}), element_name("x_parts", {"part"}), element_name("x_parts", ())
    ('x', 'part', 'x_part')
    """
    plain = singular(name)
    if plain in known or plain == "layer":
        return plain
    first, _, last = plain.rpartition("_")
    return next((word for word in (first, last) if word in known), plain)
