from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from transpiler import resources

ROOT = Path(__file__).parents[2]

READ_ALL = """
from transpiler import resources
import transpiler
print(transpiler.__file__)
assert resources.read_grammar("rules.lark")
assert {"torch.aten", "torch.nn"} <= set(resources.pack_names()), resources.pack_names()
for name in resources.pack_names():
    assert resources.read_pack(name)
assert any(entry.name.endswith(".jinja") for entry in resources.template_root().iterdir())
"""


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"^kerascribe ships no file grammars/none.lark$"):
        resources.read_grammar("none.lark")
    with pytest.raises(FileNotFoundError, match=r"^kerascribe ships no file templates/helpers/none.jinja$"):
        resources.read_template("helpers/none.jinja")


def read_all_from(place, folder):
    environment = os.environ | {"PYTHONPATH": str(place)}
    script = subprocess.run(
        [sys.executable, "-c", READ_ALL], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert script.returncode == 0, script.stderr
    assert script.stdout.startswith(str(place))


def test_a_checkout_finds_its_files(tmp_path):
    read_all_from(ROOT, tmp_path)


def test_a_wheel_carries_its_files(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    read_all_from(wheel, tmp_path)
