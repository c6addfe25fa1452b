"""What is told by its place is exactly what stood there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transpiler.code import Call, Code, Index, Literal, Name, Sequence
from transpiler.lowered import Basic
from transpiler.outline.class_calls import Signature, call_of_class
from transpiler.outline.program import Parameter
from transpiler.outline.progressions import by_place
from transpiler.outline.tables import tabulated
from transpiler.render.expressions import text
from transpiler.trees import code_of

RATES = st.builds(
    lambda rate, total, first, count: [rate * (first + place) / total for place in range(count)],
    st.sampled_from([0.05, 0.1, 0.2, 0.3, 0.15]),
    st.integers(1, 60),
    st.integers(0, 30),
    st.integers(3, 12),
)


def values_of(source: str, count: int) -> list[Basic]:
    return [eval(source, {"i": place}) for place in range(count)]  # noqa: S307 — our own text


@given(RATES)
def test_rates_that_grow_evenly_are_computed_as_torch_does(rates: list[float]) -> None:
    found = by_place(rates, Name("i"))
    assert found is not None
    assert values_of(text(found), len(rates)) == rates


@pytest.mark.parametrize(
    ("values", "source"),
    [
        ([24, 48, 48, 48], "24 if i == 0 else 48"),
        ([0, 3, 0, 3, 0], "0 if i % 2 == 0 else 3"),
        ([64, 96, 128], "64 + 32 * i"),
        ([0, 1, 2, 3], "i"),
        ([None, "SiLU", "SiLU"], "None if i == 0 else 'SiLU'"),
        ([0.2 * i / 40 for i in (3, 4, 5)], "0.1 * (i + 3) / 20"),
    ],
)
def test_as_people_write_it(values: list[Basic], source: str) -> None:
    found = by_place(values, Name("i"))
    assert found is not None
    assert text(found).replace('"', "'") == source
    assert values_of(source, len(values)) == values


@pytest.mark.parametrize("values", [[1, 2, 4], [0.0, 0.1, 0.11], [3, 3, 1], [True, 1, 1, True], [0.5, 0.25, 0.0]])
def test_what_follows_no_rule_stays_a_table(values: list[Basic]) -> None:
    assert by_place(values, Name("i")) is None


SIGNATURE = Signature((Parameter("width"), Parameter("depth"), Parameter("rate", 0.0)), 1)


def tabulated_text(rows: list[tuple[Basic, ...]]) -> str:
    names = ("width", "depth", "rate")
    keywords = [tuple((name, code_of(value)) for name, value in zip(names, row, strict=True)) for row in rows]
    calls = tuple(call_of_class(Call(Name("Block"), (), given), SIGNATURE) for given in keywords)
    (only,) = tabulated(calls, Literal, {"Block": SIGNATURE})
    return text(Sequence("list", (only,)))


def test_a_short_table_is_read_at_a_glance() -> None:
    source = tabulated_text([(8, 1, 0.0), (8, 1, 0.1), (8, 1, 0.2)])
    assert source == "[Block(8, depth=1, rate=rate) for rate in (0.0, 0.1, 0.2)]"


def test_a_table_of_which_all_follows_from_the_place_is_counted() -> None:
    source = tabulated_text([(8, 1, 0.0), (16, 1, 0.1), (16, 1, 0.2), (16, 1, 0.1 * 3)])
    assert source == "[Block(8 if i == 0 else 16, depth=1, rate=0.1 * i) for i in range(4)]"


def test_numbers_that_grow_evenly_leave_a_table() -> None:
    rows: list[tuple[Basic, ...]] = [(8, 1, 0.0), (16, 3, 0.1), (24, 2, 0.2), (8, 7, 0.1 * 3)]
    source = tabulated_text(rows)
    table = "((8, 1), (16, 3), (24, 2), (8, 7))"
    assert source == f"[Block(width, depth=depth, rate=0.1 * i) for i, (width, depth) in enumerate({table})]"


def in_place(name: str, place: int) -> Code:
    return Index(Name(name), (Literal(place),))


def test_items_of_a_list_of_torchs_are_counted() -> None:
    rows = [(in_place("dims", place), Literal(3), code_of(place / 10)) for place in range(3)]
    names = [parameter.name for parameter in SIGNATURE.parameters]
    calls = tuple(
        call_of_class(Call(Name("Block"), (), tuple(zip(names, row, strict=True))), SIGNATURE) for row in rows
    )
    (only,) = tabulated(calls, lambda _: Call(Name("len"), (Name("dims"),)), {"Block": SIGNATURE})
    assert text(only) == "[Block(dims[i], depth=3, rate=0.1 * i) for i in range(len(dims))]"
