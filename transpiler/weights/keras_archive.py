"""A `.keras` file around weights that are in a `.weights.h5` already: the inner file is the same."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import keras

from transpiler.weights.blank import Numbering

WEIGHTS = "model.weights.h5"


def write(model: keras.Model, weights: Path, path: Path) -> None:
    """Write the model with its weights, as `model.save(path)` would; the weights are copied, not loaded.

    Args:
        model: may be blank.
        weights: its `.weights.h5`.
        path: of the `.keras` file.

    Raises:
        OSError: the file cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="kerascribe-") as folder:
        with Numbering():
            model.save(folder, zipped=False)
        with zipfile.ZipFile(path, "w") as archive:
            for part in sorted(Path(folder).iterdir()):
                if part.is_file():
                    archive.write(weights if part.name == WEIGHTS else part, part.name)
