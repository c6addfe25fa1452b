"""Finds the files that ship with kerascribe: grammars, templates and packs of rules.

A wheel carries `grammars/` and `templates/` inside the package; in a checkout (and in an editable install, which points
at one) they stand beside it. Everything is read through here, so that nobody else needs to know which it is.
"""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path


def read_grammar(name: str) -> str:
    """The text of a Lark grammar.

    >>> read_grammar("rules.lark").splitlines()  # doctest: +SKIP

    Args:
        name: file name below `grammars/`.

    Raises:
        FileNotFoundError: there is no such grammar.
    """
    return _read(_folder("grammars"), name)


def read_template(path: str) -> str:
    """The text of a Jinja template.

    >>> read_template("helpers/grid_sample.py.jinja")  # doctest: +SKIP

    Args:
        path: path below `templates/`, with forward slashes.

    Raises:
        FileNotFoundError: there is no such template.
    """
    return _read(template_root(), path)


def template_root() -> Traversable:
    """The folder of the templates, to be listed; read a single one with `read_template`."""
    return _folder("templates")


def read_pack(name: str) -> str:
    """The text of a pack of rules: `use torch.nn` reads `packs/torch.nn.rules`.

    Args:
        name: the dotted name that stands after `use`.

    Raises:
        FileNotFoundError: there is no such pack; `pack_names` lists those there are.
    """
    return _read(_folder("packs"), f"{name}.rules")


def pack_names() -> tuple[str, ...]:
    """The names that `use` knows, sorted.

    >>> pack_names()  # doctest: +SKIP
    ('torch.aten', 'torch.nn')
    """
    suffix = ".rules"
    files = (entry.name for entry in _folder("packs").iterdir())
    return tuple(sorted(name.removesuffix(suffix) for name in files if name.endswith(suffix)))


def _folder(name: str) -> Traversable:
    inside = resources.files("transpiler") / name
    return inside if inside.is_dir() else Path(__file__).parent.parent / name


def _read(folder: Traversable, path: str) -> str:
    target = folder.joinpath(*path.split("/"))
    if not target.is_file():
        raise FileNotFoundError(f"kerascribe ships no file {folder.name}/{path}")
    return target.read_text(encoding="utf-8")
