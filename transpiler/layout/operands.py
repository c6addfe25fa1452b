"""In which order a rule's operands are brought, and how its results then lie.

Four ways, chosen by what the rule says: `pointwise`, along an axis (`axis(dim)`, `axes(dims)`), by `reads` and `writes`
patterns, or, where it says nothing, as torch has them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from transpiler.code import Code, Literal
from transpiler.code import Sequence as CodeSequence
from transpiler.errors import InternalError
from transpiler.language.syntax import Pattern, Reads
from transpiler.layout.align import Aligned, align
from transpiler.layout.axes import Layout, fuse, relabelled, standard
from transpiler.layout.body import BodyBuilder, Held, Tensor, Unpoured
from transpiler.layout.contraction import Contraction, Key, contraction, parsed
from transpiler.layout.names import spatial_letters
from transpiler.layout.orders import ELLIPSIS, Letter, Reading, as_torch, read, write
from transpiler.layout.sizes import product, same
from transpiler.letters import ALPHABET
from transpiler.lift.program import Size

Operand = Tensor | list[Tensor | None]
"""A tensor, or a list of them; torch's lists of indices have None for a dimension that is taken whole."""
Functions = Mapping[str, Callable[..., object]]


@dataclass(frozen=True, slots=True)
class Ordered:
    """Operands as code, the layout-dependent functions of the rule language, and the layouts of the results."""

    codes: Mapping[str, Code]
    results: tuple[Layout, ...]
    functions: Functions = field(default_factory=dict)
    letters: Mapping[str, Letter] = field(default_factory=dict)
    behind: int = 0
    """How many axes the second `*` of a pattern stands for."""


def flat(operands: Mapping[str, Operand]) -> list[Tensor]:
    """All tensors, lists spread out."""
    return [tensor for operand in operands.values() for tensor in _each(operand)]


def _each(operand: Operand) -> list[Tensor]:
    return [item for item in (operand if isinstance(operand, list) else [operand]) if item is not None]


def pointwise(body: BodyBuilder, operands: Mapping[str, Operand], shapes: Sequence[Sequence[Size]]) -> Ordered:
    """Any order, the same for every operand, broadcasting as in torch."""
    tensors = flat(operands)
    rank = len(shapes[0])
    aligned = align([tensor.layout for tensor in tensors], rank, free=_free(tensors))
    codes = _codes(operands, _arranged(body, tensors, aligned))
    return Ordered(codes, tuple(aligned.result(shape) for shape in shapes))


def as_in_torch(body: BodyBuilder, operands: Mapping[str, Operand], shapes: Sequence[Sequence[Size]]) -> Ordered:
    """Operands and results lie as torch has them."""
    held = [body.arrange(tensor, tensor.layout, as_torch(tensor.layout)) for tensor in flat(operands)]
    return Ordered(_codes(operands, held), tuple(standard(shape) for shape in shapes))


def by_patterns(
    body: BodyBuilder,
    operands: Mapping[str, Operand],
    reads: Sequence[Reads],
    writes: Sequence[Pattern],
    shapes: Sequence[Sequence[Size]],
    permutable: Collection[str],
) -> Ordered:
    """As `reads` asks of each operand; `writes` says how the results lie."""
    patterns = {entry.operand: entry.pattern for entry in reads}
    kept = [{letter for axis in pattern.left for letter in axis} for pattern in writes]
    written = set.intersection(*kept) if kept else set()
    tensors = [(tensor, patterns.get(name)) for name, operand in operands.items() for tensor in _each(operand)]

    def read_all(alike: Collection[str]) -> list[Reading]:
        return [read(tensor.layout, pattern, permutable, alike) for tensor, pattern in tensors if pattern is not None]

    readings = read_all(written)
    if partly := _partly_alike(readings):
        readings = read_all(written - partly)
    if any(_bias_mistaken(reading, writes[0], shapes[0]) for reading in readings if reading.behind):
        reads = [replace(entry, pattern=_at_the_end(entry.pattern)) for entry in reads]
        writes = [_at_the_end(pattern) for pattern in writes]
        return by_patterns(body, operands, reads, writes, shapes, permutable)
    following = iter(readings)
    held: list[Held] = []
    for tensor, pattern in tensors:
        if pattern is None:
            held.append(body.arrange(tensor, tensor.layout, as_torch(tensor.layout)))
            continue
        reading = next(following)
        held.append(body.arrange(tensor, reading.layout, reading.axes))
    results = tuple(
        write(writes[min(index, len(writes) - 1)], shape, readings) if writes else standard(shape)
        for index, shape in enumerate(shapes)
    )
    letters = {name: letter for reading in reversed(readings) for name, letter in reading.letters.items()}
    starred = next((reading for reading in readings if reading.star or reading.behind), None)
    front, behind = (len(starred.star), starred.sizes_behind) if starred else (0, ())
    functions = {**_middle_functions(front, behind), "place": lambda letter: _place_of(str(letter), readings)}
    return Ordered(_codes(operands, held), results, functions, letters, len(behind))


