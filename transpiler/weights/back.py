"""Makes a torch state dict of Keras weights: the way back, after training.

>>> returned = state_of(plan, variables_by_path(model, plan), {})  # doctest: +SKIP
>>> returned.tensors["fc.weight"].shape, returned.notes  # doctest: +SKIP
((10, 512), ())

Every entry of a plan is a bijection, so each tensor has one value, with two exceptions, both told in the notes:

- a tensor that torch uses twice and Keras holds twice (a tied output head): training moves its variables apart, and
  their mean is taken. It is a right inverse: poured again and not trained, it comes back as it was;
- a tensor that Keras does not have: the original checkpoint's, or zeros, on which no output depends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import ml_dtypes  # noqa: F401  (teaches numpy the name bfloat16)
import numpy as np

from transpiler.errors import CheckpointError, Diagnostic
from transpiler.weights.arrange import Array, to_torch
from transpiler.weights.plan import Dropped, PlanEntry, WeightPlan
from transpiler.weights.plan_file import constant_value

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Returned:
    """A whole state dict, for `load_state_dict(strict=True)`."""

    tensors: Mapping[str, Array]
    """In the order of the original checkpoint, else of the plan."""
    notes: tuple[str, ...]
    """What is not simply a Keras variable."""


def state_of(plan: WeightPlan, values: Mapping[str, Array], original: Mapping[str, Array], where: str = "") -> Returned:
    """The torch state dict that Keras's weights make.

    A tensor that training has not touched is the original one, bit for bit and in its own type; one that it has is of
    the type of the torch model.

    Args:
        plan: the weight plan.
        values: of all variables of the plan, by their paths.
        original: the checkpoint that was poured, as its file has it, or nothing; keys that the plan lacks are left out.
        where: the checkpoint's name, for messages.

    Raises:
        CheckpointError: values are missing or of another shape, the original is of another model, or it is needed for
            a tensor of unknown shape; all is listed.
    """
    problems: list[Diagnostic] = []
    notes: list[str] = []
    tensors: dict[str, Array] = {}
    aliases = {tied.key: tied.source for tied in plan.tied}
    for source, entries in _by_source(plan, aliases).items():
        try:
            found = [to_torch(entry, tuple(values[name] for name in entry.variables)) for entry in entries]
        except CheckpointError as error:
            problems.extend(error.diagnostics)
            continue
        old = _original(source, aliases, original)
        if old is not None and old.shape != entries[0].stored_shape:
            message = f"{source!r} has shape {list(old.shape)}, the model needs {list(entries[0].stored_shape)}"
            problems.append(Diagnostic(message, where=where))
            continue
        if old is not None and all(_same(old.astype(each.dtype), each) for each in found):
            tensors[source] = old
            continue
        tensors[source] = _mean(found).astype(entries[0].dtype)
        notes.extend(_apart(source, entries, found))
    tensors |= {key: tensors[source] for key, source in aliases.items() if source in tensors}
    tensors |= {each.source: original[each.source] for each in plan.dropped if each.source in original}
    absent = [each for each in plan.dropped if each.source not in original]
    problems.extend(_unknown(absent))
    if problems:
        raise CheckpointError(problems)
    tensors |= {each.source: np.zeros(each.shape or (), each.dtype) for each in absent}
    notes.extend(_zeroed(absent))
    notes.extend(_moved_constants(plan, values))
    ordered = [key for key in original if key in tensors]
    return Returned({key: tensors[key] for key in dict.fromkeys([*ordered, *tensors])}, tuple(notes))


def _by_source(plan: WeightPlan, aliases: Mapping[str, str]) -> dict[str, list[PlanEntry]]:
    """The entries of each tensor of the model, whichever of its names they read it by."""
    groups: dict[str, list[PlanEntry]] = {}
    for entry in plan.entries:
        if entry.constant is None:
            groups.setdefault(aliases.get(entry.source, entry.source), []).append(entry)
    return groups


def _original(source: str, aliases: Mapping[str, str], original: Mapping[str, Array]) -> Array | None:
    names = [source, *(key for key, owner in aliases.items() if owner == source)]
    return next((original[name] for name in names if name in original), None)


def _same(left: Array, right: Array) -> bool:
    """Bit for bit: -0 is not 0, and a NaN is itself."""
    return left.shape == right.shape and left.tobytes() == right.tobytes()


def _mean(arrays: Sequence[Array]) -> Array:
    if all(_same(arrays[0], each) for each in arrays):
        return arrays[0]
    mean: Array = np.mean([each.astype(np.float64) for each in arrays], axis=0)
    return mean


def _apart(source: str, entries: Sequence[PlanEntry], arrays: Sequence[Array]) -> Iterator[str]:
    if all(_same(arrays[0], each) for each in arrays):
        return
    names = ", ".join(name for entry in entries for name in entry.variables)
    furthest = max(float(np.abs(arrays[0].astype(np.float64) - each).max()) for each in arrays)
    yield f"{source} is the mean of {names}: torch has one tensor for them; they lie up to {furthest:.1e} apart"


def _unknown(absent: Sequence[Dropped]) -> Iterator[Diagnostic]:
    for each in absent:
        if each.shape is None:
            hint = "give the checkpoint that was poured, or write the plan anew with `kerascribe generate`"
            yield Diagnostic(f"Keras does not have {each.source!r}, and the plan not its shape", hint=hint)


def _zeroed(absent: Sequence[Dropped]) -> Iterator[str]:
    if absent:
        names = [each.source for each in absent]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        yield f"zeros, without the original checkpoint: {', '.join(names[:_SHOWN])}{more}"


def _moved_constants(plan: WeightPlan, values: Mapping[str, Array]) -> Iterator[str]:
    for entry in plan.entries:
        if entry.constant is None:
            continue
        value = to_torch(entry, tuple(values[name] for name in entry.variables))
        if not _same(constant_value(entry).astype(value.dtype), value):
            yield f"{entry.source} has changed, but no state dict holds it: the change is lost"
