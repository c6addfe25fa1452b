"""Numbers that number dimensions explain no size."""

from __future__ import annotations

import pytest

from transpiler.outline.written_numbers import numbers_written


@pytest.mark.parametrize(
    ("line", "numbers"),
    [
        ("x.permute(0, 2, 3, 1) * 4", {4}),
        ("torch.cat([x * 3, y], 1)", {3}),
        ("x.mean((2, 3), keepdim=True)", set()),
        ("x.softmax(-1)", set()),
        ("F.softmax(x / 8, dim=1)", {8}),
        ("shifted(x, order=(0, 1, 3, 2))", set()),
        ("x.reshape(-1, 3, self.heads)", {1, 3}),
        ("x.unflatten(2, (3, self.dim))", {2, 3}),
        ("x if True else y", set()),
    ],
)
def test_numbers_of_dimensions_are_left_out(line: str, numbers: set[int]) -> None:
    assert numbers_written(f"def forward(self, x, y):\n    return {line}") == numbers


def test_what_is_no_python_has_none() -> None:
    assert numbers_written("def forward(self") == frozenset()
