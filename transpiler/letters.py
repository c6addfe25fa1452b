"""Letters for torch's dimensions, in comments, docstrings and the weight plan."""

from __future__ import annotations

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_LETTERS = {0: "", 1: "c", 2: "n c", 3: "n l c", 4: "n c h w", 5: "n c d h w"}


def dimension_letters(rank: int) -> tuple[str, ...]:
    """One letter for each torch dimension: `n c h w` for images."""
    if rank in _LETTERS:
        return tuple(_LETTERS[rank].split())
    return tuple(ALPHABET[:rank])
