"""Finds a Keras variable by the path that the weight plan gives: attributes, list and Sequential positions.

>>> find_variable(top_layer(model), "features.0.conv.kernel").shape  # doctest: +SKIP
(3, 3, 3, 32)
"""

from __future__ import annotations

from collections.abc import Sequence

import keras

from transpiler.errors import CheckpointError, Diagnostic


def top_layer(model: keras.Model) -> keras.Layer:
    """The generated layer that `build_model()` wraps into a functional model.

    Raises:
        CheckpointError: the model has no layer, or several, so it is not a generated one.
    """
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    if len(layers) != 1:
        raise CheckpointError(f"model {model.name!r} has {len(layers)} layers at the top; a generated one has one")
    return layers[0]


def find_variable(root: keras.Layer, path: str) -> keras.Variable:
    """The variable at `path` below `root`.

    Raises:
        CheckpointError: a step of the path leads nowhere, or its end is not a variable.
    """
    place: object = root
    for step in path.split("."):
        following = find_child(place, step)
        if following is None:
            kind = type(place).__name__
            raise CheckpointError(Diagnostic(f"no Keras variable {path!r}: {kind} has no {step!r}"))
        place = following
    if not isinstance(place, keras.Variable):
        raise CheckpointError(Diagnostic(f"{path!r} is a {type(place).__name__}, not a Keras variable"))
    return place


def find_child(parent: object, step: str) -> object | None:
    """What stands one step of a path below `parent`; None if there is nothing.

    Numbers count in lists and in a Sequential, be it the one that a class holds as its `sequence`. A sublayer that its
    parent keeps under a private attribute, as MultiHeadAttention does with `query`, is found by its name.
    """
    if step.isdecimal():
        parent = getattr(parent, "sequence", parent)
        items = parent.layers if isinstance(parent, keras.Sequential) else parent
        if not isinstance(items, Sequence):
            return None
        return items[int(step)] if int(step) < len(items) else None
    child: object | None = getattr(parent, step, None)
    if child is not None or not isinstance(parent, keras.Layer):
        return child
    sublayers = parent._flatten_layers(include_self=False, recursive=False)  # noqa: SLF001  (Keras has no public way)
    return next((layer for layer in sublayers if layer.name == step), None)


def variable_names(model: keras.Model) -> dict[int, str]:
    """The path that Keras gives each variable of the model, by the variable's id.

    Metrics and the states of random generators are no weights.
    """
    return {id(variable): variable.path for variable in model.weights}
