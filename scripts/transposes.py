"""Transposes and latency of the models that converters find hard: `python -m scripts.transposes`, some ten minutes.

Writes docs/transposes.md. Needs `pip install -e '.[test,zoo]'`.
"""

# ruff: noqa: T201  (printing is what it is for)

from __future__ import annotations

import torch._dynamo  # loads triton, which crashes where TensorFlow was loaded before it

# isort: split
import keras
import tensorflow as tf

from scripts.bench import THREADS, Job, compiled, medians
from scripts.tables import markdown
from scripts.zoo_row import input_dependent_transposes, inputs, made
from tests.networks import ROOT
from transpiler import transpile
from transpiler.verify.randomise import randomise

PAGE = ROOT / "docs" / "transposes.md"

# Model, the most transposes that we allow ourselves, the fewest that a converter was measured to leave; None where none
# was measured.
MODELS: tuple[tuple[str, int | None, int | None], ...] = (
    ("torchvision.vit_b_16", 0, 51),
    ("torchvision.convnext_tiny", 0, 2),
    ("timm.coatnet_0_rw_224", 0, None),
    ("timm.levit_128", 0, 56),
    ("timm.edgenext_small", 6, None),
    ("timm.volo_d1_224", 6, None),
    ("timm.mixer_s32_224", 8, 8),
    ("torchvision.swin_t", 24, 36),
    ("timm.davit_tiny", 40, 155),
    ("timm.mobilevit_s", 36, 46),
    ("torchvision.maxvit_t", 106, 175),
    ("torchvision.shufflenet_v2_x1_0", None, 33),
    ("torchvision.swin_v2_t", None, 73),
    ("timm.poolformer_s12", None, 48),
)
HEADER = ["model", "transposes", "allowed", "best converter", "tf.function, ms", "torch eager, ms", "ratio"]
INTRODUCTION = """# Transposes

`Transpose` nodes of the frozen TensorFlow graph of the built model whose value depends on an input, inputs channels
last. The best converter is the one of nobuco 0.17, onnx2tf 2.6.9 and litert-torch 0.10 that leaves the fewest.
Latency is that of one image, medians of turns within one run on {threads} threads: the ratio says how long the port
takes for each second of torch. Written by `python -m scripts.transposes`; `kerascribe explain RULES --stage layout`
says what wants each transpose of a model.

"""
TURNS, CALLS = 6, 3


def cells(name: str, allowed: int | None, best: int | None) -> list[str]:
    """The row of one model."""
    torch.manual_seed(0)
    model, shapes = made(name)
    randomise(model.eval(), 0)
    (x,) = inputs(shapes, 1, seed=0)
    port = transpile(model, (x,), name="Network").build()
    found = input_dependent_transposes(port)
    image = tf.constant(x.permute(0, 2, 3, 1).numpy())
    generated = compiled(port)
    with torch.inference_mode():
        jobs: list[Job] = [lambda: generated(image).numpy(), lambda: model(x)]
        ours, torchs = medians(jobs, TURNS, CALLS)
    limits = ["" if limit is None else str(limit) for limit in (allowed, best)]
    return [name, str(found), *limits, f"{1000 * ours:.0f}", f"{1000 * torchs:.0f}", f"{ours / torchs:.2f}"]


def main() -> None:
    """Measures all models and writes the page."""
    torch.set_num_threads(THREADS)
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    rows = []
    for name, allowed, best in MODELS:
        rows.append(cells(name, allowed, best))
        print(" | ".join(rows[-1]), flush=True)
        keras.backend.clear_session()
    PAGE.write_text(INTRODUCTION.format(threads=THREADS) + markdown(HEADER, rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
