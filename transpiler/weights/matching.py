"""Compares a checkpoint with a weight plan and says everything that does not fit, at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

import numpy as np

from transpiler.errors import CheckpointError, Diagnostic
from transpiler.weights.arrange import Array
from transpiler.weights.plan import PlanEntry, WeightPlan
from transpiler.weights.plan_file import constant_value


def match_checkpoint(plan: WeightPlan, tensors: Mapping[str, Array], where: str = "") -> Mapping[str, Array]:
    """The tensor of every entry of the plan, by the entry's source; constants are taken from the plan.

    >>> match_checkpoint(plan, {"fc.weight": weight, "fc.bias": bias})["fc.bias"].shape  # doctest: +SKIP
    (10,)

    Args:
        plan: the weight plan.
        tensors: the checkpoint; values are read once each.
        where: the checkpoint's name, for messages.

    Raises:
        CheckpointError: tensors are missing, left over, of another shape or kind, not finite, or tied but different.
    """
    aliases = {tied.key: tied.source for tied in plan.tied}
    wanted = {entry.source: entry for entry in plan.entries if entry.constant is None}
    known = wanted.keys() | aliases.keys() | {dropped.source for dropped in plan.dropped}
    extra = [key for key in tensors if key not in known]

    found: dict[str, Array] = {}
    problems: list[Diagnostic] = []
    for source, entry in wanted.items():
        key = _key_of(source, aliases, tensors)
        if key is None:
            near = difflib.get_close_matches(source, extra, n=3)
            hint = f"the checkpoint has {', '.join(map(repr, near))} instead" if near else ""
            problems.append(Diagnostic(f"missing: {source!r} {_show(entry.source_shape)}", where=where, hint=hint))
            continue
        try:
            found[source] = tensors[key]
        except CheckpointError as error:
            problems.extend(error.diagnostics)
            continue
        problems.extend(
            Diagnostic(f"{key!r} {reason}", where=where)
            for reason in _faults(found[source], _stored_shape(entry), entry.dtype)
        )
    for key in extra:
        near = difflib.get_close_matches(key, wanted, n=1)
        hint = f"the model has {near[0]!r}" if near else ""
        problems.append(Diagnostic(f"left over: {key!r}", where=where, hint=hint))
    problems.extend(Diagnostic(message, where=where) for message in _untied(aliases, tensors, found))
    if problems:
        raise CheckpointError(problems)
    return found | {entry.source: constant_value(entry) for entry in plan.entries if entry.constant is not None}


def _key_of(source: str, aliases: Mapping[str, str], tensors: Mapping[str, Array]) -> str | None:
    # Of tied tensors, safetensors keeps one, and not always the one that the model names first.
    names = [source, *(key for key, target in aliases.items() if target == source)]
    return next((name for name in names if name in tensors), None)


def _stored_shape(entry: PlanEntry) -> tuple[int, ...]:
    """The checkpoint's: a complex tensor is poured as a real one with an axis of two more."""
    return entry.source_shape[:-1] if entry.dtype.startswith("complex") else entry.source_shape


def _faults(array: Array, shape: tuple[int, ...], dtype: str) -> Iterator[str]:
    if array.shape != shape:
        yield f"has shape {_show(array.shape)}, the model needs {_show(shape)}"
    if _kind(array.dtype) != _kind(np.dtype(dtype)):
        yield f"is {array.dtype}, the model needs {dtype}"
    if not _is_sound(array):
        count = int(array.size - np.isfinite(array).sum())
        yield f"holds {count} value(s) that are infinite or not a number"


def _kind(dtype: np.dtype[np.generic]) -> str:
    # bfloat16 is of kind "V" to numpy; a checkpoint of another precision is fine, integers for floats are not.
    return {"V": "f", "u": "i"}.get(dtype.kind, dtype.kind)


def _is_sound(array: Array) -> bool:
    if array.dtype.kind not in "fc" or np.isfinite(array).all():
        return True
    # An additive attention mask is made of 0 and -inf, and of nothing else; a bound is one number, or none at all.
    return bool(array.ndim == 0 and not np.isnan(array)) or bool(np.all((array == 0) | (array == -np.inf)))


def _untied(aliases: Mapping[str, str], tensors: Mapping[str, Array], found: Mapping[str, Array]) -> Iterator[str]:
    for key, source in aliases.items():
        if key in tensors and source in found and not np.array_equal(tensors[key], found[source], equal_nan=True):
            yield f"{key!r} differs from {source!r}, which the model ties to it"


def _show(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"
