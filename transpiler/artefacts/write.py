"""Writes a poured Keras model in all formats that are wanted, all of them or none.

>>> write_artefacts(model, plan, [target("keras", Path("tf.py"))])  # doctest: +SKIP
()
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from transpiler.atomic import workshop, writing
from transpiler.errors import CheckpointError, Diagnostic, ModelError
from transpiler.formats import Target
from transpiler.progress import Track, silent
from transpiler.quiet import quiet
from transpiler.weights.plan import WeightPlan
from transpiler.weights.pour import variables_by_path
from transpiler.weights.tensors import write_tensors

if TYPE_CHECKING:
    from transpiler.artefacts.samples import Samples

_FOLDER_HINT = 'name it with --representative FOLDER, or in the rules: representative "samples"'


def write_artefacts(
    model: keras.Model,
    plan: WeightPlan,
    targets: Sequence[Target],
    representative: Path | None = None,
    track: Track = silent,
) -> tuple[str, ...]:
    """Write `model` to every target; gives what a person should know about the files.

    All are written beside their places first; they are then renamed one after the other, in the order of `targets`.
    Each file is whole by itself and needs none of the others.

    Args:
        model: the built model, its weights poured.
        plan: its weight plan, for the names of tensors.
        targets: formats and paths.
        representative: the folder of samples, for full integer models.
        track: shows how far it is.

    Raises:
        KerascribeError: the representative data do not fit, or a converter refuses the model; nothing is written.
        OSError: a file cannot be written; those that were there stay as they were.
    """
    _require_tensorflow(targets)
    samples = _samples(model, targets, representative)
    notes: list[str] = []
    with contextlib.ExitStack() as stack:
        # A stack is left from its end: this way the first target is the first one to take its place.
        places = {each: stack.enter_context(writing(each.path)) for each in reversed(targets)}
        work = _Work(model, plan, stack, targets[0].path.parent)
        for each in track(targets, "writing"):
            notes += _write(work, each, places[each], samples, track)
    return tuple(notes)


class _Work:
    """The model, and what several formats are made from."""

    def __init__(self, model: keras.Model, plan: WeightPlan, stack: contextlib.ExitStack, parent: Path) -> None:
        self.model = model
        self.plan = plan
        self._stack = stack
        self._parent = parent

    @cached_property
    def exported(self) -> Path:
        """The model as a SavedModel."""
        path = self._stack.enter_context(workshop(self._parent)) / "exported"
        with quiet():
            self.model.export(path, format="tf_saved_model", verbose=False)
        return path


def _write(work: _Work, target: Target, path: Path, samples: Samples | None, track: Track) -> Sequence[str]:
    match target.format.name:
        case "weights.h5":
            work.model.save_weights(path)
        case "keras":
            work.model.save(path)
        case "safetensors":
            write_tensors(path, variables_by_path(work.model, work.plan))
        case "saved_model":
            shutil.copytree(work.exported, path)
        case precision:
            return _write_tflite(work, precision, path, samples if target.format.samples else None, track)
    return ()


def _write_tflite(work: _Work, precision: str, path: Path, samples: Samples | None, track: Track) -> Sequence[str]:
    from transpiler.artefacts.tflite import convert  # noqa: PLC0415  (imports TensorFlow)

    converted = convert(work.exported, precision, samples, track)
    path.write_bytes(converted.content)
    if not converted.foreign:
        return ()
    return (f"{path.name} needs TFLite's Flex delegate, for {', '.join(converted.foreign)}",)


def _samples(model: keras.Model, targets: Sequence[Target], folder: Path | None) -> Samples | None:
    wanted = [each.format.name for each in targets if each.format.samples]
    if not wanted:
        return None
    if folder is None:
        raise CheckpointError(Diagnostic("needs a folder of representative data", where=wanted[0], hint=_FOLDER_HINT))
    from transpiler.artefacts.samples import open_samples  # noqa: PLC0415  (only here)

    return open_samples(folder, model)


def _require_tensorflow(targets: Sequence[Target]) -> None:
    backend = keras.backend.backend()
    foreign = [each.format.name for each in targets if each.format.tensorflow]
    if foreign and backend != "tensorflow":
        message = f"{', '.join(foreign)}: written by Keras on TensorFlow only, and it runs on {backend}"
        raise ModelError(Diagnostic(message, hint="set KERAS_BACKEND=tensorflow"))
