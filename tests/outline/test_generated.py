"""Whole programs: what is generated is what a person would write, and it runs."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from tests.outline.programs import PROGRAMS
from tests.outline.running import check_runs
from tests.source_checks import attributes, check_source, classes
from transpiler.outline import outline
from transpiler.render import render

GOLDEN = Path(__file__).parent / "golden"
SHAPES = {
    "slim_neck": [(1, 64, 64, 3)],
    "residual_network": [(2, 33, 40, 3)],
    "dense_network": [(2, 8, 8, 3)],
    "dense_blocks": [(2, 8, 8, 3)],
    "two_inputs": [(2, 4, 8), (2, 4, 16), (2, 4)],
    "mobile_network": [(2, 16, 16, 8)],
    "branches": [(2, 4, 6)],
}


def source_of(name: str) -> str:
    return render(outline(PROGRAMS[name]()))


@pytest.mark.parametrize("name", PROGRAMS)
def test_source_is_clean_and_the_same_each_time(name):
    source = source_of(name)
    check_source(source)
    assert source == source_of(name)


@pytest.mark.parametrize("name", PROGRAMS)
def test_source_is_as_people_agreed(name):
    """Set KERASCRIBE_UPDATE_GOLDEN=1 to write the files anew, and read the difference."""
    path = GOLDEN / f"{name}.py"
    source = source_of(name)
    if os.environ.get("KERASCRIBE_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(source, encoding="utf-8")
    assert source == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PROGRAMS)
def test_model_builds_saves_and_reloads_without_a_warning(name, tmp_path):
    check_runs(source_of(name), SHAPES[name], tmp_path, name)


def test_one_class_for_each_torch_class():
    names = set(classes(source_of("slim_neck")))
    assert names == {"TFConv", "TFBottleneck", "TFC3", "TFGSConv", "TFGSBottleneck", "TFSlimNeck"}
    assert set(classes(source_of("residual_network"))) == {"Bottleneck", "ResNet"}


def test_constructor_arguments_are_torchs():
    conv = classes(source_of("slim_neck"))["TFConv"]
    init = next(node for node in conv.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    assert ast.unparse(init.args) == "self, c1, c2, k=1, s=1, p=None, g=1, act=True, **kwargs"


def test_attributes_keep_their_torch_names():
    block = classes(source_of("residual_network"))["Bottleneck"]
    members = {"conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "relu", "downsample"}
    assert members <= attributes(block)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("slim_neck", "c_ = c2 // 2"),
        ("slim_neck", "return self.act(self.bn(self.conv(x)))"),
        ("slim_neck", "self.add = shortcut and c1 == c2"),
        ("slim_neck", "[TFBottleneck(c_, c_, shortcut, g, e=1.0) for _ in range(n)]"),
        ("slim_neck", "self.cv2 = TFConv(c_, c_, 5, g=c_, act=act)"),
        ("slim_neck", "layers.ZeroPadding2D(k // 2 if p is None else p)"),
        ("slim_neck", "Never called in torch: conv, shortcut."),
        ("residual_network", "identity = self.downsample(x) if self.downsample is not None else x"),
        ("residual_network", "width = int(planes * (base_width / 64.0)) * groups"),
        ("dense_blocks", "features = [*features, layer(features)]"),
        ("dense_blocks", 'setattr(self, f"denselayer{index + 1}", DenseLayer(growth_rate))'),
        ("two_inputs", "for block in self.blocks:"),
        ("two_inputs", "self.num_heads = heads"),
        ("mobile_network", "self.use_res_connect = stride == 1 and inp == oup"),
        ("branches", "parts = ops.concatenate([branch(x) for branch in self.branches], axis=-1)"),
        ("branches", "y = ops.transpose(y, (0, 2, 1))  # n l c -> n c l"),
    ],
)
def test_line_as_a_person_would_write_it(name, line):
    assert line in source_of(name)
