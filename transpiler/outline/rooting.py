"""The call that makes the root layer."""

from __future__ import annotations

from collections.abc import Mapping

from transpiler.code import Call, Code, Function, Literal
from transpiler.errors import InternalError
from transpiler.outline.class_calls import call_of_class
from transpiler.outline.classes import GeneratedClass


def root_call(call: Code, classes: Mapping[str, GeneratedClass]) -> Code:
    """`TFSlimNeck(nc=80, name="model")`."""
    if not isinstance(call, Call) or not isinstance(call.function, Function):
        raise InternalError(f"the root is no call: {call}")
    written = call_of_class(call, classes[call.function.name].signature)
    return Call(written.function, written.arguments, (*written.keywords, ("name", Literal("model"))))
