"""`reads` and `writes` patterns on layouts.

>>> # reads x "n c ... -> n ... c" on a torch-ordered image asks for the axes (n) (h) (w) (c)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from transpiler.errors import InternalError
from transpiler.language.syntax import Pattern
from transpiler.layout.axes import Axes, Layout, fuse, relabelled, standard
from transpiler.layout.sizes import divide, product, same
from transpiler.lift.program import Size

ELLIPSIS, STAR = "...", "*"
_LEAST_AXES = 2
"""Keras's layers take no tensor with fewer: a batch, and features."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What a letter of a pattern stands for in one operand: its atoms' sizes, and the order in which they lie."""

    sizes: tuple[Size, ...]
    order: tuple[int, ...]
    """Places in `sizes`, as they lie; (0, 1, …) unless the letter was read permuted."""
    alike: bool = False
    """Whether the operand is the same all along it and stays so: a batch of one stands for all."""

    @property
    def permuted(self) -> bool:
        """Whether the weights must be reordered to fit."""
        return self.order != tuple(range(len(self.order)))


@dataclass(frozen=True, slots=True)
class Reading:
    """An operand as a rule wants it."""

    layout: Layout
    axes: Axes
    letters: Mapping[str, Letter]
    ellipsis: tuple[tuple[Size, ...], ...] = ()
    """Factors of the dimensions that `...` stands for."""
    star: tuple[tuple[tuple[str, int], ...], ...] = ()
    """Axes that `*` stands for, as (letter or `...0`, `...1`, place of the atom in it)."""
    behind: tuple[tuple[tuple[str, int], ...], ...] = ()
    """Axes that a second `*` stands for."""
    atoms: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The atoms of each letter in `layout`."""

    @property
    def sizes_behind(self) -> tuple[Size, ...]:
        """Sizes of the axes that the second `*` stands for: the last ones."""
        atoms = self.layout.atoms
        axes = self.axes[len(self.axes) - len(self.behind) :]
        return tuple(product(atoms[atom] for atom in axis) for axis in axes)


def read(layout: Layout, pattern: Pattern, permutable: Collection[str] = (), written: Collection[str] = ()) -> Reading:
    """The axes that `pattern` asks of an operand.

    Args:
        layout: of the operand, as it lies.
        pattern: torch's dimensions on the left, the wanted axes on the right.
        permutable: letters whose atoms may lie in any order, because weights can be poured to fit.
        written: letters of the results; the first axis, the batch, need not be repeated if it is one of them.
    """
    layout = fuse(layout)
    dims = _dims_of(pattern.left, len(layout.dims), pattern.text)
    atoms = {letter: tuple(a for dim in places for a in layout.atoms_of(dim)) for letter, places in dims.items()}
    letters = {}
    for letter, numbers in atoms.items():
        if letter == ELLIPSIS:
            continue
        lying = _as_it_lies(layout, numbers) if letter in permutable else numbers
        batch = pattern.right[0] == (letter,) and letter in written
        letters[letter] = Letter(
            tuple(layout.atoms[atom] for atom in numbers),
            tuple(numbers.index(atom) for atom in lying),
            alike=batch and bool(numbers) and set(numbers) <= set(layout.broadcast),
        )
    named = {
        letter: () if bound.alike else tuple(atoms[letter][place] for place in bound.order)
        for letter, bound in letters.items()
    }
    ellipsis = dims.get(ELLIPSIS, ())
    axes, stars = _wanted_axes(layout, pattern, named, ellipsis)
    star, behind = (_star_keys(layout, dims, others) for others in stars)
    return Reading(layout, axes, letters, tuple(tuple(layout.dims[dim]) for dim in ellipsis), star, behind, atoms)


