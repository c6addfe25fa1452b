"""kerascribe writes Keras source code for a PyTorch model, pours the weights in and proves that both compute the same.

>>> from transpiler import transpile
>>> port = transpile(model, (x,), rules="slimneck.rules", name="SlimNeck")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transpiler.port import Port, transpile

__all__ = ["Port", "transpile"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import torch only when something that needs it is asked for: pouring from safetensors does not."""
    if name in __all__:
        from transpiler import port  # noqa: PLC0415

        return getattr(port, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
