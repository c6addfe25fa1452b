"""What classes use: functions, layers, one another."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from transpiler.code import Code, Function, Name
from transpiler.outline.program import Assign, ClassDefinition, For, If, Line, Return
from transpiler.trees import walk


def functions(classes: Iterable[ClassDefinition]) -> set[str]:
    """Dotted names of all functions and layers that the classes call."""
    return {node.name for definition in classes for node in _functions(definition) if not isinstance(node, Name)}


def classes_used(definition: ClassDefinition, names: Container[str]) -> tuple[str, ...]:
    """Which of the classes a class uses, in the order in which it does.

    Args:
        definition: any class.
        names: names of generated classes.
    """
    used = (node.name for node in _functions(definition) if isinstance(node, Name) and node.name in names)
    return tuple(name for name in dict.fromkeys(used) if name != definition.name)


def _functions(definition: ClassDefinition) -> Iterator[Function]:
    for line in _flat((*definition.setup, *definition.build, *definition.body)):
        for code in _codes(line):
            yield from (node for node in walk(code) if isinstance(node, Function))


def _flat(lines: Iterable[Line]) -> Iterator[Line]:
    for line in lines:
        yield line
        if isinstance(line, If):
            yield from _flat((*line.then, *line.otherwise))
        elif isinstance(line, For):
            yield from _flat(line.body)


def _codes(line: Line) -> tuple[Code, ...]:
    match line:
        case Assign(value=value) | Return(value=value):
            return (value,)
        case If(test=test):
            return (test,)
        case For(iterable=iterable):
            return (iterable,)
