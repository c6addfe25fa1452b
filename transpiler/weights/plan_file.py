"""Reads and writes the plan that stands beside `tf.py`: JSON with one entry a line, so that a change is a small diff.

Entries keep the plan's order, which is that of the model: sorting them by name would part what belongs together.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import ml_dtypes  # noqa: F401  (teaches numpy the name bfloat16)
import numpy as np

from transpiler.atomic import write_text
from transpiler.errors import CheckpointError, Diagnostic
from transpiler.weights.arrange import MOST_AXES, arrangement
from transpiler.weights.plan import SCHEMA, Dropped, PlanEntry, Tied, WeightPlan
from transpiler.weights.strict_json import Json, parse

_Item = TypeVar("_Item")

_KINDS = ("entries", "tied", "dropped")
_DTYPES = frozenset(
    (
        *("float64", "float32", "float16", "bfloat16", "complex64", "complex128"),
        *("int64", "int32", "int16", "int8", "uint8", "bool"),
    )
)
_POSITION = re.compile(r"[0-9]{1,9}\Z", re.ASCII)
_LARGEST = 1 << 48
"""Of any size; larger ones overflow in numpy."""
_HINT = "don't edit it; write it anew with `kerascribe generate`"


def plan_path(source: Path) -> Path:
    """Where the plan of a generated file stands: beside it.

    >>> plan_path(Path("models/tf.py")).name
    'tf.weights.json'
    """
    return source.with_suffix(".weights.json")


def write_plan(path: Path, plan: WeightPlan) -> None:
    """Write `plan` to `path`.

    >>> write_plan(Path("tf.weights.json"), plan)  # doctest: +SKIP

    Raises:
        OSError: the file cannot be written; one that was there stays as it was.
    """
    write_text(path, plan_text(plan))


def plan_text(plan: WeightPlan) -> str:
    """The plan as text: the same plan, the same bytes.

    >>> print(plan_text(WeightPlan("Net", (), ())), end="")
    {
      "schema": 1,
      "model": "Net",
      "entries": [],
      "tied": [],
      "dropped": []
    }
    """
    lists: dict[str, list[dict[str, object]]] = {
        "entries": [_entry_fields(entry) for entry in plan.entries],
        "tied": [{"key": tied.key, "source": tied.source} for tied in plan.tied],
        "dropped": [_dropped_fields(dropped) for dropped in plan.dropped],
    }
    head = [f'  "schema": {SCHEMA}', f'  "model": {json.dumps(plan.model)}']
    if plan.source_digest:
        head.append(f'  "source_sha256": {json.dumps(plan.source_digest)}')
    return "{\n" + ",\n".join([*head, *(_list_text(kind, lists[kind]) for kind in _KINDS)]) + "\n}\n"


def read_plan(path: Path) -> WeightPlan:
    """The plan in `path`, with everything checked: shapes, patterns, names, constants.

    >>> read_plan(Path("tf.weights.json")).model  # doctest: +SKIP
    'SlimNeck'

    Raises:
        CheckpointError: the file is missing, not JSON, of another schema, or says something unsound; all is listed.
    """
    where = path.name
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        hint = "write it with `kerascribe generate`"
        raise CheckpointError(Diagnostic("there is no such weight plan", where=where, hint=hint)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(Diagnostic(f"the weight plan cannot be read: {error}", where=where)) from error
    return parse_plan(text, where)


def parse_plan(text: str, where: str = "plan") -> WeightPlan:
    """The plan that `text` spells; `where` names it in messages.

    >>> parse_plan(plan_text(plan)) == plan  # doctest: +SKIP
    True

    Raises:
        CheckpointError: as for `read_plan`.
    """
    document = _document(text, where)
    problems: list[Diagnostic] = []

    def each(kind: str, build: Callable[[dict[str, Json]], _Item]) -> tuple[_Item, ...]:
        items = document[kind]
        if not isinstance(items, list):
            problems.append(Diagnostic("must be a list", where=f"{where}: {kind}", hint=_HINT))
            return ()
        built: list[_Item] = []
        for number, item in enumerate(items):
            try:
                built.append(build(_object(item)))
            except CheckpointError as error:
                problems.append(Diagnostic(str(error), where=f"{where}: {kind}[{number}]", hint=_HINT))
        return tuple(built)

    entries = each("entries", _entry)
    tied = each("tied", lambda item: Tied(**_texts(item, "key", "source")))
    dropped = each("dropped", _dropped)
    repeated = _repeated(variable for entry in entries for variable in entry.variables)
    problems.extend(Diagnostic(f"variable {name!r} stands in two entries", where, hint=_HINT) for name in repeated)
    if problems:
        raise CheckpointError(problems)
    sources = {entry.source for entry in entries}
    loose = [tie for tie in tied if tie.source not in sources]
    if loose:
        message = "{0.key!r} is tied to {0.source!r}, which has no entry"
        raise CheckpointError(Diagnostic(message.format(tie), where, hint=_HINT) for tie in loose)
    return WeightPlan(str(document["model"]), entries, dropped, tied, str(document.get("source_sha256", "")))


def constant_value(entry: PlanEntry) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """The tensor that the plan itself carries for `entry`.

    Raises:
        CheckpointError: the entry has no constant, or its bytes are not those of a tensor of its shape and type.
    """
    if entry.constant is None:
        raise CheckpointError(f"{entry.source} is no constant")
    try:
        raw = base64.b64decode(entry.constant, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CheckpointError("the constant is not base64") from error
    dtype = np.dtype(entry.dtype).newbyteorder("<")
    size = math.prod(entry.source_shape) * dtype.itemsize
    if len(raw) != size:
        raise CheckpointError(f"the constant has {len(raw)} bytes, {size} are needed")
    return np.frombuffer(raw, dtype).reshape(entry.source_shape)


def _entry_fields(entry: PlanEntry) -> dict[str, object]:
    fields: dict[str, object] = {
        "variables": entry.variables,
        "source": entry.source,
        "pattern": entry.pattern,
        "source_shape": entry.source_shape,
        "dtype": entry.dtype,
        "shapes": entry.shapes,
    }
    if entry.sizes:
        fields["sizes"] = dict(entry.sizes)
    if entry.constant is not None:
        fields["constant"] = entry.constant
    return fields


def _dropped_fields(dropped: Dropped) -> dict[str, object]:
    form = {} if dropped.shape is None else {"shape": dropped.shape, "dtype": dropped.dtype}
    return {"source": dropped.source, **form, "reason": dropped.reason}


def _list_text(kind: str, items: list[dict[str, object]]) -> str:
    if not items:
        return f'  "{kind}": []'
    lines = ",\n".join(f"    {json.dumps(item)}" for item in items)
    return f'  "{kind}": [\n{lines}\n  ]'


def _document(text: str, where: str) -> dict[str, Json]:
    try:
        document = parse(text)
    except ValueError as error:
        raise CheckpointError(Diagnostic(f"not a weight plan: {error}", where=where, hint=_HINT)) from error
    if not isinstance(document, dict) or "schema" not in document:
        raise CheckpointError(Diagnostic("not a weight plan: it names no schema", where=where, hint=_HINT))
    if document["schema"] != SCHEMA:
        message = f"weight plan of schema {document['schema']!r}; this kerascribe reads schema {SCHEMA}"
        raise CheckpointError(Diagnostic(message, where=where, hint=_HINT))
    missing = [name for name in ("model", *_KINDS) if name not in document]
    if missing:
        raise CheckpointError(Diagnostic(f"not a weight plan: it lacks {', '.join(missing)}", where=where, hint=_HINT))
    if not isinstance(document["model"], str):
        raise CheckpointError(Diagnostic("not a weight plan: its model is not a name", where=where, hint=_HINT))
    return document


def _entry(item: dict[str, Json]) -> PlanEntry:
    known = {"variables", "source", "pattern", "source_shape", "dtype", "shapes", "sizes", "constant"}
    unknown = sorted(item.keys() - known)
    if unknown:
        raise CheckpointError(f"unknown field {', '.join(map(repr, unknown))}")
    texts = _texts({key: value for key, value in item.items() if key in _ENTRY_TEXTS}, *_ENTRY_TEXTS)
    constant = item.get("constant")
    if constant is not None and not isinstance(constant, str):
        raise CheckpointError("'constant' must be a string")
    if texts["dtype"] not in _DTYPES:
        raise CheckpointError(f"unknown dtype {texts['dtype']!r}")
    entry = PlanEntry(
        variables=tuple(_path(name) for name in _list(item.get("variables"), "variables")),
        source=texts["source"],
        pattern=texts["pattern"],
        sizes=_sizes(item.get("sizes", {})),
        source_shape=_shape(item.get("source_shape"), "source_shape"),
        dtype=texts["dtype"],
        shapes=tuple(_shape(shape, "shapes") for shape in _list(item.get("shapes"), "shapes")),
        constant=constant,
    )
    if not entry.variables or len(entry.variables) != len(entry.shapes):
        raise CheckpointError("'variables' and 'shapes' must be of one length, at least 1")
    arrangement(entry)
    if entry.constant is not None:
        constant_value(entry)
    return entry


_ENTRY_TEXTS = ("source", "pattern", "dtype")


def _dropped(item: dict[str, Json]) -> Dropped:
    texts = _texts({name: value for name, value in item.items() if name not in ("shape", "dtype")}, "source", "reason")
    if "shape" not in item and "dtype" not in item:
        return Dropped(texts["source"], texts["reason"])
    dtype = _text(item.get("dtype"), "dtype")
    if dtype not in _DTYPES:
        raise CheckpointError(f"unknown dtype {dtype!r}")
    return Dropped(texts["source"], texts["reason"], _shape(item.get("shape"), "shape"), dtype)


def _texts(item: dict[str, Json], *names: str) -> dict[str, str]:
    unknown = sorted(item.keys() - set(names))
    if unknown:
        raise CheckpointError(f"unknown field {', '.join(map(repr, unknown))}")
    return {name: _text(item.get(name), name) for name in names}


def _text(value: Json, name: str) -> str:
    if not isinstance(value, str):
        raise CheckpointError(f"{name!r} must be a string")
    return value


def _path(value: Json) -> str:
    path = _text(value, "variables")
    # Steps are looked up as attributes of layers: nothing of Python's own is among them.
    if not all(
        (step.isidentifier() and not step.startswith("__")) or _POSITION.match(step) for step in path.split(".")
    ):
        raise CheckpointError(f"{path!r} is no path of attributes and positions")
    return path


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise CheckpointError("must be an object")
    return value


def _list(value: Json, name: str) -> list[Json]:
    if not isinstance(value, list):
        raise CheckpointError(f"{name!r} must be a list")
    return value


def _shape(value: Json, name: str) -> tuple[int, ...]:
    sizes = tuple(_size(size, name) for size in _list(value, name))
    if len(sizes) > MOST_AXES:
        raise CheckpointError(f"{name!r} has {len(sizes)} axes, {MOST_AXES} are the most")
    return sizes


def _sizes(value: Json) -> tuple[tuple[str, int], ...]:
    return tuple((letter, _size(size, "sizes")) for letter, size in _object(value).items())


def _size(value: Json, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        raise CheckpointError(f"{name!r} must hold sizes, not {value!r}")
    return value


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
