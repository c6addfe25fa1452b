from __future__ import annotations

from transpiler.code import Call, Function, Literal, Sequence
from transpiler.outline.lists import aligned


def made(name: str, *numbers: int) -> Call:
    keywords = tuple((f"p{place}", Literal(number)) for place, number in enumerate(numbers))
    return Call(Function(f"keras.layers.{name}"), (), keywords)


def shape_of(*lists: tuple[Call, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...] | None]] | None:
    places = aligned(lists)
    if places is None:
        return None
    return [(tuple(place.items), place.counts and tuple(place.counts.values())) for place in places]


def test_lists_of_the_same_layers_are_aligned_one_by_one():
    assert shape_of((made("A", 1), made("B", 2)), (made("A", 3), made("B", 4))) == [((0, 1), None), ((0, 1), None)]


def test_repeated_layers_are_counted():
    assert shape_of((made("A", 1),) * 3, (made("A", 2),)) == [((0, 1), (3, 1))]


def test_a_layer_that_some_lack_is_optional():
    with_expansion = (made("Conv", 1), made("Depthwise", 2), made("Conv", 3), made("Norm"))
    without = (made("Depthwise", 5), made("Conv", 6), made("Norm"))
    assert shape_of(with_expansion, without) == [((0,), None), ((0, 1), None), ((0, 1), None), ((0, 1), None)]


def test_layers_that_exclude_each_other_share_a_place():
    assert shape_of((made("A"), made("B")), (made("A"), made("C"))) == [((0, 1), None), ((0, 1), None)]


def test_lists_with_nothing_in_common_are_not_aligned():
    assert shape_of((made("A"), made("B"), made("C")), (made("D"),)) is None


def test_nested_lists_are_aligned_by_the_layers_in_them():
    def block(name: str) -> Call:
        return Call(Function("keras.Sequential"), (Sequence("list", (made(name), made("Norm"), made("ReLU"))),))

    places = aligned([(block("Conv"), block("Depthwise")), (block("Depthwise"),)])
    assert places is not None
    assert [tuple(place.items) for place in places] == [(0,), (0, 1)]
