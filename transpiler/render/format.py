"""The formatter: ruff's, in black's style, as everybody has it without a configuration."""

from __future__ import annotations

import subprocess

from ruff import find_ruff_bin  # type: ignore[import-untyped]

from transpiler.errors import InternalError


def formatted(source: str) -> str:
    r"""Python source in black's style.

    >>> formatted("x = [1,2]")
    'x = [1, 2]\\n'

    Args:
        source: text of a module.

    Raises:
        InternalError: the text is no Python.
    """
    return _run(source, "format")


def with_sorted_names(source: str) -> str:
    """Python source with imports and `__all__` in the order that ruff's default rules ask for.

    Raises:
        InternalError: the text is no Python.
    """
    return _run(source, "check", "--fix", "--select", "I001,RUF022")


def _run(source: str, *options: str) -> str:
    command = [find_ruff_bin(), *options, "--isolated", "--no-cache", "--stdin-filename", "tf.py", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, encoding="utf-8", check=False)  # noqa: S603 — our own binary and text
    if done.returncode != 0:
        raise InternalError(f"the generated source cannot be formatted: {done.stderr.strip()}")
    return done.stdout
