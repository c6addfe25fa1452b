"""A convolution that some instances pad before and others by `padding="same"`, made in one place.

>>> # self.conv = keras.Sequential([layers.ZeroPadding2D(1), layers.Conv2D(c, 3, strides=stride)])
>>> #     if stride != 1 else layers.Conv2D(c, 3, padding="same")
>>> # is
>>> # conv = layers.Conv2D(c, 3, strides=stride, padding="same" if stride == 1 else "valid")
>>> # self.conv = keras.Sequential([layers.ZeroPadding2D(1), conv]) if stride != 1 else conv
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from transpiler.code import Binary, Call, Code, Comprehension, Conditional, Function, Literal, Name
from transpiler.code import Sequence as CodeSequence
from transpiler.keras_functions import SEQUENTIAL
from transpiler.outline.choices import negated
from transpiler.outline.constructor import used_names
from transpiler.outline.program import Assign, If, Line
from transpiler.trees import children, names_in, transform

_CONV = "conv"
_PADDING = "keras.layers.ZeroPadding"
_SAME = ("padding", Literal("same"))
_DEFAULTS: dict[str, Code] = {"strides": Literal(1)}
"""What a convolution is given where it is not told."""


def made_once(line: Line, after: Sequence[Line]) -> Iterator[tuple[Assign, Assign]]:
    """The statement in two, if it makes one convolution in two ways.

    Args:
        line: a statement of `__init__`.
        after: everything that runs after it.
    """
    whole = _as_one(line)
    if whole is None or _CONV in names_in(whole.value) or _CONV in used_names(tuple(after), ()):
        return
    for choice in _choices(whole.value):
        conv = _merged(choice)
        if conv is not None:
            yield Assign((_CONV,), conv), replace(whole, value=_put(whole.value, choice))


def is_made_twice(line: If) -> bool:
    """Whether the branches make one convolution in two ways, and nothing else."""
    return any(made_once(line, ()))


def _as_one(line: Line) -> Assign | None:
    """Branches that assign to one variable as one statement."""
    match line:
        case Assign():
            return line
        case If(test, (then,), (otherwise,)):
            one, other = _as_one(then), _as_one(otherwise)
            if one is None or other is None or one.targets != other.targets or one.comment or other.comment:
                return None
            return Assign(one.targets, Conditional(test, one.value, other.value))
        case _:
            return None


def _choices(code: Code) -> Iterator[Conditional]:
    """Conditionals that are reached on every instance: what is hoisted out of them must not depend on others."""
    if isinstance(code, Comprehension):
        return
    if isinstance(code, Conditional):
        yield code
        return
    for child in children(code):
        yield from _choices(child)


def _padded(code: Code) -> tuple[Code, Code] | None:
    """The padding layer and the convolution of `keras.Sequential([padding, convolution])`."""
    match code:
        case Call(function, (CodeSequence("list", (Call(Function(name)) as padding, conv)),), ()):
            return (padding, conv) if function == SEQUENTIAL and name.startswith(_PADDING) else None
        case _:
            return None


def _merged(choice: Conditional) -> Code | None:
    """The convolution for both branches; None if they do more than pad in two ways."""
    if (padded := _padded(choice.then)) is not None:
        return _both(padded[1], choice.otherwise, choice.test)
    if (padded := _padded(choice.otherwise)) is not None:
        return _both(padded[1], choice.then, negated(choice.test))
    return None


def _put(code: Code, choice: Conditional) -> Code:
    return transform(code, lambda node: _with_name(choice) if node is choice else None)


def _with_name(choice: Conditional) -> Code:
    def named(code: Code) -> Code:
        padded = _padded(code)
        if padded is None:
            return Name(_CONV)
        return Call(SEQUENTIAL, (CodeSequence("list", (padded[0], Name(_CONV))),))

    return Conditional(choice.test, named(choice.then), named(choice.otherwise))


def _both(valid: Code, same: Code, test: Code) -> Code | None:
    """One call for `valid`, which is there if `test`, and `same`, which pads by itself."""
    match valid, same:
        case Conditional(), Conditional() if valid.test == same.test:
            then, otherwise = _both(valid.then, same.then, test), _both(valid.otherwise, same.otherwise, test)
            return Conditional(valid.test, then, otherwise) if then is not None and otherwise is not None else None
        case Call(), Call() if (valid.function, valid.arguments) == (same.function, same.arguments):
            keywords = _keywords(valid, same, test)
            return None if keywords is None else replace(valid, keywords=keywords)
        case _:
            return None


def _keywords(valid: Call, same: Call, test: Code) -> tuple[tuple[str, Code], ...] | None:
    if "padding" in dict(valid.keywords) or _SAME not in same.keywords:
        return None
    left = [keyword for keyword in same.keywords if keyword not in valid.keywords and keyword != _SAME]
    more = [keyword for keyword in valid.keywords if keyword not in same.keywords]
    if left or not all(_is_default(name, code, negated(test)) for name, code in more):
        return None
    padding = ("padding", Conditional(negated(test), Literal("same"), Literal("valid")))
    ahead = [keyword for keyword in valid.keywords if keyword[0] in _DEFAULTS]
    return (*ahead, padding, *(keyword for keyword in valid.keywords if keyword not in ahead))


def _is_default(name: str, code: Code, test: Code) -> bool:
    """Whether an argument is what it would be without it wherever `test` holds."""
    return name in _DEFAULTS and test == Binary("==", code, _DEFAULTS[name])
