"""Opens a checkpoint without running anything that it contains, and reads one tensor at a time.

>>> checkpoint = open_checkpoint(Path("slimneck.safetensors"))  # doctest: +SKIP
>>> checkpoint["stem.conv.weight"].shape  # doctest: +SKIP
(32, 3, 6, 6)

A safetensors file needs no torch. A `.pt` file is a pickle: torch reads it with `weights_only=True`, which refuses
everything but tensors and plain containers.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from transpiler.errors import CheckpointError, Diagnostic
from transpiler.weights.arrange import Array

if TYPE_CHECKING:
    import torch

_Opened: TypeAlias = tuple[dict[str, Callable[[], Array]], tuple[str, ...]]

_NESTED = ("state_dict", "model", "model_state_dict", "ema")
"""Where training scripts put the state dict inside what they save, the likeliest first."""
_DEPTH = 4
"""How deep it may lie; a dict that holds itself has no end."""
_PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put in front of every key."""
_STATE_DICT_HINT = "save the weights alone: torch.save(model.state_dict(), …), or a .safetensors file"


class Checkpoint(Mapping[str, Array]):
    """The tensors of a file as numpy arrays, read when asked for; bfloat16 comes as float32."""

    def __init__(self, where: str, readers: Mapping[str, Callable[[], Array]], notes: tuple[str, ...] = ()) -> None:
        self.where = where
        """The file's name, for messages."""
        self.notes = notes
        """What had to be done to find the tensors: "the prefix 'module.' is left out", to be shown to people."""
        self._readers = readers

    def __getitem__(self, key: str) -> Array:
        array = self.as_stored(key)
        return array.astype(np.float32) if array.dtype == ml_dtypes.bfloat16 else array

    def as_stored(self, key: str) -> Array:
        """The tensor in the file's own type, bfloat16 as it is.

        Raises:
            CheckpointError: it cannot be read.
        """
        read = self._readers[key]
        try:
            return read()
        except (SafetensorError, TypeError, AttributeError, RuntimeError, OSError) as error:
            raise CheckpointError(Diagnostic(f"{key!r} cannot be read: {error}", where=self.where)) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def below(self, path: str) -> Checkpoint:
        """The tensors of the module at `path`, by its own names; all, if the file holds that module alone."""
        prefix = f"{path}."
        found = {key.removeprefix(prefix): read for key, read in self._readers.items() if key.startswith(prefix)}
        return Checkpoint(self.where, found, (*self.notes, f"only what lies below {path!r}")) if found else self

    def __len__(self) -> int:
        return len(self._readers)


def open_checkpoint(path: Path, wanted: Collection[str] = ()) -> Checkpoint:
    """The checkpoint at `path`: `.safetensors`, or whatever `torch.save` wrote of a state dict.

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
    readers, notes = _open_safetensors(path) if path.suffix == ".safetensors" else _open_pickle(path)
    while (prefix := _common_prefix(readers)) and not any(key in readers for key in wanted):
        readers = {key.removeprefix(prefix): read for key, read in readers.items()}
        notes = (*notes, f"the prefix {prefix!r} is left out of every key")
    return Checkpoint(path.name, readers, notes)


def _common_prefix(keys: Collection[str]) -> str:
    return next((prefix for prefix in _PREFIXES if keys and all(key.startswith(prefix) for key in keys)), "")


def _open_safetensors(path: Path) -> _Opened:
    try:
        file = safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(Diagnostic(f"not a readable safetensors file: {error}", where=path.name)) from error

    def reader(key: str) -> Callable[[], Array]:
        return lambda: file.get_tensor(key)

    return {key: reader(key) for key in file.keys()}, ()  # noqa: SIM118  (not iterable itself)


def _open_pickle(path: Path) -> _Opened:
    import torch  # noqa: PLC0415  (slow, and not needed for safetensors)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch muses about pickle protocols before it refuses
            # Only the zip format, torch's own since 1.6, can be mapped into memory.
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a damaged or hostile pickle fails in any way it likes
        raise CheckpointError(Diagnostic(_refusal(error), where=path.name, hint=_STATE_DICT_HINT)) from error
    state_dict, notes = _find_state_dict(content, path.name)

    def reader(tensor: torch.Tensor) -> Callable[[], Array]:
        return lambda: _to_numpy(tensor)

    return {key: reader(tensor) for key, tensor in state_dict.items()}, notes


def _refusal(error: Exception) -> str:
    named = re.search(r"(?:GLOBAL|class) (\S+) was not an allowed global", str(error))
    if named is None:
        return "not a plain state dict: torch cannot read it without running what it contains, or it is damaged"
    return f"not a plain state dict: to load it, {named.group(1)} would have to be run"


def _find_state_dict(content: object, where: str) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    import torch  # noqa: PLC0415  (see _open_pickle)

    notes: list[str] = []
    for _ in range(_DEPTH):
        if not isinstance(content, dict):
            break
        inner = [name for name in _NESTED if isinstance(content.get(name), dict)]
        if not inner:
            break
        also = f"; its {', '.join(map(repr, inner[1:]))} is not read" if inner[1:] else ""
        notes.append(f"read from its {inner[0]!r}{also}")
        content = content[inner[0]]
    if not isinstance(content, dict) or not content:
        kind = "empty" if content == {} else f"a {type(content).__name__}"
        raise CheckpointError(Diagnostic(f"not a plain state dict: it is {kind}", where=where, hint=_STATE_DICT_HINT))
    odd = [key for key, value in content.items() if not (isinstance(key, str) and isinstance(value, torch.Tensor))]
    if odd:
        message = f"not a plain state dict: {', '.join(map(repr, odd[:5]))} is no tensor with a name"
        raise CheckpointError(Diagnostic(message, where=where, hint=_STATE_DICT_HINT))
    return content, tuple(notes)


def _to_numpy(tensor: torch.Tensor) -> Array:
    from transpiler.weights.torch_tensors import as_numpy  # noqa: PLC0415  (imports torch)

    return as_numpy(tensor)
