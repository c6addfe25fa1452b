"""Where each tensor of a safetensors file lies, so that it can be mapped into memory instead of being read.

>>> read_sources(Path("slimneck.safetensors"))["stem.conv.weight"].shape  # doctest: +SKIP
(32, 3, 6, 6)

The format: eight bytes with the header's length, the header (JSON), the tensors. The safetensors library checks all of
it (lengths, offsets without holes or overlaps, sizes that fit the shapes); it hands out no offsets and takes a name
that stands in the header twice, so the header is read once more here.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from transpiler.errors import CheckpointError, Diagnostic
from transpiler.weights.arrange import Array
from transpiler.weights.slot import Slot
from transpiler.weights.source import Source
from transpiler.weights.strict_json import parse

_DTYPES: Mapping[str, np.dtype[np.generic]] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "C64": np.dtype("<c8"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def read_sources(path: Path) -> dict[str, Source]:
    """The tensors of a file by name; none of their values is read yet.

    Raises:
        CheckpointError: the file cannot be read, or is not a sound safetensors file.
    """
    try:
        with safe_open(path, framework="numpy"):
            pass
        fields, start = _header(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(Diagnostic(f"not a readable safetensors file: {error}", where=path.name)) from error
    fields.pop("__metadata__", None)
    return {key: _source(path, key, each, start) for key, each in fields.items()}


def read_metadata(path: Path) -> dict[str, str]:
    """The texts that a file carries beside its tensors.

    Raises:
        CheckpointError: as for `read_sources`.
    """
    read_sources(path)  # for its checks
    metadata: dict[str, str] = _header(path)[0].get("__metadata__", {})
    return metadata


Shape: TypeAlias = tuple[int, ...]
Tensors: TypeAlias = Mapping[str, tuple[Shape, np.dtype[np.generic]]]


def header(tensors: Tensors, metadata: Mapping[str, str], length: int = 0) -> bytes:
    """What a file of these tensors begins with.

    >>> header({"kernel": ((3, 4), np.dtype("float32"))}, {})[8:]
    b'{"kernel":{"dtype":"F32","shape":[3,4],"data_offsets":[0,48]}}  '

    Args:
        tensors: in the order in which they follow.
        metadata: texts to keep beside them.
        length: bytes that it shall have at least.

    Raises:
        CheckpointError: the format has no such type of numbers.
    """
    problems = [
        Diagnostic(f"{name!r} is {dtype}, which safetensors cannot hold")
        for name, (_, dtype) in tensors.items()
        if dtype not in _NAMES
    ]
    if problems:
        raise CheckpointError(problems)
    fields: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, (shape, dtype) in tensors.items():
        begin, end = end, end + math.prod(shape) * dtype.itemsize
        fields[name] = {"dtype": _NAMES[dtype], "shape": shape, "data_offsets": (begin, end)}
    text = json.dumps(fields, separators=(",", ":")).encode().ljust(length - 8)
    text += b" " * (-len(text) % 8)  # as the library does: tensors begin at a multiple of eight
    return len(text).to_bytes(8, "little") + text


def lay_out(path: Path, tensors: Tensors, start: int) -> dict[str, Slot]:
    """Make a file with room for a header of `start` bytes and for every tensor, in the order given.

    Raises:
        OSError: the file cannot be written.
    """
    slots: dict[str, Slot] = {}
    end = start
    for name, (shape, dtype) in tensors.items():
        slots[name] = Slot(end, dtype)
        end += math.prod(shape) * dtype.itemsize
    with path.open("wb") as file:
        file.truncate(end)
    return slots


def _header(path: Path) -> tuple[dict[str, Any], int]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        fields = parse(file.read(length))
    assert isinstance(fields, dict)  # the library has looked
    return fields, 8 + length


def _source(path: Path, key: str, fields: Mapping[str, Any], start: int) -> Source:
    shape, (begin, end), kind = tuple(fields["shape"]), fields["data_offsets"], fields["dtype"]
    dtype = _DTYPES.get(kind)

    def read() -> Array:
        if dtype is None:
            raise CheckpointError(Diagnostic(f"{key!r} cannot be read: it is of type {kind}", where=path.name))
        return _mapped(path, start + begin, start + end, dtype).reshape(shape)

    return Source(shape, kind if dtype is None else str(dtype), dtype, read)


def _mapped(path: Path, begin: int, end: int, dtype: np.dtype[np.generic]) -> Array:
    """The bytes as a read-only array; they leave memory with the last array that shows them."""
    if begin == end:
        return np.empty(0, dtype)
    first = begin - begin % mmap.ALLOCATIONGRANULARITY
    try:
        with path.open("rb") as file:
            pages = mmap.mmap(file.fileno(), end - first, access=mmap.ACCESS_READ, offset=first)
    except (OSError, ValueError) as error:  # ValueError: the file has become shorter
        raise CheckpointError(Diagnostic(f"cannot be read any more: {error}", where=path.name)) from error
    return np.frombuffer(pages, dtype, (end - begin) // dtype.itemsize, begin - first)