def _bias_mistaken(reading: Reading, written: Pattern, shape: Sequence[Size]) -> bool:
    """Whether Keras would add a bias along another axis than the one in the middle that it is for.

    `keras.ops.add` takes whatever has one dimension that is not 1 for a bias of the last axis, or of the second one,
    where the size is the same (Keras 3.15, TensorFlow backend).
    """
    new = [axis[0] for axis in written.left if len(axis) == 1 and axis[0] not in (*reading.letters, "...")]
    sizes = reading.layout.atoms
    place = len(reading.axes) - len(reading.behind) - 1
    second = product(sizes[atom] for atom in reading.axes[1])
    found = [shape[dim - len(written.left)] for dim, axis in enumerate(written.left) if axis and axis[0] in new]
    return any(same(size, reading.sizes_behind[-1]) or (place != 1 and same(size, second)) for size in found)


def _at_the_end(pattern: Pattern) -> Pattern:
    """The pattern without a second `*`: no axes behind."""
    stars = pattern.right.count(("*",))
    return replace(pattern, right=pattern.right[:-1]) if stars > 1 and pattern.right[-1] == ("*",) else pattern


def _partly_alike(readings: Sequence[Reading]) -> set[str]:
    """Letters along which some operands stay a batch of one and others do not: Keras's layers take no such mixture."""
    found = [(letter, bound.alike) for reading in readings for letter, bound in reading.letters.items()]
    return {letter for letter, alike in found if alike and (letter, False) in found}


def _place_of(letter: str, readings: Sequence[Reading]) -> int:
    """The axis of the operand that holds a letter of its pattern, -1 for the last one."""
    for reading in readings:
        atoms = reading.atoms.get(letter)
        for place, axis in enumerate(reading.axes):
            if atoms and atoms[0] in axis:
                return -1 if place == len(reading.axes) - 1 else place
    raise InternalError(f"no operand has an axis {letter!r}")


def _middle_functions(front: int, behind: Sequence[Size]) -> Functions:
    """`equation` and `behind` for an axis with so many axes in front of it, and axes of these sizes behind it.

    TensorFlow multiplies once for each row that an ellipsis stands for: an equation says them by their letters.
    """

    def equation(text: object) -> str:
        rows = _letters_of_rows(front, str(text)) or ELLIPSIS
        operands, _, result = str(text).replace(ELLIPSIS, rows).partition("->")
        first, *others = operands.split(",")
        letters = "".join([letter for letter in ALPHABET if letter not in rows + str(text)][: len(behind)])
        return f"{','.join([first + letters, *others])}->{result}{letters}"

    def shape(size: object) -> object:
        sizes = (*[None] * (front - 1), size, *(other if isinstance(other, int) else None for other in behind))
        return sizes if len(sizes) > 1 else size

    return {"equation": equation, "behind": shape}


def _letters_of_rows(count: int, taken: str) -> str:
    """`bl` for the rows of sequences, `bhw` for those of images."""
    batch = next(letter for letter in f"b{ALPHABET}" if letter not in taken)
    return "".join((batch, *spatial_letters(count - 1, taken + batch)))[:count]


def contracting(operands: Mapping[str, Operand], equation: str, rank: int) -> Contraction | None:
    """How operands meet in an equation over torch's dimensions, the result of this rank; None if it must be as torch
    has it.
    """
    tensors = flat(operands)
    letters = parsed(equation, [len(tensor.layout.dims) for tensor in tensors], rank)
    return contraction(letters, [tensor.layout for tensor in tensors], _free(tensors)) if letters else None


def contracted(body: BodyBuilder, operands: Mapping[str, Operand], plan: Contraction, order: Sequence[Key]) -> Ordered:
    """Operands as they lie, the result in the order given; `equation` is what to give `einsum`."""
    triples = zip(flat(operands), plan.layouts, plan.targets, strict=True)
    held = [body.arrange(tensor, layout, target) for tensor, layout, target in triples]
    text = plan.equation(order)
    return Ordered(_codes(operands, held), (plan.layout(order),), {"equation": lambda _: text})


