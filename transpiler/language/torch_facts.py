"""What the checker must know of torch: a class's constructor, operands and attributes, an operator's schemas.

torch is imported inside the functions: parsing and loading rules must not wait for it.
"""

from __future__ import annotations

import difflib
import inspect
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

_ALWAYS_LOADED = "torch"
_ASSIGNED = re.compile(r"self\.([A-Za-z_]\w*)|register_(?:parameter|buffer|module)\(\s*[\"'](\w+)[\"']")


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """A module class: `torch.nn.ReLU` has the parameter `inplace`, the operand `input` and the attribute `inplace`."""

    parameters: tuple[str, ...]
    """Of the constructor: those that a rule must take care of."""
    others: tuple[str, ...]
    """Of the constructor, too: `args`, `kwargs`, private ones (`Embedding(_weight=…)`)."""
    operands: tuple[str, ...]
    """The parameters of `forward`."""
    attributes: frozenset[str] | None
    """What instances may have; None where the class sets attributes that its source doesn't name."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A name that torch does not have, and the nearest one that it has."""

    nearest: str | None


@dataclass(frozen=True, slots=True)
class SchemaArgument:
    """One argument of an operator."""

    name: str
    has_default: bool
    default: object
    keyword_only: bool
    is_enumeration: bool
    """A memory format, dtype or layout: torch keeps its default as a number."""


@dataclass(frozen=True, slots=True)
class Schema:
    """One overload of an operator."""

    overload: str
    arguments: tuple[SchemaArgument, ...]
    text: str

    @property
    def is_variant(self) -> bool:
        """Writes to an `out` tensor, or names dimensions: not what captured graphs call."""
        required = any(argument.keyword_only and not argument.has_default for argument in self.arguments)
        return required or "Dimname" in self.text


def class_facts(name: str) -> ClassFacts | Missing | None:
    """What is known of the class of a dotted name; None for classes of modules that are not loaded.

    >>> class_facts("torch.nn.Relu")
    Missing(nearest='torch.nn.ReLU')
    """
    import torch  # noqa: F401, PLC0415 - see above

    return _class_facts(name)


def schemas(operator: str) -> tuple[Schema, ...] | Missing | None:
    """The overloads of `aten.cat`, or the one of `aten.mean.dim`; None for namespaces that are not loaded.

    >>> schemas("aten.catt")
    Missing(nearest='aten.cat')
    """
    import torch  # noqa: PLC0415 - see above

    parts = operator.split(".")
    if len(parts) not in (2, 3):
        return Missing(None)
    found = [
        _schema(schema)
        for schema in torch._C._jit_get_schemas_for_operator(f"{parts[0]}::{parts[1]}")  # noqa: SLF001 - no public way
        if len(parts) == 2 or (schema.overload_name or "default") == parts[2]
    ]
    if found:
        return tuple(found)
    known = _operators(parts[0])
    return Missing(_nearest(operator, known)) if known else None


@cache
def _class_facts(name: str) -> ClassFacts | Missing | None:
    parts = name.split(".")
    module_length = next((size for size in range(len(parts) - 1, 0, -1) if ".".join(parts[:size]) in sys.modules), 0)
    if module_length == 0:
        return None
    prefix = ".".join(parts[:module_length])
    value: object = sys.modules[prefix]
    for part in parts[module_length:]:
        found = getattr(value, part, None)
        if found is None:
            if parts[0] != _ALWAYS_LOADED:
                return None
            return Missing(_nearest(name, (f"{prefix}.{known}" for known in dir(value) if known[0].isupper())))
        value, prefix = found, f"{prefix}.{part}"
    return _facts(value) if inspect.isclass(value) else Missing(None)


def _facts(cls: type) -> ClassFacts:
    gathered = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    # Not of the class: a `__new__` with any arguments, which recording constructors leaves in place, would come first.
    constructor = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    others = tuple(item.name for item in constructor if item.kind in gathered or item.name.startswith("_"))
    parameters = tuple(item.name for item in constructor if item.name not in others)
    forward = getattr(cls, "forward", None)
    operands = tuple(inspect.signature(forward).parameters)[1:] if inspect.isfunction(forward) else ()
    return ClassFacts(parameters, others, operands, _attributes(cls))


def _attributes(cls: type) -> frozenset[str] | None:
    found = {name for name in dir(cls) if not name.startswith("__")}
    for base in cls.__mro__[:-1]:
        if base.__module__ == "torch.nn.modules.module":
            found |= {"training"}
            continue
        try:
            source = inspect.getsource(base)
            found |= {*inspect.get_annotations(base)}
        except (OSError, TypeError, NameError):
            return None
        if "setattr(" in source or "__getattr__" in source:
            return None
        found |= {name for match in _ASSIGNED.finditer(source) for name in match.groups() if name}
    return frozenset(found)


def _schema(schema: object) -> Schema:
    arguments = tuple(
        SchemaArgument(item.name, item.has_default_value(), item.default_value, item.kwarg_only, _is_enumeration(item))
        for item in schema.arguments  # type: ignore[attr-defined] # torch._C's FunctionSchema
    )
    return Schema(schema.overload_name or "default", arguments, str(schema))  # type: ignore[attr-defined] # as above


def _is_enumeration(argument: object) -> bool:
    kind = str(argument.real_type)  # type: ignore[attr-defined] # torch._C's Argument
    return any(name in kind for name in ("MemoryFormat", "ScalarType", "Layout"))


@cache
def _operators(namespace: str) -> tuple[str, ...]:
    import torch  # noqa: PLC0415 - see above

    names = torch._C._dispatch_get_all_op_names()  # noqa: SLF001 - no public way
    return tuple(name.replace("::", ".") for name in names if name.startswith(f"{namespace}::"))


def _nearest(name: str, known: Iterable[str]) -> str | None:
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[near[0]] if near else None
