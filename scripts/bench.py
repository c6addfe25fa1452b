"""Speed as ratios within one run: `make bench`, or `python -m scripts.bench` in the repository's root.

Two things are measured on the same machine at the same time, in turns, and their medians compared; the absolute figures
mean little elsewhere, the ratios should hold. Nothing here fails: read the last column.
"""

# ruff: noqa: T201  (printing is what it is for)

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch._dynamo  # loads triton, which crashes where TensorFlow was loaded before it

# isort: split
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import tensorflow as tf

from scripts.tables import markdown
from tests.networks import images, network, prepared
from transpiler import transpile

THREADS = 2
IMAGE = (224, 224)

WRITING = ("slimneck", "resnet50", "mobilenet_v2", "densenet121")
BUILDING = ("resnet50", "densenet121")
HAND_WRITTEN: dict[str, Callable[..., Any]] = {
    "resnet50": keras.applications.ResNet50,
    "mobilenet_v2": keras.applications.MobileNetV2,
    "densenet121": keras.applications.DenseNet121,
}
CALLS = 5
"""Calls of a model in each of its turns."""
LATENCY_LIMIT = 1.05
"""A port may take this many times as long as the model it is compared with."""
EXPORT_FACTOR, EXPORT_EXTRA = 2.0, 0.5
"""`transpile()` may take EXPORT_FACTOR times as long as torch.export alone, and EXPORT_EXTRA seconds more."""

Job = Callable[[], object]


def medians(jobs: Sequence[Job], rounds: int, calls: int = 1) -> list[float]:
    """Median seconds of each job, run in turns so that a busy moment hits all of them.

    A turn is one call to warm up and `calls` that count: the threads of another framework spin on for a while after its
    last call, and would slow down whoever comes next. Every second round goes backwards.

    Args:
        jobs: what to measure.
        rounds: turns of each job.
        calls: calls that count in each turn.
    """
    times: list[list[float]] = [[] for _ in jobs]
    turns = list(zip(jobs, times, strict=True))
    for _ in range(rounds):
        for job, taken in turns:
            job()
            for _ in range(calls):
                start = time.perf_counter()
                job()
                taken.append(time.perf_counter() - start)
        turns.reverse()
    return [statistics.median(taken) for taken in times]


def writing(name: str, rounds: int) -> list[str]:
    """`transpile()` against `torch.export.export` of the same model."""
    model, x = prepared(network(name), IMAGE), images(1, IMAGE, seed=1)
    two = torch.cat([x, x])  # export takes a batch of 1 for a constant
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    export, written = medians(
        [
            lambda: torch.export.export(model, (two,), strict=False, dynamic_shapes=dynamic),
            lambda: transpile(model, (x,), name="Network"),
        ],
        rounds,
    )
    limit = EXPORT_FACTOR * export + EXPORT_EXTRA
    return [
        name,
        f"{export:.2f}",
        f"{written:.2f}",
        f"{written / export:.2f}",
        f"{limit:.2f}",
        verdict(written, limit),
    ]


def building(name: str, rounds: int) -> list[str]:
    """`transpile()` and `build()`: from a torch model to a Keras model with its weights."""
    model, x = prepared(network(name), IMAGE), images(1, IMAGE, seed=1)
    (taken,) = medians([lambda: transpile(model, (x,), name="Network").build()], rounds)
    return [name, f"{taken:.2f}"]


def latency(name: str, rounds: int) -> list[str]:
    """The built model at batch 1 under `tf.function`, against torch and against the model in keras.applications."""
    model, x = prepared(network(name), IMAGE), images(1, IMAGE, seed=1)
    port = transpile(model, (x,), name="Network").build()
    by_hand = HAND_WRITTEN[name](weights=None, input_shape=(*IMAGE, 3))
    image = tf.constant(x.permute(0, 2, 3, 1).numpy())
    generated, hand = compiled(port), compiled(by_hand)
    with torch.inference_mode():
        jobs: list[Job] = [lambda: generated(image).numpy(), lambda: hand(image).numpy(), lambda: model(x)]
        ours, theirs, torchs = medians(jobs, rounds, CALLS)
    return [
        name,
        *(f"{1000 * taken:.1f}" for taken in (ours, theirs, torchs)),
        f"{ours / theirs:.2f}",
        f"{ours / torchs:.2f}",
        verdict(max(ours / theirs, ours / torchs), LATENCY_LIMIT),
    ]


def compiled(model: Any) -> Any:
    """The model at inference as one TensorFlow function."""
    return tf.function(lambda x: model(x, training=False))


def verdict(figure: float, limit: float) -> str:
    """One word for the last column."""
    return "yes" if figure <= limit else "NO"


def main() -> None:
    """Measures and prints three tables."""
    parser = argparse.ArgumentParser(description="Measure the speed of kerascribe and of the models it writes.")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of every conversion (5)")
    parser.add_argument("--turns", type=int, default=30, help=f"turns of every model, of {CALLS} calls each (30)")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)

    print(
        f"Medians, {THREADS} threads, {IMAGE[0]}x{IMAGE[1]}, torch {torch.__version__}, TensorFlow {tf.__version__}\n"
    )
    print("transpile() and torch.export.export of the same model, seconds, warm process\n")
    header = ["model", "export", "transpile", "ratio", "limit", "within"]
    print(markdown(header, [writing(name, options.rounds) for name in WRITING]), end="\n\n")

    print("transpile() + build(), seconds\n")
    print(markdown(["model", "seconds"], [building(name, options.rounds) for name in BUILDING]), end="\n\n")

    print(f"One image through tf.function, torch eager beside it, ms (limit {LATENCY_LIMIT})\n")
    header = ["model", "generated", "keras.applications", "torch", "to keras.applications", "to torch", "within"]
    print(markdown(header, [latency(name, options.turns) for name in HAND_WRITTEN]))


if __name__ == "__main__":
    main()
