"""The record that a poured file carries: which tensors went in, by their digests, and what was let pass.

It stands in the file itself under the name `kerascribe`: JSON with one tensor a line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from transpiler.errors import CheckpointError, Diagnostic
from transpiler.weights.allowances import Allowed, parse_allowances
from transpiler.weights.strict_json import Json, parse

SCHEMA = 1
RECORD = "kerascribe"
"""Its name in a file, whatever the format; Keras asks for what it knows and never sees it."""


@dataclass(frozen=True, slots=True)
class Digest:
    """sha256 of a tensor's bytes: little-endian, C order, torch's order of axes."""

    dtype: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Poured:
    """One tensor that went in."""

    source: str
    """Its key in the torch state dict."""
    original: Digest
    """As the checkpoint has it."""
    rounded: Digest | None
    """As the variables have it, in torch's order of axes; None if turning those back gives the original's bits."""


@dataclass(frozen=True, slots=True)
class Record:
    model: str
    checkpoint: str
    """The name of the file, without its folder."""
    allowed: tuple[Allowed, ...]
    tensors: tuple[Poured, ...]

    @property
    def allowances(self) -> tuple[str, ...]:
        """What was allowed, as it was written."""
        return tuple(str(each.allowance) for each in self.allowed)


def record_text(record: Record) -> str:
    r"""The record as it is kept in a file.

    >>> print(record_text(Record("Net", "net.pt", (), ())), end="")
    {
      "schema": 1,
      "model": "Net",
      "checkpoint": "net.pt",
      "allowed": [],
      "tensors": []
    }
    """
    allowed: list[dict[str, object]] = [{"allow": str(each.allowance), "keys": each.keys} for each in record.allowed]
    head = [f'"schema": {SCHEMA}', f'"model": {json.dumps(record.model)}']
    head += [f'"checkpoint": {json.dumps(record.checkpoint)}', f'"allowed": {_lines(allowed)}']
    head += [f'"tensors": {_lines([_tensor_fields(tensor) for tensor in record.tensors])}']
    return "{\n  " + ",\n  ".join(head) + "\n}\n"


def parse_record(text: str, where: str) -> Record:
    """The record that `text` spells.

    Raises:
        CheckpointError: it is none, or of another schema.
    """
    try:
        document = _object(parse(text))
        if document.get("schema") != SCHEMA:
            raise _OddError(f"it is of schema {document.get('schema')!r}, this kerascribe reads schema {SCHEMA}")
        return Record(
            _text(document, "model"),
            _text(document, "checkpoint"),
            tuple(_allowed(_object(item)) for item in _list(document, "allowed")),
            tuple(_tensor(_object(item)) for item in _list(document, "tensors")),
        )
    except (ValueError, CheckpointError) as error:
        raise CheckpointError(Diagnostic(f"the record of what was poured cannot be read: {error}", where)) from error


class _OddError(ValueError):
    """The record does not have the form that it should have."""


def _tensor_fields(tensor: Poured) -> dict[str, object]:
    fields: dict[str, object] = {"source": tensor.source, "dtype": tensor.original.dtype}
    fields["sha256"] = tensor.original.sha256
    if tensor.rounded is not None:
        fields["rounded"] = {"dtype": tensor.rounded.dtype, "sha256": tensor.rounded.sha256}
    return fields


def _lines(items: list[dict[str, object]]) -> str:
    if not items:
        return "[]"
    return "[\n" + ",\n".join(f"    {json.dumps(item)}" for item in items) + "\n  ]"


def _allowed(item: Mapping[str, Json]) -> Allowed:
    (allowance,) = parse_allowances([_text(item, "allow")])
    keys = _list(item, "keys")
    return Allowed(allowance, tuple(str(key) for key in keys))


def _tensor(item: Mapping[str, Json]) -> Poured:
    rounded = item.get("rounded")
    return Poured(_text(item, "source"), _digest(item), None if rounded is None else _digest(_object(rounded)))


def _digest(item: Mapping[str, Json]) -> Digest:
    return Digest(_text(item, "dtype"), _text(item, "sha256"))


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise _OddError("an object is missing")
    return value


def _list(item: Mapping[str, Json], name: str) -> list[Json]:
    value = item.get(name)
    if not isinstance(value, list):
        raise _OddError(f"{name!r} must be a list")
    return value


def _text(item: Mapping[str, Json], name: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise _OddError(f"{name!r} must be a string")
    return value
