"""Pours a checkpoint into every artefact that is wanted.

What has a tensor for each variable is streamed, never held as a whole; SavedModel and TFLite are made from a model that
loads what was streamed, so that a checkpoint is judged in one place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import keras

from transpiler.artefacts.write import write_artefacts
from transpiler.atomic import workshop
from transpiler.progress import Track
from transpiler.wanted import Wanted
from transpiler.weights.checkpoint import Checkpoint
from transpiler.weights.plan import WeightPlan
from transpiler.weights.pour import load_weights
from transpiler.weights.pour_files import pour_files
from transpiler.weights.poured_files import SUFFIXES


def pour_targets(
    blank: keras.Model,
    build: Callable[[], keras.Model],
    plan: WeightPlan,
    checkpoint: Checkpoint,
    wanted: Wanted,
    track: Track,
) -> tuple[str, ...]:
    """Write all artefacts; gives notes for people.

    Args:
        blank: the generated model, its variables without values (see `blank_models`).
        build: makes the model with values, where an artefact needs one.
        plan: its weight plan.
        checkpoint: the torch tensors.
        wanted: the artefacts, their data, and the faults that may pass.
        track: shows how far it is.

    Raises:
        CheckpointError: the checkpoint does not fit; nothing is written.
        OSError: a file cannot be written.
    """
    streamed = [each.path for each in wanted.targets if each.path.name.endswith(tuple(SUFFIXES))]
    others = [each for each in wanted.targets if each.path not in streamed]
    with contextlib.ExitStack() as stack:
        paths = list(streamed)
        if others:
            folder = stack.enter_context(workshop(others[0].path.parent))
            paths.append(folder / "poured.weights.h5")
        record = pour_files(blank, plan, checkpoint, paths, wanted.allowances, track)
        notes = tuple(map(str, record.allowed))
        if not others:
            return notes
        model = build()
        load_weights(model, paths[-1])
        return (*notes, *write_artefacts(model, plan, others, wanted.representative, track))
