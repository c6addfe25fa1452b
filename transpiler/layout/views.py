"""Views: what torch does to dimensions without touching data.

`permute`, `reshape`, `expand` and einops patterns rewrite the logical side and emit nothing. `select`, `slice`, `split`
and `unbind` index the axis in which the atom lies: a strided slice for the minor atom of an axis, a contiguous one for
the major atom. Only a split that does not divide moves data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from transpiler.code import Call, Code, Ellipsis_, Index, Literal, Slice
from transpiler.code import Sequence as CodeSequence
from transpiler.errors import InternalError
from transpiler.keras_functions import RESHAPE, SPLIT, UNSTACK
from transpiler.language.syntax import Pattern
from transpiler.layout.axes import (
    Axes,
    Layout,
    channels_last,
    expand,
    fuse,
    origins,
    permute,
    relabelled,
    reshape,
    reshape_alike,
    standard,
)
from transpiler.layout.body import BodyBuilder, Held, Tensor, Unpoured
from transpiler.layout.orders import as_torch
from transpiler.layout.sizes import One, divide, product, same
from transpiler.lift.program import Size, SymbolicSize

_OPEN = 2**62
"""torch writes an open end of a slice as the largest integer."""


def viewed(tensor: Tensor, layout: Layout) -> Tensor:
    """The same tensor, its logical side seen otherwise."""
    return replace(tensor, layout=layout)


def permuted(tensor: Tensor, order: Sequence[int]) -> Tensor:
    """torch's `permute`."""
    return viewed(tensor, permute(tensor.layout, order))


def reshaped(body: BodyBuilder, tensor: Tensor, shape: Sequence[Size]) -> Tensor:
    """torch's `view`: free where the atoms divide."""
    layout = _as_elsewhere(body, tensor.layout, shape) or reshape(tensor.layout, shape)
    if layout is None:
        layout = reshape(fuse(tensor.layout), shape)
    if layout is not None:
        return viewed(tensor, _lying_as_elsewhere(body, layout))
    held = body.arrange(tensor, tensor.layout, as_torch(tensor.layout))
    result = standard(shape)
    code = Call(RESHAPE, (held.code, body.shape_code(result, result.axes)))
    return body.emit(code, result, held.dtype)


def _as_elsewhere(body: BodyBuilder, layout: Layout, shape: Sequence[Size]) -> Layout | None:
    """The view that this line is on another instance, where what is 1 here is larger; it is noted where nothing is."""
    if _has_ones(layout):
        known = body.elsewhere.origins.get(body.line)
        return reshape_alike(layout, shape, known) if known is not None else None
    found = origins(layout, shape)
    if found is not None:
        body.elsewhere.origins[body.line] = found
    return None


def _lying_as_elsewhere(body: BodyBuilder, layout: Layout) -> Layout:
    """The view with its 1s in the axes in which they lie on another instance; without any, it is noted for others."""
    if not _has_ones(layout):
        body.elsewhere.counts[body.line] = tuple(map(len, layout.axes))
        return layout
    wanted = body.elsewhere.counts.get(body.line, ())
    axes = [list(axis) for axis in layout.axes]
    if len(wanted) != len(axes):
        return layout
    atoms = layout.atoms
    for place, count in enumerate(wanted[:-1]):
        here, following = axes[place], axes[place + 1]
        while len(here) < count and following and isinstance(atoms[following[0]], One):
            here.append(following.pop(0))
        while len(here) > count and isinstance(atoms[here[-1]], One):
            following.insert(0, here.pop())
    return Layout(layout.dims, tuple(map(tuple, axes)))


def _has_ones(layout: Layout) -> bool:
    return any(isinstance(size, One) for size in layout.atoms)


def expanded(tensor: Tensor, shape: Sequence[Size]) -> Tensor:
    """torch's `expand`: the new atoms lie nowhere until an operator needs them."""
    return viewed(tensor, expand(tensor.layout, shape))


