"""torch -> Keras -> torch, checked for every model that any test builds (see conftest.py)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from transpiler.weights.back import state_of
from transpiler.weights.torch_tensors import as_numpy

if TYPE_CHECKING:
    from transpiler.port import Port


def assert_weights_return(port: Port, built: Any) -> None:
    """The torch state dict that the poured model makes is the one it was poured from, bit for bit and key for key.

    Twice: with the original at hand, whose types are kept; and without it, from Keras's variables alone.
    """
    from transpiler.weights.pour import variables_by_path

    state = {key: as_numpy(tensor) for key, tensor in port._model.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # nothing that cannot go back
        returned = port.unpour(built)
    assert list(returned) == list(state)
    assert_same({key: as_numpy(tensor) for key, tensor in returned.items()}, state)
    port._model.load_state_dict(returned, strict=True)

    alone = state_of(port.plan, variables_by_path(built, port.plan), {}).tensors
    assert alone.keys() == state.keys()
    dropped = {each.source for each in port.plan.dropped}
    wide = {key for key, value in state.items() if value.dtype == np.float64}  # Keras holds them in 32 bits
    kept = state.keys() - dropped - wide
    assert_same({key: alone[key] for key in kept}, {key: state[key] for key in kept})


def assert_same(left: dict[str, Any], right: dict[str, Any]) -> None:
    """Same types, shapes and bits."""
    for key, value in right.items():
        assert (left[key].dtype, left[key].shape) == (value.dtype, value.shape), key
        assert left[key].tobytes() == value.tobytes(), key
