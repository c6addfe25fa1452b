"""JSON from a file that anyone may have written: one error for everything that is wrong with it.

>>> parse('{"a": 1, "a": 2}')
Traceback (most recent call last):
ValueError: 'a' stands in it twice
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NoReturn, TypeAlias

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"


def parse(text: str | bytes) -> Json:
    """What `text` says; names that stand in an object twice are refused, and so are NaN and infinity.

    Raises:
        ValueError: with the reason, for people.
    """
    try:
        found: Json = json.loads(text, object_pairs_hook=_unrepeated, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8: {error.reason} at byte {error.start}") from None
    return found


def _unrepeated(pairs: Iterable[tuple[str, Json]]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} stands in it twice")
        found[key] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number that JSON has")
