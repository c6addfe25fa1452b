"""The text of `build_model`, which makes the functional model of the root layer."""

from __future__ import annotations

from transpiler.code import Call, Code, Function, Literal, Name, Sequence
from transpiler.lowered import ModelInput
from transpiler.outline.names import snake, usable
from transpiler.outline.program import ClassProgram
from transpiler.render.expressions import text
from transpiler.render.templates import rendered
from transpiler.trees import code_of


def build_model_text(program: ClassProgram) -> str:
    """The text of `build_model`, before formatting."""
    inputs = program.signature.inputs
    names: list[str] = []
    for item in inputs:
        names.append(usable(item.name, {*names, "input_shape"}))
    takes_shape = len(inputs) == 1 and _batch(inputs[0]) is None
    lines = [f"{name} = {text(_input(item, takes_shape))}" for name, item in zip(names, inputs, strict=True)]
    arguments = tuple(
        Sequence("list", tuple(Name(names[place]) for place in argument.inputs))
        if argument.is_list
        else Name(names[argument.inputs[0]])
        for argument in program.inputs
    )
    called = Call(program.root, arguments)
    given: Code = Name(names[0]) if len(names) == 1 else Sequence("list", tuple(Name(name) for name in names))
    model = Call(Function("keras.Model"), (given, called), (("name", Literal(snake(program.name))),))
    return rendered(
        "build_model.py.jinja",
        parameter=f"input_shape={text(code_of(inputs[0].keras_shape[1:]))}" if takes_shape else "",
        lines=lines,
        model=text(model),
    )


def _input(item: ModelInput, takes_shape: bool) -> Code:  # noqa: FBT001 — one of two ways to say the shape
    shape = Name("input_shape") if takes_shape else code_of(item.keras_shape[1:])
    keywords: list[tuple[str, Code]] = [("name", Literal(item.name))]
    if item.dtype != "float32":
        keywords.append(("dtype", Literal(item.dtype)))
    if _batch(item) is not None:
        keywords.insert(0, ("batch_size", Literal(_batch(item))))
    return Call(Function("keras.Input"), (shape,), tuple(keywords))


def _batch(item: ModelInput) -> int | None:
    return item.keras_shape[0] if item.keras_shape else None
