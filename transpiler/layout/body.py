"""The body of one module call under construction: statements, the tensors in scope, the stored ones it uses."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import sympy

from transpiler.code import Binary, Call, Code, Function, Index, Literal, MergedSize, Ref, Slice, Spread
from transpiler.code import Member as MemberCode
from transpiler.code import Sequence as CodeSequence
from transpiler.errors import InternalError
from transpiler.keras_functions import RESHAPE, SHAPE, TRANSPOSE
from transpiler.layout.axes import Axes, Layout, Origins, standard
from transpiler.layout.lookahead import Meter
from transpiler.layout.moves import Broadcast, ExpandDims, Move, Reshape, Squeeze, Transpose, moves
from transpiler.layout.names import atom_letters, attribute_name, side
from transpiler.layout.sizes import divide, product, same
from transpiler.lift.program import Size, Stored
from transpiler.lowered import Member, SourceLine, Statement, WeightAttribute
from transpiler.weights.plan import PlanEntry


@dataclass(frozen=True, slots=True)
class Held:
    """A tensor in scope: the expression that names it (a value, or a weight of the module) and how its atoms lie."""

    code: Ref | MemberCode
    layout: Layout
    dtype: str


@dataclass(frozen=True, slots=True)
class Unpoured:
    """A parameter, buffer or constant whose physical order nobody has fixed yet.

    `layout.axes` are the axes of the torch tensor; views of it have rewritten the logical side only.
    """

    stored: Stored
    layout: Layout
    dtype: str


Tensor = Held | Unpoured

_WORTH_READING = 2
"""Axes that a reshape keeps in front: one alone is simply -1."""


@dataclass(frozen=True, slots=True)
class Line:
    """Where a statement comes from and what the torch line calls its results."""

    source: SourceLine | None
    names: tuple[str | None, ...] = (None,)
    reader: str = "the result"
    """What reads the values that are brought into order here: an operator or a module."""
    view: int = 0
    """Which of the views of this operator on this line of its module it is, counted from 1; 0 for what is none. Others
    are not counted: a copy that one instance needs, and another does not, is a view, too.
    """
    cls: str = ""
    """The module's class."""


@dataclass(slots=True)
class Elsewhere:
    """How views look on instances that have no `One`, by their place in torch's source."""

    origins: dict[Line, Origins] = field(default_factory=dict)
    counts: dict[Line, tuple[int, ...]] = field(default_factory=dict)
    """How many atoms the axes hold."""


