"""`kerascribe rules test` as a user meets it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from transpiler.cli import main

RIGHT = "op aten.neg(x)\n    => -x pointwise\n    example float32[2, 3]\n"
WRONG = "op aten.neg(x)\n    => x pointwise\n    example float32[2, 3]\n"
BARE = "op aten.abs(x) => keras.ops.abs(x) pointwise\n"
OWN_CLASS = """\
import torch
from torch import nn


class Scale(nn.Module):
    def __init__(self, size, offset=1.0):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(size))
        self.offset = offset

    def forward(self, x):
        return x * self.factor + self.offset


def build():
    return nn.Sequential(Scale(4))
"""
OWN_RULES = """\
model "net_of_scales.py:build" { input x float32[batch, 4] }

module net_of_scales.Scale
    when offset == %s
    => keras.layers.Rescaling(1.0, offset = offset)
    weights { drop factor "wrongly" }
    ignores size
    example Scale(4, offset = %s) float32[2, 4]
"""


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    def command(text, *arguments):
        (tmp_path / "some.rules").write_text(text)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["kerascribe", "rules", "test", "some.rules", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Run(ended.value.code or 0, printed.out, printed.err)

    yield command
    sys.modules.pop("net_of_scales", None)


def test_right_rules(run):
    assert run(RIGHT) == Run(0, "1 examples, 0 of them differ; 0 rules have no example\n", "")


def test_a_wrong_rule_has_one_line_and_exit_code_1(run):
    found = run(WRONG)

    assert found.code == 1
    assert found.out.startswith("some.rules:3:5: aten.neg: output differs by 2.0e+00 of its largest value")
    assert len(found.out.splitlines()) == 2


def test_rules_without_an_example_are_named(run):
    found = run(RIGHT + BARE)

    assert found.code == 0
    assert found.out.startswith("some.rules:4:4: no example")


def test_only_the_rules_of_a_name(run):
    assert run(RIGHT + WRONG.replace("neg", "sin"), "--name", "NEG").code == 0


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("op aten.neg(x =>", (), "some.rules:1:16: "),
        (RIGHT.replace("aten.neg", "aten.nge"), (), "some.rules:1:4: "),
        (RIGHT, ("--name", "aten.nge"), "some.rules: no rule is for 'aten.nge'\n  did you mean 'aten.neg'?"),
    ],
)
def test_bad_files_end_with_exit_code_2(run, text, arguments, message):
    found = run(text, *arguments)

    assert (found.code, found.out) == (2, "")
    assert found.err.startswith(message)


def test_a_class_of_the_users_own_is_loaded_with_the_model(run, tmp_path):
    (tmp_path / "net_of_scales.py").write_text(OWN_CLASS)

    found = run(OWN_RULES % ("0.5", "0.5"))

    assert found.code == 1
    assert found.out.startswith("some.rules:8:5: net_of_scales.Scale: output differs")
