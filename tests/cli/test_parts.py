"""`part` and `until` in the rules: models whose end no graph takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from transpiler.commands import pour_checkpoint, verify_port, write_port
from transpiler.errors import ModelError
from transpiler.factory import load_factory
from transpiler.session import load_project

MODEL = """\
import torch
from torch import nn


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.score = nn.Conv2d(8, 5, 1)
        self.box = nn.Conv2d(8, 4, 1)

    def forward(self, x):
        x = torch.relu(x)
        score = self.score(x)
        box = self.box(x)
        kept = score.flatten(1).amax(1) > 0.1
        return score[kept], box[kept]


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.head = Head()

    def forward(self, images):
        return self.head(self.backbone(images) * 2.0)
"""


def rules(folder: Path, clauses: str) -> Path:
    (folder / "detector.py").write_text(MODEL)
    torch.manual_seed(0)
    model = load_factory("detector.py:Detector", folder)()
    save_file(model.state_dict(), folder / "whole.safetensors")
    path = folder / "detector.rules"
    path.write_text(f'model "detector.py:Detector" {{ {clauses} weights "whole.safetensors" }}\n')
    return path


def test_a_part_with_the_checkpoint_of_the_whole(tmp_path: Path) -> None:
    path = rules(tmp_path, 'part "backbone" input input float32[batch, 3, 8, 12]')
    write_port(path)
    pour_checkpoint(path)
    assert verify_port(path, 1e-5).report.max_rel_err <= 1e-5


def test_until_two_modules_have_returned(tmp_path: Path) -> None:
    path = rules(tmp_path, 'until "head.score", "backbone" input images float32[batch, 3, 8, 12]')
    write_port(path)
    pour_checkpoint(path)
    verdict = verify_port(path, 1e-5)
    assert verdict.report.max_rel_err <= 1e-5
    assert {row.name for row in verdict.report.rows} == {"head.score", "backbone"}
    assert "Never called in torch: box" in (tmp_path / "tf.py").read_text()


def test_a_module_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    project = load_project(rules(tmp_path, 'until "head.scores" input images float32[batch, 3, 8, 12]'))
    with pytest.raises(ModelError, match=r"has no module 'head\.scores'") as caught:
        _ = project.model
    assert "'head.score'" in str(caught.value)


def test_an_input_may_bear_another_name_than_in_forward(tmp_path: Path) -> None:
    path = rules(tmp_path, 'part "backbone" input image float32[batch, 3, height, width]')
    write_port(path)
    assert "input_shape=(None, None, 3)" in (tmp_path / "tf.py").read_text()
