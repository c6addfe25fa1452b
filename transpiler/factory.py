"""Finds the function or class that builds the user's model.

>>> load_factory("model.py:SlimNeck", Path("examples/slimneck"))  # doctest: +SKIP
<class 'model.SlimNeck'>

Finding and calling are two functions: whoever calls may want to watch the constructors meanwhile.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from transpiler.errors import Diagnostic, ModelError

Factory: TypeAlias = Callable[..., Any]

_OWN = Path(__file__).parent
_INSTALLED = ("site-packages", "dist-packages")


def load_factory(reference: str, base: Path) -> Factory:
    """The callable that `reference` names.

    Args:
        reference: `file.py:name`, relative to `base`, or `package.module:name`.
        base: the folder of the rules file.

    Raises:
        ModelError: there is no such file, module or name, or importing it fails; with the user's own line.
    """
    place, _, name = reference.rpartition(":")
    if not place or not name:
        raise ModelError(f"{reference!r} must be 'file.py:name' or 'package.module:name'")
    module = _load_file(base / place, reference) if place.endswith(".py") else _load_module(place, base, reference)
    factory: object = module
    for part in name.split("."):
        factory = getattr(factory, part, None)
    if factory is None:
        near = difflib.get_close_matches(name, vars(module), n=1)
        hint = f"did you mean {near[0]!r}?" if near else ""
        raise ModelError(Diagnostic(f"{place} has no {name!r}", where=reference, hint=hint))
    if not callable(factory):
        raise ModelError(Diagnostic(f"{name!r} is a {type(factory).__name__}, nothing to call", where=reference))
    return factory


def call_factory(factory: Factory, arguments: Mapping[str, object], reference: str, base: Path) -> Any:
    """What `factory(**arguments)` builds.

    Args:
        factory: what `load_factory` gave.
        arguments: its keyword arguments.
        reference: names the factory in messages.
        base: the folder of the rules file, for imports that the factory itself does.

    Raises:
        ModelError: it raises; with the lines of the user's own files that led there.
    """
    with _importable(base), _blaming(reference, "raises"):
        return factory(**arguments)


def _load_file(path: Path, reference: str) -> ModuleType:
    if not path.is_file():
        raise ModelError(Diagnostic(f"there is no file {path.name!r} beside the rules", where=reference))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ModelError(Diagnostic(f"{path.name!r} is no Python module", where=reference))
    module = importlib.util.module_from_spec(spec)
    # Under its own name, so that dataclasses, pickling and torch.export find the module of its classes.
    before = sys.modules.get(path.stem)
    sys.modules[path.stem] = module
    try:
        with _importable(path.parent), _blaming(reference, "cannot be imported:"):
            spec.loader.exec_module(module)
    except ModelError:
        _restore(path.stem, before)
        raise
    return module


def _restore(name: str, module: ModuleType | None) -> None:
    if module is None:
        sys.modules.pop(name, None)
    else:
        sys.modules[name] = module


def _load_module(name: str, base: Path, reference: str) -> ModuleType:
    with _importable(base), _blaming(reference, "cannot be imported:"):
        return importlib.import_module(name)


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    entry = str(folder.resolve())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


@contextlib.contextmanager
def _blaming(reference: str, verb: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        message = f"{verb} {type(error).__name__}: {error}"
        raise ModelError(Diagnostic(message, where=reference, excerpt=_user_frames(error))) from error


def _user_frames(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f'File "{Path(error.filename or "").name}", line {error.lineno}\n  {(error.text or "").strip()}'
    frames = [
        f'File "{Path(frame.filename).name}", line {frame.lineno}, in {frame.name}\n  {frame.line}'
        for frame in traceback.extract_tb(error.__traceback__)
        if _is_users(Path(frame.filename))
    ]
    return "\n".join(frames[-3:])


def _is_users(file: Path) -> bool:
    installed = any(part in file.parts for part in _INSTALLED) or file.is_relative_to(sys.base_prefix)
    return file.suffix == ".py" and file.exists() and not installed and not file.is_relative_to(_OWN)