def repeated(body: BodyBuilder, tensor: Tensor, shape: Sequence[Size]) -> Tensor:
    """torch's `repeat` of units: as `expand`, but what is computed and copied for each sample lies as an input does.

    It is what an author begins with before a loop, whose turns go on with tensors that have a batch: so do all turns.
    """
    wide = expanded(tensor, shape)
    had = tensor.layout.shape
    is_grown = len(had) < len(shape) or had[0] == 1
    lying = channels_last(len(shape))
    if isinstance(wide, Unpoured) or lying is None or not is_grown:
        return wide
    if isinstance(shape[0], int) or body.size_in_scope(shape[0]) is None:
        return wide
    return body.arrange(wide, wide.layout, tuple(wide.layout.atoms_of(dim) for dim in lying))


def rearranged(tensor: Tensor, pattern: Pattern, sizes: dict[str, int]) -> Tensor:
    """An einops pattern as a view: `"b (c r1 r2) h w -> b c (h r1) (w r2)"`.

    Raises:
        InternalError: the pattern does not fit the tensor.
    """
    layout = fuse(tensor.layout)
    rank = len(layout.dims)
    left = _spelled_out(pattern.left, rank)
    shapes: list[Size] = []
    for dim, letters in enumerate(left):
        shapes += _letter_sizes(product(layout.dims[dim]), letters, sizes, pattern.text)
    split = reshape(layout, shapes)
    if split is None:
        raise InternalError(f"pattern {pattern.text!r} does not divide {layout.shape}")
    places = {letter: split.atoms_of(place) for place, letter in enumerate(x for axis in left for x in axis)}
    right = _spelled_out(pattern.right, rank)
    dims = [[atom for letter in axis for atom in places[letter]] for axis in right]
    return viewed(tensor, relabelled(dims, split.atoms, split.axes))


def _spelled_out(axes: Sequence[tuple[str, ...]], rank: int) -> list[tuple[str, ...]]:
    """`...` as letters of its own."""
    extra = rank - (len(axes) - 1) if ("...",) in axes else 0
    spelled: list[tuple[str, ...]] = []
    for axis in axes:
        spelled += [(f"...{place}",) for place in range(extra)] if axis == ("...",) else [axis]
    return spelled


def _letter_sizes(total: Size, letters: tuple[str, ...], sizes: dict[str, int], text: str) -> list[Size]:
    given: list[Size | None] = [sizes.get(letter) for letter in letters]
    if given.count(None) > 1:
        raise InternalError(f"pattern {text!r}: give the sizes of {', '.join(letters)}")
    rest = divide(total, product(size for size in given if size is not None))
    if rest is None:
        raise InternalError(f"pattern {text!r} does not divide a dimension of size {total}")
    return [rest if size is None else size for size in given]


# ── indexing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def selected(body: BodyBuilder, tensor: Tensor, dim: int, index: int) -> Tensor:
    """torch's `select`: the dimension is gone."""
    layout = fuse(tensor.layout)
    tensor = viewed(tensor, layout)
    rank = len(layout.dims)
    dim %= rank
    atoms = layout.atoms_of(dim)
    sizes = [layout.atoms[atom] for atom in atoms]
    for atom, place in reversed(list(zip(atoms, _digits(index, sizes), strict=True))):
        tensor = _select_atom(body, tensor, atom, place)
    layout = tensor.layout
    dims = [layout.atoms_of(other) for other in range(rank) if other != dim]
    return viewed(tensor, relabelled(dims, layout.atoms, layout.axes))


def _digits(index: int, sizes: Sequence[Size]) -> list[int]:
    """`index` in the mixed radix of the atoms; a negative one counts from the end."""
    if len(sizes) == 1:
        size = sizes[0]
        return [index if index < 0 and not isinstance(size, int) else index % size if isinstance(size, int) else index]
    total = product(sizes)
    if not isinstance(total, int):
        raise InternalError("selecting from a dimension of several dynamic parts")
    index %= total
    digits = []
    for size in reversed(sizes):
        assert isinstance(size, int)
        digits.append(index % size)
        index //= size
    return digits[::-1]


