"""Sources of real models of different kinds, as people agreed that they should read: `tests/golden`.

What changes here changes for users: read the difference as a reviewer would before you take it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision.models as zoo
from torch import nn

from transpiler import transpile
from transpiler.capture.constructors import recording

GOLDEN = Path(__file__).parent / "golden"

MODELS: dict[str, tuple[Callable[..., nn.Module], tuple[int, ...]]] = {
    "resnet18": (zoo.resnet18, (3, 224, 224)),
    "densenet121": (zoo.densenet121, (3, 224, 224)),
    "mobilenet_v3_small": (zoo.mobilenet_v3_small, (3, 224, 224)),
    "vit_b_16": (zoo.vit_b_16, (3, 224, 224)),
    "swin_t": (zoo.swin_t, (3, 224, 224)),
    "r3d_18": (zoo.video.r3d_18, (3, 8, 112, 112)),
}
"""A stack of blocks, lists that grow, tables of settings, attention, windows, three dimensions. The detector that the
project came from is `examples/slimneck/tf.py`."""


def written(name: str) -> str:
    factory, shape = MODELS[name]
    with recording() as constructors:
        model = factory(weights=None).eval()
    port = transpile(model, (torch.zeros(1, *shape),), name=type(model).__name__, constructors=constructors)
    # Lines and version are those of what happens to be installed.
    return re.sub(r"(\.py):\d+|(kerascribe) \d[\w.]*", r"\1\2", port.source)


@pytest.mark.parametrize("name", MODELS)
def test_source_is_as_people_agreed(name: str) -> None:
    """Set KERASCRIBE_UPDATE_GOLDEN=1 to write the files anew, and read the difference."""
    path = GOLDEN / f"{name}.py"
    source = written(name)
    if os.environ.get("KERASCRIBE_UPDATE_GOLDEN"):
        path.write_text(source, encoding="utf-8")
    assert source == path.read_text(encoding="utf-8")
