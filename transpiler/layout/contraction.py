"""Contractions (matmul, einsum): operands meet in whatever order they lie, and the result takes the order that suits.

An equation in torch's dimensions, "bqd,bkd->bqk", becomes one in the axes of the Keras tensors. A dimension whose atoms
lie side by side is one letter; where they do not, it is several, as long as a person can still read the equation.
"""

from __future__ import annotations

import string
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from transpiler.layout.align import common_factors
from transpiler.layout.axes import Axes, Layout, fuse, refine, relabelled
from transpiler.lift.program import Size

Key = tuple[str, int]
"""(letter of torch's equation, place of the part in it); dimensions of an ellipsis are ".0", ".1", … from the right."""
Letters = tuple[str, ...]

_READABLE = 6
"""More letters in one equation are hard to read, and TensorFlow's kernels are not made for so many axes."""
_BATCH_LETTERS = "bhgn"


@dataclass(frozen=True, slots=True)
class Equation:
    """Letters of each operand's dimensions and of the result's."""

    operands: tuple[Letters, ...]
    result: Letters


@dataclass(frozen=True, slots=True)
class Contraction:
    """How the operands are brought (`layouts` to `targets`) and which orders the result may take, torch's first."""

    layouts: tuple[Layout, ...]
    targets: tuple[Axes, ...]
    operands: tuple[tuple[Key, ...], ...]
    """The axes of each operand."""
    result: tuple[tuple[Key, ...], ...]
    """The parts of each dimension of the result."""
    sizes: Mapping[Key, tuple[Size, ...]]
    orders: tuple[tuple[Key, ...], ...]

    def layout(self, order: Sequence[Key]) -> Layout:
        """The result's layout in this order of its axes."""
        numbers: dict[Key, list[int]] = {}
        flat: list[Size] = []
        for key in (key for dim in self.result for key in dim):
            numbers[key] = list(range(len(flat), len(flat) + len(self.sizes[key])))
            flat += self.sizes[key]
        dims = [[atom for key in dim for atom in numbers[key]] for dim in self.result]
        return fuse(relabelled(dims, flat, [numbers[key] for key in order]))

    def equation(self, order: Sequence[Key]) -> str:
        """The equation for the operands as they are brought and the result in this order.

        Leading axes that all share are "...", which fits any number of them.
        """
        names = _names([*self.operands, order])
        sides = ["".join(names[key] for key in keys) for keys in (*self.operands, order)]
        same = takewhile(lambda letters: len(set(letters)) == 1, zip(*sides, strict=False))
        shared = sum(1 for _ in same) if len(self.operands) > 1 else 0
        if shared:
            sides = [f"...{side[shared:]}" for side in sides]
        return f"{','.join(sides[:-1])}->{sides[-1]}"


def parsed(text: str, ranks: Sequence[int], rank: int) -> Equation | None:
    """torch's equation for operands of these ranks and a result of `rank`; None where a letter repeats in an operand.

    >>> parsed("...lk,km->...lm", (3, 2), 3)
    Equation(operands=(('.0', 'l', 'k'), ('k', 'm')), result=('.0', 'l', 'm'))
    """
    left, arrow, right = text.replace(" ", "").partition("->")
    operands = tuple(_spelled(term, given) for term, given in zip(left.split(","), ranks, strict=True))
    if not arrow:
        counted = [letter for term in left.split(",") for letter in term.replace("...", "")]
        right = "..." * ("..." in left) + "".join(sorted(x for x in set(counted) if counted.count(x) == 1))
    if any(len(set(letters)) < len(letters) for letters in operands):
        return None
    return Equation(operands, _spelled(right, rank))


def _spelled(term: str, rank: int) -> Letters:
    """Letters of one operand, its ellipsis counted from the right."""
    front, dots, back = term.partition("...")
    extra = rank - len(front) - len(back)
    return (*front, *(f".{place}" for place in reversed(range(extra if dots else 0))), *back)


def contraction(equation: Equation, layouts: Sequence[Layout], free: Collection[int]) -> Contraction | None:
    """Plan a contraction of operands that lie as `layouts`; those in `free` can be poured in any order.

    None where a dimension is summed that no operand varies along: it would have to be multiplied out first.
    """
    fused = [fuse(layout) for layout in layouts]
    whole: set[str] = set()
    for letter in dict.fromkeys(letter for letters in equation.operands for letter in letters):
        factors = common_factors([_dim(layout, equation, place, letter) for place, layout in enumerate(fused)])
        if factors is None:
            whole.add(letter)
        elif factors:
            fused = [_refined(layout, equation.operands[place], letter, factors) for place, layout in enumerate(fused)]
    operands = [
        _Operand(layout, letters, free=place in free)
        for place, (layout, letters) in enumerate(zip(fused, equation.operands, strict=True))
    ]
    parts = {letter: _parts(letter, operands, whole) for letter in dict.fromkeys(_every_letter(equation))}
    if sum(len(runs) for runs in parts.values()) > _READABLE:
        parts = {letter: _joined(runs) for letter, runs in parts.items()}
    axes = tuple(operand.keys(parts) for operand in operands)
    held = {key for keys in axes for key in keys}
    summed = {letter for letters in equation.operands for letter in letters} - set(equation.result)
    if any((letter, run[0]) not in held for letter in summed for run in parts[letter]):
        return None
    result = tuple(tuple((letter, run[0]) for run in parts[letter]) for letter in equation.result)
    orders = _orders(axes, [key for dim in result for key in dim if key in held])
    sizes = {
        (letter, run[0]): next(filter(None, (operand.sizes(letter, run) for operand in operands)))
        for letter, runs in parts.items()
        for run in runs
    }
    targets = tuple(operand.target(keys, parts) for operand, keys in zip(operands, axes, strict=True))
    return Contraction(tuple(fused), targets, axes, result, sizes, orders)


