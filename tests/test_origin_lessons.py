"""The five lessons of a port by hand, each as a test of what kerascribe writes for the same network.

An engineer ported YOLOv5 with a slim neck from PyTorch to TensorFlow and wrote down what went wrong; see
docs/origin.md for the story.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.networks import (
    SLIMNECK,
    calibrate,
    images,
    randomise,
    relative_errors,
    slimneck_module,
    transpose_count,
)
from tests.source_checks import attributes, called_name, check_sequentials, classes, method, sequential_calls
from transpiler import transpile

RULES = SLIMNECK / "slimneck.rules"
SIZE = (64, 96)

design = slimneck_module("model")


def random_model(model: nn.Module, *shape: int) -> tuple[nn.Module, torch.Tensor]:
    randomise(model.eval(), seed=0)
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    calibrate(model, x)
    return model, x


@pytest.fixture(scope="module")
def port() -> Any:
    model, _ = random_model(design.SlimNeck(nc=3), 2, 3, *SIZE)
    return transpile(model, (images(1, SIZE, seed=0),), rules=RULES, name="SlimNeck")


def rules_with(folder: Path, style: str = "", extra: str = "") -> Path:
    """A rules file for the slim neck with other style settings or rules of its own, in a folder with its model."""
    (folder / "model.py").write_text((SLIMNECK / "model.py").read_text(encoding="utf-8"), encoding="utf-8")
    text = f"""use torch.nn
use torch.aten

model "model.py:SlimNeck" (nc = 3) {{
    input x float32[batch, 3, 64, 96]
    output "tf.py"
    style {{ prefix = "TF"{style} }}
}}