def _select_atom(body: BodyBuilder, tensor: Tensor, atom: int, index: int) -> Tensor:
    layout = tensor.layout
    if atom in layout.broadcast:
        return viewed(tensor, _gone(layout, atom))
    held = body.hold(tensor)
    held, place = _edge(body, held, atom)
    layout = held.layout
    axis = layout.axes[place]
    size = layout.atoms[atom]
    if len(axis) == 1:
        item: Code | Slice = Literal(index)
        axes = layout.axes[:place] + layout.axes[place + 1 :]
    elif axis[-1] == atom:
        item = Slice(Literal(index) if index else None, None, body.size_code(size))
        axes = layout.axes
    else:
        rest = product(layout.atoms[other] for other in axis[1:])
        item = _range(body, index, index + 1, rest, size)
        axes = layout.axes
    result = _gone(Layout(layout.dims, axes), atom)
    return body.emit(_indexed(held, place, item), result, held.dtype)


def _gone(layout: Layout, atom: int) -> Layout:
    dims = [[other for other in layout.atoms_of(dim) if other != atom] for dim in range(len(layout.dims))]
    return relabelled(dims, layout.atoms, layout.axes)


def _edge(body: BodyBuilder, held: Held, atom: int) -> tuple[Held, int]:
    """Bring `atom` to the edge of its axis, by a reshape if it lies inside."""
    layout = held.layout
    place = next(index for index, axis in enumerate(layout.axes) if atom in axis)
    axis = layout.axes[place]
    if atom in (axis[0], axis[-1]):
        return held, place
    cut = axis.index(atom)
    axes = (*layout.axes[:place], axis[:cut], (atom,), axis[cut + 1 :], *layout.axes[place + 1 :])
    return body.arrange(held, layout, axes), place + 1


def _range(body: BodyBuilder, start: int, stop: int, rest: Size, size: Size) -> Slice:
    """`start * rest : stop * rest`, open where it touches an end."""
    if not isinstance(rest, int):
        if stop - start != 1 or size != 2:
            raise InternalError("slicing inside an axis of dynamic size")
        middle = body.size_code(rest)
        return Slice(middle, None) if start else Slice(None, middle)
    ends = isinstance(size, int) and stop >= size
    return Slice(Literal(start * rest) if start else None, None if ends else Literal(stop * rest))


def _indexed(held: Held, place: int, item: Code | Slice) -> Code:
    """`x[:, item]`, or `x[..., item]` for the last axis."""
    rank = len(held.layout.axes)
    if place == rank - 1 and rank > 1:
        return Index(held.code, (Ellipsis_(), item))
    return Index(held.code, (*[Slice()] * place, item))


def sliced(body: BodyBuilder, tensor: Tensor, dim: int, start: Any, stop: Any, step: int, size: Size) -> Tensor:
    """torch's `slice`; `size` is the result's size of that dimension."""
    layout = fuse(tensor.layout)
    dim %= len(layout.dims)
    tensor = viewed(tensor, layout)
    old = layout.shape[dim]
    if same(old, size):
        return tensor
    if not layout.dims[dim]:
        raise InternalError("an empty slice of a unit dimension")
    bounds = _bounds(start, stop, old)
    inside = _inside_axis(body, tensor, dim, bounds, step, size)
    if inside is not None:
        return inside
    held = gathered(body, tensor, dim)
    place = _place(held.layout, dim)
    first, last = bounds
    item = Slice(
        _bound(body, first) if first not in (0, None) else None,
        _bound(body, last) if last is not None else None,
        Literal(step) if step != 1 else None,
    )
    return body.emit(_indexed(held, place, item), resized(held.layout, dim, size), held.dtype)


def _inside_axis(
    body: BodyBuilder, tensor: Tensor, dim: int, bounds: tuple[Any, Any], step: int, size: Size
) -> Tensor | None:
    """A whole number of major steps of a shared axis: no reshape needed; None where it is not one."""
    layout = tensor.layout
    atoms = layout.atoms_of(dim)
    first, last = bounds
    if len(atoms) != 1 or atoms[0] in layout.broadcast or step != 1:
        return None
    place = next(index for index, axis in enumerate(layout.axes) if atoms[0] in axis)
    axis = layout.axes[place]
    rest = product(layout.atoms[atom] for atom in axis[1:])
    numbers = all(bound is None or (isinstance(bound, int) and bound >= 0) for bound in bounds)
    if len(axis) == 1 or axis[0] != atoms[0] or not numbers or not isinstance(rest, int):
        return None
    held = body.hold(tensor)
    item = Slice(Literal(first * rest) if first else None, None if last is None else Literal(last * rest))
    return body.emit(_indexed(held, place, item), resized(held.layout, dim, size), held.dtype)


