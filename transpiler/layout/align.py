"""One order for several operands: pointwise operators and operators along an axis.

Atoms of different operands are matched by their torch dimension (right-aligned, as torch broadcasts) and their place in
it, after splitting to common factors. The operand whose order costs least to impose on the others leads; parameters and
constants cost nothing, because they are reordered when they are poured.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

from transpiler.layout.axes import Axes, Layout, fuse, refine, relabelled, volume
from transpiler.layout.moves import moves, transposes
from transpiler.layout.sizes import divide, product, same
from transpiler.lift.program import Size

Key: TypeAlias = tuple[int, int]
"""(torch dimension of the result, place of the atom in it)."""
KeyAxes: TypeAlias = tuple[tuple[Key, ...], ...]
BROADCAST_RUNS = 5
"""TensorFlow broadcasts (elements, and `broadcast_to`) where neighbours that are repeated alike make no more runs."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """For every operand its refined layout and the axes to bring it to; `axes` is the order of the result."""

    layouts: tuple[Layout, ...]
    targets: tuple[Axes, ...]
    axes: KeyAxes
    factors: tuple[tuple[Size, ...], ...]
    """Sizes of the keys of each dimension of the result; a whole dimension's key has the operand's own size."""

    def result(self, shape: Sequence[Size]) -> Layout:
        """The layout of a result of torch shape `shape` (the rank of the operands) in this order."""
        keys = [
            [(dim, place) for place in range(len(factors))] if not same(size, 1) else []
            for dim, (size, factors) in enumerate(zip(shape, self.factors, strict=True))
        ]
        sizes: dict[Key, Size] = {}
        for dim, factors in enumerate(self.factors):
            whole = len(factors) == 1
            for place, factor in enumerate(factors):
                sizes[dim, place] = shape[dim] if whole else factor
        numbers = {key: number for number, key in enumerate(sizes)}
        flat = list(sizes.values())
        dims = [[numbers[key] for key in dim] for dim in keys]
        axes = [[numbers[key] for key in axis] for axis in self.axes]
        return relabelled(dims, flat, axes)


def align(
    layouts: Sequence[Layout], rank: int, whole: Collection[int] = (), free: Collection[int] = (), *, full: bool = False
) -> Aligned:
    """Bring operands into one order.

    Args:
        layouts: of the operands; fewer dimensions than `rank` are right-aligned.
        rank: of the result.
        whole: dimensions that must be one axis of their own (the operator works along them); sizes may differ there.
        free: operands that can be reordered at no cost.
        full: every operand must hold every atom (concatenation), no broadcasting.
    """
    padded = [_padded(fuse(layout), rank) for layout in layouts]
    one_axis = set(whole)
    for dim in range(rank):
        if dim in one_axis:
            continue
        factors = common_factors([layout.dims[dim] for layout in padded if layout.dims[dim]])
        if factors is None:
            one_axis.add(dim)
            continue
        padded = [_refined(layout, dim, factors) for layout in padded]
    operands = [
        _Operand(layout, one_axis, whole, free=index in set(free), full=full) for index, layout in enumerate(padded)
    ]
    axes = _best_axes(operands)
    axes = _fewer_runs(_split_partial(axes, operands), operands)
    targets = tuple(_strip(operand, operand.target(axes), whole) for operand in operands)
    factors_of = tuple(_factors(padded, dim, one_axis) for dim in range(rank))
    return Aligned(
        tuple(_unpadded(layout, len(original.dims)) for layout, original in zip(padded, layouts, strict=True)),
        targets,
        axes,
        factors_of,
    )


class _Operand:
    """One operand's atoms under their keys."""

    def __init__(
        self, layout: Layout, one_axis: Collection[int], asked: Collection[int], *, free: bool, full: bool
    ) -> None:
        """`asked`: dimensions that must have an axis even where they are units or broadcast."""
        self.layout, self.free, self.whole = layout, free, one_axis
        every: dict[Key, tuple[int, ...]] = {}
        for dim in range(len(layout.dims)):
            numbers = layout.atoms_of(dim)
            if dim in one_axis:
                every[dim, 0] = numbers
            else:
                every |= {(dim, place): (atom,) for place, atom in enumerate(numbers)}
        held = set(layout.order)
        self.atoms = {key: atoms for key, atoms in every.items() if set(atoms) & held or key[0] in asked}
        self._present = every if full else self.atoms
        self.axes = self._key_axes()

    def _key_axes(self) -> KeyAxes:
        """The operand's own axes, with every whole dimension gathered at the place of its first atom."""
        of_atom = {atom: key for key, atoms in self.atoms.items() for atom in atoms}
        axes: list[tuple[Key, ...]] = []
        seen: set[Key] = set()
        for axis in self.layout.axes:
            group: list[Key] = []
            for atom in axis:
                key = of_atom[atom]
                if key[0] not in self.whole:
                    group.append(key)
                elif key not in seen:
                    axes += [tuple(group)] if group else []
                    axes.append((key,))
                    seen.add(key)
                    group = []
            if group or not axis:
                axes.append(tuple(group))
        for key, atoms in self.atoms.items():
            if key not in seen and key[0] in self.whole and not set(atoms) & set(self.layout.order):
                _take_unit_axis(axes, key)
        return tuple(axes)

    def target(self, axes: KeyAxes) -> Axes:
        """These axes in the operand's atoms: a unit axis where it has none."""
        return tuple(tuple(atom for key in axis for atom in self._present.get(key, ())) for axis in axes)

    def cost(self, axes: KeyAxes) -> float:
        """Elements that a transpose into this order would move."""
        if self.free:
            return 0
        target = tuple(axis for axis in self.target(axes) if axis)
        if not transposes(moves(self.layout, target)):
            return 0
        return volume(self.layout)


