"""Takes nested outputs apart, the same way on both sides.

`keras.tree` sorts the keys of a dict and torch's pytree doesn't, so neither is asked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]


def flatten(value: object) -> list[tuple[Path, object]]:
    """The leaves of nested tuples, lists, dicts and dataclasses, in order, each with its path; None is no leaf.

    >>> flatten({"b": 1, "a": (2, None, [3])})
    [(('b',), 1), (('a', 0), 2), (('a', 2, 0), 3)]
    """
    return list(_walk(value, ()))


def _walk(value: object, path: Path) -> Iterator[tuple[Path, object]]:
    if value is None:
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _walk(item, (*path, key))
    elif isinstance(value, tuple | list):
        for index, item in enumerate(value):
            yield from _walk(item, (*path, index))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _walk(getattr(value, field.name), (*path, field.name))
    else:
        yield path, value


def pair(reference: object, other: object) -> list[tuple[object, object]] | None:
    """Leaves of two structures side by side: by path where the paths are the same, else by position.

    None if they have different numbers of leaves.

    >>> pair({"b": 1, "a": 2}, {"a": 20, "b": 10})
    [(1, 10), (2, 20)]
    """
    left, right = flatten(reference), flatten(other)
    if len(left) != len(right):
        return None
    by_path = dict(right)
    if by_path.keys() == {path for path, _ in left}:
        return [(leaf, by_path[path]) for path, leaf in left]
    return [(leaf, match) for (_, leaf), (_, match) in zip(left, right, strict=True)]
