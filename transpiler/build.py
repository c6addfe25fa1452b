"""Builds the Keras model that a generated source describes.

This is the one place where generated code is run. It is run as a module, through Python's own import machinery, so that
tracebacks show its lines; kerascribe wrote it, or the user points at a `tf.py` of their own.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import itertools
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

import keras

from transpiler.errors import InternalError, KerascribeError, ModelError
from transpiler.source_files import INIT, read_source

_numbers = itertools.count(1)


def build_from_source(source: str, name: str) -> keras.Model:
    """The model that `build_model()` of `source` gives, its weights still Keras's initial ones.

    >>> build_from_source(port.source, "SlimNeck").count_params()  # doctest: +SKIP
    1234567

    Every call makes a module of its own, so that two versions of one model can stand side by side; of the classes that
    both register for saving, the later ones win.

    Args:
        source: the text of a generated `tf.py`.
        name: shown in tracebacks.

    Raises:
        InternalError: the source, which we wrote, does not run.
    """
    return _build(_Text(source, f"generated/{name}.py"), name, InternalError)


def build_from_package(files: Mapping[str, str], name: str) -> keras.Model:
    """As `build_from_source`, of a package.

    Args:
        files: texts of its files, by file name.
        name: shown in tracebacks.

    Raises:
        InternalError: the source, which we wrote, does not run.
    """
    texts = {Path(file).stem: _Text(text, f"generated/{name}/{file}") for file, text in files.items()}
    return _build_package(texts, name, InternalError)


def build_from_file(path: Path) -> keras.Model:
    """The model that `build_model()` of the `tf.py`, or of the folder `tf`, at `path` gives.

    Raises:
        ModelError: the file is missing or does not run.
    """
    try:
        texts = read_source(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path.name} cannot be read: {error}; write it with `kerascribe generate`") from error
    if path in texts:
        return _build(_Text(texts[path], str(path)), path.stem, ModelError)
    return _build_package({file.stem: _Text(text, str(file)) for file, text in texts.items()}, path.stem, ModelError)


class _Text(importlib.abc.InspectLoader):
    """Loads a module from a text; linecache asks `get_source` for the lines that tracebacks show."""

    def __init__(self, text: str, filename: str) -> None:
        self._text = text
        self._filename = filename

    def get_source(self, fullname: str) -> str:  # noqa: ARG002  (the interface has it)
        return self._text

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        return self.source_to_code(self._text, self._filename)

    def is_package(self, fullname: str) -> bool:  # noqa: ARG002
        return Path(self._filename).name == INIT


class _Package(importlib.abc.MetaPathFinder):
    """Finds the modules of one package among texts; nothing is written to disk, so nothing of old is read either."""

    def __init__(self, name: str, texts: Mapping[str, _Text]) -> None:
        self._prefix = f"{name}."
        self._texts = texts

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  (the interface has it)
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        loader = self._texts.get(fullname.removeprefix(self._prefix)) if fullname.startswith(self._prefix) else None
        return importlib.util.spec_from_loader(fullname, loader) if loader is not None else None


def _build_package(texts: Mapping[str, _Text], name: str, kind: type[KerascribeError]) -> keras.Model:
    first = texts.get("__init__")
    if first is None:
        raise kind(f"{name} holds no {INIT}; write it with `kerascribe generate`")
    unique = _unique(name)
    finder = _Package(unique, texts)
    sys.meta_path.insert(0, finder)
    try:
        return _build_as(unique, first, name, kind)
    finally:
        sys.meta_path.remove(finder)


def _build(loader: _Text, name: str, kind: type[KerascribeError]) -> keras.Model:
    return _build_as(_unique(name), loader, name, kind)


def _unique(name: str) -> str:
    return f"kerascribe_{next(_numbers)}_{name}"


def _build_as(unique: str, loader: _Text, name: str, kind: type[KerascribeError]) -> keras.Model:
    spec = importlib.util.spec_from_loader(unique, loader)
    if spec is None:
        raise InternalError(f"no module can be made for {name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module
    try:
        return _run(module, loader)
    except Exception as error:
        for loaded in [key for key in sys.modules if key == unique or key.startswith(f"{unique}.")]:
            del sys.modules[loaded]
        raise kind(f"the generated source of {name} does not run: {type(error).__name__}: {error}") from error


def _run(module: ModuleType, loader: _Text) -> keras.Model:
    loader.exec_module(module)
    model = module.build_model()
    if not isinstance(model, keras.Model):
        raise TypeError(f"build_model() returns a {type(model).__name__}, no keras.Model")
    return model
