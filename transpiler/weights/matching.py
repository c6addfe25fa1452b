"""Compares a checkpoint with a weight plan and says everything that does not fit, at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from transpiler.errors import CheckpointError, Diagnostic
from transpiler.weights.allowances import Allowance, Fault, Tally
from transpiler.weights.arrange import Array
from transpiler.weights.checkpoint import Checkpoint
from transpiler.weights.examine import Examined, examine, same_values
from transpiler.weights.plan import PlanEntry, WeightPlan
from transpiler.weights.plan_file import constant_value


class Described(Protocol):
    """What is known of a tensor without its values: an array, or a `Source`."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[np.generic] | None: ...


@dataclass(frozen=True, slots=True)
class Pairing:
    """Which tensor of a checkpoint each entry of a plan takes."""

    keys: Mapping[str, str]
    """By the entry's source; an entry that is missing here, as was allowed, leaves its variables as they are."""
    ties: tuple[tuple[str, str], ...]
    """Pairs of keys that the checkpoint has both of, for one tensor of the model; the first is read."""


def match_checkpoint(
    plan: WeightPlan, tensors: Mapping[str, Array], where: str = "", allowances: Sequence[Allowance] = ()
) -> Mapping[str, Array]:
    """The tensor of every entry of the plan, by the entry's source; constants are taken from the plan.

    >>> match_checkpoint(plan, {"fc.weight": weight, "fc.bias": bias})["fc.bias"].shape  # doctest: +SKIP
    (10,)

    Args:
        plan: the weight plan.
        tensors: the checkpoint; values are read once each.
        where: the checkpoint's name, for messages.
        allowances: faults that may pass; the tensor of an entry that may be missing is left out.

    Raises:
        CheckpointError: tensors are missing, left over, of another shape or kind, not finite, or tied but different.
    """
    tally = Tally(allowances)
    described: Mapping[str, Described] = tensors.sources if isinstance(tensors, Checkpoint) else tensors
    pairing = pair(plan, described, tally, where)
    found: dict[str, Array] = {}
    for entry in plan.entries:
        key = pairing.keys.get(entry.source)
        if entry.constant is not None or key is None:
            continue
        try:
            array = found[entry.source] = tensors[key]
        except CheckpointError as error:
            tally.problems.extend(error.diagnostics)
            continue
        judge(key, array.dtype, examine(array, array.dtype), array.dtype, tally, where)
    for kept, other in pairing.ties:
        judge_tie(kept, other, same_values(tensors[kept], tensors[other]), tally, where)
    if tally.problems:
        raise CheckpointError(tally.problems)
    return found | {entry.source: constant_value(entry) for entry in plan.entries if entry.constant is not None}


def pair(
    plan: WeightPlan,
    tensors: Mapping[str, Described],
    tally: Tally,
    where: str,
    twins: Iterable[tuple[str, str]] = (),
) -> Pairing:
    """Find the tensor of every entry, by names, shapes and types alone; what does not fit goes into `tally`.

    Args:
        plan: the weight plan.
        tensors: what the checkpoint holds.
        tally: takes the faults.
        where: the checkpoint's name, for messages.
        twins: keys under which the checkpoint holds one tensor.
    """
    aliases = {tied.key: tied.source for tied in plan.tied}
    wanted = {entry.source: entry for entry in plan.entries if entry.constant is None}
    known = wanted.keys() | aliases.keys() | {dropped.source for dropped in plan.dropped}
    extra = [key for key in tensors if key not in known]

    keys: dict[str, str] = {}
    for source, entry in wanted.items():
        key = _key_of(source, aliases, tensors)
        if key is None:
            near = difflib.get_close_matches(source, extra, n=3)
            hint = f"the checkpoint has {', '.join(map(repr, near))} instead" if near else ""
            problem = Diagnostic(f"missing: {source!r} {_show(entry.source_shape)}", where=where, hint=hint)
            tally.add(Fault.MISSING, source, problem)
        elif _fits(key, tensors[key], entry, tally, where):
            keys[source] = key
    for key in extra:
        near = difflib.get_close_matches(key, wanted, n=1)
        hint = f"the model has {near[0]!r}" if near else ""
        tally.add(Fault.EXTRA, key, Diagnostic(f"left over: {key!r}", where=where, hint=hint))
    for one, other in twins:
        if {one, other} <= wanted.keys() and aliases.get(one, one) != aliases.get(other, other):
            message = f"{other!r} is the same tensor as {one!r}, the model has two"
            tally.add(Fault.TIED, other, Diagnostic(message, where=where))
    return Pairing(keys, tuple(_ties(aliases, tensors, keys)))


def judge(
    key: str,
    own: np.dtype[np.generic],
    examined: Examined,
    dtype: np.dtype[np.generic],
    tally: Tally,
    where: str,
) -> None:
    """Put what is wrong with a tensor's values into `tally`.

    Args:
        key: of the tensor.
        own: its type.
        examined: its values.
        dtype: the type of the variables that it is poured into.
        tally: takes the faults.
        where: the checkpoint's name, for messages.
    """
    if examined.nonfinite:
        message = f"{key!r} holds {examined.nonfinite} value(s) that are infinite or not a number"
        tally.add(Fault.NONFINITE, key, Diagnostic(message, where=where))
    if examined.rounded:
        message = f"{key!r} holds {examined.rounded} value(s) of {own} that {dtype} cannot hold"
        tally.add(Fault.NARROWING, key, Diagnostic(message, where=where))


def judge_tie(kept: str, other: str, same: bool, tally: Tally, where: str) -> None:  # noqa: FBT001  (what was found)
    """Put it into `tally` if two tensors that are one in the model are not the same."""
    if not same:
        message = f"{other!r} differs from {kept!r}, which the model ties to it"
        tally.add(Fault.TIED, other, Diagnostic(message, where=where))


def _fits(key: str, tensor: Described, entry: PlanEntry, tally: Tally, where: str) -> bool:
    if tensor.shape != entry.stored_shape:
        message = f"{key!r} has shape {_show(tensor.shape)}, the model needs {_show(entry.stored_shape)}"
        tally.add(Fault.SHAPE, key, Diagnostic(message, where=where))
        return False
    if tensor.dtype is None or _kind(tensor.dtype) != _kind(np.dtype(entry.dtype)):
        name = getattr(tensor, "type_name", tensor.dtype)
        tally.problems.append(Diagnostic(f"{key!r} is {name}, the model needs {entry.dtype}", where=where))
        return False
    return True


def _key_of(source: str, aliases: Mapping[str, str], tensors: Mapping[str, Described]) -> str | None:
    # Of tied tensors, safetensors keeps one, and not always the one that the model names first.
    owner = aliases.get(source, source)
    names = [source, owner, *(key for key, target in aliases.items() if target == owner)]
    return next((name for name in names if name in tensors), None)


def _kind(dtype: np.dtype[np.generic]) -> str:
    # bfloat16 is of kind "V" to numpy; a checkpoint of another precision is fine, integers for floats are not.
    return {"V": "f", "u": "i"}.get(dtype.kind, dtype.kind)


def _ties(
    aliases: Mapping[str, str], tensors: Mapping[str, Described], keys: Mapping[str, str]
) -> Sequence[tuple[str, str]]:
    return [
        (keys[source], key)
        for key, source in aliases.items()
        if key in tensors and source in keys and keys[source] != key
    ]


def _show(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"
