"""Where the numbers in `call` come from: attributes of self, and sizes of its arguments.

>>> # reshape(x, (-1, 8, 7, 8, 7, 96)) is reshape(x, (-1, h // self.window, self.window, …, self.dim)) where h is
>>> # the height of x. A candidate is taken only if it is right on every instance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property

from transpiler.code import Binary, Call, Code, Index, Literal, Name, Ref, Sequence, Slice, Unary
from transpiler.keras_functions import SHAPE
from transpiler.lowered import Argument, Basic, Body
from transpiler.outline.forward_source import (
    attributes_counted,
    attributes_read,
    takes_roots,
    unpacked_sizes,
)
from transpiler.outline.holes import AXES, HoleFact, Use
from transpiler.outline.recover import LARGE, Scope
from transpiler.outline.vocabulary import AFFINITY
from transpiler.outline.written_numbers import numbers_written
from transpiler.trees import code_of, names_in, refs, same, transform

SIZES = 1 << 20
"""Values from this number on are sizes of arguments: 16 axes for each of them."""
_AXES = 16
_SHAPED = frozenset({"reshape", "broadcast_to", "roll"})
"""Functions among whose arguments small numbers are sizes, too."""
_SIZED = _SHAPED | {
    "index",
    "split",
    "repeat",
    "arange",
    "zeros",
    "ones",
    "full",
    "pad",
    "pad_axes",
    "resize",
    "linspace",
}
"""What takes sizes at all: a number anywhere else is one only if an attribute says so."""
_SMALL = 2
"""From this number on, a size is told apart from an axis that is not there."""
_MOST_ATOMS = 40
_TELLING = 3
"""So many different numbers are no coincidence if a factor that torch does not write explains them all."""
_Vector = tuple[int | float, ...]


def size_of(argument: int, axis: int) -> Ref:
    """The value that stands for the size of an argument along an axis."""
    return Ref(SIZES + argument * _AXES + axis)


def which_size(value: int) -> tuple[int, int] | None:
    """Argument and axis that a value stands for, None if it is no size."""
    return divmod(value - SIZES, _AXES) if value >= SIZES else None


def sizes_read(values: Iterable[int]) -> dict[int, Code]:
    """How each of these sizes is read from its argument: `ops.shape(x)[1]`."""
    found: dict[int, Code] = {}
    for value in values:
        size = which_size(value)
        if size is not None:
            found[value] = Index(Call(SHAPE, (Ref(size[0]),)), (Literal(size[1]),))
    return found


class CallNumbers:
    """What numbers in `call` may come from, for the instances of one class.

    Args:
        scope: arguments and locals of torch's constructor on every instance.
        bodies: one for each instance.
    """

    def __init__(self, scope: Scope, bodies: list[Body]) -> None:
        self._scope = scope
        self._arguments = [body.arguments for body in bodies]
        self._forward = bodies[0].cls.forward_source
        self._mentioned = attributes_read(self._forward)
        self._counted = attributes_counted(self._forward)

    def find(self, hole: HoleFact) -> Code | None:
        """The expression for a number of `call`, over constructor arguments, attributes and `size_of` arguments."""
        values = hole.values
        if all(isinstance(value, tuple) for value in values.values()):
            return self._table(values)
        if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values.values()):
            return None
        if all(isinstance(value, int) and value < 0 for value in values.values()):
            positive = HoleFact(hole.use, {row: -value for row, value in values.items()})  # type: ignore[operator]
            code = self.find(positive)
            return None if code is None else Unary("-", code)
        if hole.use.function == "range" and not hole.use.member:
            found = self._first(list(self._known_of(self._counted)), values)
            if found is not None:
                return found
        first = next(iter(values.values()))
        varies = hole.varies()
        telling = varies or (isinstance(first, int) and first >= LARGE)
        small = hole.use.function in _SHAPED and isinstance(first, int) and first >= _SMALL
        if hole.use.function == "arange":  # counts pixels, whatever else may have the same number
            found = self._first([*self.sizes, *self._size_pairs], values) if telling else None
            return found or (self._first(self._quotients, values) if varies else None)
        if telling or small or isinstance(first, float):
            found = self._first([*self.settings, *self._roots], values)
            if found is not None:
                return found
        if not telling or hole.use.parameter in AXES or hole.use.function not in _SIZED:
            return None
        found = self._first([*self._numbers, *self.sizes], values) or self._first(self._pairs, values)
        merged = _product_of_axes(hole.use)
        return found if merged is None or (found is not None and self._is_the_authors(found)) else merged

    def _is_the_authors(self, code: Code) -> bool:
        """Whether it is made of what torch's `forward` reads, or a size that it has a name for."""
        if isinstance(code, Ref) and (size := which_size(code.value)) is not None:
            return unpacked_sizes(self._forward, len(self._arguments[0][size[0]].shape)) != ()
        known = {name for mentioned in self._mentioned for name in (mentioned, f"self.{mentioned}")}
        return not refs(code) and set(names_in(code)) <= known

    def _table(self, values: Mapping[int, Basic]) -> Code | None:
        """The attribute that holds the numbers of a loop's turns."""
        names = [name for word in self._mentioned for name in (f"self.{word}", word)]
        for name in (name for name in names if name in self._scope.scopes[0]):
            held = {row: self._scope.scopes[row][name] for row in values}
            lists = {row: tuple(value) for row, value in held.items() if isinstance(value, list | tuple)}
            if lists.keys() == held.keys() and all(same(lists[row], value) for row, value in values.items()):
                return Name(name)
        return None

    def shape(self, hole: HoleFact) -> Code | None:
        """The shape of a weight over sizes of the input and what the constructor knows; None if they do not tell."""
        shapes = {row: value for row, value in hole.values.items() if isinstance(value, tuple)}
        ranks = {len(shape) for shape in shapes.values()}
        if len(self._arguments[0]) != 1 or self._arguments[0][0].is_list or len(ranks) != 1 or len(shapes) < 2:
            return None
        found = [self._side({row: shape[axis] for row, shape in shapes.items()}) for axis in range(ranks.pop())]
        sides = tuple(side for side in found if side is not None)
        return self.distinguished(Sequence("tuple", sides)) if len(sides) == len(found) else None

    def _side(self, values: dict[int, Basic]) -> Code | None:
        if len(set(values.values())) > 1:
            return self._first([*self.settings, *self._numbers, *self.sizes], values) or self._first(
                self._pairs, values
            )
        value = next(iter(values.values()))
        if not isinstance(value, int) or value < LARGE:
            return code_of(value)
        squares = [_times(one, other) for place, one in enumerate(self.settings) for other in self.settings[place:]]
        return self._first([*self.settings, *squares], values) or code_of(value)

    def distinguished(self, code: Code) -> Code:
        """The expression with the sizes of several axes told apart that are the same on every instance.

        `reshape(x, (-1, h // w[0], w[0], h // w[0], w[0]))` is about h and then about the axis beside it.
        """

        def change(node: Code) -> Code | None:
            match node:
                case Index(base, (*before, Slice(None, Ref(value), None))) if all(item == Slice() for item in before):
                    return Index(self.distinguished(base), (*before, Slice(None, self._along(value, len(before)))))
                case Binary("*", left, right) if left == right and not isinstance(left, Literal):
                    return Binary("*", left, self._beside(right, 1))
                case Sequence(_, items) if type(node) is Sequence and len(items) > 1:
                    return replace(node, items=self._apart(tuple(self.distinguished(item) for item in items)))
                case _:
                    return None

        return transform(code, change)

    def _along(self, value: int, axis: int) -> Code:
        """A size that bounds an axis: that of the same axis, where it is the same number everywhere."""
        size = which_size(value)
        other = Ref(value) if size is None else size_of(size[0], axis)
        return other if self._vector(other) == self._vector(Ref(value)) is not None else Ref(value)

    def _apart(self, items: tuple[Code, ...]) -> tuple[Code, ...]:
        seen: dict[Code, int] = {}
        new: list[Code] = []
        for item in items:
            place = seen.get(item, 0)
            seen[item] = place + 1
            is_product = isinstance(item, Binary) and item.operator == "*"
            new.append(item if is_product or place == 0 else self._beside(item, place))
        return self._columns_alone(tuple(new))

    def _columns_alone(self, items: tuple[Code, ...]) -> tuple[Code, ...]:
        """`(-1, w // window[1], window[0], window[1], dim)`: there are two window sizes, but windows are counted once.

        So it is along columns that they are counted: those along rows are in the -1 before them.
        """
        counts = [item for item in items if isinstance(item, Binary) and item.operator == "//"]
        if items[0] != Literal(-1) or len(counts) != 1:
            return items
        by = counts[0].right
        sizes = [item for item in items if item in (by, self._beside(by, 1))]
        return tuple(self._beside(item, 1) if item is counts[0] and len(sizes) > 1 else item for item in items)

    def _beside(self, code: Code, place: int) -> Code:
        """The same of the axis `place` further, where that is the same number everywhere."""

        def change(node: Code) -> Code | None:
            match node:
                case Ref(value) if (size := which_size(value)) is not None:
                    other = size_of(size[0], size[1] + place)
                    return other if self._vector(other) == self._vector(node) is not None else node
                case Index(base, (Literal(int() as index),)):
                    further = Index(base, (Literal(index + place),))
                    return further if self._vector(further) == self._vector(node) is not None else node
                case _:
                    return None

        return transform(code, change)

    def _vector(self, code: Code) -> _Vector | None:
        """The values of an atom, be it an attribute or the argument that the attribute holds."""
        if isinstance(code, Index) and isinstance(code.base, Name) and code.base.name.startswith("self."):
            plain = replace(code, base=Name(code.base.name.removeprefix("self.")))
            return self._atoms.get(code) or self._atoms.get(plain)
        return self._atoms.get(code)

    @cached_property
    def _atoms(self) -> dict[Code, _Vector]:
        return dict((*self._numbers, *self.settings, *self.sizes))

    @staticmethod
    def _first(candidates: list[tuple[Code, _Vector]], values: Mapping[int, Basic]) -> Code | None:
        for code, vector in candidates:
            if all(_same(vector[row], value) for row, value in values.items()):
                return code
        return None

    @cached_property
    def settings(self) -> list[tuple[Code, _Vector]]:
        """Attributes that torch's `forward` reads."""
        return list(self._known_of(self._mentioned))

    def _known_of(self, attributes: tuple[str, ...]) -> Iterator[tuple[Code, _Vector]]:
        names = [f"self.{name}" for name in attributes]
        yield from self._known([name for name in names if name in self._scope.definitions])
        # `self.dim` that the constructor takes as `dim` and that `forward` reads, however it came about.
        yield from self._known([name for name in attributes if name in self._scope.arguments])

    @cached_property
    def _numbers(self) -> list[tuple[Code, _Vector]]:
        """Everything else that the constructor knows."""
        names = sorted((*self._scope.definitions, *self._scope.arguments), key=_unlikely)
        return [pair for pair in self._known(list(dict.fromkeys(names))) if pair not in self.settings]

    def _known(self, names: list[str]) -> Iterator[tuple[Code, _Vector]]:
        for name in names:
            values = [scope[name] for scope in self._scope.scopes]
            yield from _numeric(Name(name), values)
            first = values[0]
            if isinstance(first, tuple | list) and len(first) <= 3:
                for place in range(len(first)):
                    items = [
                        value[place] if isinstance(value, tuple | list) and place < len(value) else None
                        for value in values
                    ]
                    yield from _numeric(Index(Name(name), (Literal(place),)), items)

    @cached_property
    def sizes(self) -> list[tuple[Code, _Vector]]:
        """Sizes of the arguments, the batch left out."""
        found: list[tuple[Code, _Vector]] = []
        for place, first in enumerate(self._arguments[0]):
            if first.is_list:
                continue
            for axis in range(1, len(first.shape)):
                found += _numeric(size_of(place, axis), [_size(row, place, axis) for row in self._arguments])
        return found

    @cached_property
    def _size_pairs(self) -> list[tuple[Code, _Vector]]:
        """Sizes divided by something that the constructor knows."""
        known = [pair for pair in (*self.settings, *self._numbers) if all(isinstance(value, int) for value in pair[1])]
        return [pair for size in self.sizes for by in known if (pair := _divided(size, by)) is not None]

    @cached_property
    def _roots(self) -> list[tuple[Code, _Vector]]:
        """What attention scales by: `head_dim ** -0.5`, `(dim // num_heads) ** -0.5`; no size is a float."""
        if not takes_roots(self._forward):
            return []
        whole = [pair for pair in (*self.settings, *self._numbers) if all(isinstance(value, int) for value in pair[1])]
        whole = whole[:_MOST_ATOMS]
        divided = [pair for one in whole for other in whole if (pair := _divided(one, other)) is not None]
        return [
            (Binary("**", code, Literal(-0.5)), tuple(value**-0.5 for value in vector))
            for code, vector in (*whole, *divided)
            if all(value > 1 for value in vector)
        ]

    @cached_property
    def _known_integers(self) -> list[tuple[Code, _Vector]]:
        known = (*self.settings, *self._numbers)
        return [pair for pair in known if all(isinstance(value, int) for value in pair[1])][:_MOST_ATOMS]

    @cached_property
    def _quotients(self) -> list[tuple[Code, _Vector]]:
        """What the constructor knows, divided by something else that it knows: `input_size[1] // stride[1]`."""
        known = self._known_integers
        return [pair for one in known for other in known if (pair := _divided(one, other)) is not None]

    @cached_property
    def _pairs(self) -> list[tuple[Code, _Vector]]:
        """Arithmetic on two of them, what is likely first."""
        known = self._known_integers
        windows = self._size_pairs
        found = [*self._quotients, *windows]
        found += [_times(one, other) for place, one in enumerate(known) for other in known[place:]]
        found += [_times(one, other) for place, one in enumerate(self.sizes) for other in self.sizes[place:]]
        written = numbers_written(self._forward)
        for factor in (2, 3, 4):
            constant: tuple[Code, _Vector] = (Literal(factor), (factor,) * self._scope.count)
            found += [_times(constant, one) for one in known if factor in written or len(set(one[1])) >= _TELLING]
            # That one image is twice as high as a number is chance, that several are is not.
            sizes = [one for one in self.sizes if factor in written or len(set(one[1])) > 1]
            found += [pair for one in (*known, *sizes) if (pair := _divided(one, constant)) is not None]
        found += [_times(one, other) for place, one in enumerate(windows) for other in windows[place:]]
        return found


