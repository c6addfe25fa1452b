"""How a tensor is brought into another physical order: the plan, as data.

At most one reshape, one transpose, one reshape, and a broadcast where atoms are wanted that no axis holds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TypeAlias

from transpiler.layout.axes import Axes, Layout

_REPEATED_RUNS = 2
"""TensorFlow broadcasts five runs of axes that are repeated, or not, alike."""


@dataclass(frozen=True, slots=True)
class Reshape:
    """To these axes, the atoms staying in their order."""

    axes: Axes


@dataclass(frozen=True, slots=True)
class Squeeze:
    """Remove unit axes at these places."""

    places: tuple[int, ...]
    axes: Axes


@dataclass(frozen=True, slots=True)
class ExpandDims:
    """Insert unit axes, at these places of the result."""

    places: tuple[int, ...]
    axes: Axes


@dataclass(frozen=True, slots=True)
class Transpose:
    """Reorder the axes: data moves."""

    permutation: tuple[int, ...]
    axes: Axes


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Repeat along unit axes until these axes hold their atoms."""

    axes: Axes


Move: TypeAlias = Reshape | Squeeze | ExpandDims | Transpose | Broadcast


def moves(layout: Layout, target: Axes) -> tuple[Move, ...]:
    """The moves that bring a tensor of this layout into the order `target`.

    >>> nhwc = Layout(((2,), (3,), (4,), (5,)), ((0,), (2,), (3,), (1,)))
    >>> moves(nhwc, ((0,), (1,), (2,), (3,)))
    (Transpose(permutation=(0, 3, 1, 2), axes=((0,), (1,), (2,), (3,))),)
    """
    held = set(layout.order)
    if held.issuperset(atom for axis in target for atom in axis):
        return tuple(_reorder(layout.axes, target))
    # Repeating needs an axis that is 1 so far, so atoms that lie nowhere yet get axes of their own first.
    apart = tuple(part for axis in target for part in _held_apart(axis, held))
    wanted = tuple(tuple(atom for atom in axis if atom in held) for axis in apart)
    return (*_reorder(layout.axes, wanted), *_repeated(wanted, apart), *_regroup(apart, target))


def _repeated(current: Axes, wanted: Axes) -> list[Move]:
    """Broadcasts, each along so few runs of neighbouring axes that TensorFlow does them."""
    steps: list[Move] = []
    while current != wanted:
        new = [place for place, axis in enumerate(wanted) if axis != current[place]]
        starts = [place for place in new if place - 1 not in new]
        last = starts[_REPEATED_RUNS] if len(starts) > _REPEATED_RUNS else len(wanted)
        current = (*wanted[:last], *current[last:])
        steps.append(Broadcast(current))
    return steps


def _held_apart(axis: tuple[int, ...], held: Collection[int]) -> list[tuple[int, ...]]:
    """The axis cut between atoms that are held and atoms that are broadcast."""
    return [tuple(run) for _, run in groupby(axis, key=lambda atom: atom in held)] or [axis]


def transposes(plan: Sequence[Move]) -> int:
    """How many of the moves move data."""
    return sum(isinstance(move, Transpose) for move in plan)


def _reorder(current: Axes, wanted: Axes) -> list[Move]:
    if _flat(current) == _flat(wanted):
        return _regroup(current, wanted)
    place = {atom: index for index, atom in enumerate(_flat(wanted))}
    if sorted(current) == sorted(wanted):
        return [_transpose(current, wanted)]
    if all(_stays_together(axis, place) for axis in current):
        middle = tuple(sorted(current, key=lambda axis: place[axis[0]] if axis else len(place)))
        return [_transpose(current, middle), *_regroup(middle, wanted)]
    runs = _split(current, place)
    middle = tuple(sorted(runs, key=lambda run: place[run[0]]))
    return [*_regroup(current, runs), _transpose(runs, middle), *_regroup(middle, wanted)]


def _regroup(current: Axes, wanted: Axes) -> list[Move]:
    if current == wanted:
        return []
    if tuple(filter(None, current)) == tuple(filter(None, wanted)):
        fewer = _subsequence(wanted, current)
        if fewer is not None:
            return [Squeeze(tuple(index for index in range(len(current)) if index not in fewer), wanted)]
        more = _subsequence(current, wanted)
        if more is not None:
            return [ExpandDims(tuple(index for index in range(len(wanted)) if index not in more), wanted)]
    return [Reshape(wanted)]


def _subsequence(short: Axes, long: Axes) -> list[int] | None:
    """Places in `long` of the axes of `short`, or None."""
    places, start = [], 0
    for axis in short:
        found = next((index for index in range(start, len(long)) if long[index] == axis), None)
        if found is None:
            return None
        places.append(found)
        start = found + 1
    return places


def _transpose(current: Axes, wanted: Axes) -> Transpose:
    left = list(range(len(current)))
    permutation = []
    for axis in wanted:
        index = next(index for index in left if current[index] == axis)
        left.remove(index)
        permutation.append(index)
    return Transpose(tuple(permutation), wanted)


def _stays_together(axis: tuple[int, ...], place: dict[int, int]) -> bool:
    return all(place[right] == place[left] + 1 for left, right in pairwise(axis))


def _split(current: Axes, place: dict[int, int]) -> Axes:
    """Cut axes where neighbours do not stay neighbours; whole axes stay, so that no size need be spelled out."""
    runs: list[list[int]] = []
    for axis in current:
        for index, atom in enumerate(axis):
            if index and place[atom] == place[runs[-1][-1]] + 1:
                runs[-1].append(atom)
            else:
                runs.append([atom])
    return tuple(tuple(run) for run in runs)


def _flat(axes: Axes) -> tuple[int, ...]:
    return tuple(atom for axis in axes for atom in axis)
