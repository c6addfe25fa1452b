"""Opens a checkpoint without running anything that it contains, and reads one tensor at a time.

>>> checkpoint = open_checkpoint(Path("slimneck.safetensors"))  # doctest: +SKIP
>>> checkpoint["stem.conv.weight"].shape  # doctest: +SKIP
(32, 3, 6, 6)

A safetensors file needs no torch. A `.pt` file is a pickle: torch reads it with `weights_only=True`, which refuses
everything but tensors and plain containers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import ml_dtypes
import numpy as np

from transpiler.errors import CheckpointError, Diagnostic
from transpiler.weights.arrange import Array
from transpiler.weights.pickle_file import read_pickle
from transpiler.weights.safetensors_file import read_sources
from transpiler.weights.shards import INDEX_SUFFIX, read_shards
from transpiler.weights.source import Source

_PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put in front of every key."""


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint(Mapping[str, Array]):
    """The tensors of a file as numpy arrays, read when asked for; bfloat16 comes as float32."""

    where: str
    """The file's name, for messages."""
    sources: Mapping[str, Source]
    """What is known of each tensor before it is read."""
    notes: tuple[str, ...] = ()
    """What had to be done to find the tensors: "the prefix 'module.' is left out", to be shown to people."""
    twins: tuple[tuple[str, str], ...] = ()
    """Pairs of keys for one tensor."""

    def __getitem__(self, key: str) -> Array:
        array = self.as_stored(key)
        return array.astype(np.float32) if array.dtype == ml_dtypes.bfloat16 else array

    def as_stored(self, key: str) -> Array:
        """The tensor in the file's own type, bfloat16 as it is.

        Raises:
            CheckpointError: it cannot be read.
        """
        try:
            array = self.sources[key].read()
            return array.astype(array.dtype)
        except (TypeError, RuntimeError, OSError, MemoryError) as error:
            raise CheckpointError(Diagnostic(f"{key!r} cannot be read: {error}", where=self.where)) from error

    def __contains__(self, key: object) -> bool:
        return key in self.sources

    def __iter__(self) -> Iterator[str]:
        return iter(self.sources)

    def __len__(self) -> int:
        return len(self.sources)

    def below(self, path: str) -> Checkpoint:
        """The tensors of the module at `path`, by its own names; all, if the file holds that module alone."""
        found = self._without(f"{path}.")
        return replace(found, notes=(*self.notes, f"only what lies below {path!r}")) if len(found) else self

    def _without(self, prefix: str) -> Checkpoint:
        """The tensors whose keys begin with `prefix`, by the rest of the key."""
        return replace(
            self,
            sources={key.removeprefix(prefix): each for key, each in self.sources.items() if key.startswith(prefix)},
            twins=tuple(
                (one.removeprefix(prefix), other.removeprefix(prefix))
                for one, other in self.twins
                if one.startswith(prefix) and other.startswith(prefix)
            ),
        )


def open_checkpoint(path: Path, wanted: Collection[str] = ()) -> Checkpoint:
    """The checkpoint at `path`: `.safetensors`, an index of several, or whatever `torch.save` wrote of a state dict.

    >>> open_checkpoint(Path("last.pt")).notes  # doctest: +SKIP
    ("read from its 'model'", "the prefix 'module.' is left out of every key")

    Args:
        path: the file.
        wanted: keys that are expected: a prefix that they bear themselves stays.

    Raises:
        CheckpointError: the file is missing or damaged, or a pickle that is not a plain state dict.
    """
    if not path.is_file():
        raise CheckpointError(Diagnostic("there is no such checkpoint", where=path.name))
    checkpoint = _open(path)
    while (prefix := _common_prefix(checkpoint)) and not any(key in checkpoint for key in wanted):
        checkpoint = checkpoint._without(prefix)  # noqa: SLF001  (of this module)
        checkpoint = replace(checkpoint, notes=(*checkpoint.notes, f"the prefix {prefix!r} is left out of every key"))
    return checkpoint


def _open(path: Path) -> Checkpoint:
    if path.name.endswith(INDEX_SUFFIX):
        return Checkpoint(path.name, read_shards(path))
    if path.suffix == ".safetensors":
        return Checkpoint(path.name, read_sources(path))
    pickled = read_pickle(path)
    return Checkpoint(path.name, pickled.sources, pickled.notes, pickled.twins)


def _common_prefix(keys: Collection[str]) -> str:
    return next((prefix for prefix in _PREFIXES if keys and all(key.startswith(prefix) for key in keys)), "")
