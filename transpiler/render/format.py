"""The formatter: ruff's, in black's style.

Its preview style is asked for because of one thing, which SOURCE.md shows: the list of a Sequential opens on the line
of the call, `keras.Sequential([`, and nothing is two levels deeper than it must be.
"""

from __future__ import annotations

import subprocess

from ruff import find_ruff_bin  # type: ignore[import-untyped]

from transpiler.errors import InternalError


def formatted(source: str, line_length: int) -> str:
    r"""Python source in black's style.

    >>> formatted("x = [1,2]", 120)
    'x = [1, 2]\\n'

    Args:
        source: text of a module.
        line_length: characters that a line may have.

    Raises:
        InternalError: the text is no Python.
    """
    return _run(source, "format", "--preview", "--line-length", str(line_length))


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
