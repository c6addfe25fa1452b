"""The algebra of axes: where the atoms of torch's dimensions lie in the Keras tensor.

A `Layout` has a logical side, torch's dimensions, each a list of atoms from major to minor, and a physical side, the
Keras tensor's axes, each a list of atoms, too. Atoms are numbered in the logical order.

>>> image = standard(("n", 64, 8, 8))                        # doctest: +SKIP
>>> channels_last = Layout(image.dims, ((0,), (2,), (3,), (1,)))

Reordering and reshaping the logical side costs nothing: `permute` and `reshape` return another layout of the same
tensor. An atom that no axis holds is broadcast: the tensor does not vary along it. Dimensions of size 1 have no atoms;
the physical side may hold axes without atoms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from transpiler.layout.sizes import One, divide, product, same
from transpiler.lift.program import Size

Axes = tuple[tuple[int, ...], ...]

Origins = tuple[frozenset[int], ...]
"""For each dimension of a view, the dimensions of the viewed tensor out of which it takes atoms."""


_CHANNELS_LAST_RANKS = (4, 5)


@dataclass(frozen=True, slots=True)
class Layout:
    """`dims`: sizes of the atoms of each torch dimension. `axes`: atom numbers of each Keras axis."""

    dims: tuple[tuple[Size, ...], ...]
    axes: Axes

    @property
    def atoms(self) -> tuple[Size, ...]:
        """All sizes, by atom number."""
        return tuple(size for dim in self.dims for size in dim)

    @property
    def shape(self) -> tuple[Size, ...]:
        """torch's shape."""
        return tuple(product(dim) for dim in self.dims)

    @property
    def physical_shape(self) -> tuple[Size, ...]:
        """The Keras tensor's shape."""
        atoms = self.atoms
        return tuple(product(atoms[atom] for atom in axis) for axis in self.axes)

    def atoms_of(self, dim: int) -> tuple[int, ...]:
        """Numbers of the atoms of one torch dimension."""
        start = sum(len(other) for other in self.dims[:dim])
        return tuple(range(start, start + len(self.dims[dim])))

    def dim_of(self, atom: int) -> int:
        """The torch dimension that an atom belongs to."""
        for dim, sizes in enumerate(self.dims):
            if atom < len(sizes):
                return dim
            atom -= len(sizes)
        raise IndexError(atom)

    @property
    def order(self) -> tuple[int, ...]:
        """Atoms in the order in which they lie."""
        return tuple(atom for axis in self.axes for atom in axis)

    @property
    def broadcast(self) -> tuple[int, ...]:
        """Atoms that no axis holds."""
        held = set(self.order)
        return tuple(atom for atom in range(len(self.atoms)) if atom not in held)


def standard(shape: Sequence[Size]) -> Layout:
    """torch's own order: one atom a dimension, one axis an atom; a unit dimension is an axis without atoms."""
    dims = tuple(() if same(size, 1) else (size,) for size in shape)
    numbers = iter(range(len(shape)))
    return Layout(dims, tuple(() if not dim else (next(numbers),) for dim in dims))


def ordered(shape: Sequence[Size], order: Sequence[int]) -> Layout:
    """One atom a dimension, the axes in the order of the dimensions given: (0, 2, 3, 1) is n h w c."""
    layout = standard(shape)
    return Layout(layout.dims, tuple(layout.axes[dim] for dim in order))


def relabelled(dims: Sequence[Sequence[int]], sizes: Sequence[Size], axes: Sequence[Sequence[int]]) -> Layout:
    """A layout from any atom numbers: `dims` and `axes` hold old numbers, which are renumbered in logical order."""
    numbers = {old: new for new, old in enumerate(atom for dim in dims for atom in dim)}
    return Layout(
        tuple(tuple(sizes[atom] for atom in dim) for dim in dims),
        tuple(tuple(numbers[atom] for atom in axis if atom in numbers) for axis in axes),
    )


def permute(layout: Layout, order: Sequence[int]) -> Layout:
    """torch's `permute`: only the logical side changes."""
    rank = len(layout.dims)
    return relabelled([layout.atoms_of(dim % rank) for dim in order], layout.atoms, layout.axes)


