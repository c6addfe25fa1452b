"""Files appear whole or not at all: everything is written beside its place and then renamed."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    r"""Write `text` as UTF-8 with `\n` line ends.

    >>> write_text(Path("tf.py"), source)  # doctest: +SKIP

    Raises:
        OSError: the folder is missing or cannot be written; a file that was there stays as it was.
    """
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` when the block ends well and vanishes when it fails.

    >>> with writing(Path("tf.weights.h5")) as temporary:  # doctest: +SKIP
    ...     model.save_weights(temporary)

    It has the same name, in a new folder beside `path`: Keras chooses the format by the whole suffix (`.weights.h5`).
    """
    folder = Path(tempfile.mkdtemp(prefix=".kerascribe-", dir=path.parent))
    try:
        temporary = folder / path.name
        yield temporary
        temporary.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
