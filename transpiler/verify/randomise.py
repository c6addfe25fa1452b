"""Random weights that hide no error.

Freshly built networks have BatchNorm statistics of 0 and 1, heads of 0 and layer scales of 1e-6, behind which a wrong
conversion goes unseen.
"""

from __future__ import annotations

import torch
from torch import nn

_NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)  # noqa: SLF001  (the base of all BatchNorms)


@torch.no_grad()
def randomise(model: nn.Module, seed: int) -> None:
    """Draw every parameter and every BatchNorm statistic of `model` anew.

    >>> randomise(model, seed=0)  # doctest: +SKIP

    Matrices get the scale 1 / sqrt(fan in), normalisations weights in [0.5, 1.5] and variances in [0.5, 2]; biases,
    class tokens, positions and layer scales are of the order of 0.3. Other buffers (indices, anchors) stay as they are,
    but for the weight and bias of a frozen normalisation.

    Args:
        model: changed in place.
        seed: the same seed gives the same weights.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        is_norm = isinstance(module, _NORMS)
        for name, parameter in module.named_parameters(recurse=False):
            if is_norm and name == "weight":
                parameter.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith("weight") and parameter.ndim >= 2:
                fan_in = parameter[0].numel()
                parameter.normal_(std=fan_in**-0.5, generator=generator)
            else:
                parameter.normal_(std=0.3, generator=generator)
        for name, buffer in module.named_buffers(recurse=False):
            if name in ("running_mean", "bias"):
                buffer.normal_(std=0.3, generator=generator)
            elif name == "running_var":
                buffer.uniform_(0.5, 2.0, generator=generator)
            elif name == "weight":
                buffer.uniform_(0.5, 1.5, generator=generator)
