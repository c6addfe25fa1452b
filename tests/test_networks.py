"""Real networks keep their word: same outputs, no transposes, source that stands alone, models that save and load."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.networks import (
    Network,
    constant_tensors,
    images,
    leaves,
    networks,
    outputs_of_keras,
    prepared,
    relative_error,
    relative_errors,
    transpose_count,
)
from tests.source_checks import check_source

TOLERANCE = 1e-5
"""Of the largest output. float32 and float64 differ by up to 1.5e-6 on these networks: `test_rounding_is_far_below`."""

BATCHES = (1, 3)


@dataclass(frozen=True, slots=True)
class Case:
    network: Network
    size: tuple[int, int]

    def __str__(self) -> str:
        height, width = self.size
        return f"{self.network.name}-{height}x{width}"


def parameters(rows: list[Case]) -> list[Any]:
    """The cases as pytest's parameters; those of networks that are not fast are marked.

    With `--dist loadgroup` one worker gets all tests of a case, and ports it once.
    """
    return [
        pytest.param(
            row,
            id=str(row),
            marks=[pytest.mark.xdist_group(str(row)), *([] if row.network.fast else [pytest.mark.zoo])],
        )
        for row in rows
    ]


# The same objects for every test: pytest then ports each of them once.
ROWS = [Case(network, size) for network in networks() for size in network.sizes]
CASES = parameters(ROWS)
FIRST_SIZES = parameters([row for row in ROWS if row.size == row.network.sizes[0]])


@dataclass(frozen=True, slots=True)
class Ported:
    case: Case
    torch_model: nn.Module
    port: Any
    keras_model: Any


@pytest.fixture(scope="module")
def ported(request: pytest.FixtureRequest) -> Iterator[Ported]:
    from transpiler import transpile

    case: Case = request.param
    model = prepared(case.network, case.size)
    port = transpile(model, (images(1, case.size, seed=1),), name="Network")
    yield Ported(case, model, port, port.build())

    import keras

    keras.backend.clear_session()


# ── the yardstick ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("case", CASES)
def test_rounding_is_far_below_the_tolerance(case: Case) -> None:
    model = prepared(case.network, case.size)
    assert constant_tensors(model) == []
    x = images(3, case.size, seed=2)
    with torch.no_grad():
        single = list(leaves(model(x)))
        double = list(leaves(model.double()(x.double())))
    for a, b in zip(double, single, strict=True):
        assert relative_error(a.numpy(), b.numpy()) < TOLERANCE / 4
        assert 0.1 < a.std() < 100, "outputs must neither vanish nor explode"


@pytest.mark.parametrize("case", FIRST_SIZES)
def test_every_parameter_in_use_matters(case: Case) -> None:
    """A change of any parameter by its own size would move the outputs by more than a hundred tolerances."""
    model = prepared(case.network, case.size)
    results = torch.cat([result.flatten() for result in leaves(model(images(2, case.size, seed=2)))])
    largest = float(results.detach().abs().max())
    direction = torch.randn(results.shape, generator=torch.Generator().manual_seed(3))
    (results * direction).sum().backward()
    effects = {
        name: float((parameter.grad * parameter).detach().abs().max()) / largest
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    assert effects
    assert {name for name, effect in effects.items() if effect < 100 * TOLERANCE} == set()


# ── the promise ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ported", CASES, indirect=True)
@pytest.mark.parametrize("batch", BATCHES)
def test_same_outputs(ported: Ported, batch: int) -> None:
    x = images(batch, ported.case.size, seed=10 + batch)
    errors = relative_errors(ported.torch_model, ported.keras_model, ported.port.signature, (x,))
    assert max(errors) <= TOLERANCE, errors


@pytest.mark.parametrize("ported", CASES, indirect=True)
def test_no_transposes(ported: Ported) -> None:
    assert transpose_count(ported.keras_model) <= ported.case.network.transposes


@pytest.mark.parametrize("ported", CASES, indirect=True)
def test_source_stands_alone(ported: Ported) -> None:
    check_source(ported.port.source)


@pytest.mark.parametrize("ported", FIRST_SIZES, indirect=True)
def test_saves_and_loads_without_a_warning(ported: Ported, tmp_path) -> None:
    import keras

    x = images(2, ported.case.size, seed=20)
    before = outputs_of_keras(ported.keras_model, ported.port.signature, (x,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Keras itself, for any model: numpy 2 wants another signature of TensorFlow's __array__.
        warnings.filterwarnings("ignore", message="__array__ implementation", category=DeprecationWarning)
        ported.keras_model.save(tmp_path / "network.keras")
        loaded = keras.models.load_model(tmp_path / "network.keras")
    after = outputs_of_keras(loaded, ported.port.signature, (x,))
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny"])
def test_same_input_gives_the_same_bytes(name: str) -> None:
    from transpiler import transpile

    row = next(row for row in networks() if row.name == name)
    x = images(1, row.sizes[0], seed=1)
    first, second = (transpile(prepared(row, row.sizes[0]), (x,), name="Network").source for _ in range(2))
    assert first == second