def is_matmul(equation: str) -> bool:
    """Whether `ops.matmul` computes it: shared leading letters, then "lk,km->lm".

    >>> is_matmul("bhlk,bhkm->bhlm"), is_matmul("blk,bmk->blm")
    (True, False)
    """
    left, _, result = equation.partition("->")
    operands = left.split(",")
    if len(operands) != 2 or any(len(term) < 2 for term in operands):
        return False
    (first, second), batch = operands, operands[0][:-2]
    return second[:-2] == batch and first[-1] == second[-2] and result == batch + first[-2] + second[-1]


class _Operand:
    """One operand's atoms under the letters of its dimensions."""

    def __init__(self, layout: Layout, letters: Letters, *, free: bool) -> None:
        self.layout, self.free = layout, free
        self.atoms = {letter: layout.atoms_of(dim) for dim, letter in enumerate(letters)}
        self.places = {atom: place for place, atom in enumerate(layout.order)}

    def holds(self, letter: str, place: int) -> bool:
        """Whether the tensor varies along this part of a letter."""
        atoms = self.atoms.get(letter, ())
        return place < len(atoms) and atoms[place] in self.places

    def joins(self, letter: str, place: int) -> bool:
        """Whether this part of a letter and the one before it can be one axis without moving data."""
        if not self.atoms.get(letter):
            return True
        if self.holds(letter, place - 1) != self.holds(letter, place):
            return False
        before, after = self.atoms[letter][place - 1 : place + 1]
        return self.free or not self.holds(letter, place) or self.places[after] == self.places[before] + 1

    def sizes(self, letter: str, run: Sequence[int]) -> tuple[Size, ...] | None:
        """Sizes of the parts in a run, None if the operand's dimension is a unit."""
        atoms = self.atoms.get(letter)
        return tuple(self.layout.atoms[atoms[place]] for place in run if place < len(atoms)) if atoms else None

    def keys(self, parts: Mapping[str, Sequence[Sequence[int]]]) -> tuple[Key, ...]:
        """Its axes in the order in which they lie; a stored tensor's in torch's."""
        found = [
            (letter, run[0])
            for letter in self.atoms
            for run in parts[letter]
            if any(self.holds(letter, place) for place in run)
        ]
        if self.free:
            return tuple(found)
        return tuple(sorted(found, key=lambda key: self._first(key, parts)))

    def _first(self, key: Key, parts: Mapping[str, Sequence[Sequence[int]]]) -> int:
        letter, start = key
        run = next(run for run in parts[letter] if run[0] == start)
        return min(self.places[self.atoms[letter][place]] for place in run if self.holds(letter, place))

    def target(self, keys: Sequence[Key], parts: Mapping[str, Sequence[Sequence[int]]]) -> Axes:
        """The axes of these keys in the operand's atoms."""
        runs = {(letter, run[0]): run for letter, every in parts.items() for run in every}
        return tuple(
            tuple(self.atoms[letter][place] for place in runs[letter, start] if place < len(self.atoms[letter]))
            for letter, start in keys
        )


def _every_letter(equation: Equation) -> Iterable[str]:
    yield from (letter for letters in equation.operands for letter in letters)
    yield from equation.result


def _dim(layout: Layout, equation: Equation, place: int, letter: str) -> tuple[Size, ...]:
    letters = equation.operands[place]
    return layout.dims[letters.index(letter)] if letter in letters else ()


def _refined(layout: Layout, letters: Letters, letter: str, factors: tuple[Size, ...]) -> Layout:
    if letter not in letters or not layout.dims[letters.index(letter)]:
        return layout
    refined = refine(layout, letters.index(letter), factors)
    assert refined is not None, "a common refinement refines each of its factorings"
    return refined


def _parts(letter: str, operands: Sequence[_Operand], whole: Collection[str]) -> list[list[int]]:
    """The parts of a letter, in runs that lie side by side in every operand; a unit dimension has none."""
    count = max((len(operand.atoms.get(letter, ())) for operand in operands), default=0)
    if not count:
        return []
    runs = [[0]]
    for place in range(1, count):
        if letter in whole or all(operand.joins(letter, place) for operand in operands):
            runs[-1].append(place)
        else:
            runs.append([place])
    return runs


def _joined(runs: Sequence[Sequence[int]]) -> list[list[int]]:
    return [[place for run in runs for place in run]] if runs else []


def _orders(axes: Sequence[Sequence[Key]], result: Sequence[Key]) -> tuple[tuple[Key, ...], ...]:
    """Orders worth trying: torch's, and each operand's own with what it lacks in the place of what is summed."""
    orders = [tuple(result)]
    for keys in axes:
        lacking = [key for key in result if key not in keys]
        order: list[Key] = []
        for key in keys:
            if key in result:
                order.append(key)
            else:
                order += lacking
                lacking = []
        orders.append((*order, *lacking))
    return tuple(dict.fromkeys(orders))


def _names(sides: Iterable[Sequence[Key]]) -> dict[Key, str]:
    """A letter for each key: the equation's own for a letter of one part, others from what is left."""
    keys = list(dict.fromkeys(key for side in sides for key in side))
    taken = {letter for letter, _ in keys if letter.isalpha()}
    fresh = iter([x for x in _BATCH_LETTERS + string.ascii_letters if x not in taken])
    spare = iter(dict.fromkeys(fresh))
    names: dict[Key, str] = {}
    used: set[str] = set()
    for letter, place in keys:
        own = letter.isalpha() and letter not in used
        names[letter, place] = letter if own else next(spare)
        used.add(letter)
    return names
