"""Letters for dimensions and atoms, in comments, docstrings and the weight plan."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Sequence

from transpiler.layout.axes import Layout
from transpiler.letters import ALPHABET, dimension_letters

_SPATIAL = {0: (), 1: ("l",), 2: ("h", "w"), 3: ("d", "h", "w")}
_RESERVED = frozenset(
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
        "input_spec",
        "load_own_variables",
        "losses",
        "metrics",
        "metrics_variables",
        "name",
        "non_trainable_variables",
        "non_trainable_weights",
        "output",
        "path",
        "quantization_mode",
        "quantize",
        "quantized_build",
        "quantized_call",
        "regularizers",
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
        "summary",
        "layers",
    ]
)


def spatial_letters(count: int, taken: Collection[str]) -> tuple[str, ...]:
    """Letters for the dimensions that `...` stands for, none of them taken."""
    usual = _SPATIAL.get(count, ())
    if usual and not set(usual) & set(taken):
        return usual
    return tuple(letter for letter in ALPHABET if letter not in taken)[:count]


def atom_letters(layout: Layout, letters: Sequence[str] | None = None) -> tuple[str, ...]:
    """One name for each atom: `c`, or `c1 c2` where a dimension has several."""
    letters = letters or dimension_letters(len(layout.dims))
    names = []
    for letter, sizes in zip(letters, layout.dims, strict=True):
        names += [letter] if len(sizes) == 1 else [f"{letter}{place + 1}" for place in range(len(sizes))]
    return tuple(names)


def side(axes: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """One side of an einops pattern: `n h w (c1 c2) 1`."""
    return " ".join(_axis([names[atom] for atom in axis]) for axis in axes)


def _axis(letters: Sequence[str]) -> str:
    if not letters:
        return "1"
    return letters[0] if len(letters) == 1 else f"({' '.join(letters)})"


def attribute_name(name: str) -> str:
    """A name that a Keras layer can bear as an attribute: identifiers as they are, Keras's own names with `_`.

    >>> attribute_name("conv-1"), attribute_name("output")
    ('conv_1', 'output_')
    """
    clean = re.sub(r"\W", "_", name)
    if not clean or clean[0].isdigit():
        clean = f"m{clean}"
    if clean.startswith("__"):
        clean = f"m{clean}"
    return f"{clean}_" if clean in _RESERVED or keyword.iskeyword(clean) else clean
