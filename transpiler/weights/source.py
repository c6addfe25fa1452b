"""A tensor of a checkpoint that has not been read yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from transpiler.weights.arrange import Array


@dataclass(frozen=True, slots=True)
class Source:
    """What a checkpoint says of a tensor before anything of it is read."""

    shape: tuple[int, ...]
    type_name: str
    """`float32`; or the file's own name of a type that numpy lacks."""
    dtype: np.dtype[np.generic] | None
    """None for types that cannot be read."""
    read: Callable[[], Array]
    """The values in the file's own type, mapped into memory where the format allows it; don't keep the array."""
