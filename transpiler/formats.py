"""The formats that a poured model is written in, by the names that `--to` and the rules know.

>>> format_named("tflite-int8").suffix
'.int8.tflite'
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from transpiler.errors import Diagnostic, RulesError


@dataclass(frozen=True, slots=True)
class Format:
    """One format."""

    name: str
    suffix: str
    """What takes the place of `.py` in the name of the source."""
    ending: str
    """How a path of the user's must end, since that is how others tell the format."""
    tensorflow: bool = False
    """Whether only Keras on TensorFlow writes it."""
    samples: bool = False
    """Whether it is made from representative data."""


FORMATS = (
    Format("weights.h5", ".weights.h5", ".weights.h5"),
    Format("keras", ".keras", ".keras"),
    Format("safetensors", ".safetensors", ".safetensors"),
    Format("saved_model", ".saved_model", "", tensorflow=True),
    Format("tflite", ".tflite", ".tflite", tensorflow=True),
    Format("tflite-float16", ".float16.tflite", ".tflite", tensorflow=True),
    Format("tflite-dynamic", ".dynamic.tflite", ".tflite", tensorflow=True),
    Format("tflite-int8", ".int8.tflite", ".tflite", tensorflow=True, samples=True),
)
USUAL = ("weights.h5", "keras")
"""What is written if nobody asks for anything."""


@dataclass(frozen=True, slots=True)
class Target:
    """One artefact that is wanted."""

    format: Format
    path: Path


def format_named(name: str) -> Format:
    """The format of that name.

    Raises:
        RulesError: there is none; the nearest is told.
    """
    found = next((each for each in FORMATS if each.name == name), None)
    if found is not None:
        return found
    names = [each.name for each in FORMATS]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
    raise RulesError(Diagnostic(f"unknown format {name!r}", hint=hint))


def target(text: str, source: Path, base: Path = Path()) -> Target:
    """What `keras` or `tflite=build/model.tflite` asks for.

    >>> target("tflite", Path("models/tf.py")).path.name
    'tf.tflite'

    Args:
        text: the name of a format, and where the file goes, if not beside the source.
        source: the generated source, after which the file is named.
        base: where a path begins that is not absolute.

    Raises:
        RulesError: no such format, or the path does not end as its files do.
    """
    name, given, path = text.partition("=")
    kind = format_named(name)
    if not given:
        return Target(kind, source.with_suffix(kind.suffix))
    if not path:
        raise RulesError(Diagnostic(f"there is no path behind the '=' of {text!r}"))
    if not path.endswith(kind.ending):
        raise RulesError(Diagnostic(f"the path of {name!r} must end in {kind.ending!r}, not be {path!r}"))
    return Target(kind, base / path)
