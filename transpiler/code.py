"""The expressions that generated source is made of: a small, hashable subset of Python's.

Everything that reaches `tf.py` passes through these nodes, so that strings are escaped and names checked in one place
(`render`), and so that `outline` can compare the bodies of two module instances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Literal:
    value: None | bool | int | float | str


@dataclass(frozen=True, slots=True)
class MergedSize(Literal):
    """The size of an axis that is one or several whole axes of the tensor that is reshaped."""

    axes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PartCount(Literal):
    """The size of an axis that the next statement unpacks, a name for each of its parts: no setting changes it."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A value of the body it stands in, by number (arguments first, then statement results)."""

    value: int


@dataclass(frozen=True, slots=True)
class Member:
    """`self.<name>`, or `self.<name>[index]`: an attribute of the body it stands in."""

    name: str
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """A dotted name to be imported: `keras.ops.concatenate`, `keras.layers.Conv2D`, `helpers.grid_sample`."""

    name: str


@dataclass(frozen=True, slots=True)
class Name(Function):
    """A name that needs no import: a parameter, a local variable, `self.<attribute>`, a generated class, a builtin."""


@dataclass(frozen=True, slots=True)
class Call:
    function: Code
    arguments: tuple[Code, ...] = ()
    keywords: tuple[tuple[str, Code], ...] = ()


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str
    operand: Code


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str  # + - * / // % ** == != < <= > >= and or
    left: Code
    right: Code


@dataclass(frozen=True, slots=True)
class Conditional:
    test: Code
    then: Code
    otherwise: Code


@dataclass(frozen=True, slots=True)
class Attribute:
    base: Code
    name: str


@dataclass(frozen=True, slots=True)
class Slice:
    """`start:stop:step`; None stands for an absent part."""

    start: Code | None = None
    stop: Code | None = None
    step: Code | None = None


@dataclass(frozen=True, slots=True)
class Ellipsis_:
    """`...` in an index."""


@dataclass(frozen=True, slots=True)
class Index:
    base: Code
    items: tuple[Code | Slice | Ellipsis_, ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    kind: str  # "tuple" "list"
    items: tuple[Code, ...]


@dataclass(frozen=True, slots=True)
class Spread(Sequence):
    """`*items[0]`, an element of a display."""


@dataclass(frozen=True, slots=True)
class Comprehension(Sequence):
    """`[item for variables in iterable]`; as an element of another display, `*[…]`. `items` is the one item.

    A turn that makes several is `[layer for variables in iterable for layer in items]`.
    Over `enumerate`, the first variable counts, and the others are those of one element.
    """

    variables: tuple[str, ...] = ("_",)
    iterable: Code = Name("range")


@dataclass(frozen=True, slots=True)
class Mapping:
    items: tuple[tuple[str, Code], ...]


Code: TypeAlias = (
    Literal | Ref | Member | Function | Call | Unary | Binary | Conditional | Attribute | Index | Sequence | Mapping
)
