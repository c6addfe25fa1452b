"""Temporary folders that a killed process leaves, and folders that take another's place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from transpiler import places
from transpiler.atomic import write_text, writing

WAITS = """
import sys, time
from pathlib import Path
from transpiler.atomic import writing
with writing(Path("a.txt")) as temporary:
    temporary.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    """A process that has written half of a file and goes on."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", WAITS]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def litter(folder):
    return sorted(folder.glob(".kerascribe-*"))


def test_what_a_killed_process_leaves_is_taken_away_by_the_next_one(tmp_path, writer):
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(litter(tmp_path)) == 1
    write_text(tmp_path / "b.txt", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]


def test_what_another_process_is_writing_stays(tmp_path, writer):
    write_text(tmp_path / "b.txt", "new")
    (folder,) = litter(tmp_path)
    assert (folder / "a.txt").read_text() == "half"


def write_folder(path, text):
    with writing(path) as temporary:
        temporary.mkdir()
        (temporary / "inner.txt").write_text(text)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_folder_takes_the_place_of_a_folder(tmp_path, monkeypatch, at_once):
    if not at_once:
        monkeypatch.setattr(places, "_exchanged_at_once", lambda first, second: False)
    for text in ("old", "new"):
        write_folder(tmp_path / "saved", text)
        assert (tmp_path / "saved" / "inner.txt").read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="other systems have no such call")
def test_two_folders_are_exchanged_in_one_step(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "rename", None)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "mark").touch()
    places.exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b" / "mark").exists()
    assert not (tmp_path / "a" / "mark").exists()


def test_a_failure_leaves_the_folder_that_was_there(tmp_path):
    write_folder(tmp_path / "saved", "old")

    def fail():
        with writing(tmp_path / "saved") as temporary:
            temporary.mkdir()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "saved" / "inner.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