def _bounds(start: Any, stop: Any, size: Size) -> tuple[Any, Any]:
    """Python's bounds; None where the slice is open."""
    first = start.expression if isinstance(start, SymbolicSize) else start
    last = stop.expression if isinstance(stop, SymbolicSize) else stop
    first = 0 if first is None else first
    if isinstance(size, int) and isinstance(first, int):
        first = max(0, first + size) if first < 0 else min(first, size)
    if isinstance(last, int) and isinstance(size, int):
        last = max(0, last + size) if last < 0 else last
        last = None if last >= size else last
    elif isinstance(last, int):
        last = None if last >= _OPEN else last
    elif last is not None and same(last, size):
        last = None
    return first, last


def _bound(body: BodyBuilder, bound: Any) -> Code:
    return Literal(bound) if isinstance(bound, int) else body.size_code(bound)


def gathered(body: BodyBuilder, tensor: Tensor, dim: int) -> Held:
    """The tensor with one dimension as an axis of its own; its layout has one atom for it."""
    layout = tensor.layout
    atoms = layout.atoms_of(dim)
    axes = own_axis(layout, atoms)
    if axes != layout.axes:  # as long as it is given another shape: all that torch sees as one
        for other in range(len(layout.dims)):
            axes = _together(axes, layout.atoms_of(other))
    held = body.arrange(tensor, layout, axes)
    merged = fuse(held.layout)
    return replace(held, layout=merged)


def _together(axes: Axes, atoms: Sequence[int]) -> Axes:
    """The axes with these atoms in one, if they lie in axes of their own, one after the other."""
    for place in range(len(axes) - len(atoms) + 1):
        if len(atoms) > 1 and list(axes[place : place + len(atoms)]) == [(atom,) for atom in atoms]:
            return (*axes[:place], tuple(atoms), *axes[place + len(atoms) :])
    return axes


def own_axis(layout: Layout, atoms: Sequence[int]) -> Axes:
    """The axes with these atoms gathered, in this order, in one axis at the place of the first that lies there."""
    axes: list[tuple[int, ...]] = []
    done = False
    for axis in layout.axes:
        group: list[int] = []
        for atom in axis:
            if atom not in atoms:
                group.append(atom)
                continue
            axes += [tuple(group)] if group else []
            group = []
            axes += [] if done else [tuple(atoms)]
            done = True
        if group or not axis:
            axes.append(tuple(group))
    return tuple(axes) if done else (tuple(atoms), *axes)


def _place(layout: Layout, dim: int) -> int:
    return layout.axes.index(layout.atoms_of(dim))


def resized(layout: Layout, dim: int, size: Size) -> Layout:
    """The layout after a slice: the first atom of the dimension has another size (a unit has none)."""
    atoms = layout.atoms_of(dim)
    sizes = list(layout.atoms)
    rest = product(sizes[atom] for atom in atoms[1:])
    first = divide(size, rest)
    assert first is not None
    sizes[atoms[0]] = first
    dims = [
        [atom for atom in layout.atoms_of(other) if not (atom == atoms[0] and same(first, 1))]
        for other in range(len(layout.dims))
    ]
    return relabelled(dims, sizes, layout.axes)


