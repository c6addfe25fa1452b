"""How far TFLite's precisions lie from the float model, on the slim-neck detector: the table in docs/artefacts.md.

    python -m scripts.tflite_accuracy

Weights are the example's random, seeded ones, images random with a coarse structure; other images scale the integers
than measure them. The detector is taken whole, and up to its three heads' convolutions: what Detect computes from them,
pixels beside scores, then stays outside, as for a phone one would have it.
"""

# ruff: noqa: T201  (printing is what it is for)

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch._dynamo  # noqa: F401  (loads triton, which crashes where TensorFlow was loaded before it)

# isort: split
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras

from scripts.tables import markdown
from tests.networks import SLIMNECK, images, slimneck_module
from transpiler import transpile
from transpiler.artefacts.run_tflite import tflite_runner
from transpiler.artefacts.write import write_artefacts
from transpiler.formats import target
from transpiler.parts import stop_after

SIZE = (192, 256)
CLASSES = 80
HEADS = tuple(f"detect.m.{scale}" for scale in range(3))
PRECISIONS = ("tflite", "tflite-float16", "tflite-dynamic", "tflite-int8")

Outputs = Mapping[str, np.ndarray]


def whole(outputs: Any) -> Outputs:
    """Boxes and scores of the whole detector's output: (1, boxes, 5 + classes)."""
    (found,) = outputs.values() if isinstance(outputs, Mapping) else (outputs,)
    return {"boxes": found[..., :4], "scores": found[..., 4:]}


def heads(outputs: Any) -> Outputs:
    """Coordinates and scores before the sigmoid, of the heads: (1, h, w, 3 (5 + classes)) each."""
    rows = np.concatenate([outputs[name].reshape(1, -1, 5 + CLASSES) for name in HEADS], 1)
    return {"boxes": rows[..., :4], "scores": rows[..., 4:]}


_PARTS = {"whole": whole, "heads": heads}


def measure(name: str, calibration: int, count: int, folder: Path) -> Iterator[tuple[str, ...]]:
    """One row for each precision; `name` says how much of the detector."""
    model = slimneck_module("model").SlimNeck(CLASSES).eval()
    model.load_state_dict(slimneck_module("make_weights").random_weights(CLASSES))
    if name == "heads":
        stop_after(model, HEADS)
    parts = _PARTS[name]
    port = transpile(model, (images(1, SIZE, 0),), rules=SLIMNECK / "slimneck.rules", name="SlimNeck")
    built = port.build()
    np.save(folder / "x.npy", images(calibration, SIZE, 1).permute(0, 2, 3, 1).numpy())
    given = images(count, SIZE, 2).permute(0, 2, 3, 1).numpy()[:, None]
    expected = [parts(as_arrays(built(each, training=False))) for each in given]
    targets = [target(precision, folder / "tf.py") for precision in PRECISIONS]
    write_artefacts(built, port.plan, targets, folder)
    for each in targets:
        content = each.path.read_bytes()
        run = tflite_runner(content)
        found = [parts(run({"x": image})) for image in given]
        boxes, scores = (sqnr(expected, found, part) for part in ("boxes", "scores"))
        size = f"{len(content) / 2**20:.2f} MiB"
        yield name, each.format.name, size, f"{boxes:.1f} dB", f"{scores:.1f} dB", f"{agreement(expected, found):.1%}"


def as_arrays(outputs: Any) -> Any:
    """Keras's outputs as numpy has them."""
    return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)


def sqnr(expected: list[Outputs], found: list[Outputs], part: str) -> float:
    """Signal to quantisation noise in decibels, over all images."""
    signal = sum(np.square(each[part], dtype=np.float64).sum() for each in expected)
    noise = sum(
        np.square(left[part].astype(np.float64) - right[part]).sum()
        for left, right in zip(expected, found, strict=True)
    )
    return float(10 * np.log10(signal / noise))


def agreement(expected: list[Outputs], found: list[Outputs]) -> float:
    """The share of boxes whose highest class is the same."""
    same = [
        left["scores"][..., 1:].argmax(-1) == right["scores"][..., 1:].argmax(-1)
        for left, right in zip(expected, found, strict=True)
    ]
    return float(np.mean(same))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure TFLite against float on the slim-neck detector.")
    parser.add_argument("--calibration", type=int, default=32, help="images that scale the integers (32)")
    parser.add_argument("--images", type=int, default=16, help="images that are measured (16)")
    parser.add_argument("--detector", choices=_PARTS, action="append", help="how much of it (both)")
    options = parser.parse_args()
    head = ("detector", "format", "size", "boxes", "scores", "same top class")
    sys.path.insert(0, str(SLIMNECK))  # its scripts import each other
    rows = []
    for name in options.detector or _PARTS:
        with tempfile.TemporaryDirectory() as folder:
            rows += list(measure(name, options.calibration, options.images, Path(folder)))
    print(markdown(head, rows))


if __name__ == "__main__":
    main()
