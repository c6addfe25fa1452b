"""The text of one class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from transpiler.code import Code, Literal, Sequence
from transpiler.outline.program import Assign, ClassDefinition, For, If, Line, Parameter, Required, Return
from transpiler.render.expressions import target, text
from transpiler.render.templates import comment_text, docstring, rendered
from transpiler.trees import code_of

INDENT = "    "


def class_text(definition: ClassDefinition, line_length: int) -> str:
    """The text of a class, before formatting.

    Args:
        definition: the class.
        line_length: characters that a line may have; a docstring that fits is one line.
    """
    on_one_line = docstring((" ".join(line for line in definition.docstring if line),))
    fits = len(INDENT) + len(on_one_line) <= line_length
    described = on_one_line if fits else docstring(definition.docstring)
    has_init = bool(definition.setup or definition.parameters)
    return rendered(
        "class.py.jinja",
        name=target(definition.name),
        docstring=described.replace("\n", f"\n{INDENT}").replace(f"\n{INDENT}\n", "\n\n"),
        parameters=[_parameter(parameter) for parameter in definition.parameters] if has_init else None,
        setup=list(statement_texts(definition.setup, 2)),
        arguments=[
            target(argument) + ("=None" if argument in definition.optional else "") for argument in definition.arguments
        ],
        body=list(statement_texts(definition.body, 2)),
        build=list(statement_texts(definition.build, 2)),
        is_root=definition.is_root,
        kept=[target(name) for name in definition.kept],
        config=[f"{text(Literal(name))}: self.{target(attribute)}" for name, attribute in definition.config],
    )


def _parameter(parameter: Parameter) -> str:
    name = target(parameter.name)
    if isinstance(parameter.default, Required):
        return name
    default = parameter.default
    return f"{name}={text(code_of(tuple(default) if isinstance(default, list) else default))}"


def statement_texts(lines: Iterable[Line], depth: int) -> Iterator[str]:
    """The texts of statements at this depth, each on one line."""
    margin = INDENT * depth
    for line in lines:
        match line:
            case Assign((), value, comment):
                yield f"{margin}{text(value)}{comment_text(comment)}"
            case Assign(targets, value, comment):
                names = ", ".join(target(name) for name in targets)
                shown = _unwrapped(value) if len(targets) > 1 else text(value)
                yield f"{margin}{names} = {shown}{comment_text(comment)}"
            case Return(value, comment):
                yield f"{margin}return {_unwrapped(value)}{comment_text(comment)}"
            case For(variables, iterable, body, comment):
                names = ", ".join(target(name) for name in variables)
                yield f"{margin}for {names} in {text(iterable)}:{comment_text(comment)}"
                yield from statement_texts(body, depth + 1)
            case If():
                yield from _if(line, depth)


def _if(line: If, depth: int) -> Iterator[str]:
    margin = INDENT * depth
    word = "if"
    while True:
        yield f"{margin}{word} {text(line.test)}:"
        yield from statement_texts(line.then, depth + 1)
        if len(line.otherwise) == 1 and isinstance(line.otherwise[0], If):
            line, word = line.otherwise[0], "elif"
            continue
        break
    if line.otherwise:
        yield f"{margin}else:"
        yield from statement_texts(line.otherwise, depth + 1)


def _unwrapped(value: Code) -> str:
    """A tuple that is returned or unpacked needs no brackets."""
    shown = text(value)
    return shown[1:-1] if isinstance(value, Sequence) and value.kind == "tuple" and len(value.items) > 1 else shown
