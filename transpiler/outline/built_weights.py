"""Weights whose shape follows from the size of what the layer is given: made in `build`, as Keras layers do.

>>> # the mask of shifted windows, (h // 7 * (w // 7), 1, 49, 49) for maps of h times w pixels:
>>> # def build(self, input_shape): self.attn = self.add_weight(shape=(input_shape[1] // self.window_size[0] * …))
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from transpiler.code import Binary, Call, Code, Index, Literal, Name, Ref
from transpiler.outline.call_numbers import which_size
from transpiler.outline.choices import small_comparisons
from transpiler.outline.forms import ADD_WEIGHT
from transpiler.outline.holes import Hole, HoleFact
from transpiler.outline.members import weight_call
from transpiler.outline.program import Assign, If, Line
from transpiler.outline.settings import Settings
from transpiler.trees import code_of, transform

INPUT_SHAPE = Name("input_shape")


@dataclass(frozen=True, slots=True)
class BuiltWeight:
    """The lines that a weight needs."""

    setup: tuple[Line, ...]
    """In `__init__`."""
    build: tuple[Line, ...]
    """In `build(input_shape)`."""


def built_weight(
    settings: Settings, holes: list[HoleFact], name: str, code: Code, rows: tuple[int, ...]
) -> BuiltWeight | None:
    """The lines for a weight that only the shape of the input tells the shape of; None if it is not one.

    Args:
        settings: finds expressions.
        holes: by `Hole.number`.
        name: attribute of self.
        code: what makes it, with holes.
        rows: the instances that have it.
    """
    fact = _shape(code, holes)
    if fact is None or settings.scope.find(fact) is not None:
        return None
    shape, others = settings.numbers.shape(fact), _others(code, holes)
    test = None if rows == settings.rows else _question(settings, rows, name)
    if shape is None or others is None or (test is None and rows != settings.rows):
        return None

    def read(node: Code) -> Code | None:
        size = which_size(node.value) if isinstance(node, Ref) else None
        return None if size is None else Index(INPUT_SHAPE, (Literal(size[1]),))

    shape = transform(settings.through_self(shape), read)
    made = weight_call(Call(ADD_WEIGHT, (), (("shape", shape), *others)))
    line = Assign((f"self.{name}",), made)
    if test is None:
        return BuiltWeight((), (line,))
    asked = transform(settings.through_self(test), read)
    return BuiltWeight((Assign((f"self.{name}",), Literal(None)),), (If(asked, (line,)),))


def _others(code: Code, holes: list[HoleFact]) -> tuple[tuple[str, Code], ...] | None:
    """What the weight is given besides its shape; None if instances differ in that."""
    found: list[tuple[str, Code]] = []
    for key, value in code.keywords if isinstance(code, Call) else ():
        fact = holes[value.number] if isinstance(value, Hole) else None
        if key == "shape":
            continue
        if fact is not None and fact.varies():
            return None
        found.append((key, value if fact is None else code_of(next(iter(fact.values.values())))))
    return tuple(found)


def _shape(code: Code, holes: list[HoleFact]) -> HoleFact | None:
    if not isinstance(code, Call) or code.function != ADD_WEIGHT:
        return None
    shape = dict(code.keywords).get("shape")
    fact = holes[shape.number] if isinstance(shape, Hole) else None
    return fact if fact is not None and fact.varies() else None


def _question(settings: Settings, inside: Collection[int], name: str) -> Code | None:
    """Whether an instance has the weight, over constructor arguments and sizes; None if they do not tell."""
    if settings.can_ask(inside, settings.rows):
        return settings.question(inside, settings.rows, name)
    wanted = sum(1 << row for row in inside)
    larger = list(_larger(settings))
    for code, answers in larger:
        if answers == wanted:
            return code
    for own, mask in small_comparisons(settings.scope, inside, settings.rows):
        for code, answers in larger:
            if mask & answers == wanted:
                return Binary("and", own, code)
    return None


def _larger(settings: Settings) -> Iterator[tuple[Code, int]]:
    """Comparisons of sizes with numbers of the constructor, and the instances that they hold for."""
    for size, sizes in settings.numbers.sizes:
        for number, values in settings.numbers.settings:
            answers = sum(1 << row for row in settings.rows if sizes[row] > values[row])
            if answers:
                yield Binary(">", size, number), answers
