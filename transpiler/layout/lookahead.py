"""Looking ahead: what a choice of order would cost, found by lowering what follows and counting the transposes."""

from __future__ import annotations

from dataclasses import dataclass

from transpiler.layout.axes import Layout, volume


class Exhausted(Exception):  # noqa: N818  (no error: the look ahead has gone far enough)
    """A trial has lowered as many statements as it may."""


@dataclass(slots=True)
class Meter:
    """Counts the transposes of a trial; `left` statements may still be lowered."""

    left: int
    transposes: int = 0
    moved: float = 0
    unusual: int = 0
    """Results in an unusual order, and layers that work along an axis in the middle: allowed, but rather not."""

    def step(self) -> None:
        """One more statement.

        Raises:
            Exhausted: there have been enough.
        """
        if self.left == 0:
            raise Exhausted
        self.left -= 1

    def count(self, layout: Layout) -> None:
        """One more transpose, of a tensor of this layout."""
        self.transposes += 1
        self.moved += volume(layout)

    @property
    def cost(self) -> tuple[int, float, int]:
        """Transposes first, elements moved second, what is unusual last."""
        return self.transposes, self.moved, self.unusual
