"""Classes with the statements that the formatter would spread over many lines taken apart where that is shorter.

>>> # x = ops.transpose(          x = ops.reshape(x, (-1, 8, 7, 8, 7, 96))
>>> #     ops.reshape(        ->  x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
>>> #         x, …
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from transpiler.outline.program import Assign, ClassDefinition, For, If, Line, Return
from transpiler.render.alternatives import Lines, alternatives
from transpiler.render.classes import INDENT, statement_texts
from transpiler.render.format import formatted

_WIDTH = 88
_MOST_ROUNDS = 6
_DEPTH = 2
"""How deep the lines of a method stand."""


@dataclass(frozen=True, slots=True)
class _Trial:
    """A statement, and one way to write it."""

    line: Line
    depth: int
    after: Lines
    is_call: bool
    lines: Lines


def shorter(classes: Sequence[ClassDefinition]) -> tuple[ClassDefinition, ...]:
    """The classes with as few lines as their statements can be written in.

    Args:
        classes: every name is final.
    """
    result = tuple(classes)
    for _ in range(_MOST_ROUNDS):
        trials = list(_trials(result))
        if not trials:
            break
        heights = _heights(trials)
        best: dict[tuple[Line, int, Lines, bool], tuple[int, int, Lines]] = {}
        for trial, height in zip(trials, heights, strict=True):
            key = (trial.line, trial.depth, trial.after, trial.is_call)
            rank = (height, len(trial.lines), trial.lines)
            if key not in best or rank[:2] < best[key][:2]:
                best[key] = rank
        chosen = {key: lines for key, (_, _, lines) in best.items() if lines != (key[0],)}
        if not chosen:
            break
        result = tuple(_rewritten(definition, chosen) for definition in result)
    return result


def _trials(classes: Sequence[ClassDefinition]) -> Iterator[_Trial]:
    for definition in classes:
        for lines, is_call in ((definition.setup, False), (definition.build, False), (definition.body, True)):
            for line, depth, after in _statements(lines, _DEPTH, ()):
                if not _may_be_long(line, depth):
                    continue
                others = list(alternatives(line, after, is_call=is_call))
                for way in ((line,), *others) if others else ():
                    yield _Trial(line, depth, after, is_call, way)


def _statements(lines: Lines, depth: int, after: Lines) -> Iterator[tuple[Line, int, Lines]]:
    """Every statement, how deep it stands, and all that may run after it."""
    for place, line in enumerate(lines):
        rest = (*lines[place + 1 :], *after)
        match line:
            case If(_, then, otherwise):
                yield from _statements(then, depth + 1, rest)
                yield from _statements(otherwise, depth + 1, rest)
            case For(_, _, body):
                yield from _statements(body, depth + 1, (*rest, line))
            case Assign() | Return():
                yield line, depth, rest


def _may_be_long(line: Line, depth: int) -> bool:
    return any(len(text) > _WIDTH for text in statement_texts((line,), depth))


def _heights(trials: Sequence[_Trial]) -> list[int]:
    """How many lines the formatter makes of each."""
    texts = []
    for trial in trials:
        nest = ["class Trial:", f"{INDENT}def call(self):"]
        nest += [f"{INDENT * depth}if True:" for depth in range(_DEPTH, trial.depth)]
        texts.append("\n".join((*nest, *statement_texts(trial.lines, trial.depth))))
    parts = formatted("\n\n\n".join(texts)).split("class Trial:")[1:]
    return [len(part.strip().splitlines()) for part in parts]


def _rewritten(definition: ClassDefinition, chosen: Mapping[tuple[Line, int, Lines, bool], Lines]) -> ClassDefinition:
    def renewed(lines: Lines, depth: int, after: Lines, *, is_call: bool) -> Iterator[Line]:
        for place, line in enumerate(lines):
            rest = (*lines[place + 1 :], *after)
            match line:
                case If(test, then, otherwise):
                    yield If(
                        test,
                        tuple(renewed(then, depth + 1, rest, is_call=is_call)),
                        tuple(renewed(otherwise, depth + 1, rest, is_call=is_call)),
                    )
                case For(_, _, body):
                    yield replace(line, body=tuple(renewed(body, depth + 1, (*rest, line), is_call=is_call)))
                case _:
                    yield from chosen.get((line, depth, rest, is_call), (line,))

    return replace(
        definition,
        setup=tuple(renewed(definition.setup, _DEPTH, (), is_call=False)),
        build=tuple(renewed(definition.build, _DEPTH, (), is_call=False)),
        body=tuple(renewed(definition.body, _DEPTH, (), is_call=True)),
    )
