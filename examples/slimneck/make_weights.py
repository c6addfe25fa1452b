"""Writes random weights for the slim-neck detector, the same ones for the same seed.

Trained weights would prove no more: what matters here is that no tensor has a value that hides an error, as a
BatchNorm's initial weight of 1 and bias of 0 do. Every parameter and statistic is random, on a scale that keeps the
activations near 1 through the whole depth.

    python examples/slimneck/make_weights.py                       # slimneck.safetensors beside this file
    python examples/slimneck/make_weights.py --pt slimneck.pt      # the same as a PyTorch state dict, too
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from model import SlimNeck
from safetensors.torch import save_file
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent

GAIN = 1.7
"""Variance that a convolution before a BatchNorm adds. At 2 every layer spreads rounding errors, at 1 all images end up
looking the same."""


def random_weights(nc: int = 80, seed: int = 0) -> dict[str, Tensor]:
    """The state dict of a `SlimNeck(nc)` with every parameter and BatchNorm statistic drawn from `seed`."""
    generator = torch.Generator().manual_seed(seed)
    model = SlimNeck(nc)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            gain = GAIN if module.bias is None else 1.0
            fan_in = module.weight[0].numel()
            nn.init.normal_(module.weight, std=(gain / fan_in) ** 0.5, generator=generator)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.5, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, std=0.3, generator=generator)
            nn.init.normal_(running(module.running_mean), std=0.3, generator=generator)
            nn.init.uniform_(running(module.running_var), 0.5, 2.0, generator=generator)
    return model.state_dict()


def running(statistic: Tensor | None) -> Tensor:
    """The statistic of a BatchNorm that keeps statistics, as all of this model do."""
    if statistic is None:
        raise ValueError("this BatchNorm does not track running statistics")
    return statistic


def main() -> None:
    parser = argparse.ArgumentParser(description="Write seeded random weights for the slim-neck detector.")
    parser.add_argument("--nc", type=int, default=80, help="number of classes (80)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random numbers (0)")
    parser.add_argument("--output", type=Path, default=HERE / "slimneck.safetensors", help="safetensors file to write")
    parser.add_argument("--pt", type=Path, help="write a PyTorch state dict here as well")
    options = parser.parse_args()

    weights = random_weights(options.nc, options.seed)
    save_file(weights, options.output)
    print(f"{options.output.name}: {len(weights)} tensors, {sum(tensor.numel() for tensor in weights.values())} values")
    if options.pt is not None:
        torch.save(weights, options.pt)
        print(f"{options.pt.name}: the same as a state dict")


if __name__ == "__main__":
    main()
