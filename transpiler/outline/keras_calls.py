"""How a person writes a call of Keras: defaults left out, square tuples as one number, the obvious ones by position."""

from __future__ import annotations

from collections.abc import Sequence as Sequence_
from functools import lru_cache

from transpiler.code import Call, Code, Comprehension, Function, Literal, Name, Sequence
from transpiler.language import signatures
from transpiler.language.signatures import NoDefault
from transpiler.lowered import Basic
from transpiler.outline.helper_signatures import helper_parameters
from transpiler.outline.program import REQUIRED, Required
from transpiler.trees import code_of, is_value, key_of, value_of, with_children

SQUARES = frozenset({"kernel_size", "strides", "dilation_rate", "pool_size", "size", "cropping", "padding"})
"""Parameters for which one number stands for the same number along every axis."""

BY_POSITION = frozenset({"pool_size", "size", "cropping", "rate", "activation"})
"""First parameters that have a default and are written by position all the same."""


def normalised(call: Call) -> Call:
    """A constructor with every argument by name and square tuples collapsed, for comparison with other instances.

    >>> normalised(Call(Function("keras.layers.Dense"), (Literal(8),)))
    Call(function=Function(name='keras.layers.Dense'), arguments=(), keywords=(('units', Literal(value=8)),))
    """
    names = parameters(call.function)
    arguments = tuple(_normalised_part(item) for item in call.arguments)
    keywords = tuple((name, _normalised_part(value)) for name, value in call.keywords)
    if names and len(arguments) <= len(names) and not any(isinstance(item, Comprehension) for item in arguments):
        keywords = (*zip(names, arguments, strict=False), *keywords)
        arguments = ()
    if not _is_layer(call.function):
        return Call(call.function, arguments, keywords)
    return Call(call.function, arguments, tuple((name, squared(name, value)) for name, value in keywords))


def _normalised_part(code: Code) -> Code:
    if isinstance(code, Call):
        return normalised(code)
    if isinstance(code, Sequence) and not is_value(code):
        return with_children(code, tuple(_normalised_part(item) for item in code.items))
    return code


def squared(name: str, value: Code) -> Code:
    """`(3, 3)` as `3` where the parameter `name` means the same by both.

    >>> squared("kernel_size", code_of((3, 3))), squared("padding", code_of(((1, 1), (2, 2))))
    (Literal(value=3), Sequence(kind='tuple', items=(Literal(value=1), Literal(value=2))))
    """
    if name not in SQUARES or not is_value(value) or not isinstance(value, Sequence) or not value.items:
        return value
    items = tuple(_one(item) for item in value.items)
    if len(set(items)) == 1 and isinstance(items[0], Literal):
        return items[0]
    collapsed = all(isinstance(item, Literal) for item in items)
    return Sequence(value.kind, items) if collapsed else value


def _one(code: Code) -> Code:
    return code.items[0] if isinstance(code, Sequence) and len(set(code.items)) == 1 else code


def written(call: Call) -> Call:
    """A call as a person writes it: no argument that equals its default, required ones by position.

    Args:
        call: a constructor whose arguments are all named, or a call of a function.
    """
    defaults = signature(call.function)
    if defaults is None or not isinstance(call.function, Function):
        return call
    keywords = [
        (name, value)
        for name, value in call.keywords
        if _leads(call.function, name) or not _is_default(name, value, defaults)
    ]
    if not parameters(call.function):
        return Call(call.function, call.arguments, tuple(keywords))
    arguments = list(call.arguments)
    for name, default in list(defaults.items())[len(arguments) :]:
        is_next = bool(keywords) and keywords[0][0] == name
        if not is_next or not (isinstance(default, Required) or (not arguments and _leads(call.function, name))):
            break
        arguments.append(keywords.pop(0)[1])
    return Call(call.function, tuple(arguments), tuple(keywords))


def _leads(function: Code, name: str) -> bool:
    """Whether a first parameter with a default is written by position."""
    return name in BY_POSITION or (name == "padding" and isinstance(function, Function) and "Padding" in function.name)


def default_of(function: Code, name: str) -> Basic | Required:
    """The default of a parameter, REQUIRED where it has none or is unknown."""
    return (signature(function) or {}).get(name, REQUIRED)


def same_padding(codes: Sequence_[Code]) -> Sequence_[Code]:
    """Convolutions whose padding differs only where the kernel is 1, and both paddings are none.

    Args:
        codes: calls of several instances; those of one layer are seen together.
    """
    kinds = {_padding(code) for code in codes}
    if not {Literal("same"), Literal("valid")} <= kinds:
        return codes
    if any(_padding(code) == Literal("valid") and _keyword(code, "kernel_size") != Literal(1) for code in codes):
        return codes
    return [with_padding(code, Literal("same")) if _padding(code) == Literal("valid") else code for code in codes]


def pads_nothing(code: Code) -> bool:
    """Whether a convolution pads nothing by "same": the kernel is 1 and steps by 1, or it pads so already."""
    if _padding(code) == Literal("valid"):
        return _keyword(code, "kernel_size") == Literal(1) and _keyword(code, "strides") in (None, Literal(1))
    return _padding(code) == Literal("same")


def _padding(code: Code) -> Code | None:
    """The padding of a convolution, written out or not."""
    if not isinstance(code, Call) or "Conv" not in getattr(code.function, "name", "") or not _is_layer(code.function):
        return None
    return _keyword(code, "padding") or Literal("valid")


def _keyword(code: Code, name: str) -> Code | None:
    return dict(code.keywords).get(name) if isinstance(code, Call) else None


def is_convolution(code: Code) -> bool:
    """Whether it makes a convolution of Keras's."""
    return _padding(code) is not None


def with_padding(code: Code, padding: Code) -> Code:
    """A convolution with another padding."""
    if not isinstance(code, Call):
        return code
    return Call(code.function, code.arguments, tuple({**dict(code.keywords), "padding": padding}.items()))


def usual(name: str, default: Basic) -> Basic:
    """A default as people write it: `(1, 1)` as `1`.

    >>> usual("strides", (1, 1)), usual("rate", 0.5)
    (1, 0.5)
    """
    return value_of(squared(name, code_of(default)))


def parameters(function: Code) -> tuple[str, ...]:
    """Names of the parameters of a Keras layer in order, () where unknown."""
    is_helper = isinstance(function, Function) and function.name.startswith("helpers.")
    return tuple(signature(function) or ()) if is_helper or _is_layer(function) else ()


def _is_layer(function: Code) -> bool:
    return isinstance(function, Function) and function.name.startswith("keras.layers.")


def _is_default(name: str, value: Code, defaults: dict[str, Basic | Required]) -> bool:
    default = defaults.get(name, REQUIRED)
    if isinstance(default, Required) or not is_value(value):
        return False
    return key_of(usual(name, value_of(value))) == key_of(usual(name, default))


def signature(function: Code) -> dict[str, Basic | Required] | None:
    """Parameters of a Keras layer or function and their defaults, None where unknown."""
    if not isinstance(function, Function) or isinstance(function, Name):
        return None
    return _signature(function.name)


@lru_cache(maxsize=1024)
def _signature(name: str) -> dict[str, Basic | Required] | None:
    if name.startswith("helpers."):
        return helper_parameters(name.removeprefix("helpers."))
    found = signatures.layer(name) or signatures.function(name)
    if found is None:
        return None
    return {item.name: REQUIRED if isinstance(item.default, NoDefault) else item.default for item in found.parameters}