def along_axes(
    body: BodyBuilder,
    operands: Mapping[str, Operand],
    dims: Sequence[int],
    shapes: Sequence[Sequence[Size]],
    *,
    single: bool,
) -> Ordered:
    """Any order in which each of `dims` is an axis.

    For reductions over `axes` it may be several; `single` says that the rule asks for `axis`, one place a dimension.
    """
    tensors = flat(operands)
    rank = len(tensors[0].layout.dims)
    if len(shapes[0]) == rank + 1:
        return _new_axis(body, operands, dims[0] % (rank + 1), shapes)
    dims = [dim % rank if rank else dim for dim in dims]
    reduces = all(len(shape) < rank or all(same(shape[dim], 1) for dim in dims) for shape in shapes)
    if reduces and not single and len(tensors) == 1 and isinstance(tensors[0], Held):
        return _reduced(body, operands, dims, shapes)
    aligned = align([t.layout for t in tensors], rank, whole=dims, free=_free(tensors), full=len(tensors) > 1)
    held = _arranged(body, tensors, aligned)
    places = {dim: _key_place(aligned, dim) for dim in dims}
    kept = tuple(_kept(aligned, rank, dims, shape) for shape in shapes)
    return Ordered(_codes(operands, held), kept, _axis_functions(places, len(aligned.axes), rank))


def indexed(
    body: BodyBuilder, operands: Mapping[str, Operand], apart: Collection[str], dim: int, shape: Sequence[Size]
) -> Ordered:
    """An operand in any order in which `dim` is an axis, and indices into it, `apart`, as torch has them.

    In the result the dimension gives way to those of the indices, at its place.
    """
    others = {name: operand for name, operand in operands.items() if name not in apart}
    (tensor,) = flat(others)
    rank = len(tensor.layout.dims)
    aligned = align([tensor.layout], rank, whole=[dim % rank], free=_free([tensor]))
    (held,) = _arranged(body, [tensor], aligned)
    indices = {name: operands[name] for name in operands if name in apart}
    codes = as_in_torch(body, indices, ()).codes
    place = _key_place(aligned, dim % rank)
    old = aligned.result(tensor.layout.shape)
    count = len(shape) - rank + 1
    fresh = [[len(old.atoms) + index] if not same(shape[dim % rank + index], 1) else [] for index in range(count)]
    dims = [list(old.atoms_of(other)) for other in range(rank)]
    axes = [*old.axes[:place], *fresh, *old.axes[place + 1 :]]
    sizes = [*old.atoms, *shape[dim % rank : dim % rank + count]]
    layout = relabelled([*dims[: dim % rank], *fresh, *dims[dim % rank + 1 :]], sizes, axes)
    given = {**_codes(others, [held]), **codes}
    codes = {name: given[name] for name in operands}
    return Ordered(codes, (layout,), _axis_functions({dim % rank: place}, len(aligned.axes), rank))


def _key_place(aligned: Aligned, dim: int) -> int:
    for place, axis in enumerate(aligned.axes):
        if axis and axis[0][0] == dim:
            return place
    raise InternalError(f"dimension {dim} has no axis to work along")


def _kept(aligned: Aligned, rank: int, dims: Sequence[int], shape: Sequence[Size]) -> Layout:
    """The result's layout: the named axes are gone where the result has fewer dimensions."""
    if len(shape) == rank:
        return aligned.result(shape)
    left = [dim for dim in range(rank) if dim not in dims]
    sizes = dict(zip(left, shape, strict=True))
    full = aligned.result([sizes.get(dim, 2) for dim in range(rank)])
    gone = {atom for dim in dims for atom in full.atoms_of(dim)}
    axes = tuple(axis for axis in full.axes if not (axis and set(axis) <= gone))
    return relabelled([full.atoms_of(dim) for dim in left], full.atoms, axes)


