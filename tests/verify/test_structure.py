from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from transpiler.verify.structure import flatten, pair


class Both(NamedTuple):
    main: int
    aux: int | None


@dataclass
class Output:
    logits: int
    hidden: tuple[int, ...] | None = None


def test_leaves_come_in_insertion_order_and_none_is_no_leaf():
    value = OrderedDict(out=Both(1, None), aux=[2, (3,)])
    assert flatten(value) == [(("out", 0), 1), (("aux", 0), 2), (("aux", 1, 0), 3)]
    assert flatten(Output(4, (5,))) == [(("logits",), 4), (("hidden", 0), 5)]
    assert flatten(6) == [((), 6)]


def test_dicts_are_paired_by_key_whatever_the_order():
    assert pair({"b": 1, "a": [2, 3]}, {"a": [20, 30], "b": 10}) == [(1, 10), (2, 20), (3, 30)]


def test_structures_of_different_kinds_are_paired_by_position():
    assert pair(Output(1, (2,)), [10, 20]) == [(1, 10), (2, 20)]
    assert pair([1, 2], [10]) is None
