"""Modules that `forward` never calls, traced on their own so that `keep_unused` can keep them as layers.

Such a module is called with a tensor like its parent's only one; what cannot be called that way stays left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from transpiler.capture.constructors import ConstructorLog
from transpiler.capture.export import capture
from transpiler.errors import KerascribeError
from transpiler.language.book import RuleBook
from transpiler.lift.lift import lift
from transpiler.lift.program import Block, BlockCall, Value
from transpiler.match.match import match
from transpiler.match.program import MatchedProgram

_DYNAMIC = 2


def kept_modules(root: Block, book: RuleBook, constructors: ConstructorLog | None) -> dict[str, MatchedProgram]:
    """For every module that nothing calls, by its path, a program that calls it once.

    >>> kept_modules(program.root, book, log)  # doctest: +SKIP
    {'neck.gsb.0.conv': MatchedProgram(…)}
    """
    kept: dict[str, MatchedProgram] = {}
    for blocks in _by_class(root).values():
        for name in dict.fromkeys(name for block in blocks for name in block.unused):
            kept |= _kept_in_all(blocks, name, book, constructors)
    return kept


def _kept_in_all(
    blocks: list[Block], name: str, book: RuleBook, constructors: ConstructorLog | None
) -> dict[str, MatchedProgram]:
    """The child's programs in all instances of a class, or none.

    They share one generated class: it cannot build in `build` what another instance calls, or does not have.
    """
    programs: dict[str, MatchedProgram] = {}
    for block in blocks:
        program = _called_alone(block, name, book, constructors) if name in block.unused else None
        if program is None:
            return {}
        programs[f"{block.path}.{name}" if block.path else name] = program
    return programs


class _Holder(nn.Module):
    """Calls the one module it holds, under the module's own name."""

    def __init__(self, name: str, module: nn.Module) -> None:
        super().__init__()
        self.add_module(name, module)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (module,) = self.children()
        result: torch.Tensor = module(x)
        return result


def _called_alone(
    block: Block, name: str, book: RuleBook, constructors: ConstructorLog | None
) -> MatchedProgram | None:
    if len(block.arguments) != 1 or block.arguments[0].is_list:
        return None
    example = _example(block.arguments[0].values[0])
    holder = _Holder(name, block.module.get_submodule(name))
    try:
        program = match(lift(capture(holder, (example,), constructors=constructors)), book)
    except KerascribeError:
        return None
    return program if len(program.statements) == 1 else None


def _example(value: Value) -> torch.Tensor:
    shape = [size if isinstance(size, int) else _DYNAMIC for size in value.shape]
    return torch.zeros(shape, dtype=getattr(torch, value.dtype))


def _by_class(root: Block) -> dict[str, list[Block]]:
    classes: dict[str, list[Block]] = {}
    for block in _blocks(root):
        classes.setdefault(block.cls.qualified_name, []).append(block)
    return classes


def _blocks(block: Block) -> Iterator[Block]:
    yield block
    for statement in block.statements:
        if isinstance(statement, BlockCall):
            yield from _blocks(statement.block)