def split_atom(layout: Layout, atom: int, major: Size, minor: Size) -> Layout:
    """Atom `atom` becomes two, on both sides."""
    dims: list[tuple[Size, ...]] = []
    number = 0
    for dim in layout.dims:
        sizes: list[Size] = []
        for size in dim:
            sizes += [major, minor] if number == atom else [size]
            number += 1
        dims.append(tuple(sizes))

    def moved(old: int) -> tuple[int, ...]:
        return (old, old + 1) if old == atom else (old + (old > atom),)

    return Layout(tuple(dims), tuple(tuple(new for old in axis for new in moved(old)) for axis in layout.axes))


def reshape(layout: Layout, shape: Sequence[Size]) -> Layout | None:
    """torch's `view`: splits and merges on the logical side; None where an atom does not divide, so data must move.

    >>> reshape(standard((4, 3)), (2, 2, 3))
    Layout(dims=((2,), (2,), (3,)), axes=((0, 1), (2,)))
    """
    factored = _factored(layout, shape)
    if factored is None:
        return None
    return _grouped(*factored)


def origins(layout: Layout, shape: Sequence[Size]) -> Origins | None:
    """Where the dimensions of `reshape(layout, shape)` come from; None where there is none."""
    factored = _factored(layout, shape)
    if factored is None:
        return None
    layout, counts = factored
    places = iter(map(layout.dim_of, range(len(layout.atoms))))
    return tuple(frozenset(next(places) for _ in range(count)) for count in counts)


def reshape_alike(layout: Layout, shape: Sequence[Size], known: Origins) -> Layout | None:
    """`reshape`, each `One` in a dimension that takes atoms from its dimension elsewhere, too (`known`): to which
    dimension of the view a 1 belongs cannot be seen.
    """
    factored = _factored(layout, shape)
    if factored is None or len(known) != len(shape):
        return None
    layout, counts = factored
    targets = [dim for dim, count in enumerate(counts) for _ in range(count)]
    ones = [isinstance(size, One) for size in layout.atoms]
    for atom, one in enumerate(ones):
        if one:
            first = targets[atom - 1] if atom else 0
            last = next((targets[later] for later in range(atom, len(ones)) if not ones[later]), len(shape) - 1)
            fitting = (dim for dim in range(first, last + 1) if layout.dim_of(atom) in known[dim])
            targets[atom] = next(fitting, max(first, targets[atom]))
    return _grouped(layout, [targets.count(dim) for dim in range(len(shape))])


def _grouped(layout: Layout, counts: Sequence[int]) -> Layout:
    """A view whose dimensions have these numbers of atoms."""
    atoms = iter(layout.atoms)
    return Layout(tuple(tuple(next(atoms) for _ in range(count)) for count in counts), layout.axes)


def _factored(layout: Layout, shape: Sequence[Size]) -> tuple[Layout, list[int]] | None:
    """Split atoms until each dimension of `shape` is a run of whole atoms; with the length of each run."""
    counts = []
    position = 0
    for size in shape:
        need, count = size, 0
        while not same(need, 1):
            if position >= len(layout.atoms):
                return None
            atom = layout.atoms[position]
            if (rest := divide(need, atom)) is not None:
                need = rest
            elif (rest := divide(atom, need)) is not None:
                layout = split_atom(layout, position, need, rest)
                need = 1
            else:
                return None
            position, count = position + 1, count + 1
        counts.append(count)
    while counts and position < len(layout.atoms) and isinstance(layout.atoms[position], One):
        position, counts[-1] = position + 1, counts[-1] + 1
    return (layout, counts) if position == len(layout.atoms) else None


def refine(layout: Layout, dim: int, factors: Sequence[Size]) -> Layout | None:
    """Split the atoms of one dimension until its sizes are the common refinement with `factors`."""
    wanted = list(factors)
    position = 0
    while wanted:
        atoms = layout.atoms_of(dim)
        if position >= len(atoms):
            return None
        size, need = layout.atoms[atoms[position]], wanted.pop(0)
        if same(size, need):
            pass
        elif (rest := divide(size, need)) is not None:
            layout = split_atom(layout, atoms[position], need, rest)
        elif (rest := divide(need, size)) is not None:
            wanted.insert(0, rest)
        else:
            return None
        position += 1
    return layout


