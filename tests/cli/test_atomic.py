from __future__ import annotations

import pytest

from transpiler.atomic import write_text, writing


def test_a_file_is_written_with_plain_line_ends(tmp_path):
    write_text(tmp_path / "tf.py", "a = 'ä'\n")
    assert (tmp_path / "tf.py").read_bytes() == "a = 'ä'\n".encode()


def test_the_temporary_file_has_the_whole_suffix(tmp_path):
    with writing(tmp_path / "tf.weights.h5") as temporary:
        assert temporary.name == "tf.weights.h5"
        temporary.write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["tf.weights.h5"]


def fail_halfway(path):
    with writing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path):
    path = tmp_path / "tf.py"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        fail_halfway(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "none" / "tf.py", "")