def _reduced(
    body: BodyBuilder, operands: Mapping[str, Operand], dims: Sequence[int], shapes: Sequence[Sequence[Size]]
) -> Ordered:
    """A reduction needs no single axis: it goes over all axes of the dimension's atoms."""
    (tensor,) = flat(operands)
    layout = fuse(tensor.layout)
    rank = len(layout.dims)
    gone = {atom for dim in dims for atom in layout.atoms_of(dim)}
    axes = []
    for axis in layout.axes:
        group: list[int] = []
        for atom in axis:
            if group and (atom in gone) != (group[-1] in gone):
                axes.append(tuple(group))
                group = []
            group.append(atom)
        axes.append(tuple(group))
    missing = [atom for atom in sorted(gone) if all(atom not in axis for axis in axes)]
    held = body.arrange(tensor, layout, (*((atom,) for atom in missing), *axes))
    layout = held.layout
    places = [place for place, axis in enumerate(layout.axes) if axis and set(axis) <= gone]
    if not places:
        return _reduced_units(body, operands, held, dims, shapes)
    keep = len(shapes[0]) == rank
    left = tuple(
        () if place in places else axis for place, axis in enumerate(layout.axes) if keep or place not in places
    )
    kept = [
        [atom for atom in layout.atoms_of(dim) if atom not in gone] for dim in range(rank) if keep or dim not in dims
    ]
    result = relabelled(kept, layout.atoms, left)

    def axes_of(_: object = None) -> tuple[int, ...]:
        return tuple(places) if places != [len(layout.axes) - 1] else (-1,)

    return Ordered(_codes(operands, [held]), (result,) * len(shapes), {"axes": axes_of})


def _reduced_units(
    body: BodyBuilder,
    operands: Mapping[str, Operand],
    held: Held,
    dims: Sequence[int],
    shapes: Sequence[Sequence[Size]],
) -> Ordered:
    """All reduced dimensions are units: reduce over a unit axis, so that the operator is still applied."""
    layout = held.layout
    held = body.arrange(held, layout, (*layout.axes, ()))
    last = len(layout.axes)
    keep = len(shapes[0]) == len(layout.dims)
    kept = [layout.atoms_of(dim) for dim in range(len(layout.dims)) if keep or dim not in dims]
    axes = (*layout.axes, ()) if keep else layout.axes
    result = relabelled(kept, layout.atoms, axes)
    return Ordered(_codes(operands, [held]), (result,) * len(shapes), {"axes": lambda _=None: (last,)})


def _new_axis(
    body: BodyBuilder, operands: Mapping[str, Operand], dim: int, shapes: Sequence[Sequence[Size]]
) -> Ordered:
    """`stack`: a new dimension, laid last if it is torch's last, else in front of the one that follows it."""
    tensors = flat(operands)
    (shape,) = shapes
    rank = len(shape) - 1
    aligned = align([tensor.layout for tensor in tensors], rank, free=_free(tensors), full=True)
    held = _arranged(body, tensors, aligned)
    old = aligned.result([*shape[:dim], *shape[dim + 1 :]])
    place = len(old.axes)
    for following in range(dim, rank):
        atoms = set(old.atoms_of(following))
        found = [index for index, axis in enumerate(old.axes) if atoms & set(axis)]
        if found:
            place = found[0]
            break
    fresh = len(old.atoms)
    dims = [list(old.atoms_of(other)) for other in range(rank)]
    new = [] if same(shape[dim], 1) else [fresh]
    axes = (*old.axes[:place], tuple(new), *old.axes[place:])
    layout = relabelled([*dims[:dim], new, *dims[dim:]], (*old.atoms, shape[dim]), axes)
    where = -1 if place == len(old.axes) else place
    return Ordered(_codes(operands, held), (layout,), {"axis": lambda _=0, __=None: where})


def _axis_functions(places: Mapping[int, int], count: int, rank: int) -> Functions:
    def place(dim: int) -> int:
        found = places[dim % rank]
        return -1 if found == count - 1 else found

    def axis(dim: object, _: object = None) -> int:
        if not isinstance(dim, int):
            raise TypeError("axis takes one dimension")
        return place(dim)

    def axes(dims: object = None, _: object = None) -> tuple[int, ...]:
        if dims is None:
            return tuple(place(dim) for dim in range(rank))
        if isinstance(dims, int):
            return (place(dims),)
        if isinstance(dims, tuple | list):
            return tuple(place(dim) for dim in dims)
        raise TypeError("axes takes a list of dimensions")

    return {"axis": axis, "axes": axes}


def _free(tensors: Sequence[Tensor]) -> list[int]:
    return [index for index, tensor in enumerate(tensors) if isinstance(tensor, Unpoured)]


def _arranged(body: BodyBuilder, tensors: Sequence[Tensor], aligned: Aligned) -> list[Held]:
    triples = zip(tensors, aligned.layouts, aligned.targets, strict=True)
    return [body.arrange(tensor, layout, target) for tensor, layout, target in triples]


def _codes(operands: Mapping[str, Operand], held: Sequence[Held]) -> dict[str, Code]:
    """The arranged tensors under the rule's names again."""
    rest = iter(held)
    return {
        name: CodeSequence("list", tuple(Literal(None) if item is None else next(rest).code for item in operand))
        if isinstance(operand, list)
        else next(rest).code
        for name, operand in operands.items()
    }
