"""Lists of layers of several instances, side by side: which element of one is which of another.

>>> # [expand, depthwise, project] and [depthwise, project] are [expand (first only), depthwise, project].
"""

from __future__ import annotations

from collections.abc import Sequence as Rows
from dataclasses import dataclass

from transpiler.code import Call, Code, Function, Literal
from transpiler.outline.class_calls import layers_in
from transpiler.trees import children, is_value, with_children

MOST_OPTIONAL = 3
MOST_KINDS = 8
LONGEST = 64
"""Elements beyond which lists are not aligned: it takes quadratic time."""
_ERASED = Literal(None)


@dataclass(frozen=True, slots=True)
class Place:
    """One element of the common list."""

    items: dict[int, Code]
    """By list; lists without it are absent."""
    counts: dict[int, int] | None = None
    """How often it stands there in each list, where the lists repeat it."""


def is_padding(place: Place) -> bool:
    """Whether nothing stands there but padding, which is there for the convolution behind it."""
    return all(
        isinstance(code, Call) and isinstance(code.function, Function) and "ZeroPadding" in code.function.name
        for code in place.items.values()
    )


def aligned(lists: Rows[tuple[Code, ...]]) -> list[Place] | None:
    """The common list; None if the lists have too little in common.

    Args:
        lists: elements of each instance's list.
    """
    heads = {tuple(head(item) for item in items) for items in lists}
    if len(heads) == 1:
        return [Place(dict(enumerate(items))) for items in zip(*lists, strict=True)]
    return _by_runs([repeated(items) for items in lists]) or _with_gaps(lists)


def _by_runs(lists: Rows[list[tuple[Code, int]]]) -> list[Place] | None:
    """Lists that repeat the same elements more or less often, the last ones perhaps not at all."""
    longest = max(lists, key=len)
    heads = [head(item) for item, _ in longest]
    if any([head(item) for item, _ in runs] != heads[: len(runs)] for runs in lists):
        return None
    places = []
    for place in range(len(longest)):
        items = {row: runs[place][0] for row, runs in enumerate(lists) if place < len(runs)}
        counts = {row: runs[place][1] if place < len(runs) else 0 for row, runs in enumerate(lists)}
        if len(items) < len(lists) and max(counts.values()) < 2:
            return None
        places.append(Place(items, None if set(counts.values()) == {1} else counts))
    return places


def repeated(items: Rows[Code]) -> list[tuple[Code, int]]:
    """Equal neighbours and how many they are."""
    runs: list[tuple[Code, int]] = []
    for item in items:
        if runs and runs[-1][0] == item:
            runs[-1] = (item, runs[-1][1] + 1)
        else:
            runs.append((item, 1))
    return runs


def head(code: Code) -> object:
    """What two expressions must share to be one: all but what stands below them."""
    if is_value(code):
        return "value"
    if isinstance(code, Call):
        names = tuple((name, _ERASED) for name, _ in code.keywords)
        return Call(code.function, tuple(_ERASED for _ in code.arguments), names)
    below = children(code)
    return with_children(code, (_ERASED,) * len(below)) if below else code


def _with_gaps(lists: Rows[tuple[Code, ...]]) -> list[Place] | None:
    kinds: dict[object, list[int]] = {}
    for row, items in enumerate(lists):
        kinds.setdefault(tuple(head(item) for item in items), []).append(row)
    if len(kinds) > MOST_KINDS or max(map(len, lists)) > LONGEST:
        return None
    groups = list(kinds.values())
    places: list[Place] = []
    for group in groups:
        places = _joined(places, group[0], lists[group[0]])
    whole = _all_rows(places, {group[0]: group for group in groups}, lists)
    if not any(len(place.items) == len(lists) for place in whole):
        return None
    spread = _alternatives(whole)
    optional = sum(len(place.items) < len(lists) and not is_padding(place) for place in spread)
    return spread if optional <= MOST_OPTIONAL else None


def _all_rows(places: list[Place], groups: dict[int, list[int]], lists: Rows[tuple[Code, ...]]) -> list[Place]:
    """The places of the lists that were aligned, for all lists of the same kinds of elements."""
    positions = dict.fromkeys(groups, 0)
    spread: list[Place] = []
    for place in places:
        items: dict[int, Code] = {}
        for first in place.items:
            items.update({row: lists[row][positions[first]] for row in groups[first]})
            positions[first] += 1
        spread.append(Place(items))
    return spread


def _joined(places: list[Place], row: int, items: Rows[Code]) -> list[Place]:
    """The places with one more list: the alignment that has most in common."""
    rows, columns = len(places), len(items)
    alike = [[likeness(next(iter(place.items.values())), item) for item in items] for place in places]
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for here in range(rows - 1, -1, -1):
        for column in range(columns - 1, -1, -1):
            pair = alike[here][column]
            both = best[here + 1][column + 1] + pair if pair else -1.0
            best[here][column] = max(both, best[here + 1][column], best[here][column + 1])
    joined: list[Place] = []
    here = column = 0
    while here < rows and column < columns:
        pair = alike[here][column]
        if pair and best[here][column] == best[here + 1][column + 1] + pair:
            joined.append(Place({**places[here].items, row: items[column]}))
            here, column = here + 1, column + 1
        elif best[here][column] == best[here + 1][column]:
            joined.append(places[here])
            here += 1
        else:
            joined.append(Place({row: items[column]}))
            column += 1
    return [*joined, *places[here:], *(Place({row: item}) for item in items[column:])]


def likeness(one: Code, other: Code) -> float:
    """How much two expressions have in common: 0 if they cannot be one, at most 3."""
    if one == other:
        return 3.0
    # That both are convolutions of some kind counts only where nothing else tells.
    shared = _in_common(layers_in(one), layers_in(other)) + 0.1 * _in_common(_kinds(one), _kinds(other))
    if head(one) == head(other):
        below = list(zip(children(one), children(other), strict=False))
        alike = sum(likeness(mine, yours) for mine, yours in below) / (3 * len(below) or 1)
        return 1.0 + shared + alike / 2
    return shared


def _in_common(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one or other else 0.0


def _kinds(code: Code) -> frozenset[str]:
    """Which layers an expression makes; a convolution in groups or by channels is one, too."""
    names = (name.rpartition(".")[2] for name in layers_in(code))
    return frozenset(name.removeprefix("Depthwise").removeprefix("Grouped") for name in names)


def _alternatives(places: list[Place]) -> list[Place]:
    """Neighbours that exclude each other and together are in every list are one place."""
    total = {row for place in places for row in place.items}
    merged: list[Place] = []
    for place in places:
        last = merged[-1] if merged else None
        apart = last is not None and not last.items.keys() & place.items.keys()
        if last is not None and apart and last.items.keys() | place.items.keys() == total:
            merged[-1] = Place({**last.items, **place.items})
        else:
            merged.append(place)
    return merged
