"""What tells two groups of instances apart: a question about constructor arguments."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import combinations

from transpiler.code import Binary, Code, Index, Literal, Name, Unary
from transpiler.outline.recover import MISSING, Scope
from transpiler.outline.vocabulary import AFFINITY
from transpiler.trees import code_of, key_of

LARGEST_LITERAL = 2
"""An argument is compared with small numbers only: that 64 channels have a shortcut is a coincidence."""

MOST_ATOMS = 64


def find_question(scope: Scope, inside: Collection[int], rows: Collection[int], *, by_equality: bool) -> Code | None:
    """An expression that is true on the instances `inside` and false on the others of `rows`; None if none is found.

    Args:
        scope: arguments and locals of the instances.
        inside: instances that the answer must be yes for.
        rows: all instances that are asked.
        by_equality: whether `a == b` says more than a comparison with a literal (a depthwise convolution is one whose
            groups are its channels).
    """
    wanted = sum(1 << row for row in inside)
    mask = sum(1 << row for row in rows)
    atoms: list[tuple[Code, int]] = []
    for code in _atoms(scope, inside, rows, by_equality=by_equality):
        answers = _answers(scope, code, rows)
        if answers is None:
            continue
        if answers == wanted:
            return code
        if answers == mask ^ wanted:
            return negated(code)
        if 0 < answers < mask and len(atoms) < MOST_ATOMS:
            atoms += [(code, answers), (negated(code), mask ^ answers)]
    for (one, first), (other, second) in combinations(atoms, 2):
        if first & second == wanted:
            return Binary("and", one, other)
        if first | second == wanted:
            return Binary("or", one, other)
    return None


def negated(code: Code) -> Code:
    """The opposite question.

    >>> negated(Binary("==", Name("s"), Literal(1)))
    Binary(operator='!=', left=Name(name='s'), right=Literal(value=1))
    """
    opposite = {"==": "!=", "!=": "==", "is": "is not", "is not": "is", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
    if isinstance(code, Binary) and code.operator in opposite:
        return Binary(opposite[code.operator], code.left, code.right)
    if isinstance(code, Unary) and code.operator == "not":
        return code.operand
    return Unary("not", code)


def _answers(scope: Scope, code: Code, rows: Collection[int]) -> int | None:
    if not scope.is_closed(code):
        return None
    vector = scope.vector(code)
    answers = 0
    for row in rows:
        key = vector[row]
        if key is MISSING:
            return None
        answers |= bool(key[1]) << row  # type: ignore[index]
    return answers


def _atoms(scope: Scope, inside: Collection[int], rows: Collection[int], *, by_equality: bool) -> Iterator[Code]:
    if by_equality:
        yield from _equalities(scope, rows)
    flags = [name for name in scope.definitions if all(isinstance(values[name], bool) for values in scope.scopes)]
    yield from (Name(name) for name in flags if not name.startswith("self."))
    yield from scope.facts.tests
    for name in scope.arguments:
        present = [scope.scopes[row][name] for row in rows]
        if any(isinstance(value, bool) for value in present):
            yield Name(name)
        elif any(value is None for value in present):
            yield Binary("is not", Name(name), Literal(None))
    yield from _comparisons(scope, inside, rows)
    yield from (Name(name) for name in flags if name.startswith("self."))
    yield from _equalities(scope, rows)


def _comparisons(scope: Scope, inside: Collection[int], rows: Collection[int]) -> Iterator[Code]:
    """`s == 1`, `act == "mish"`."""
    for name in (*scope.arguments, *scope.definitions):
        values = {key_of(scope.scopes[row][name]): scope.scopes[row][name] for row in inside}
        others = {key_of(scope.scopes[row][name]): scope.scopes[row][name] for row in rows if row not in inside}
        for value in sorted((*values.values(), *others.values()), key=_unusual):
            small = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_LITERAL
            if small or isinstance(value, str | bool):
                code = Name(name)
                yield Binary("is" if isinstance(value, bool) else "==", code, code_of(value))


def small_comparisons(scope: Scope, inside: Collection[int], rows: Collection[int]) -> Iterator[tuple[Code, int]]:
    """Questions about small numbers, elements of lists too, and the instances that they hold for: `shift_size[0] > 0`.

    Args:
        scope: arguments and locals of the instances.
        inside: instances that the answer is yes for.
        rows: all instances that are asked.
    """
    items = [
        Index(Name(name), (Literal(place),))
        for name, values in scope.arguments.items()
        if all(isinstance(value, list | tuple) for value in values)
        for place in range(min(len(value) for value in values if isinstance(value, list | tuple)))
    ]
    for code in (*(Binary(">", item, Literal(0)) for item in items), *_comparisons(scope, inside, rows)):
        answers = _answers(scope, code, rows)
        if answers:
            yield code, answers


def _unusual(value: object) -> bool:
    """One is what strides, groups and factors usually are: a comparison with it says most."""
    return isinstance(value, bool) or value != 1


def _equalities(scope: Scope, rows: Collection[int]) -> Iterator[Code]:
    """`inp == oup`, those of groups first; that two small numbers are the same is a coincidence."""
    pairs = [
        (one, other)
        for one, other in combinations(scope.numbers(rows), 2)
        if any(_telling(scope.scopes[row][one]) and _telling(scope.scopes[row][other]) for row in rows)
    ]
    pairs.sort(key=lambda pair: not set(pair) & set(AFFINITY["groups"]))
    yield from (Binary("==", Name(one), Name(other)) for one, other in pairs)


def _telling(value: object) -> bool:
    return isinstance(value, int | float) and value > LARGEST_LITERAL
