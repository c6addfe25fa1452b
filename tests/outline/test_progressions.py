"""What is told by its place is exactly what stood there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transpiler.lowered import Basic
from transpiler.outline.program import Name
from transpiler.outline.progressions import by_place
from transpiler.render.expressions import text

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
