"""Pours a checkpoint into a built Keras model, and reads it back out.

>>> pour(model, plan, open_checkpoint(Path("slimneck.safetensors")))  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import keras

from transpiler.errors import CheckpointError, Diagnostic
from transpiler.progress import Track, silent
from transpiler.weights.arrange import Array, to_keras
from transpiler.weights.assign import assign
from transpiler.weights.back import state_of
from transpiler.weights.matching import match_checkpoint
from transpiler.weights.plan import PlanEntry, WeightPlan
from transpiler.weights.variables import find_variable, top_layer, variable_names

_STALE = "tf.py and its weight plan belong to different runs: write both anew with `kerascribe generate`"


def pour(
    model: keras.Model, plan: WeightPlan, tensors: Mapping[str, Array], where: str = "", track: Track = silent
) -> None:
    """Assign every variable of `model`; nothing is assigned unless everything fits.

    Args:
        model: the model that the generated `build_model()` gives.
        plan: its weight plan.
        tensors: torch tensors as numpy arrays, by key of the state dict.
        where: the checkpoint's name, for messages.
        track: shows how far it is.

    Raises:
        CheckpointError: the checkpoint does not fit the plan, or the plan does not fit the model; all is listed.
    """
    targets = planned_variables(model, plan)
    found = match_checkpoint(plan, tensors, where)
    for entry in track(plan.entries, "pouring"):
        for variable, value in zip(targets[entry], to_keras(entry, found[entry.source]), strict=True):
            assign(variable, value)


def unpour(model: keras.Model, plan: WeightPlan) -> dict[str, Array]:
    """The torch tensors that `model`'s weights make, without those that the plan drops.

    >>> sorted(unpour(model, plan))  # doctest: +SKIP
    ['fc.bias', 'fc.weight']

    Raises:
        CheckpointError: the plan does not fit the model.
    """
    return dict(state_of(replace(plan, dropped=()), variables_by_path(model, plan), {}).tensors)


def variables_by_path(model: keras.Model, plan: WeightPlan) -> dict[str, Array]:
    """The values of all variables by their paths in the plan: `stem.conv.kernel`.

    Raises:
        CheckpointError: the plan does not fit the model.
    """
    return {
        path: keras.ops.convert_to_numpy(variable)
        for entry, variables in planned_variables(model, plan).items()
        for path, variable in zip(entry.variables, variables, strict=True)
    }


def load_weights(model: keras.Model, path: Path) -> None:
    """Load the weights in a `.weights.h5` or `.keras` file; of the latter nothing else is read.

    Raises:
        CheckpointError: the file is damaged, or of another model.
    """
    try:
        model.load_weights(path)
    except Exception as error:  # Keras and h5py raise whatever they like
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        hint = "the model must be the one that `kerascribe generate` wrote; save a larger one's part of it"
        raise CheckpointError(Diagnostic(f"cannot be loaded: {reason}", where=path.name, hint=hint)) from error


def planned_variables(model: keras.Model, plan: WeightPlan) -> dict[PlanEntry, tuple[keras.Variable, ...]]:
    """The variables of every entry of the plan.

    Raises:
        CheckpointError: the plan does not fit the model; all is listed.
    """
    root = top_layer(model)
    problems: list[Diagnostic] = []
    targets: dict[PlanEntry, tuple[keras.Variable, ...]] = {}
    for entry in plan.entries:
        try:
            targets[entry] = tuple(find_variable(root, path) for path in entry.variables)
        except CheckpointError as error:
            problems.extend(error.diagnostics)
            continue
        problems.extend(
            Diagnostic(f"{path} has shape {tuple(variable.shape)}, planned is {shape}", hint=_STALE)
            for path, variable, shape in zip(entry.variables, targets[entry], entry.shapes, strict=True)
            if tuple(variable.shape) != shape
        )
    covered = {id(variable) for variables in targets.values() for variable in variables}
    names = variable_names(model)
    problems.extend(
        Diagnostic(f"no entry of the plan fills {name}", hint=_STALE)
        for identity, name in names.items()
        if identity not in covered
    )
    if problems:
        raise CheckpointError(problems)
    return targets
