"""From module instances to the classes a person would write.

>>> # outline(program) groups the bodies of a LoweredProgram by torch class and turns what differs between instances
>>> # into constructor parameters: 24 bodies of Conv become one class TFConv(c1, c2, k=1, s=1, act=True).
"""

from __future__ import annotations

from transpiler.lowered import LoweredProgram
from transpiler.outline.grouping import Grouping
from transpiler.outline.names import snake
from transpiler.outline.program import ClassProgram, InputArgument
from transpiler.outline.rooting import root_call

__all__ = ["ClassProgram", "outline"]


def outline(program: LoweredProgram) -> ClassProgram:
    """Turn a tree of bodies into classes.

    Args:
        program: one body for each module instance, every number a literal.

    Returns:
        Classes with recovered constructor parameters, children before parents; every name is final.

    Raises:
        InternalError: the program contradicts itself, such as a value that is read before it is computed.
    """
    classes, call = Grouping(program).make()
    root = program.root
    arguments = []
    count = 0
    for argument in root.arguments:
        arguments.append(InputArgument(tuple(range(count, count + len(argument.values))), argument.is_list))
        count += len(argument.values)
    return ClassProgram(
        program.name,
        program.style.package or snake(program.name),
        program.rules_name,
        program.digest,
        program.model_name,
        tuple(made.definition for made in classes.values()),
        root_call(call, classes),
        tuple(arguments),
        program.signature,
        program.style.framework,
        program.style.line_length,
    )