def _take_unit_axis(axes: list[tuple[Key, ...]], key: Key) -> None:
    """Let a unit axis stand for `key`, or add one at the end."""
    if () in axes:
        axes[axes.index(())] = (key,)
    else:
        axes.append((key,))


def _best_axes(operands: Sequence[_Operand]) -> KeyAxes:
    """The cheapest of the operands' own orders, completed by the keys that only others have."""
    candidates = [operand for operand in operands if not operand.free] or list(operands)
    candidates = sorted(candidates, key=lambda operand: -len(operand.atoms))
    orders = [_completed(operand, operands) for operand in candidates]
    return min(orders, key=lambda axes: sum(operand.cost(axes) for operand in operands))


def _completed(leader: _Operand, operands: Sequence[_Operand]) -> KeyAxes:
    missing = sorted({key for operand in operands for key in operand.atoms} - set(leader.atoms))
    if not missing:
        return leader.axes
    axes = [axis for axis in leader.axes if axis]
    for key in missing:
        axes.insert(_place_for(key, axes, operands), (key,))
    return tuple(axes)


def _place_for(key: Key, axes: Sequence[tuple[Key, ...]], operands: Sequence[_Operand]) -> int:
    """Where another operand has it: behind the axis that holds its nearest predecessor there."""
    for operand in operands:
        if key not in operand.atoms:
            continue
        order = [other for axis in operand.axes for other in axis]
        before = order[: order.index(key)]
        for previous in reversed(before):
            for index, axis in enumerate(axes):
                if previous in axis:
                    return index + 1
        return 0
    return len(axes)


def _split_partial(axes: KeyAxes, operands: Sequence[_Operand]) -> KeyAxes:
    """Cut an axis wherever some operand holds the one side and not the other."""
    cut: list[tuple[Key, ...]] = []
    for axis in axes:
        group: list[Key] = []
        for key in axis:
            if group and any((key in op.atoms) != (group[-1] in op.atoms) for op in operands if op.atoms):
                cut.append(tuple(group))
                group = []
            group.append(key)
        cut.append(tuple(group))
    return tuple(cut)


def _fewer_runs(axes: KeyAxes, operands: Sequence[_Operand]) -> KeyAxes:
    """Axes that the same operands hold side by side, if there were too many runs of such axes to broadcast along."""
    holders = [tuple(key in operand.atoms for operand in operands for key in axis[:1]) for axis in axes]
    runs = [held for held, _ in groupby(held for held, axis in zip(holders, axes, strict=True) if axis)]
    if len(runs) <= BROADCAST_RUNS:
        return axes
    return tuple(sorted(axes, key=lambda axis: runs.index(holders[axes.index(axis)]) if axis else -1))


def _strip(operand: _Operand, target: Axes, whole: Collection[int]) -> Axes:
    """Leading unit axes need not be there: broadcasting is right-aligned. Those that are there may stay."""
    if whole:
        return target
    first = next((index for index, axis in enumerate(target) if axis), len(target))
    if operand.free:
        return target[first:]
    own = operand.layout.axes
    leading = next((index for index, axis in enumerate(own) if axis), len(own))
    return target[max(0, first - leading) :]


def _padded(layout: Layout, rank: int) -> Layout:
    return Layout(((),) * (rank - len(layout.dims)) + layout.dims, layout.axes)


def _unpadded(layout: Layout, rank: int) -> Layout:
    return Layout(layout.dims[len(layout.dims) - rank :], layout.axes)


def common_factors(factorings: Sequence[tuple[Size, ...]]) -> tuple[Size, ...] | None:
    """The common refinement of several factorings of one size, units left out; None where they cross."""
    common: tuple[Size, ...] = ()
    for factors in factorings:
        if not common or not factors:
            common = common or factors
            continue
        left, right, merged = list(common), list(factors), []
        while left and right:
            first, second = left.pop(0), right.pop(0)
            if same(first, second):
                merged.append(first)
            elif (rest := divide(first, second)) is not None:
                merged.append(second)
                left.insert(0, rest)
            elif (rest := divide(second, first)) is not None:
                merged.append(first)
                right.insert(0, rest)
            else:
                return None
        if left or right:
            return None
        common = tuple(merged)
    return common


def _refined(layout: Layout, dim: int, factors: tuple[Size, ...]) -> Layout:
    if not layout.dims[dim]:
        return layout
    refined = refine(layout, dim, factors)
    assert refined is not None, "a common refinement refines each of its factorings"
    return refined


def _factors(layouts: Sequence[Layout], dim: int, whole: Collection[int]) -> tuple[Size, ...]:
    if dim in whole:
        return (next((product(layout.dims[dim]) for layout in layouts if layout.dims[dim]), 1),)
    return next((layout.dims[dim] for layout in layouts if layout.dims[dim]), ())
