"""Classes with the statements that the formatter would spread over many lines taken apart where that is shorter.

>>> # x = ops.transpose(          x = ops.reshape(x, (-1, 8, 7, 8, 7, 96))
>>> #     ops.reshape(        ->  x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
>>> #         x, …
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

from transpiler.outline.program import Assign, ClassDefinition, For, If, Line, Return
from transpiler.render.alternatives import Lines, alternatives
from transpiler.render.classes import INDENT, statement_texts
from transpiler.render.format import formatted
from transpiler.render.made_once import is_made_twice
from transpiler.render.used import functions

_MOST_ROUNDS = 6
_DEPTH = 2
"""How deep the lines of a method stand."""


@dataclass(frozen=True, slots=True)
class _Statement:
    line: Line
    depth: int
    after: Lines
    """All that may run after it."""
    taken: frozenset[str]
    """Names of functions that the class calls."""
    is_call: bool
    line_length: int

    def ways(self) -> tuple[Lines, ...]:
        """The statement as it is and its alternatives; none where there is nothing to choose."""
        if not any(len(text) > self.line_length for text in statement_texts((self.line,), self.depth)):
            return ()
        others = tuple(alternatives(self.line, self.after, self.taken, is_call=self.is_call))
        return ((self.line,), *others) if others else ()

    def text(self, way: Lines) -> str:
        """One way to write it, as deep as it stands."""
        nest = ["class Trial:", f"{INDENT}def call(self):"]
        nest += [f"{INDENT * depth}if True:" for depth in range(_DEPTH, self.depth)]
        return "\n".join((*nest, *statement_texts(way, self.depth)))


def shorter(classes: Sequence[ClassDefinition], line_length: int) -> tuple[ClassDefinition, ...]:
    """The classes with as few lines as their statements can be written in.

    Args:
        classes: every name is final.
        line_length: characters that a line may have.
    """
    result = tuple(classes)
    heights: dict[str, int] = {}
    for _ in range(_MOST_ROUNDS):
        statements = list(_statements(result, line_length))
        choices = {number: ways for number, statement in enumerate(statements) if (ways := statement.ways())}
        texts = {statements[number].text(way) for number, ways in choices.items() for way in ways}
        heights |= _heights(sorted(texts - heights.keys()), line_length)
        chosen: dict[int, Lines] = {}
        for number, ways in choices.items():
            statement = statements[number]
            best = min(ways, key=lambda way: (heights[statement.text(way)], len(way)))
            if best != ways[0]:
                chosen[number] = best
        if not chosen:
            break
        result = _rewritten(result, chosen)
    return result


def _statements(classes: Sequence[ClassDefinition], line_length: int) -> Iterator[_Statement]:
    def below(lines: Lines, depth: int, after: Lines, *, is_call: bool) -> Iterator[_Statement]:
        statement = partial(_Statement, taken=taken, is_call=is_call, line_length=line_length)
        for place, line in enumerate(lines):
            rest = (*lines[place + 1 :], *after)
            match line:
                case If() if not is_call and is_made_twice(line):
                    yield statement(line, depth, rest)
                case If(_, then, otherwise):
                    yield from below(then, depth + 1, rest, is_call=is_call)
                    yield from below(otherwise, depth + 1, rest, is_call=is_call)
                case For(_, _, body):
                    yield from below(body, depth + 1, (*rest, line), is_call=is_call)
                case Assign() | Return():
                    yield statement(line, depth, rest)

    for definition in classes:
        taken = frozenset(name.rpartition(".")[2] for name in functions((definition,)))
        yield from below(definition.setup, _DEPTH, (), is_call=False)
        yield from below(definition.build, _DEPTH, (), is_call=False)
        yield from below(definition.body, _DEPTH, (), is_call=True)


def _heights(texts: Sequence[str], line_length: int) -> dict[str, int]:
    """How many lines the formatter makes of each."""
    if not texts:
        return {}
    parts = formatted("\n\n\n".join(texts), line_length).split("class Trial:")[1:]
    return {text: len(part.strip().splitlines()) for text, part in zip(texts, parts, strict=True)}


def _rewritten(classes: Sequence[ClassDefinition], chosen: Mapping[int, Lines]) -> tuple[ClassDefinition, ...]:
    """The classes with other lines for some statements, which are numbered as `_statements` gives them."""
    numbers = count()

    def renewed(lines: Lines, *, is_call: bool) -> Iterator[Line]:
        for line in lines:
            match line:
                case If() if not is_call and is_made_twice(line):
                    yield from chosen.get(next(numbers), (line,))
                case If(test, then, otherwise):
                    yield If(
                        test,
                        tuple(renewed(then, is_call=is_call)),
                        tuple(renewed(otherwise, is_call=is_call)),
                    )
                case For(_, _, body):
                    yield replace(line, body=tuple(renewed(body, is_call=is_call)))
                case _:
                    yield from chosen.get(next(numbers), (line,))

    return tuple(
        replace(
            definition,
            setup=tuple(renewed(definition.setup, is_call=False)),
            build=tuple(renewed(definition.build, is_call=False)),
            body=tuple(renewed(definition.body, is_call=True)),
        )
        for definition in classes
    )