def write(pattern: Pattern, shape: Sequence[Size], readings: Sequence[Reading]) -> Layout:
    """The layout of a result: letters that were read stand for the same atoms, others are atoms of their own."""
    dims = _dims_of(pattern.left, len(shape), pattern.text)
    known = {letter: bound for reading in reversed(readings) for letter, bound in reading.letters.items()}
    starred = next((reading for reading in readings if reading.star or reading.behind or reading.ellipsis), None)
    has_star = any(axis == (STAR,) for axis in pattern.right)
    sizes: list[Size] = []
    atoms: list[list[int]] = [[] for _ in shape]
    lying: dict[str, tuple[int, ...]] = {}

    def fresh(dim: int, factors: Sequence[Size]) -> tuple[int, ...]:
        numbers = tuple(range(len(sizes), len(sizes) + len(factors)))
        sizes.extend(factors)
        atoms[dim] += numbers
        return numbers

    grouped = _grouped(pattern, dims, shape, known)
    ellipsis: list[str] = []
    for letter, places in dims.items():
        if letter == ELLIPSIS:
            for index, dim in enumerate(places):
                factors = starred.ellipsis[index] if has_star and starred else _whole(shape[dim])
                ellipsis.append(f"{ELLIPSIS}{index}")
                lying[ellipsis[-1]] = fresh(dim, factors)
            continue
        (dim,) = places
        bound = known.get(letter)
        if dim in grouped:
            factors = grouped[dim][letter]
            order = bound.order if bound is not None else range(len(factors))
            numbers = fresh(dim, factors)
            lying[letter] = tuple(numbers[place] for place in order)
        elif bound is not None and same(product(bound.sizes), shape[dim]):
            numbers = fresh(dim, bound.sizes)
            lying[letter] = () if bound.alike else tuple(numbers[place] for place in bound.order)
        else:
            lying[letter] = fresh(dim, _whole(shape[dim]))
    axes: list[tuple[int, ...]] = []
    stars = iter((starred.star, starred.behind) if starred else ((), ()))
    for axis in pattern.right:
        if axis == (STAR,):
            axes += [tuple(lying[name][place] for name, place in group) for group in next(stars)]
        elif axis == (ELLIPSIS,):
            axes += [lying[name] for name in ellipsis]
        else:
            axes.append(tuple(atom for letter in axis for atom in lying[letter]))
    return relabelled(atoms, sizes, axes)


def _grouped(
    pattern: Pattern, dims: Mapping[str, tuple[int, ...]], shape: Sequence[Size], known: Mapping[str, Letter]
) -> dict[int, dict[str, tuple[Size, ...]]]:
    """Sizes of the letters that share a dimension of a result, "(c k)": all but one were read."""
    found: dict[int, dict[str, tuple[Size, ...]]] = {}
    for axis in pattern.left:
        if len(axis) < 2:
            continue
        (dim,) = dims[axis[0]]
        rest = divide(shape[dim], product(product(known[letter].sizes) for letter in axis if letter in known))
        if rest is None or sum(letter not in known for letter in axis) > 1:
            raise InternalError(f"the sizes in {pattern.text!r} do not follow from what was read")
        found[dim] = {letter: known[letter].sizes if letter in known else _whole(rest) for letter in axis}
    return found


def as_torch(layout: Layout) -> Axes:
    """Torch's own order in this layout's atoms, one axis a dimension."""
    return tuple(layout.atoms_of(dim) for dim in range(len(layout.dims)))


def result_as_torch(shape: Sequence[Size]) -> Layout:
    """The layout of a result that lies as torch has it."""
    return standard(shape)


def _dims_of(left: Sequence[tuple[str, ...]], rank: int, text: str) -> dict[str, tuple[int, ...]]:
    """The dimensions of each letter and of `...`; units have none."""
    has_ellipsis = any(axis == (ELLIPSIS,) for axis in left)
    extra = rank - (len(left) - has_ellipsis)
    if extra < 0 or (extra and not has_ellipsis):
        raise InternalError(f"pattern {text!r} does not fit a tensor of rank {rank}")
    dims: dict[str, tuple[int, ...]] = {}
    place = 0
    for axis in left:
        if axis == (ELLIPSIS,):
            dims[ELLIPSIS] = tuple(range(place, place + extra))
            place += extra
            continue
        for letter in axis:
            dims[letter] = (place,)
        place += 1
    return dims