class BodyBuilder:
    """Collects what becomes a `Body`. Values are numbered: arguments first, then results."""

    def __init__(self, path: str, meter: Meter | None = None, elsewhere: Elsewhere | None = None) -> None:
        """`meter` counts the transposes of a trial; `elsewhere` is shared by all bodies of a program."""
        self.path = path
        self.meter = meter
        self.statements: list[Statement] = []
        self.members: list[Member] = []
        self.plan: list[PlanEntry] = []
        self.scope: list[Held] = []
        self._given: list[Held] = []
        """The arguments."""
        self._count = 0
        self._poured: dict[tuple[int, Axes, tuple[Size, ...]], Held] = {}
        self._moved: dict[tuple[Ref | MemberCode, Move, tuple[Size, ...]], Held] = {}
        self._taken: set[str] = set()
        self.line = Line(None)
        self.elsewhere = elsewhere or Elsewhere()

    def fork(self, meter: Meter) -> BodyBuilder:
        """A copy that can go on apart from this one."""
        other = BodyBuilder(self.path, meter, self.elsewhere)
        other.statements, other.members, other.plan = [*self.statements], [*self.members], [*self.plan]
        other.scope, other.line, other._count = [*self.scope], self.line, self._count
        other._given = [*self._given]
        other._poured, other._moved, other._taken = dict(self._poured), dict(self._moved), set(self._taken)
        return other

    # ── values ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def argument(self, layout: Layout, dtype: str) -> Held:
        """A new argument of the body."""
        held = self._new(layout, dtype)
        self._given.append(held)
        return held

    def emit(self, code: Code, layout: Layout, dtype: str, comment: str = "") -> Held:
        """A statement with one result."""
        (held,) = self.emit_many(code, ((layout, dtype),), comment)
        return held

    def emit_many(self, code: Code, results: Sequence[tuple[Layout, str]], comment: str = "") -> tuple[Held, ...]:
        """A statement with several results."""
        held = tuple(self._new(layout, dtype) for layout, dtype in results)
        names = self.line.names if len(self.line.names) == len(held) else (None,) * len(held)
        numbers = tuple(item.code.value for item in held if isinstance(item.code, Ref))
        self.statements.append(Statement(numbers, code, names, self.line.source, comment, self.line.reader))
        return held

    def opaque(self, code: Code) -> int:
        """A statement whose result is a structure of tensors, to be indexed."""
        number = self._count
        self._count += 1
        shared = set(self.line.names)
        name = shared.pop() if len(shared) == 1 else None
        self.statements.append(Statement((number,), code, (name,), self.line.source))
        return number

    @property
    def count(self) -> int:
        """How many values there are; the next one's number."""
        return self._count

    def shapes(self) -> dict[int, tuple[Size, ...]]:
        """The Keras-side shapes of all values."""
        return {held.code.value: held.layout.physical_shape for held in self.scope if isinstance(held.code, Ref)}

    def _new(self, layout: Layout, dtype: str) -> Held:
        held = Held(Ref(self._count), layout, dtype)
        self._count += 1
        self.scope.append(held)
        return held

    # ── order ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def arrange(self, tensor: Tensor, layout: Layout, axes: Axes) -> Held:
        """Bring `tensor`, seen as `layout` (a refinement of its own), into the order `axes`.

        The result's layout has the atoms of `layout`.
        """
        if isinstance(tensor, Unpoured):
            return self._pour(tensor, layout, axes)
        held = Held(tensor.code, layout, tensor.dtype)
        for move in moves(layout, axes):
            held = self._move(held, move)
        return held

    def hold(self, tensor: Tensor) -> Held:
        """The tensor in whatever order it lies; stored ones in torch's."""
        if isinstance(tensor, Held):
            return tensor
        return self._pour(tensor, tensor.layout, tensor.layout.axes)

    def _move(self, held: Held, move: Move) -> Held:
        layout = Layout(held.layout.dims, move.axes)
        key = (held.code, move, held.layout.atoms)
        if key not in self._moved:
            if self.meter and isinstance(move, Transpose):
                self.meter.count(layout)
            self._moved[key] = self.emit(
                self._move_code(held, move), layout, held.dtype, self._move_comment(held.layout, move)
            )
        return replace(self._moved[key], layout=layout)

    def _move_code(self, held: Held, move: Move) -> Code:
        value = held.code
        match move:
            case Reshape(axes):
                return Call(RESHAPE, (value, self._reshaped(held, axes)))
            case Squeeze(places):
                return Call(Function("keras.ops.squeeze"), (value,), (("axis", _ints(places)),))
            case ExpandDims(places):
                return Call(Function("keras.ops.expand_dims"), (value, _ints(places)))
            case Transpose(permutation):
                return Call(TRANSPOSE, (value, _tuple(permutation)))
            case Broadcast(axes):
                shape = CodeSequence("tuple", tuple(self.size_code(size) for size in _sizes(held.layout, axes)))
                return Call(Function("keras.ops.broadcast_to"), (value, shape))

    def _move_comment(self, layout: Layout, move: Move) -> str:
        if not isinstance(move, Transpose):
            return ""
        letters = atom_letters(layout)
        return f"{side(layout.axes, letters)} -> {side(move.axes, letters)}"

    # ── sizes ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def shape_code(self, layout: Layout, axes: Axes) -> CodeSequence:
        """The shape of these axes for a reshape: one dynamic size is -1, the others are read from tensors."""
        sizes = _sizes(layout, axes)
        dynamic = [place for place, size in enumerate(sizes) if not isinstance(size, int)]
        free = max(dynamic, key=lambda place: (len(str(sizes[place])), -place)) if dynamic else None
        return CodeSequence(
            "tuple",
            tuple(Literal(-1) if place == free else self.size_code(size) for place, size in enumerate(sizes)),
        )

    def _reshaped(self, held: Held, axes: Axes) -> Code:
        """The shape for a reshape: sizes of leading axes that stay are read from the tensor, never spelled out."""
        kept = 0
        while kept < min(len(axes), len(held.layout.axes)) and axes[kept] and axes[kept] == held.layout.axes[kept]:
            kept += 1
        sizes = _sizes(held.layout, axes)
        if kept < _WORTH_READING or any(not isinstance(size, int) for size in sizes[kept:]):
            return _with_merged(self.shape_code(held.layout, axes), held.layout.axes, axes)
        shape = Call(SHAPE, (held.code,))
        read: Code = Index(shape, (Literal(1),))
        if kept > _WORTH_READING:
            read = Spread("tuple", (Index(shape, (Slice(Literal(1), Literal(kept)),)),))
        rest = CodeSequence("tuple", tuple(self.size_code(size) for size in sizes[kept:]))
        sized = _with_merged(rest, held.layout.axes, axes[kept:])
        return CodeSequence("tuple", (Literal(-1), read, *sized.items))

    def size_code(self, size: Size) -> Code:
        """A size as code: a number, or read from a tensor in scope."""
        if isinstance(size, int):
            return Literal(size)
        return self.size_in_scope(size) or self._computed_size(size)

    def size_in_scope(self, size: sympy.Expr) -> Code | None:
        """A dynamic size as it is read from a tensor in scope that has it; None if none has."""
        # The latest tensor: those before it need not be kept for their sizes. Of arguments the first.
        for held in (*reversed(self.scope[len(self._given) :]), *self._given):
            for place, axis in enumerate(held.layout.physical_shape):
                if not isinstance(axis, int) and same(axis, size):
                    return Index(Call(SHAPE, (held.code,)), (Literal(place),))
        return None

    def _computed_size(self, size: sympy.Expr) -> Code:
        if isinstance(size, sympy.Integer):
            return Literal(int(size))
        if isinstance(size, sympy.Add | sympy.Mul):
            return self._combined("+" if isinstance(size, sympy.Add) else "*", size.args)
        if type(size).__name__ in {"FloorDiv", "CleanDiv"}:
            return Binary("//", self.size_code(size.args[0]), self.size_code(_plain(size.args[1])))
        if type(size).__name__ in {"Mod", "PythonMod"}:
            return Binary("%", self.size_code(size.args[0]), self.size_code(_plain(size.args[1])))
        for held in self.scope:
            for place, axis in enumerate(held.layout.physical_shape):
                factor = divide(axis, size)
                if isinstance(factor, int) and factor > 1:
                    read = Index(Call(SHAPE, (held.code,)), (Literal(place),))
                    return Binary("//", read, Literal(factor))
        raise InternalError(f"{self.path}: no tensor in scope has the size {size}")

    def _combined(self, operator: str, parts: Sequence[sympy.Expr]) -> Code:
        ordered = sorted(parts, key=lambda part: bool(part.is_number))
        codes = [self.size_code(_plain(part)) for part in ordered]
        result = codes[0]
        for code in codes[1:]:
            if operator == "+" and isinstance(code, Literal) and isinstance(code.value, int) and code.value < 0:
                result = Binary("-", result, Literal(-code.value))
            else:
                result = Binary(operator, result, code)
        return result

    # ── stored tensors ─────────────────────────────────────────────────────────────────────────────────────────────

    def _pour(self, tensor: Unpoured, layout: Layout, axes: Axes) -> Held:
        """Declare the weight in the order in which it is read; atoms that it lacks stay broadcast."""
        stored = tensor.stored
        held_atoms = set(layout.order)
        wanted = tuple(tuple(atom for atom in axis if atom in held_atoms) for axis in axes)
        key = (stored.id, wanted, layout.atoms)
        if key not in self._poured:
            self._poured[key] = self._declare(stored, layout, wanted)
        held = Held(self._poured[key].code, Layout(layout.dims, wanted), tensor.dtype)
        if wanted == axes:
            return held
        for move in moves(held.layout, axes):
            held = self._move(held, move)
        return held

    def _declare(self, stored: Stored, layout: Layout, axes: Axes) -> Held:
        name = self.free_name(attribute_name(self._relative(stored.key)))
        letters = atom_letters(layout)
        shape = tuple(int(size) for size in _sizes(layout, axes))
        sizes = tuple((letters[atom], int(layout.atoms[atom])) for atom in layout.order)
        self.plan.append(
            plan_entry((name,), stored, f"{side(layout.axes, letters)} -> {side(axes, letters)}", sizes, (shape,))
        )
        self.members.append(
            Member(name, None, self._relative(stored.key), WeightAttribute(shape, stored.dtype, stored.trainable))
        )
        return Held(MemberCode(name), Layout(layout.dims, axes), stored.dtype)

    def _relative(self, key: str) -> str:
        prefix = f"{self.path}."
        return key[len(prefix) :] if self.path and key.startswith(prefix) else key

    def free_name(self, name: str) -> str:
        """`name`, or with a number behind it if an attribute bears it already."""
        candidate, number = name, 2
        while candidate in self._taken:
            candidate, number = f"{name}_{number}", number + 1
        self._taken.add(candidate)
        return candidate


