"""How a user names what `pour` shall write."""

from __future__ import annotations

from pathlib import Path

import pytest

from transpiler.errors import RulesError
from transpiler.language.checker import check
from transpiler.language.loader import load_rules
from transpiler.session import open_project
from transpiler.wanted import representative_data, wanted_files

RULES = 'model "net.py:Net" {{ input x float32[batch, 3]\n weights "net.safetensors"\n {} }}\n'


@pytest.fixture
def project(tmp_path):
    def opened(clauses=""):
        (tmp_path / "net.rules").write_text(RULES.format(clauses))
        return open_project(tmp_path / "net.rules")

    return opened


def names(targets):
    return [each.path.name for each in targets]


def test_asked_for_then_named_in_the_rules_then_the_usual(project, tmp_path):
    assert names(wanted_files(project())) == ["tf.weights.h5", "tf.keras"]
    declared = project('artefacts "keras", "tflite=lite.tflite" representative "data"')
    assert [each.path for each in wanted_files(declared)] == [tmp_path / "tf.keras", tmp_path / "lite.tflite"]
    assert names(wanted_files(declared, ["saved_model"])) == ["tf.saved_model"]
    assert representative_data(declared, None) == tmp_path / "data"
    assert representative_data(declared, Path("mine")) == Path("mine")
    assert representative_data(project(), None) is None


def test_a_path_of_the_user_begins_where_the_user_is(project, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (found,) = wanted_files(project(), ["saved_model=exported"])
    assert found.path.resolve() == tmp_path / "work" / "exported"


@pytest.mark.parametrize(
    ("asked", "messages"),
    [
        (["tflit"], ["unknown format 'tflit'\n  did you mean 'tflite'?"]),
        (["onnx"], ["unknown format 'onnx'\n  there are weights.h5, keras, safetensors, saved_model, tflite"]),
        (["keras="], ["there is no path behind the '=' of 'keras='"]),
        (["tflite-int8=a.tfl"], ["the path of 'tflite-int8' must end in '.tflite', not be 'a.tfl'"]),
        (["weights.h5=a.h5"], ["the path of 'weights.h5' must end in '.weights.h5', not be 'a.h5'"]),
        (["keras", "keras"], ["tf.keras: is to be written twice"]),
        (["keras=none/a.keras"], ["none: there is no such folder"]),
        (["onnx", "tflit"], ["'onnx'", "'tflit'"]),
    ],
)
def test_what_cannot_be_written_is_told_all_at_once(project, asked, messages):
    with pytest.raises(RulesError) as caught:
        wanted_files(project(), asked)
    assert len(caught.value.diagnostics) == len(messages)
    for message in messages:
        assert message in str(caught.value)


def test_the_checkpoint_is_not_overwritten(project, tmp_path):
    given = f"safetensors={tmp_path / 'net.safetensors'}"
    with pytest.raises(RulesError, match=r"^net.safetensors: is read, so it cannot be written\n  name another place"):
        wanted_files(project(), [given])


def test_a_folder_of_something_else_is_not_replaced(project, tmp_path):
    for name in ("empty", "full", "saved"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    (tmp_path / "saved" / "saved_model.pb").touch()
    (tmp_path / "net.keras").mkdir()
    assert len(wanted_files(project(), [f"saved_model={tmp_path / name}" for name in ("empty", "saved", "new")])) == 3
    for given in (f"saved_model={tmp_path / 'full'}", f"saved_model={tmp_path}", f"keras={tmp_path / 'net.keras'}"):
        with pytest.raises(RulesError, match=": is a folder that holds something else\n  what is in it would be lost"):
            wanted_files(project(), [given])


def test_the_rules_are_checked_with_their_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.rules").write_text(RULES.format('artefacts "keras", "tflit"'))
    (problem,) = check(load_rules(Path("net.rules")))
    assert str(problem) == (
        "net.rules:3:21: unknown format 'tflit'\n"
        '   artefacts "keras", "tflit" }\n'
        "                      ^^^^^^^\n"
        "  did you mean 'tflite'?"
    )
    with pytest.raises(RulesError, match=r"^net.rules:3:21: unknown format 'tflit'\n  did you mean 'tflite'\?$"):
        wanted_files(open_project(Path("net.rules")))
