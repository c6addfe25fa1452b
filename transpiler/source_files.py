"""Generated source on disk: one file, `tf.py`, or a folder with one file for each torch module, `tf/`.

Both forms of one model never stand side by side, because Python would read the folder and people the file: whichever is
written takes the place of the other. What kerascribe did not write for the same model is never touched.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from transpiler.atomic import write_text
from transpiler.errors import Diagnostic, RulesError

INIT = "__init__.py"
_ORIGIN = re.compile(r"Written by kerascribe \S+ (from `.*?`(?: with `.*?`)?)")


def source_place(output: Path, *, split: bool) -> Path:
    """Where the source stands: a file, or with `split` a folder.

    >>> source_place(Path("tf.py"), split=True), source_place(Path("tf/__init__.py"), split=True)
    (PosixPath('tf'), PosixPath('tf'))
    >>> source_place(Path("tf"), split=False)
    PosixPath('tf.py')
    """
    if not split:
        return output if output.suffix == ".py" else output.with_suffix(".py")
    return output.parent if output.name == INIT else output.with_suffix("")


def read_source(place: Path) -> dict[Path, str]:
    """The texts of the file, or of all Python files of the folder.

    Raises:
        OSError: there is no such file.
        UnicodeDecodeError: one of them is no text.
    """
    paths = sorted(place.glob("*.py")) if place.is_dir() else [place]
    return {path: path.read_text(encoding="utf-8") for path in paths}


def is_package(place: Path) -> bool:
    """Whether source stands at `place` in its form as a folder."""
    return place.joinpath(INIT).is_file()


def write_source(files: Mapping[Path, str], place: Path) -> list[Path]:
    """Write all files, or none if one cannot be written; what an earlier run left is removed, and returned.

    Args:
        files: texts by path, as `Port.texts` gives them.
        place: the file, or the folder that they stand in.

    Raises:
        RulesError: something that is not ours stands in the way; nothing is written.
        OSError: the folder is missing or cannot be written.
    """
    check_free(files, place)
    left = left_over(files, place)
    if place in files:
        write_text(place, files[place])
    else:
        _write_folder(files, place)
    for path in left:
        path.unlink()
    emptied = {path.parent for path in left} - {path.parent for path in files}
    for folder in emptied - {place.parent}:
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        if not any(folder.iterdir()):
            folder.rmdir()
    return left


def left_over(files: Mapping[Path, str], place: Path) -> list[Path]:
    """Files that an earlier run wrote for the same model and that are not among those to be written now."""
    origin = _origin_of(files)
    folder = _other_form(place) if place in files else place
    candidates = [*sorted(folder.glob("*.py")), *([] if place in files else [_other_form(place)])]
    return [path for path in candidates if path not in files and path.is_file() and _origin(path) == origin]


def check_free(files: Mapping[Path, str], place: Path) -> None:
    """See that nothing of other people's would be overwritten or hidden.

    Raises:
        RulesError: what stands where.
    """
    origin = _origin_of(files)
    other = _other_form(place)
    problems = []
    if place in files and is_package(other) and _origin(other / INIT) != origin:
        message = f"the folder {other.name} stands beside it, which Python would read instead"
        problems.append(Diagnostic(message, where=place.name, hint="choose another output, or remove the folder"))
    elif place not in files:
        if other.is_file() and _origin(other) != origin:
            message = f"{other.name} stands beside it, which Python would not read any more"
            problems.append(Diagnostic(message, where=f"{place.name}/", hint="choose another output, or remove it"))
        problems += [
            Diagnostic("is there and was not written for this model", f"{place.name}/{path.name}", hint="remove it")
            for path in sorted(files)
            if path.is_file() and _origin(path) != origin
        ]
    if problems:
        raise RulesError(problems)


def _other_form(place: Path) -> Path:
    return place.with_suffix("") if place.suffix == ".py" else place.with_suffix(".py")


def _write_folder(files: Mapping[Path, str], place: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".kerascribe-", dir=place.parent, ignore_cleanup_errors=True) as name:
        for path, text in files.items():
            Path(name, path.name).write_text(text, encoding="utf-8", newline="\n")
        place.mkdir(exist_ok=True)
        for path in files:
            Path(name, path.name).replace(path)


def _origin_of(files: Mapping[Path, str]) -> str | None:
    return _written_from(next(iter(files.values())))


def _origin(path: Path) -> str | None:
    """`from … with …` of a file's heading; None if it is not ours."""
    try:
        return _written_from(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


def _written_from(text: str) -> str | None:
    found = _ORIGIN.search(" ".join(text[:2000].split()))
    return found.group(1) if found else None
