"""Names that generated source has for itself: no class, parameter or variable of a model may bear one."""

from __future__ import annotations

MODULE_NAMES = frozenset({"keras", "layers", "ops", "np", "numpy", "self", "serializable", "build_model"})
"""Names that the module itself defines: nothing may shadow them."""

LOOP_BUILTINS = frozenset(
    {"range", "zip", "enumerate", "len", "int", "float", "round", "min", "max", "abs", "super"} | {"getattr", "setattr"}
)
"""Builtins that generated source calls."""

AMBIGUOUS = frozenset({"l", "O", "I"})
"""Names that ruff's default rules refuse (E741, E742)."""

CORE = frozenset({"Layer", "Model", "Sequential", "Input"})
"""Keras's own classes, which a generated one must not be taken for."""

GATHERED = "[]"
"""Ends what a value is called that torch puts into a list: `outs[]` of `outs.append(x)`. No variable is called so."""
