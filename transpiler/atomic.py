"""Files appear whole or not at all: everything is written beside its place and then renamed.

What is being written lies in a folder `.kerascribe-…` beside its place, locked by the process that writes. A process
that is killed leaves that folder behind, and its lock ends with it: whoever writes there next takes it away.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from transpiler.places import exchange, is_abandoned, locked

PREFIX = ".kerascribe-"
"""Of the names of all temporary folders: `.kerascribe-*` is what a `.gitignore` may list."""


def write_text(path: Path, text: str) -> None:
    r"""Write `text` as UTF-8 with `\n` line ends.

    >>> write_text(Path("tf.py"), source)  # doctest: +SKIP

    Raises:
        OSError: the folder is missing or cannot be written; a file that was there stays as it was.
    """
    write_texts({path: text})


def write_texts(texts: Mapping[Path, str]) -> None:
    """Write files that belong together: all are there before the first one takes its place.

    >>> write_texts({Path("tf.weights.json"): plan, Path("tf.py"): source})  # doctest: +SKIP

    Raises:
        OSError: as for `write_text`; files that were there stay as they were.
    """
    with contextlib.ExitStack() as stack:
        for path, text in texts.items():
            temporary = stack.enter_context(writing(path))
            temporary.write_text(text, encoding="utf-8", newline="\n")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` when the block ends well and vanishes when it fails.

    >>> with writing(Path("tf.weights.h5")) as temporary:  # doctest: +SKIP
    ...     model.save_weights(temporary)

    It has the same name, in a new folder beside `path`: Keras chooses the format by the whole suffix (`.weights.h5`).
    It may become a file or a folder.
    """
    with workshop(path.parent) as folder:
        temporary = folder / path.name
        yield temporary
        put(temporary, path)


@contextlib.contextmanager
def workshop(parent: Path) -> Iterator[Path]:
    """A new folder within `parent` for what is not finished, gone when the block ends; older ones are cleared away.

    >>> with workshop(Path("models")) as folder:  # doctest: +SKIP
    ...     model.export(folder / "saved")

    Raises:
        OSError: `parent` is missing or cannot be written.
    """
    clear(parent)
    with contextlib.ExitStack() as stack:
        yield _own_folder(parent, stack)


def _own_folder(parent: Path, stack: contextlib.ExitStack) -> Path:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        # Someone else's `clear` may come between the folder and its lock.
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            stack.enter_context(locked(folder))
            if folder.exists():
                return folder


def put(new: Path, path: Path) -> None:
    """Let `new`, a file or a folder, take the place of `path`, in one step.

    An old folder ends up where `new` was: two names are exchanged, since a folder cannot be renamed over a full one.
    """
    if path.is_dir() and not path.is_symlink():
        exchange(new, path)
    else:
        new.replace(path)


def clear(parent: Path) -> None:
    """Take away what processes that were killed have left in `parent`."""
    for folder in parent.glob(f"{PREFIX}*"):
        if is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
