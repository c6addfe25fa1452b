from __future__ import annotations

from transpiler.code import Call, Code, Ellipsis_, Function, Index, Literal, Ref, Slice
from transpiler.code import Sequence as CodeSequence
from transpiler.layout.splits import with_splits
from transpiler.lowered import Statement

SHAPES = {0: ("n", 49, 288)}


def part(result: int, start: int | None, stop: int | None, name: str | None) -> Statement:
    bounds = (None if bound is None else Literal(bound) for bound in (start, stop))
    return Statement((result,), Index(Ref(0), (Ellipsis_(), Slice(*bounds))), (name,), None)


def split(cuts: Code, *results: tuple[int, str]) -> Statement:
    code = Call(Function("keras.ops.split"), (Ref(0), cuts), (("axis", Literal(-1)),))
    return Statement(tuple(number for number, _ in results), code, tuple(name for _, name in results), None)


def test_equal_parts_are_counted():
    other = Statement((4,), Call(Function("keras.ops.exp"), (Ref(1),)), ("y",), None)
    statements = [part(1, None, 96, "q"), other, part(2, 96, 192, "k"), part(3, 192, None, "v")]
    assert with_splits(statements, SHAPES) == (split(Literal(3), (1, "q"), (2, "k"), (3, "v")), other)


def test_unequal_parts_are_cut_at_their_places():
    statements = [part(2, 32, None, "b"), part(1, None, 32, "a")]
    cuts = CodeSequence("list", (Literal(32),))
    assert with_splits(statements, SHAPES) == (split(cuts, (1, "a"), (2, "b")),)


def test_parts_that_leave_something_out_stay_slices():
    gap = [part(1, None, 96, "q"), part(2, 192, None, "v")]
    overlap = [part(1, None, 96, "q"), part(2, 64, None, "v")]
    assert with_splits(gap, SHAPES) == tuple(gap)
    assert with_splits(overlap, SHAPES) == tuple(overlap)


def test_parts_without_a_name_stay_where_they_are_used():
    statements = [part(1, None, 144, "x1"), part(2, 144, None, None)]
    assert with_splits(statements, SHAPES) == tuple(statements)
