"""What `torch.save` wrote of a state dict: a pickle that is read with `weights_only=True` and never run.

>>> read_pickle(Path("last.pt")).notes  # doctest: +SKIP
("read from its 'model'",)
"""

from __future__ import annotations

import ctypes
import mmap
import re
import sys
import warnings
import weakref
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np

from transpiler.errors import CheckpointError, Diagnostic
from transpiler.weights.arrange import Array
from transpiler.weights.source import Source

if TYPE_CHECKING:
    import torch

_NESTED = ("state_dict", "model", "model_state_dict", "ema")
"""Where training scripts put the state dict inside what they save, the likeliest first."""
_DEPTH = 4
"""How deep it may lie; a dict that holds itself has no end."""
_STATE_DICT_HINT = "save the weights alone: torch.save(model.state_dict(), …), or a .safetensors file"
_NUMPY_TYPES = frozenset(
    (
        *("float64", "float32", "float16", "bfloat16", "complex64", "complex128"),
        *("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"),
    )
)


@dataclass(frozen=True, slots=True)
class Pickled:
    """The tensors of a state dict."""

    sources: dict[str, Source]
    notes: tuple[str, ...]
    """What had to be done to find them."""
    twins: tuple[tuple[str, str], ...]
    """Pairs of names for the same numbers in memory."""


def read_pickle(path: Path) -> Pickled:
    """The state dict in `path`, wherever a training script has put it.

    Raises:
        CheckpointError: the file is damaged, or not a plain state dict.
    """
    import torch  # noqa: PLC0415  (slow, and not needed for safetensors)

    try:
        mapped = _is_plain_zip(path)  # only the zip format, torch's own since 1.6, can be mapped into memory
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch muses about pickle protocols before it refuses
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a damaged or hostile pickle fails in any way it likes
        raise CheckpointError(Diagnostic(_refusal(error), where=path.name, hint=_STATE_DICT_HINT)) from error
    tensors, notes = _find_state_dict(content, path.name)
    sources = {key: _source(key, each, path.name, mapped) for key, each in tensors.items()}
    return Pickled(sources, notes, _twins(tensors))


def _is_plain_zip(path: Path) -> bool:
    """Whether it is a zip file; one that is compressed is refused.

    torch.save compresses nothing, and a few kilobytes could unpack into all of the memory.
    """
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("compressed")
    return True


def _refusal(error: Exception) -> str:
    named = re.search(r"(?:GLOBAL|class) (\S+) was not an allowed global", str(error))
    if named is None:
        return "not a plain state dict: torch cannot read it without running what it contains, or it is damaged"
    return f"not a plain state dict: to load it, {named.group(1)} would have to be run"


def _find_state_dict(content: object, where: str) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    import torch  # noqa: PLC0415  (see read_pickle)

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
        message = f"not a plain state dict: {', '.join(map(_short, odd[:5]))} is no tensor with a name"
        raise CheckpointError(Diagnostic(message, where=where, hint=_STATE_DICT_HINT))
    return content, tuple(notes)


def _short(key: object) -> str:
    # Not of a container: one that holds itself a few times over takes for ever to spell out.
    return repr(key) if isinstance(key, str | int | float) else f"a {type(key).__name__}"


def _source(key: str, tensor: torch.Tensor, where: str, mapped: bool) -> Source:  # noqa: FBT001  (as torch.load says)
    import torch  # noqa: PLC0415  (see read_pickle)

    name = str(tensor.dtype).removeprefix("torch.")
    plain = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_meta
    dtype = np.dtype(name) if plain and name in _NUMPY_TYPES else None
    type_name = name if plain else f"{name}, and not an ordinary tensor"

    def read() -> Array:
        if dtype is None:
            raise CheckpointError(Diagnostic(f"{key!r} cannot be read: it is of type {type_name}", where=where))
        dense = tensor.detach().resolve_conj().resolve_neg()
        array = _numpy(dense.view(torch.int16)).view(dtype) if dtype == ml_dtypes.bfloat16 else _numpy(dense)
        if mapped:
            weakref.finalize(array, _give_back, tensor).atexit = False
        return array

    return Source(tuple(tensor.shape), type_name, dtype, read)


def _numpy(tensor: torch.Tensor) -> Array:
    array: Array = tensor.numpy()
    return array


def _give_back(tensor: torch.Tensor) -> None:
    """Let the pages of a mapped tensor leave memory; whoever reads it again gets them from the file.

    torch maps the file as a whole and for as long as any tensor lives.
    """
    size = mmap.PAGESIZE
    start = -(-tensor.data_ptr() // size) * size
    stop = (tensor.data_ptr() + tensor.numel() * tensor.element_size()) // size * size
    if sys.platform == "linux" and tensor.is_contiguous() and stop > start:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(stop - start), mmap.MADV_DONTNEED)


def _twins(tensors: dict[str, torch.Tensor]) -> tuple[tuple[str, str], ...]:
    import torch  # noqa: PLC0415  (see read_pickle)

    first: dict[object, str] = {}
    twins: list[tuple[str, str]] = []
    for key, tensor in tensors.items():
        if tensor.layout != torch.strided or not tensor.numel():
            continue
        place = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if place in first:
            twins.append((first[place], key))
        first.setdefault(place, key)
    return tuple(twins)
