"""The Jinja templates, and how text from outside is put into Python without getting out of its place."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from jinja2 import Environment, FunctionLoader, StrictUndefined

from transpiler.resources import read_template


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(read_template),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 — Python, not HTML; every string is escaped as Python where it is made
    )


def rendered(template: str, /, **values: object) -> str:
    """A template of `templates/`, filled in."""
    return str(_environment().get_template(template).render(**values))


def docstring(lines: Iterable[str]) -> str:
    """The docstring; text from outside cannot end it."""
    safe = [_safe(line) for line in lines]
    if len(safe) == 1:
        return f'"""{safe[0]}"""'
    return '"""' + "\n".join(safe) + '\n"""'


def _safe(line: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in line)
    return printable.replace("\\", "\\\\").replace('"""', "'''").rstrip('"')


def comment_text(comment: str) -> str:
    """The comment as it ends a line, "" for none."""
    return f"  # {_safe(comment)}" if comment else ""