def _same(one: float, other: object) -> bool:
    """Whether two numbers are one; computed another way, the last digit of a float may differ."""
    if isinstance(other, float):
        return not isinstance(one, int) and math.isclose(one, other, rel_tol=1e-14)
    return type(one) is type(other) and one == other


def _product_of_axes(use: Use) -> Code | None:
    """The sizes of the axes that become one, or of the one that stays, as read from what is given a new shape."""
    if use.function != "reshape" or use.operand is None or not use.merged:
        return None
    shape = Call(SHAPE, (use.operand,))
    code: Code = Index(shape, (Literal(use.merged[0]),))
    for axis in use.merged[1:]:
        code = Binary("*", code, Index(shape, (Literal(axis),)))
    return code


def _unlikely(name: str) -> int:
    """A size is rather that of what a class makes than of what it is given."""
    likely = (*AFFINITY["filters"], *AFFINITY["units"])
    return likely.index(name) if name in likely else len(likely)


def _numeric(code: Code, values: list[Basic]) -> list[tuple[Code, _Vector]]:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return [(code, tuple(numbers))] if len(numbers) == len(values) else []


def _size(arguments: tuple[Argument, ...], place: int, axis: int) -> int | None:
    shape = arguments[place].shape if place < len(arguments) else ()
    return shape[axis] if axis < len(shape) else None


def _divided(one: tuple[Code, _Vector], other: tuple[Code, _Vector]) -> tuple[Code, _Vector] | None:
    """`one // other` where it leaves no rest anywhere and changes something."""
    pairs = list(zip(one[1], other[1], strict=True))
    if one[0] == other[0] or any(b <= 0 or a % b for a, b in pairs) or all(b == 1 for _, b in pairs):
        return None
    return Binary("//", one[0], other[0]), tuple(a // b for a, b in pairs)


def _times(one: tuple[Code, _Vector], other: tuple[Code, _Vector]) -> tuple[Code, _Vector]:
    return Binary("*", one[0], other[0]), tuple(a * b for a, b in zip(one[1], other[1], strict=True))