def plan_entry(
    variables: tuple[str, ...],
    stored: Stored,
    pattern: str,
    sizes: tuple[tuple[str, int], ...],
    shapes: tuple[tuple[int, ...], ...],
) -> PlanEntry:
    """A plan entry; a tensor outside the state dict carries its value."""
    return PlanEntry(
        variables=variables,
        source=stored.key,
        pattern=pattern,
        sizes=sizes,
        source_shape=tuple(int(size) for size in stored.shape),
        dtype=str(stored.tensor.dtype).removeprefix("torch."),
        shapes=shapes,
        constant=None if stored.in_state_dict else encoded(stored),
    )


def encoded(stored: Stored) -> str:
    """The tensor's little-endian bytes in base64."""
    return base64.b64encode(stored.tensor.detach().contiguous().numpy().tobytes()).decode("ascii")


def unpoured(stored: Stored) -> Unpoured:
    """A stored tensor as torch has it."""
    return Unpoured(stored, standard(stored.shape), stored.dtype)


def _sizes(layout: Layout, axes: Axes) -> tuple[Size, ...]:
    atoms = layout.atoms
    return tuple(product(atoms[atom] for atom in axis) for axis in axes)


def _with_merged(shape: CodeSequence, before: Axes, after: Axes) -> CodeSequence:
    """The shape with the sizes marked that are those of whole axes, alone or together; the last one has its name."""
    items = list(shape.items)
    for place, (code, axis) in enumerate(zip(items[:-1], after, strict=False)):
        merged = _merged_axes(before, axis)
        if isinstance(code, Literal) and code.value != -1 and merged:
            items[place] = MergedSize(code.value, merged)
    return CodeSequence("tuple", tuple(items))


def _merged_axes(before: Axes, axis: tuple[int, ...]) -> tuple[int, ...]:
    """Which whole axes, one after the other, have the atoms of `axis`; () if it takes parts of any."""
    for start in range(len(before)):
        atoms: tuple[int, ...] = ()
        for stop in range(start, len(before)):
            atoms += before[stop]
            if atoms == axis:
                return tuple(range(start, stop + 1))
    return ()


def _plain(size: sympy.Expr) -> Size:
    return int(size) if size.is_number else size


def _ints(places: Sequence[int]) -> Code:
    return Literal(places[0]) if len(places) == 1 else _tuple(places)


def _tuple(numbers: Sequence[int]) -> Code:
    return CodeSequence("tuple", tuple(Literal(number) for number in numbers))
