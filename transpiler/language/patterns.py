"""einops patterns: `"n (h d) -> n h d"`, parsed to axes of letters.

einops itself parses them only together with an array; rules need them alone, with positions inside the string.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TypeAlias

from transpiler.language.problems import PlacedError, Problem
from transpiler.language.syntax import Pattern, Position

Axes: TypeAlias = tuple[tuple[str, ...], ...]
Token: TypeAlias = tuple[str, int]

_TOKEN = re.compile(r"\s*(->|\.\.\.|[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[()*]|\S)")
_LETTER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

REST = ("...",)
OTHERS = ("*",)


def parse_pattern(text: str, position: Position) -> Pattern:
    """Parses `left -> right`.

    >>> parse_pattern("n (h d) 1 -> n h d", position).left  # doctest: +SKIP
    (('n',), ('h', 'd'), ())

    Args:
        text: the pattern without its quotes.
        position: of the string token, quotes included; errors point inside it.

    Raises:
        PlacedError: with the place inside the string.
    """
    tokens = [(match[1], match.start(1)) for match in _TOKEN.finditer(text)]
    arrows = [index for index, (text_, _) in enumerate(tokens) if text_ == "->"]
    if not arrows:
        raise PlacedError("a pattern needs '->'", position, 'as in "n c ... -> n ... c"')
    if len(arrows) > 1:
        raise PlacedError("a pattern has one '->'", _inside(position, tokens[arrows[1]]))
    (arrow,) = arrows
    left = _axes(tokens[:arrow], position)
    right = _axes(tokens[arrow + 1 :], position)
    return Pattern(left, right, text, position)


def letters(axes: Axes) -> tuple[str, ...]:
    """The letters of one side, major to minor, without `...` and `*`.

    >>> letters((("n",), ("h", "d"), ("...",)))
    ('n', 'h', 'd')
    """
    return tuple(letter for axis in axes for letter in axis if letter not in ("...", "*"))


def mismatches(pattern: Pattern) -> tuple[Problem, ...]:
    """Letters that only one side has: a pattern moves data, it neither sums nor repeats.

    With `*` on the right, letters of the left need not be named there.
    """
    left, right = letters(pattern.left), letters(pattern.right)
    takes_others = OTHERS in pattern.right
    found = [_lonely(pattern, letter, "left", "right") for letter in left if letter not in right and not takes_others]
    found += [_lonely(pattern, letter, "right", "left") for letter in right if letter not in left]
    if REST in pattern.left and REST not in pattern.right and not takes_others:
        found.append(_lonely(pattern, "...", "left", "right"))
    if REST in pattern.right and REST not in pattern.left:
        found.append(_lonely(pattern, "...", "right", "left"))
    return tuple(found)


def _lonely(pattern: Pattern, letter: str, here: str, there: str) -> Problem:
    start = 0 if here == "left" else pattern.text.index("->")
    tokens = [(match[1], match.start(1)) for match in _TOKEN.finditer(pattern.text, start)]
    place = next((token for token in tokens if token[0] == letter), (pattern.text, 0))
    return Problem(
        f"'{letter}' is on the {here} of the pattern, but not on the {there}", _inside(pattern.position, place)
    )


def _axes(tokens: list[Token], position: Position) -> Axes:
    axes: list[tuple[str, ...]] = []
    group: list[str] | None = None
    opened = ("(", 0)
    for token in tokens:
        text = token[0]
        if text == "(":
            if group is not None:
                raise PlacedError("groups do not nest in a pattern", _inside(position, token))
            group, opened = [], token
        elif text == ")":
            if group is None:
                raise PlacedError("')' closes nothing", _inside(position, token))
            axes.append(tuple(group))
            group = None
        else:
            axis = _axis(token, position)
            if group is None:
                axes.append(axis)
            elif axis in (REST, OTHERS):
                raise PlacedError(f"'{text}' cannot stand in a group", _inside(position, token))
            else:
                group.extend(axis)
    if group is not None:
        raise PlacedError("'(' is never closed", _inside(position, opened))
    _refuse_repetition(axes, tokens, position)
    return tuple(axes)


def _axis(token: Token, position: Position) -> tuple[str, ...]:
    text = token[0]
    if text == "1":
        return ()
    if text in ("...", "*") or _LETTER.fullmatch(text):
        return (text,)
    if text.isdigit():
        hint = f"name it, and say: with a = {text}"
        raise PlacedError(f"{text} is a size: a pattern names its axes", _inside(position, token), hint)
    raise PlacedError(f"{text!r} does not belong in a pattern", _inside(position, token))


def _refuse_repetition(axes: list[tuple[str, ...]], tokens: list[Token], position: Position) -> None:
    counts = Counter(letter for axis in axes for letter in axis)
    # `* i *` is an axis in the middle: the others before it, and the others behind it.
    repeated = next((letter for letter, count in counts.items() if count > (2 if letter == OTHERS[0] else 1)), None)
    if repeated is not None:
        second = [token for token in tokens if token[0] == repeated][1]
        raise PlacedError(f"'{repeated}' stands twice on one side of the pattern", _inside(position, second))


def _inside(position: Position, token: Token) -> Position:
    text, offset = token
    column = position.column + 1 + offset
    if column + len(text) >= position.end_column:  # a string whose braces were expanded is longer than what was written
        column = position.column + 1
    return Position(position.file, position.line, column, min(column + len(text), position.end_column))