{extra}
"""
    path = folder / "changed.rules"
    path.write_text(text, encoding="utf-8")
    return path


# ── 1. the shuffle ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_lesson_1_published_shuffle_becomes_strided_slices(port: Any) -> None:
    call = ast.unparse(method(classes(port.source)["TFGSConv"], "call"))
    assert re.search(r"ops\.concatenate\(\[(\w+)\[\.\.\., ::2\], \1\[\.\.\., 1::2\]\], axis=-1\)", call), call
    assert "transpose" not in call
    assert "reshape" not in call


@pytest.mark.parametrize(("variant", "transposes"), [("GSConv", 0), ("GSConvShuffleNet", 1)])
def test_lesson_1_both_shuffles_move_the_right_channels(variant: str, transposes: int) -> None:
    """Heights, widths and channels differ, and so do batches: a scrambled pixel has nowhere to hide."""
    model, x = random_model(getattr(design, variant)(6, 8, 3), 2, 6, 5, 7)
    port = transpile(model, (x,), name="Shuffle")
    keras_model = port.build()
    for batch in (1, 2, 3):
        fresh = torch.randn(batch, 6, 5, 7, generator=torch.Generator().manual_seed(batch))
        assert max(relative_errors(model, keras_model, port.signature, (fresh,))) <= 1e-6
    assert transpose_count(keras_model) <= transposes


# ── 2. Sequential takes one list ───────────────────────────────────────────────────────────────────────────────────


def test_lesson_2_every_sequential_takes_one_list(port: Any) -> None:
    assert sequential_calls(port.source), "the slim neck is built from Sequentials"
    check_sequentials(port.source)


def test_lesson_2_lighting_is_a_list_of_two_gsconv(port: Any) -> None:
    bottleneck = classes(port.source)["TFGSBottleneck"]
    (call,) = sequential_calls(ast.unparse(bottleneck))
    assert isinstance(call.args[0], ast.List)
    assert [ast.unparse(layer.func) for layer in call.args[0].elts if isinstance(layer, ast.Call)] == ["TFGSConv"] * 2


def test_lesson_2_a_single_child_is_a_list_too() -> None:
    model, x = random_model(nn.Sequential(nn.Sequential(nn.Conv2d(3, 8, 3)), nn.ReLU()), 2, 3, 9, 11)
    check_sequentials(transpile(model, (x,), name="Single").source)


@pytest.mark.parametrize("source", ["keras.Sequential(a, b)", "Sequential(*layers)", "tf.keras.Sequential(layers)"])
def test_lesson_2_the_check_finds_the_mistake(source: str) -> None:
    with pytest.raises(AssertionError, match="one argument, a list"):
        check_sequentials(source)


# ── 3. modules that are built but not called ───────────────────────────────────────────────────────────────────────


def test_lesson_3_unused_modules_are_left_out_and_named(port: Any) -> None:
    written = classes(port.source)
    for name, unused in (("TFGSBottleneck", {"conv", "shortcut"}), ("TFVoVGSCSP", {"res"})):
        assert not attributes(written[name]) & unused
        docstring = ast.get_docstring(written[name]) or ""
        assert all(re.search(rf"\b{attribute}\b", docstring) for attribute in unused), docstring
    assert "shortcut" in attributes(written["TFGSBottleneckC"])


def test_lesson_3_their_weights_are_dropped_with_a_reason(port: Any) -> None:
    dropped = {drop.source: drop.reason for drop in port.plan.dropped}
    unused = [key for key in design.SlimNeck(nc=3).state_dict() if re.search(r"gsb\.\d+\.conv\.|top\d\.res\.", key)]
    assert unused
    assert all(dropped.get(key) for key in unused)


def test_lesson_3_the_rules_can_keep_them(tmp_path: Path) -> None:
    model, x = random_model(design.SlimNeck(nc=3), 2, 3, *SIZE)
    port = transpile(model, (x,), rules=rules_with(tmp_path, style=", keep_unused = true"), name="SlimNeck")
    written = classes(port.source)
    assert attributes(written["TFGSBottleneck"]) >= {"conv_lighting", "conv"}
    # `res` takes other channels than VoVGSCSP itself: it cannot be called like its parent, so it is named instead.
    assert "res" not in attributes(written["TFVoVGSCSP"])
    assert "Never called in torch: res." in (ast.get_docstring(written["TFVoVGSCSP"]) or "")
    keras_model = port.build()
    assert max(relative_errors(model, keras_model, port.signature, (x,))) <= 1e-5
    check_sequentials(port.source)


def test_lesson_3_no_lambda_stands_in_for_an_identity(port: Any) -> None:
    calls = [node for node in ast.walk(ast.parse(port.source)) if isinstance(node, ast.Call)]
    assert "Lambda" not in {called_name(call) for call in calls}
    assert not [node for node in ast.walk(ast.parse(port.source)) if isinstance(node, ast.Lambda)]


# ── 4. weights are poured, not threaded through constructors ───────────────────────────────────────────────────────


def test_lesson_4_no_constructor_takes_weights(port: Any) -> None:
    constructors = [
        node
        for node in ast.walk(ast.parse(port.source))
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    ]
    assert constructors
    for constructor in constructors:
        arguments = constructor.args
        names = {argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)}
        assert not names & {"w", "weights", "weight", "state_dict"}, ast.unparse(arguments)
        assert arguments.vararg is None, ast.unparse(arguments)
    keywords = [node.arg for node in ast.walk(ast.parse(port.source)) if isinstance(node, ast.keyword)]
    assert not {"weights", "w"} & set(keywords)
    assert not [word for word in keywords if word and word.endswith("_initializer")], "weights as initial values"


def test_lesson_4_the_plan_accounts_for_every_tensor_on_both_sides(port: Any) -> None:
    plan = port.plan
    poured = [entry.source for entry in plan.entries if entry.constant is None]
    accounted = {*poured, *(drop.source for drop in plan.dropped), *(tied.key for tied in plan.tied)}
    assert accounted == set(design.SlimNeck(nc=3).state_dict())

    variables = [variable for entry in plan.entries for variable in entry.variables]
    assert len(variables) == len(set(variables)) == len(port.build().weights)


# ── 5. the first module that differs is named ──────────────────────────────────────────────────────────────────────


def test_lesson_5_a_port_that_is_right_verifies(port: Any) -> None:
    report = port.verify()
    assert report.ok(), str(report)
    assert {row.batch for row in report.rows} >= {1, 3}


WRONG_POOL = """module torch.nn.MaxPool2d
    => keras.layers.AveragePooling2D(kernel_size, strides = stride, padding = "same")
    reads x "n c ... -> n ... c"
    writes "n c ... -> n ... c"
    ignores padding, dilation, return_indices, ceil_mode
"""


def test_lesson_5_a_wrong_rule_is_named_with_the_first_module_that_it_breaks(tmp_path: Path) -> None:
    """The only pool is `pool.m`, in the middle of the network: thirty modules after it differ as well."""
    rules = rules_with(tmp_path, extra=WRONG_POOL)
    model, x = random_model(design.SlimNeck(nc=3), 2, 3, *SIZE)
    report = transpile(model, (x,), rules=rules, name="SlimNeck").verify()
    assert not report.ok()
    text = str(report)
    line = 1 + rules.read_text(encoding="utf-8").splitlines().index("module torch.nn.MaxPool2d")
    assert "pool.m" in text
    assert f"changed.rules:{line}" in text
    assert "top4" not in text, "only the first module that differs"
