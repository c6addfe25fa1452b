"""The weight entries of a rule become entries of the plan: letters spelled out, permuted letters undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from transpiler.errors import InternalError
from transpiler.language.syntax import Pattern, WeightEntry
from transpiler.layout.body import plan_entry
from transpiler.layout.names import spatial_letters
from transpiler.layout.orders import Letter
from transpiler.layout.sizes import product
from transpiler.letters import dimension_letters
from transpiler.lift.program import Stored
from transpiler.weights.plan import PlanEntry

Axes = tuple[tuple[str, ...], ...]


def permutable_letters(entries: Sequence[WeightEntry]) -> frozenset[str]:
    """Letters that stand alone as an axis of a torch tensor: pouring can reorder them freely."""
    patterns = [entry.pattern for entry in entries if entry.pattern is not None]
    alone = {axis[0] for pattern in patterns for axis in pattern.left if len(axis) == 1 and axis[0].isidentifier()}
    grouped = {letter for pattern in patterns for axis in pattern.left if len(axis) > 1 for letter in axis}
    return frozenset(alone - grouped)


def poured(
    entry: WeightEntry,
    stored: Stored,
    variables: tuple[str, ...],
    letters: Mapping[str, Letter],
    size_of: Callable[[WeightEntry, str], int | None],
    behind: int = 0,
) -> PlanEntry:
    """One entry of the plan.

    Args:
        entry: of the rule.
        stored: the torch tensor.
        variables: where it goes, relative to the body.
        letters: what the letters of `reads` stand for; a permuted one is undone here.
        size_of: the value of a name in the entry's `with`, None if it has none.
        behind: how many unit axes `*` stands for, one for each axis behind the one that the layer works along.
    """
    rank = len(stored.shape)
    left, right = _pattern(entry.pattern, rank)
    right = tuple(new for axis in right for new in (((),) * behind if axis == ("*",) else (axis,)))
    sizes = _sizes(left, stored, entry, size_of)
    for letter in sorted({letter for axis in left for letter in axis}):
        bound = letters.get(letter)
        if bound is None or not bound.permuted or product(bound.sizes) != sizes[letter]:
            continue
        names = [f"{letter}{place + 1}" for place in range(len(bound.sizes))]
        sizes |= {name: int(size) for name, size in zip(names, bound.sizes, strict=True)}
        left = _substituted(left, letter, names)
        right = _substituted(right, letter, [names[place] for place in bound.order])
    shapes = _shapes(right, sizes, len(variables))
    given = tuple((letter, sizes[letter]) for axis in left if len(axis) > 1 for letter in axis)
    return plan_entry(variables, stored, f"{_text(left)} -> {_text(right)}", given, shapes)


def _pattern(pattern: Pattern | None, rank: int) -> tuple[Axes, Axes]:
    if pattern is None:
        axes = tuple((letter,) for letter in dimension_letters(rank))
        return axes, axes
    taken = {letter for axis in pattern.left for letter in axis}
    extra = rank - sum(1 for axis in pattern.left if axis != ("...",))
    fill = tuple((letter,) for letter in spatial_letters(extra, taken)) if ("...",) in pattern.left else ()
    return _filled(pattern.left, fill), _filled(pattern.right, fill)


def _filled(axes: Axes, fill: Axes) -> Axes:
    return tuple(new for axis in axes for new in (fill if axis == ("...",) else (axis,)))


def _sizes(
    left: Axes, stored: Stored, entry: WeightEntry, size_of: Callable[[WeightEntry, str], int | None]
) -> dict[str, int]:
    if len(left) != len(stored.shape):
        raise InternalError(f"{entry.position}: the pattern has {len(left)} axes, {stored.key} has {len(stored.shape)}")
    sizes: dict[str, int] = {}
    for axis, total in zip(left, stored.shape, strict=True):
        given = {letter: size_of(entry, letter) for letter in axis}
        open_letters = [letter for letter, size in given.items() if size is None]
        known = product(size for size in given.values() if size is not None)
        if len(open_letters) > 1 or int(total) % int(known):
            raise InternalError(f"{entry.position}: the sizes of {' '.join(axis)} do not follow from {stored.key}")
        sizes |= {letter: int(total) // int(known) if size is None else size for letter, size in given.items()}
    return sizes


def _substituted(axes: Axes, letter: str, names: Sequence[str]) -> Axes:
    return tuple(tuple(new for old in axis for new in (names if old == letter else (old,))) for axis in axes)


def _shapes(right: Axes, sizes: Mapping[str, int], count: int) -> tuple[tuple[int, ...], ...]:
    shape = tuple(int(product(sizes[letter] for letter in axis)) for axis in right)
    if count == 1:
        return (shape,)
    if shape[0] != count:
        raise InternalError(f"a pattern whose first axis has {shape[0]} slices cannot serve {count} variables")
    return (shape[1:],) * count


def _text(axes: Axes) -> str:
    return " ".join("1" if not axis else axis[0] if len(axis) == 1 else f"({' '.join(axis)})" for axis in axes)
