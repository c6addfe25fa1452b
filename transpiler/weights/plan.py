"""The weight plan: for every Keras variable, the torch tensor it comes from and the einops pattern between them."""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """`variables <- source, pattern`.

    >>> # PlanEntry(("conv1.kernel",), "conv1.weight", "o i h w -> h w i o", (), (64, 3, 7, 7), "float32", …)

    A variable is named by its path from the top layer through attributes, list and Sequential positions:
    `features.0.conv.kernel`. With several variables, the pattern's first result axis runs over them. A pattern is a
    bijection: every letter on the left is on the right.
    """

    variables: tuple[str, ...]
    source: str
    """Key in the torch state dict; for a constant that no state dict holds, its name."""
    pattern: str
    sizes: tuple[tuple[str, int], ...]
    """Sizes that the pattern cannot tell from the shape."""
    source_shape: tuple[int, ...]
    dtype: str
    shapes: tuple[tuple[int, ...], ...]
    """Shape of each Keras variable."""
    constant: str | None = None
    """Base64 of the little-endian C-order bytes, for tensors outside the state dict."""

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The checkpoint's: a complex tensor is poured as a real one with an axis of two more."""
        return self.source_shape[:-1] if self.dtype.startswith("complex") else self.source_shape


@dataclass(frozen=True, slots=True)
class Dropped:
    """A torch tensor that no Keras variable needs, and why."""

    source: str
    reason: str
    shape: tuple[int, ...] | None = None
    """What a zero in its place must look like; None where a plan does not say."""
    dtype: str = ""


@dataclass(frozen=True, slots=True)
class Tied:
    """Two torch keys of one tensor.

    `source` is read; so is `key` where it has an entry as well: a tensor that two layers share has two variables.
    """

    key: str
    source: str


@dataclass(frozen=True, slots=True)
class WeightPlan:
    model: str
    entries: tuple[PlanEntry, ...]
    dropped: tuple[Dropped, ...]
    tied: tuple[Tied, ...] = ()
    source_digest: str = ""
    """sha256 of the `tf.py` that was written with it, "" for none: both belong together."""