def _as_it_lies(layout: Layout, atoms: tuple[int, ...]) -> tuple[int, ...]:
    """The atoms in their physical order if they lie side by side, else in torch's."""
    order = layout.order
    places = [order.index(atom) for atom in atoms if atom in order]
    if len(places) != len(atoms) or not atoms or max(places) - min(places) != len(atoms) - 1:
        return atoms
    return tuple(order[min(places) : max(places) + 1])


def _wanted_axes(
    layout: Layout, pattern: Pattern, named: Mapping[str, tuple[int, ...]], ellipsis: Sequence[int]
) -> tuple[Axes, tuple[Axes, Axes]]:
    """The axes, and those that the first and the second `*` stand for."""
    axes: list[tuple[int, ...]] = []
    stars: list[Axes] = []
    taken = {atom for axis in pattern.right for atom in _named(axis, named)}
    front, back = _around(layout, taken) if pattern.right.count((STAR,)) > 1 else (layout.axes, ())
    for index, axis in enumerate(pattern.right):
        if axis == (STAR,) and stars:
            stars.append(tuple(others for others in back if others))
            axes += stars[-1]
        elif axis == (STAR,):
            units = sum(1 for later in pattern.right[index + 1 :] if later != (STAR,) and not _named(later, named))
            rest = _rest(front, taken, units, _unit_dimensions(layout))
            lone = not rest and len(pattern.right) == _LEAST_AXES and bool(layout.broadcast)
            stars.append(((),) if lone else rest)  # what is the same for all of a batch is a batch of one
            axes += stars[-1]
        elif axis == (ELLIPSIS,):
            axes += [layout.atoms_of(dim) for dim in ellipsis]
        else:
            axes.append(_named(axis, named))
    first, second = (*stars, (), ())[:2]
    return tuple(axes), (first, second)


def _around(layout: Layout, taken: Collection[int]) -> tuple[Axes, Axes]:
    """The axes before and behind the named atoms; if these do not lie side by side, all are before."""
    order = layout.order
    places = sorted(place for place, atom in enumerate(order) if atom in taken)
    if not places or places[-1] - places[0] != len(places) - 1:
        return layout.axes, ()
    behind = set(order[places[-1] + 1 :])
    front = tuple(tuple(atom for atom in axis if atom not in behind) for axis in layout.axes)
    front = tuple(axis for axis, whole in zip(front, layout.axes, strict=True) if axis or not whole)
    back = tuple(tuple(atom for atom in axis if atom in behind) for axis in layout.axes)
    return front, tuple(axis for axis in back if axis)


def _named(axis: tuple[str, ...], named: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(atom for letter in axis for atom in named.get(letter, ()))


def _rest(axes: Axes, taken: Collection[int], trailing_units: int, units: int) -> Axes:
    """Everything but the named atoms, as it lies.

    Unit axes stay only where torch has unit dimensions, too, and those that the named side provides are not kept twice.
    """
    rest: list[tuple[int, ...]] = []
    for axis in axes:
        group: list[int] = []
        for atom in axis:
            if atom not in taken:
                group.append(atom)
            elif group:
                rest.append(tuple(group))
                group = []
        if group:
            rest.append(tuple(group))
        elif not axis and units:
            rest.append(())
            units -= 1
    while trailing_units and rest and not rest[-1]:
        rest.pop()
        trailing_units -= 1
    return tuple(rest)


def _unit_dimensions(layout: Layout) -> int:
    return sum(not dim for dim in layout.dims)


def _star_keys(
    layout: Layout, dims: Mapping[str, tuple[int, ...]], star: Axes
) -> tuple[tuple[tuple[str, int], ...], ...]:
    names = {
        dim: f"{ELLIPSIS}{index}" if letter == ELLIPSIS else letter
        for letter, places in dims.items()
        for index, dim in enumerate(places)
    }
    keys = {atom: (names[dim], place) for dim in names for place, atom in enumerate(layout.atoms_of(dim))}
    return tuple(tuple(keys[atom] for atom in axis) for axis in star)


def _whole(size: Size) -> tuple[Size, ...]:
    return () if same(size, 1) else (size,)
