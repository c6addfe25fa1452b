"""Loads torch's compiler before any test can load TensorFlow, and sends every model's weights there and back.

torchvision and torch.export import Triton, and Triton's LLVM ends the process if TensorFlow's was there first (see
transpiler/capture/triton.py, which guards what kerascribe itself does; torchvision is imported by the tests).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch._dynamo  # noqa: F401  (for its side effect)
from hypothesis import settings

from tests.round_trip import assert_weights_return
from transpiler.port import Port

# The same examples in every run: what is new is looked for by `make fuzz`, not by whoever changes something else.
settings.register_profile("same", derandomize=not os.environ.get("KERASCRIBE_FUZZ"), deadline=None)
settings.load_profile("same")


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
