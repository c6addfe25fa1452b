"""Which torch argument a Keras argument usually comes from. Only hints: every guess is checked on every instance."""

from __future__ import annotations

import re

TORCH_PARAMETERS: dict[str, tuple[str, ...]] = {
    "Conv": ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias"),
    "ConvTranspose": (
        *("in_channels", "out_channels", "kernel_size", "stride", "padding", "output_padding", "groups", "bias"),
        "dilation",
    ),
    "Linear": ("in_features", "out_features", "bias"),
    "BatchNorm": ("num_features", "eps", "momentum", "affine"),
    "LayerNorm": ("normalized_shape", "eps"),
    "GroupNorm": ("num_groups", "num_channels", "eps"),
    "Embedding": ("num_embeddings", "embedding_dim"),
    "MaxPool": ("kernel_size", "stride", "padding", "dilation"),
    "AvgPool": ("kernel_size", "stride", "padding"),
    "Dropout": ("p",),
    "LeakyReLU": ("negative_slope",),
    "Upsample": ("size", "scale_factor", "mode"),
    "MultiheadAttention": ("embed_dim", "num_heads", "dropout"),
}
"""Parameters of the common torch modules, by name without the number of dimensions."""

SOURCES: dict[str, tuple[str, ...]] = {
    "filters": ("out_channels",),
    "units": ("out_features",),
    "output_shape": ("out_features",),
    "kernel_size": ("kernel_size",),
    "pool_size": ("kernel_size",),
    "strides": ("stride",),
    "padding": ("padding",),
    "dilation_rate": ("dilation",),
    "groups": ("groups", "num_groups"),
    "use_bias": ("bias",),
    "epsilon": ("eps",),
    "rate": ("p",),
    "negative_slope": ("negative_slope",),
    "input_dim": ("num_embeddings",),
    "output_dim": ("embedding_dim",),
    "num_heads": ("num_heads",),
    "dropout": ("dropout", "p"),
    "size": ("scale_factor", "size"),
}
"""Keras parameter to torch parameters."""

AFFINITY: dict[str, tuple[str, ...]] = {
    "filters": ("out_channels", "c2", "out_planes", "planes", "oup", "out_ch", "cout", "channels", "width"),
    "units": ("out_features", "hidden_features", "num_classes", "nc", "dim"),
    "kernel_size": ("kernel_size", "k", "kernel", "ks"),
    "pool_size": ("kernel_size", "k"),
    "strides": ("stride", "s", "strides"),
    "groups": ("groups", "g", "cardinality"),
    "dilation_rate": ("dilation", "d"),
    "rate": ("p", "dropout", "drop", "drop_rate", "dropout_rate"),
    "n": ("n", "depth", "num_layers", "repeats", "num_blocks"),
    "padding": ("padding", "p", "pad"),
}
"""Names that constructors of people's classes use for what goes into a Keras parameter, the best first."""


def torch_parameters(function: str) -> tuple[str, ...]:
    """Parameters of a torch module by the name it is called by.

    >>> torch_parameters("Dropout2d")
    ('p',)
    """
    return TORCH_PARAMETERS.get(re.sub(r"\dd$", "", function), ())
