"""Loads torch's compiler before any test can load TensorFlow, and sends every model's weights there and back.

torchvision and torch.export import Triton, and Triton's LLVM ends the process if TensorFlow's was there first (see
transpiler/capture/triton.py, which guards what kerascribe itself does; torchvision is imported by the tests).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch._dynamo  # noqa: F401  (for its side effect)

from tests.round_trip import assert_weights_return
from transpiler.port import Port


@pytest.fixture(autouse=True, scope="session")
def weights_return() -> Iterator[None]:
    """Whatever model a test builds, its weights must go back into the torch model: that is how all are covered."""
    build = Port.build

    def build_and_return(port: Port) -> Any:
        built = build(port)
        assert_weights_return(port, built)
        return built

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Port, "build", build_and_return)
        yield
