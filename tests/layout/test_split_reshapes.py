from __future__ import annotations

from transpiler.code import Binary, Call, Code, Function, Index, Literal, Member, PartCount, Ref
from transpiler.code import Sequence as CodeSequence
from transpiler.keras_functions import RESHAPE, SHAPE, SPLIT, UNSTACK
from transpiler.layout.split_reshapes import with_reshaped_wholes
from transpiler.lowered import Statement

SHAPES = {0: ("n", 49, 288), 1: ("n", 49, 96), 2: ("n", 49, 96), 3: ("n", 49, 96)}
"""x is 0, q, k and v are 1 to 3."""
SPLIT_QKV = Statement((1, 2, 3), Call(SPLIT, (Ref(0), Literal(3)), (("axis", Literal(-1)),)), ("q", "k", "v"), None)
FRESH = 9


def reshaped(value: int, *sizes: int | Code) -> Code:
    items = tuple(Literal(size) if isinstance(size, int) else size for size in sizes)
    return Call(RESHAPE, (Ref(value), CodeSequence("tuple", items)))


def heads(value: int) -> Code:
    return reshaped(value, -1, 49, 3, 32)


def attention(*operands: Code) -> Code:
    return Call(Function("keras.ops.dot_product_attention"), operands)


def unstacked(axis: int) -> Statement:
    return Statement((1, 2, 3), Call(UNSTACK, (Ref(FRESH),), (("axis", Literal(axis)),)), ("q", "k", "v"), None)


def rewritten(*statements: Statement, result: Code) -> tuple[tuple[Statement, ...], Code]:
    return with_reshaped_wholes(statements, result, SHAPES, FRESH)


def test_parts_that_are_reshaped_alike_are_reshaped_together():
    statements, result = rewritten(SPLIT_QKV, result=attention(heads(1), heads(2), heads(3)))
    whole = Statement((FRESH,), reshaped(0, -1, 49, PartCount(3), 3, 32), (None,), None)
    assert statements == (whole, unstacked(-3))
    assert result == attention(Ref(1), Ref(2), Ref(3))


def test_a_part_may_be_scaled_and_a_reshape_named():
    scaled = Statement((4,), Binary("*", Ref(1), Literal(0.5)), ("q",), None)
    named = Statement((5,), heads(3), ("v",), None)
    statements, result = rewritten(SPLIT_QKV, scaled, named, result=attention(heads(4), heads(2), Ref(5)))
    whole = Statement((FRESH,), reshaped(0, -1, 49, PartCount(3), 3, 32), (None,), None)
    assert statements == (whole, unstacked(-3), scaled)
    assert result == attention(Ref(4), Ref(2), Ref(3))


def test_sizes_of_a_part_are_those_of_the_whole():
    def dynamic(value: int) -> Code:
        return reshaped(value, -1, Index(Call(SHAPE, (Ref(value),)), (Literal(1),)), 3, 32)

    statements, _ = rewritten(SPLIT_QKV, result=attention(dynamic(1), dynamic(2), dynamic(3)))
    length = Index(Call(SHAPE, (Ref(0),)), (Literal(1),))
    assert statements[0].code == reshaped(0, -1, length, PartCount(3), 3, 32)


def test_a_single_head_is_one_like_several():
    one = [reshaped(part, -1, 49, 1, 96) for part in (1, 2, 3)]
    statements, _ = rewritten(SPLIT_QKV, result=attention(*one))
    assert statements == (Statement((FRESH,), reshaped(0, -1, 49, PartCount(3), 1, 96), (None,), None), unstacked(-3))


def test_parts_whose_last_axis_stays_are_split_afterwards():
    flat = [reshaped(part, -1, 7, 7, 96) for part in (1, 2, 3)]
    statements, _ = rewritten(SPLIT_QKV, result=attention(*flat))
    split = Call(SPLIT, (Ref(FRESH), Literal(3)), (("axis", Literal(-1)),))
    assert [statement.code for statement in statements] == [reshaped(0, -1, 7, 7, 288), split]


def test_parts_that_differ_or_are_read_otherwise_stay():
    unlike = attention(heads(1), heads(2), reshaped(3, -1, 49, 6, 16))
    unread = attention(heads(1), heads(2))
    weighted = attention(heads(1), heads(2), Binary("*", Ref(3), Member("gamma")))
    elsewhere = attention(heads(1), heads(2), heads(3), Ref(3))
    across = attention(*(reshaped(part, 2, -1, 3) for part in (1, 2, 3)))
    for result in (unlike, unread, weighted, elsewhere, across):
        assert rewritten(SPLIT_QKV, result=result) == ((SPLIT_QKV,), result)


def test_a_part_that_a_weight_scales_stays() -> None:
    """The weight is one number for each element of the last axis."""
    weighted = Statement((4,), Binary("*", Ref(1), Member("gamma")), ("q",), None)
    result = attention(heads(4), heads(2), heads(3))
    assert rewritten(SPLIT_QKV, weighted, result=result) == ((SPLIT_QKV, weighted), result)
