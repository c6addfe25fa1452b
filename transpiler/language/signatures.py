"""What Keras's layers and functions take, and what layers hold, without importing Keras.

The table is made by `scripts/keras_signatures.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TypeAlias, TypedDict

Value: TypeAlias = "None | bool | int | float | str | tuple[Value, ...] | list[Value]"


class NoDefault:
    """The type of `REQUIRED` and `OPAQUE`, which no literal equals."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


REQUIRED = NoDefault("REQUIRED")
"""The default of a parameter that has none."""

OPAQUE = NoDefault("OPAQUE")
"""The default of a parameter whose default is no literal."""


@dataclass(frozen=True, slots=True)
class KerasParameter:
    """One parameter; `default` is a literal, `REQUIRED` or `OPAQUE`."""

    name: str
    default: Value | NoDefault
    keyword_only: bool


@dataclass(frozen=True, slots=True)
class FunctionSignature:
    """A public function, or the constructor of an initializer and the like."""

    name: str
    parameters: tuple[KerasParameter, ...]
    gathers_positional: bool
    """It has `*args`."""
    gathers_keywords: bool
    """It has `**kwargs` of which nothing is known."""

    def parameter(self, name: str) -> KerasParameter | None:
        """The parameter of that name."""
        return next((parameter for parameter in self.parameters if parameter.name == name), None)

    def positional(self) -> tuple[KerasParameter, ...]:
        """The parameters that may be given by position, in order."""
        return tuple(parameter for parameter in self.parameters if not parameter.keyword_only)


@dataclass(frozen=True, slots=True)
class LayerSignature(FunctionSignature):
    """A layer's constructor, with the parameters of the base class (`name`, `dtype`, …), and its variables."""

    variables: tuple[str, ...] | None
    """By their path in Keras: `kernel`, `query.kernel`; None where the table does not know them."""
    attributes: tuple[str, ...] | None
    """The same variables as attributes of the layer: `kernel`, `query_dense.kernel`."""


@cache
def layer(name: str) -> LayerSignature | None:
    """The layer of a dotted name.

    >>> layer("keras.layers.Conv2D").variables
    ('kernel', 'bias')
    >>> layer("keras.layers.BatchNormalization").parameter("epsilon").default
    0.001
    """
    entry = _table()["layers"].get(name)
    if entry is None:
        return None
    parameters, positional, keywords = _parameters(entry["parameters"])
    pairs = entry["variables"]
    variables = None if pairs is None else tuple(path for path, _ in pairs)
    attributes = None if pairs is None else tuple(attribute for _, attribute in pairs)
    return LayerSignature(name, parameters, positional, keywords, variables, attributes)


@cache
def function(name: str) -> FunctionSignature | None:
    """The function of a dotted name, such as `keras.ops.concatenate` or `keras.activations.gelu`.

    >>> [parameter.name for parameter in function("keras.ops.concatenate").parameters]
    ['xs', 'axis']
    """
    entry = _table()["functions"].get(name)
    return None if entry is None else FunctionSignature(name, *_parameters(entry))


@cache
def names() -> tuple[str, ...]:
    """All dotted names the table knows, sorted: to suggest the nearest one."""
    table = _table()
    return tuple(sorted([*table["layers"], *table["functions"]]))


def keras_version() -> str:
    """The version of Keras that the table was made from."""
    return _table()["keras"]


class _LayerEntry(TypedDict):
    parameters: list[list[object]]
    variables: list[list[str]] | None


class _Table(TypedDict):
    keras: str
    layers: dict[str, _LayerEntry]
    functions: dict[str, list[list[object]]]


@cache
def _table() -> _Table:
    text = (resources.files("transpiler.language") / "keras_signatures.json").read_text(encoding="utf-8")
    table: _Table = json.loads(text)
    return table


def _parameters(entries: list[list[object]]) -> tuple[tuple[KerasParameter, ...], bool, bool]:
    kinds = {kind for _, kind, *_ in entries}
    named = tuple(
        KerasParameter(str(name), _decoded(default[0]) if default else REQUIRED, kind == "keyword")
        for name, kind, *default in entries
        if kind in ("any", "keyword")
    )
    return named, "*" in kinds, "**" in kinds


def _decoded(value: object) -> Value | NoDefault:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict) and "opaque" not in value:
        ((kind, items),) = value.items()
        decoded = [_decoded(item) for item in items]
        literals = [item for item in decoded if not isinstance(item, NoDefault)]
        if len(literals) == len(decoded):
            return tuple(literals) if kind == "tuple" else literals
    return OPAQUE
