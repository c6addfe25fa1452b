"""Loads torch's compiler before any test can load TensorFlow.

torchvision and torch.export import Triton, and Triton's LLVM ends the process if TensorFlow's was there first (see
transpiler/capture/triton.py, which guards what kerascribe itself does; torchvision is imported by the tests).
"""

import torch._dynamo  # noqa: F401  (for its side effect)
