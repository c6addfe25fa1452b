"""What classes use: functions, layers, one another."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from transpiler.code import Function, Name
from transpiler.outline.program import ClassDefinition
from transpiler.outline.walk_lines import code_in, flat
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
    for line in flat((*definition.setup, *definition.build, *definition.body)):
        yield from (node for node in walk(code_in(line)) if isinstance(node, Function))
