from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("first", ["keras", "torch"])
def test_a_model_can_be_ported_whichever_framework_was_imported_first(first):
    # Triton's LLVM, loaded after TensorFlow's, ends the process: only a process of its own can show it.
    script = f"""
import {first}, keras, torch
from transpiler import transpile
transpile(torch.nn.ReLU(), (torch.ones(2, 3),))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
