"""A checkpoint in several safetensors files, with an index that says which tensor lies in which.

>>> sorted(read_shards(Path("model.safetensors.index.json")))[:1]  # doctest: +SKIP
['lm_head.weight']

The index may name files beside it and no others: whatever looks like a path is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from transpiler.errors import CheckpointError, Diagnostic
from transpiler.weights.safetensors_file import read_sources
from transpiler.weights.source import Source
from transpiler.weights.strict_json import Json, parse

INDEX_SUFFIX = ".safetensors.index.json"
_LARGEST = 32 << 20
"""Bytes. Of the largest models that are published, the index has a few hundred kilobytes."""


def read_shards(path: Path) -> dict[str, Source]:
    """The tensors of all shards that the index at `path` names.

    Raises:
        CheckpointError: the index or a shard cannot be read, or they do not agree; everything is listed.
    """
    weight_map = _weight_map(path)
    problems: list[Diagnostic] = []
    shards: dict[str, dict[str, Source]] = {}
    for name in dict.fromkeys(weight_map.values()):
        reason = _unfit(path, name)
        if reason:
            problems.append(Diagnostic(f"{name!r} {reason}", where=path.name))
            continue
        try:
            shards[name] = read_sources(path.parent / name)
        except CheckpointError as error:
            problems.extend(error.diagnostics)
    problems = problems or list(_disagreements(weight_map, shards, path.name))
    if problems:
        raise CheckpointError(problems)
    return {key: shards[name][key] for key, name in weight_map.items()}


def _weight_map(path: Path) -> dict[str, str]:
    where = path.name
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST} bytes")  # noqa: TRY301  (one message for all reasons)
        index = parse(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(Diagnostic(f"not an index of safetensors files: {error}", where=where)) from error
    found: Json = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(found, dict) or not found:
        message = "not an index of safetensors files: it has no 'weight_map' from tensors to files"
        raise CheckpointError(Diagnostic(message, where=where))
    odd = [key for key, name in found.items() if not isinstance(name, str)]
    if odd:
        message = f"not an index of safetensors files: {', '.join(map(repr, odd[:5]))} lies in no named file"
        raise CheckpointError(Diagnostic(message, where=where))
    return {key: str(name) for key, name in found.items()}


def _unfit(index: Path, name: str) -> str:
    """Why `name` is no shard beside the index; nothing is looked up that is not a plain file name."""
    if name in {"", ".", ".."} or not name.isprintable() or any(mark in name for mark in "/\\:"):
        return "is a path, not the name of a file beside the index"
    if not name.endswith(".safetensors"):
        return "is no safetensors file"
    try:
        return "" if (index.parent / name).is_file() else "is not beside the index"
    except OSError as error:  # a name longer than the system takes
        return f"cannot be looked for: {error.strerror}"


def _disagreements(
    weight_map: Mapping[str, str], shards: Mapping[str, Mapping[str, Source]], where: str
) -> list[Diagnostic]:
    absent = [
        Diagnostic(f"{key!r} is not in {name}, where the index has it", where=where)
        for key, name in weight_map.items()
        if key not in shards[name]
    ]
    counts = Counter(key for tensors in shards.values() for key in tensors)
    repeated = [
        Diagnostic(f"{key!r} lies in {' and in '.join(name for name in shards if key in shards[name])}", where=where)
        for key, count in counts.items()
        if count > 1
    ]
    unlisted = [
        Diagnostic(f"{key!r} of {name} is not in the index", where=where)
        for name, tensors in shards.items()
        for key in tensors
        if key not in weight_map
    ]
    return [*absent, *repeated, *unlisted]