def expand(layout: Layout, shape: Sequence[Size]) -> Layout:
    """torch's `expand`: new leading dimensions and grown unit dimensions get atoms that no axis holds."""
    extra = len(shape) - len(layout.dims)
    dims: list[list[int]] = [[] for _ in range(extra)] + [list(layout.atoms_of(dim)) for dim in range(len(layout.dims))]
    sizes = list(layout.atoms)
    for dim, size in enumerate(shape):
        if not dims[dim] and not same(size, 1):
            dims[dim] = [len(sizes)]
            sizes.append(size)
    return relabelled(dims, sizes, layout.axes)


def without_atoms(layout: Layout, atoms: Iterable[int], dims: Iterable[int] = ()) -> Layout:
    """Atoms that are gone from both sides; `dims` are removed from the logical side, which must be left empty."""
    gone, removed = set(atoms), set(dims)
    kept = [
        [atom for atom in layout.atoms_of(dim) if atom not in gone]
        for dim in range(len(layout.dims))
        if dim not in removed
    ]
    return relabelled(kept, layout.atoms, layout.axes)


def without_ones(layout: Layout) -> Layout:
    """Dimensions of 1 that have atoms have none, as operators expect it."""
    ones = [
        atom
        for dim, sizes in enumerate(layout.dims)
        if sizes and all(isinstance(size, One) for size in sizes)
        for atom in layout.atoms_of(dim)
    ]
    return without_atoms(layout, ones) if ones else layout


def fuse(layout: Layout) -> Layout:
    """Merge atoms that are neighbours in the same order on both sides: the fewest atoms that say the same."""
    atom = 0
    while atom + 1 < len(layout.atoms):
        if layout.dim_of(atom) == layout.dim_of(atom + 1) and _neighbours(layout, atom):
            layout = _merge(layout, atom)
        else:
            atom += 1
    return layout


def _neighbours(layout: Layout, atom: int) -> bool:
    """`atom` and the next one lie side by side in one axis, or no axis holds either."""
    for axis in layout.axes:
        if atom in axis:
            place = axis.index(atom)
            return axis[place + 1 : place + 2] == (atom + 1,)
    return all(atom + 1 not in axis for axis in layout.axes)


def _merge(layout: Layout, atom: int) -> Layout:
    dims, number = [], 0
    for dim in layout.dims:
        sizes: list[Size] = []
        for size in dim:
            if number == atom + 1:
                sizes[-1] = product((sizes[-1], size))
            else:
                sizes.append(size)
            number += 1
        dims.append(tuple(sizes))
    axes = tuple(tuple(old - (old > atom) for old in axis if old != atom + 1) for axis in layout.axes)
    return Layout(tuple(dims), axes)


def volume(layout: Layout) -> float:
    """How many elements the tensor has, for costs: a dynamic size counts as 2."""
    atoms = layout.atoms
    return float(product(size if isinstance(size, int) else 2 for size in (atoms[atom] for atom in layout.order)))


def scattered(layout: Layout) -> bool:
    """Whether some torch dimension has its atoms apart, with those of another dimension between them."""
    places = {atom: place for place, atom in enumerate(layout.order)}
    for dim in range(len(layout.dims)):
        lying = sorted(places[atom] for atom in layout.atoms_of(dim) if atom in places)
        if lying and lying[-1] - lying[0] != len(lying) - 1:
            return True
    return False


def together(layout: Layout) -> Axes:
    """One axis for each dimension, in the order of their first atoms; units and broadcast dimensions have none."""
    places = {atom: place for place, atom in enumerate(layout.order)}
    dims = [tuple(atom for atom in layout.atoms_of(dim) if atom in places) for dim in range(len(layout.dims))]
    return tuple(sorted((dim for dim in dims if dim), key=lambda dim: min(places[atom] for atom in dim)))


def usual(layout: Layout) -> bool:
    """Whether the dimensions lie as torch has them, or with the second one, the channels, last."""
    lying = [layout.dim_of(axis[0]) for axis in together(layout)]
    return lying == sorted(lying) or lying == [*sorted(dim for dim in lying if dim != 1), 1]


def channels_last(rank: int) -> tuple[int, ...] | None:
    """The order in which Keras has the dimensions of an image or a volume, None for tensors of other ranks.

    >>> channels_last(4)
    (0, 2, 3, 1)
    """
    return (0, *range(2, rank), 1) if rank in _CHANNELS_LAST_RANKS else None