def pieces(body: BodyBuilder, tensor: Tensor, dim: int, sizes: Sequence[Size]) -> tuple[Tensor, ...]:
    """torch's `split` and `chunk`: results of these sizes along `dim`.

    Along an axis of its own, or the major atom of a shared one, this is one `ops.split`.
    """
    layout = fuse(tensor.layout)
    dim %= len(layout.dims)
    tensor = viewed(tensor, layout)
    if len(sizes) == 1:
        return (tensor,)
    atoms = layout.atoms_of(dim)
    if len(atoms) == 1 and atoms[0] in layout.broadcast:
        return tuple(viewed(tensor, resized(layout, dim, size)) for size in sizes)
    held, place, factor = _splittable(body, tensor, dim)
    layouts = [resized(held.layout, dim, size) for size in sizes]
    parts: Code
    if all(same(size, sizes[0]) for size in sizes):
        parts = Literal(len(sizes))
    elif not all(isinstance(size, int) for size in sizes):
        return _dynamic_pieces(body, held, place, sizes, layouts)
    else:
        ends, total = [], 0
        for size in sizes[:-1]:
            assert isinstance(size, int)
            total += size
            ends.append(Literal(total * factor))
        parts = CodeSequence("list", tuple(ends))
    axis = -1 if place == len(held.layout.axes) - 1 else place
    code = Call(SPLIT, (held.code, parts), (("axis", Literal(axis)),))
    return body.emit_many(code, [(part, held.dtype) for part in layouts])


def _dynamic_pieces(
    body: BodyBuilder, held: Held, place: int, sizes: Sequence[Size], layouts: Sequence[Layout]
) -> tuple[Tensor, ...]:
    """Pieces whose ends are known only when the model runs, as slices: `ops.split` wants numbers."""
    found: list[Tensor] = []
    start: Code | None = None
    total: Size = 0
    for number, (size, layout) in enumerate(zip(sizes, layouts, strict=True)):
        total = total + size
        stop = None if number == len(sizes) - 1 else body.size_code(total)
        found.append(body.emit(_indexed(held, place, Slice(start, stop)), layout, held.dtype))
        start = stop
    return tuple(found)


def _splittable(body: BodyBuilder, tensor: Tensor, dim: int) -> tuple[Held, int, int]:
    """The tensor, the axis to split and how many elements of it one step of `dim` takes."""
    layout = tensor.layout
    atoms = layout.atoms_of(dim)
    if len(atoms) == 1 and atoms[0] not in layout.broadcast:
        place = next(index for index, axis in enumerate(layout.axes) if atoms[0] in axis)
        rest = product(layout.atoms[atom] for atom in layout.axes[place][1:])
        if layout.axes[place][0] == atoms[0] and isinstance(rest, int):
            return body.hold(tensor), place, rest
    held = gathered(body, tensor, dim)
    return held, _place(held.layout, dim), 1


def unbound(body: BodyBuilder, tensor: Tensor, dim: int) -> tuple[Tensor, ...]:
    """torch's `unbind`: one `ops.unstack` along an axis of its own, else a `split` or strided slices."""
    layout = fuse(tensor.layout)
    dim %= len(layout.dims)
    tensor = viewed(tensor, layout)
    atoms = layout.atoms_of(dim)
    size = layout.shape[dim]
    if not isinstance(size, int):
        raise InternalError("unbind of a dynamic dimension")
    if len(atoms) == 1 and atoms[0] not in layout.broadcast:
        place = next(index for index, axis in enumerate(layout.axes) if atoms[0] in axis)
        axis = layout.axes[place]
        if len(axis) > 1 and axis[0] == atoms[0]:
            parts = pieces(body, tensor, dim, [1] * size)
            return tuple(viewed(part, _without_dim(part.layout, dim)) for part in parts)
        if len(axis) == 1:
            held = body.hold(tensor)
            others = Layout(layout.dims, layout.axes[:place] + layout.axes[place + 1 :])
            result = _without_dim(_gone(others, atoms[0]), dim)
            where = -1 if place == len(layout.axes) - 1 else place
            keywords = (("axis", Literal(where)),) if where else ()
            code = Call(UNSTACK, (held.code,), keywords)
            return body.emit_many(code, [(result, held.dtype)] * size)
    return tuple(selected(body, tensor, dim, index) for index in range(size))


def _without_dim(layout: Layout, dim: int) -> Layout:
    dims = [layout.atoms_of(other) for other in range(len(layout.dims)) if other != dim]
    return relabelled(dims, layout.atoms, layout.axes)
