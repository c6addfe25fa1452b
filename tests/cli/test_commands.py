"""The commands as a user meets them: what they write, what they say, which exit code they end with."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.commands import Run
from transpiler.cli import main

MODEL = """\
import torch
from torch import nn


class Stem(nn.Module):
    def __init__(self, c1, c2):
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, 3, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(c2)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.stem = Stem(3, width)
        self.fc = nn.Linear(width, 5)

    def forward(self, x):
        return self.fc(self.stem(x).mean((2, 3)))


class Untranslatable(nn.Module):
    def forward(self, x):
        return torch.linalg.matrix_exp(x)


def broken():
    raise RuntimeError("no such configuration")


def number():
    return 3
"""
RULES = """\
use torch.nn
use torch.aten

model "some_net.py:Net" (width = 6) {
    input x float32[batch, 3, 12, 17]
    weights "net.safetensors"
}
"""
EXAMPLE = Path(__file__).parents[2] / "examples" / "slimneck" / "slimneck.rules"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "some_net.py").write_text(MODEL)
    (tmp_path / "net.rules").write_text(RULES)
    save_file(weights(), tmp_path / "net.safetensors")
    return tmp_path


def weights():
    """The state dict of Net(6), every value random: constants hide errors."""
    torch.manual_seed(0)
    state = {"stem.conv": nn.Conv2d(3, 6, 3, bias=False), "stem.bn": nn.BatchNorm2d(6), "fc": nn.Linear(6, 5)}
    random = {
        f"{prefix}.{key}": torch.rand(value.shape) + 0.5 if value.is_floating_point() else value
        for prefix, module in state.items()
        for key, value in module.state_dict().items()
    }
    return {key: value.contiguous() for key, value in random.items()}


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "__pycache__")


GIVEN = ["net.rules", "net.safetensors", "some_net.py"]


def test_generate_pour_verify(run, folder):
    rules = folder / "net.rules"
    assert run("generate", rules) == Run(0, f"wrote {folder / 'tf.py'}\nwrote {folder / 'tf.weights.json'}\n", "")
    assert files(folder) == [*GIVEN, "tf.py", "tf.weights.json"]
    poured = run("pour", rules)
    assert (poured.code, poured.out) == (0, f"wrote {folder / 'tf.weights.h5'}\nwrote {folder / 'tf.keras'}\n")
    assert files(folder) == [*GIVEN, "tf.keras", "tf.py", "tf.weights.h5", "tf.weights.json"]
    verified = run("verify", rules)
    assert verified.code == 0, verified
    assert verified.out.count("same") == 2  # batch 1 and batch 3


def test_verify_fails_when_the_weights_are_others(run, folder):
    rules = folder / "net.rules"
    run("generate", rules)
    run("pour", rules)
    state = load_file(folder / "net.safetensors")
    state["stem.bn.bias"] += 0.1
    save_file(state, folder / "net.safetensors")
    verified = run("verify", rules)
    assert verified.code == 1
    assert verified.out.count("differs") == 2
    assert "first difference: stem.bn (BatchNorm2d)" in verified.out


def test_check_says_in_one_line_that_the_files_are_current(run, folder):
    rules = folder / "net.rules"
    run("generate", rules)
    assert run("generate", "--check", rules) == Run(0, f"up to date: what {rules} gives\n", "")


def test_check_tells_of_files_that_are_missing_and_writes_none(run, folder):
    rules = folder / "net.rules"
    checked = run("generate", "--check", rules)
    assert checked == Run(
        1,
        "tf.py: there is no such file\n"
        "tf.weights.json: there is no such file\n"
        f"out of date: run kerascribe generate {rules}\n",
        "",
    )
    assert files(folder) == GIVEN


def test_check_shows_an_edit_as_a_unified_diff(run, folder):
    rules = folder / "net.rules"
    run("generate", rules)
    source = folder / "tf.py"
    current = source.read_text()
    source.write_text(current.replace("layers.Dense(5)", "layers.Dense(6)"))
    checked = run("generate", "--check", rules)
    assert checked.code == 1
    head, *diff, last = checked.out.splitlines()
    assert head == "--- tf.py"
    assert diff[0] == "+++ tf.py, as net.rules gives it"
    assert [line.strip() for line in diff[1:] if line[0] in "+-"] == [
        "-        self.fc = layers.Dense(6)",
        "+        self.fc = layers.Dense(5)",
    ]
    assert last == f"out of date: run kerascribe generate {rules}"
    source.write_text(current.rstrip("\n"))
    assert "\n\\ No newline at end of file\n" in run("generate", "--check", rules).out


def test_check_tells_of_line_ends_and_of_what_is_no_text(run, folder):
    rules = folder / "net.rules"
    run("generate", rules)
    source, plan = folder / "tf.py", folder / "tf.weights.json"
    source.write_bytes(source.read_bytes().replace(b"\n", b"\r\n"))
    plan.write_bytes(b"\xff\xfe")
    assert run("generate", "--check", rules).out.splitlines()[:2] == [
        "tf.py: its lines end in \\r\\n instead of \\n",
        "tf.weights.json: is no UTF-8 text",
    ]


def test_check_shows_what_other_rules_change(run, folder):
    rules = folder / "net.rules"
    run("generate", rules)
    rules.write_text(RULES.replace("width = 6", "width = 7"))
    changed = run("generate", "--check", rules).out.splitlines()
    assert any(line.startswith("-Written by kerascribe") for line in changed)
    assert any(line.startswith("+    return keras.Model(x, Net(width=7, ") for line in changed)
    assert any(line.startswith("+    {") and '"source_shape": [7, 3, 3, 3]' in line for line in changed)


def test_a_split_source_goes_all_the_way(run, folder):
    rules = folder / "net.rules"
    run("generate", rules)
    split = run("generate", "--split", rules)
    assert split.out.splitlines() == [
        f"wrote {folder / 'tf'}",
        f"wrote {folder / 'tf.weights.json'}",
        f"removed {folder / 'tf.py'}",
    ]
    assert run("generate", "--check", rules) == Run(0, f"up to date: what {rules} gives\n", "")
    assert run("pour", rules).out.splitlines()[-1] == f"wrote {folder / 'tf.keras'}"
    assert run("verify", rules).code == 0
    assert files(folder) == sorted([*GIVEN, "tf", "tf.keras", "tf.weights.h5", "tf.weights.json"])
    assert files(folder / "tf") == ["__init__.py", "some_net.py"]
    module = folder / "tf" / "some_net.py"
    (folder / "tf" / "old.py").write_text(module.read_text())
    module.unlink()
    assert run("generate", "--check", rules) == Run(
        1,
        "tf/some_net.py: there is no such file\n"
        "tf/old.py: net.rules gives no such file any more\n"
        f"out of date: run kerascribe generate --split {rules}\n",
        "",
    )
    stale = run("verify", rules)
    assert (stale.code, stale.out) == (2, "")
    assert stale.err == f"tf: is not what the rules give now\n  run kerascribe generate --split {rules}\n"


@pytest.mark.parametrize("output", ["port", "port/__init__.py"])
def test_a_folder_as_output(run, folder, output):
    rules = folder / "net.rules"
    style = "" if output == "port" else "style { split = true }"
    rules.write_text(RULES.replace("}\n", f'    output "{output}"\n    {style}\n}}\n'))
    assert run("generate", rules).out == f"wrote {folder / 'port'}\nwrote {folder / 'port.weights.json'}\n"
    assert files(folder / "port") == ["__init__.py", "some_net.py"]
    assert run("pour", rules).code == 0
    assert run("verify", rules).code == 0


def test_generating_twice_gives_the_same_bytes(run, folder):
    run("generate", folder / "net.rules")
    first = {name: (folder / name).read_bytes() for name in ("tf.py", "tf.weights.json")}
    run("generate", folder / "net.rules")
    assert {name: (folder / name).read_bytes() for name in first} == first


def imported_by(command, rules):
    script = (
        "import sys; sys.argv = ['kerascribe', *sys.argv[1:]]\n"
        "from transpiler.cli import main\n"
        "try: main()\n"
        "finally: print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, command, str(rules)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    return set(done.stdout.splitlines()[-1].split())


def test_generate_imports_neither_tensorflow_nor_keras(folder):
    assert imported_by("generate", folder / "net.rules") & {"torch", "tensorflow", "keras"} == {"torch"}


def test_pouring_safetensors_does_not_import_torch(run, folder):
    run("generate", folder / "net.rules")
    assert imported_by("pour", folder / "net.rules") & {"torch", "keras"} == {"keras"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("model", "modle", "net.rules:4:1: "),
        ("use torch.nn", "use torch.none", "net.rules:1:5: "),
        ("some_net.py:Net", "missing.py:Net", "missing.py:Net: there is no file 'missing.py' beside the rules"),
        ("some_net.py:Net", "some_net.py:Nat", "some_net.py:Nat: some_net.py has no 'Nat'\n  did you mean 'Net'?"),
        (
            'some_net.py:Net" (width = 6)',
            'some_net.py:broken"',
            "some_net.py:broken: raises RuntimeError: no such config",
        ),
        ('some_net.py:Net" (width = 6)', 'some_net.py:number"', "some_net.py:number: builds a int, no torch.nn.Module"),
        ("width", "depth", "some_net.py:Net: raises TypeError: "),
        ("float32", "float31", "float31"),
        (
            "use torch.nn",
            "module torch.nn.Linear => keras.layers.Denze(out_features)",
            "did you mean 'keras.layers.Dense'?",
        ),
        (
            "use torch.nn",
            "module torch.nn.Linear => keras.layers.Dense(out_features, use_bia = bias is not None)",
            "did you mean 'use_bias'?",
        ),
        (
            "use torch.nn",
            "module torch.nn.MaxPool2d => keras.layers.MaxPooling2D(kernel_size, strides = stride)",
            "ceil_mode",
        ),
    ],
)
def test_bad_rules_are_one_message_and_nothing_is_written(run, folder, old, new, message):
    (folder / "net.rules").write_text(RULES.replace(old, new, 1))
    failed = run("generate", folder / "net.rules")
    assert (failed.code, failed.out) == (2, "")
    assert message in failed.err
    assert "Traceback" not in failed.err
    assert files(folder) == GIVEN


def test_an_operator_without_a_rule_gives_the_line_and_a_rule_to_fill_in(run, folder):
    changed = RULES.replace('Net" (width = 6)', 'Untranslatable"').replace("[batch, 3, 12, 17]", "[batch, 5, 5]")
    (folder / "net.rules").write_text(changed)
    failed = run("generate", folder / "net.rules")
    assert (failed.code, failed.out) == (2, "")
    assert "some_net.py:27" in failed.err
    assert "op aten.linalg_matrix_exp(self) => " in failed.err
    assert files(folder) == GIVEN


@pytest.mark.parametrize("command", ["generate", "pour", "verify", "rules check", "rules list", "explain"])
def test_a_missing_rules_file_is_said_to_be_missing(run, tmp_path, command):
    failed = run(*command.split(), tmp_path / "none.rules")
    assert (failed.code, failed.out) == (2, "")
    assert "none.rules" in failed.err
    assert "Traceback" not in failed.err


def missing(state):
    del state["fc.bias"]


def left_over(state):
    state["head.weight"] = torch.zeros(2)


def wrong_shape(state):
    state["fc.weight"] = torch.zeros(5, 7)


def not_finite(state):
    state["stem.bn.running_var"][2] = float("nan")


@pytest.mark.parametrize(
    ("faults", "messages"),
    [
        ([missing], ["net.safetensors: missing: 'fc.bias' [5]"]),
        ([left_over], ["net.safetensors: left over: 'head.weight'"]),
        ([wrong_shape], ["net.safetensors: 'fc.weight' has shape [5, 7], the model needs [5, 6]"]),
        (
            [missing, left_over, wrong_shape, not_finite],
            [
                "net.safetensors: missing: 'fc.bias' [5]",
                "net.safetensors: left over: 'head.weight'",
                "net.safetensors: 'fc.weight' has shape [5, 7], the model needs [5, 6]",
                "net.safetensors: 'stem.bn.running_var' holds 1 value(s) that are infinite or not a number",
            ],
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_told_in_full_and_nothing_is_written(run, folder, faults, messages):
    run("generate", folder / "net.rules")
    before = files(folder)
    state = weights()
    for fault in faults:
        fault(state)
    save_file(state, folder / "net.safetensors")
    failed = run("pour", folder / "net.rules")
    assert (failed.code, failed.out) == (2, "")
    told = [line for line in failed.err.splitlines() if line.startswith("net.safetensors")]
    assert sorted(told) == sorted(messages)
    assert files(folder) == before


def test_a_pickle_that_is_no_plain_state_dict_is_refused(run, folder):
    run("generate", folder / "net.rules")
    torch.save(nn.Linear(2, 2), folder / "net.pt")
    (folder / "net.rules").write_text(RULES.replace("net.safetensors", "net.pt"))
    failed = run("pour", folder / "net.rules")
    assert (failed.code, failed.out) == (2, "")
    expected = "net.pt: not a plain state dict: to load it, torch.nn.modules.linear.Linear would have to be run\n"
    assert failed.err.startswith(expected)


def test_a_wrapped_pt_checkpoint_is_poured_and_said_to_be_wrapped(run, folder):
    run("generate", folder / "net.rules")
    torch.save({"model": {f"module.{key}": value for key, value in weights().items()}}, folder / "net.pt")
    (folder / "net.rules").write_text(RULES.replace("net.safetensors", "net.pt"))
    poured = run("pour", folder / "net.rules")
    assert poured.code == 0, poured
    assert poured.out.startswith("read from its 'model'\nthe prefix 'module.' is left out of every key\nwrote ")


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        (["pour"], "tf.weights.json: there is no such weight plan\n  write it with `kerascribe generate`\n"),
        (["generate", "verify"], "tf.weights.h5: there are no weights\n"),
    ],
)
def test_a_step_that_was_left_out_is_named(run, folder, commands, message):
    for command in commands:
        last = run(command, folder / "net.rules")
    assert (last.code, last.out) == (2, "")
    assert last.err.startswith(message)


def test_rules_without_a_checkpoint_say_so(run, folder):
    run("generate", folder / "net.rules")
    (folder / "net.rules").write_text(RULES.replace('    weights "net.safetensors"\n', ""))
    failed = run("pour", folder / "net.rules")
    assert (failed.code, failed.out) == (2, "")
    assert (
        failed.err == 'net.rules: the rules name no checkpoint\n  add to the model block: weights "model.safetensors"\n'
    )


def test_rules_are_listed_checked_and_explained(run, folder):
    assert run("rules", "check", folder / "net.rules").code == 0
    assert "module torch.nn.Conv2d" in run("rules", "list").out
    explained = run("rules", "explain", "Conv2d")
    assert explained.code == 0
    assert explained.out.startswith("1. packs/torch.nn.rules:")
    assert "keras.layers." in explained.out
    unknown = run("rules", "explain", "torch.nn.Conv2e")
    assert (unknown.code, unknown.out) == (2, "")
    assert "no rule is for 'torch.nn.Conv2e'" in unknown.err
    assert "'torch.nn.Conv2d'" in unknown.err


@pytest.mark.parametrize("stage", ["lift", "match", "layout", "outline"])
def test_every_stage_can_be_shown(run, folder, stage):
    shown = run("explain", folder / "net.rules", "--stage", stage)
    assert shown.code == 0, shown
    assert "Stem" in shown.out


def test_every_transpose_is_explained(run):
    shown = run("explain", EXAMPLE, "--stage", "layout")
    assert "reduce4 (model.py:139): n h w c2 c1 -> n h w c1 c2, for aten.reshape.default" in shown.out


def test_a_mistake_of_ours_is_short_unless_asked_for(run, folder, monkeypatch):
    def fail(_, **_options):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("transpiler.cli.write_port", fail)
    failed = run("generate", folder / "net.rules")
    assert failed.code == 70
    assert failed.err.startswith("kerascribe failed, which is a mistake of ours: ZeroDivisionError: division by zero\n")
    monkeypatch.setenv("KERASCRIBE_DEBUG", "1")
    with contextlib.suppress(SystemExit), pytest.raises(ZeroDivisionError):
        main()
