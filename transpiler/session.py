"""One rules file and everything that it names, each part made when it is first asked for.

>>> project = load_project(Path("examples/slimneck/slimneck.rules"))  # doctest: +SKIP
>>> project.port.write(project.paths.source)  # doctest: +SKIP

Pouring needs no more than the paths, so that torch is imported by `model` and what builds on it alone.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transpiler.errors import Diagnostic, ModelError, RulesError
from transpiler.factory import call_factory, load_factory
from transpiler.language.book import RuleBook
from transpiler.language.checker import check
from transpiler.language.expressions import Scope, evaluate
from transpiler.language.loader import load_rules
from transpiler.language.syntax import InputDeclaration, ModelDeclaration
from transpiler.source_files import is_package, source_place
from transpiler.styles import style_of
from transpiler.weights.plan_file import plan_path

if TYPE_CHECKING:
    import torch
    from torch import nn

    from transpiler import Port
    from transpiler.capture.constructors import ConstructorLog

_BATCH = 2
_DYNAMIC = 64
"""Example sizes of named dimensions: torch.export specialises 0 and 1, and networks halve their input a few times."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where everything that belongs to one rules file stands."""

    rules: Path
    source: Path
    """`tf.py`, or the folder `tf` if the source is split."""
    plan: Path
    """`tf.weights.json`."""
    weights: Path
    """`tf.weights.h5`."""
    model: Path
    """`tf.keras`."""
    checkpoint: Path | None
    """The torch checkpoint; None if the rules name none."""


class Project:
    """What a rules file with a `model` block describes."""

    def __init__(self, book: RuleBook, declaration: ModelDeclaration, rules: Path, *, split: bool | None) -> None:
        self.book = book
        self.declaration = declaration
        self._rules = rules
        self._split = split

    @cached_property
    def paths(self) -> Paths:
        """Where everything stands, or shall stand."""
        source = source_place(self._output, split=self.is_split)
        weights = self.declaration.weights
        return Paths(
            rules=self._rules,
            source=source,
            plan=plan_path(source),
            weights=source.with_suffix(".weights.h5"),
            model=source.with_suffix(".keras"),
            checkpoint=self._rules.parent / weights if weights else None,
        )

    @cached_property
    def is_split(self) -> bool:
        """Whether the source is a folder: the rules or the user say so, or it stands there as one."""
        asked = _stands_split(self._output) if self._split is None else self._split
        return asked or style_of(self.declaration).split

    @property
    def _output(self) -> Path:
        return self._rules.parent / (self.declaration.output or "tf.py")

    @property
    def name(self) -> str:
        """The model's name: that of its class or factory."""
        return self.declaration.factory.rpartition(":")[2].rpartition(".")[2]

    @cached_property
    def _built(self) -> tuple[nn.Module, ConstructorLog]:
        from torch import nn  # noqa: PLC0415  (slow)

        from transpiler.capture.constructors import recording  # noqa: PLC0415  (imports torch)

        base = self.paths.rules.parent
        arguments = {name: evaluate(value, Scope({})) for name, value in self.declaration.arguments}
        factory = load_factory(self.declaration.factory, base)
        with recording() as constructors:
            model = call_factory(factory, arguments, self.declaration.factory, base)
        if not isinstance(model, nn.Module):
            message = f"builds a {type(model).__name__}, no torch.nn.Module"
            raise ModelError(Diagnostic(message, where=self.declaration.factory))
        return model, constructors

    @cached_property
    def model(self) -> nn.Module:
        """The torch model, built by the user's factory, with the weights that the factory gives it.

        Raises:
            ModelError: it has not the modules that `part` or `until` names.
        """
        from transpiler.parts import module_at, stop_after  # noqa: PLC0415  (imports torch)

        model = self._built[0]
        if self.declaration.part is not None:
            model = module_at(model, self.declaration.part)
        if self.declaration.until:
            stop_after(model, self.declaration.until)
        return model

    @cached_property
    def arguments(self) -> tuple[tuple[torch.Tensor, ...], dict[str, torch.Tensor]]:
        """Example inputs as the rules declare them: by name, or in order if their names are not those of `forward`."""
        import torch  # noqa: PLC0415  (slow)

        from transpiler.capture.sizes import in_order  # noqa: PLC0415  (imports torch)

        generator = torch.Generator().manual_seed(0)
        inputs = {declared.name: _example(declared, generator) for declared in self.declaration.inputs}
        parameters = inspect.signature(self.model.forward).parameters
        if not inputs.keys() <= parameters.keys():
            return tuple(inputs.values()), {}
        return (), in_order(self.model, inputs)

    @cached_property
    def port(self) -> Port:
        """The generated source with its plan."""
        from transpiler import transpile  # noqa: PLC0415  (imports torch)

        args, kwargs = self.arguments
        port = transpile(self.model, args, kwargs, rules=self.book, name=self.name, constructors=self._built[1])
        return port.split() if self.is_split and not port.package else port


def load_project(rules: Path, *, split: bool | None = None) -> Project:
    """The project of a rules file, its rules checked.

    Args:
        rules: the rules file.
        split: whether the source is a folder even if the rules do not say so; None for as it stands there.

    Raises:
        RulesError: the file is missing or wrong; every problem is listed.
    """
    project = open_project(rules, split=split)
    problems = tuple(check(project.book))
    if problems:
        raise RulesError(problems)
    return project


def open_project(rules: Path, *, split: bool | None = None) -> Project:
    """As `load_project`, without the check of the rules: enough for the paths.

    Raises:
        RulesError: the file is missing, cannot be parsed, or has no `model` block.
    """
    book = load_rules(rules)
    if book.model is None:
        hint = 'add: model "model.py:Name" { input x float32[batch, 3, 224, 224] }'
        raise RulesError(Diagnostic("no model block", where=rules.name, hint=hint))
    return Project(book, book.model, rules, split=split)


def _stands_split(output: Path) -> bool:
    """Whether the source stands there as a folder alone."""
    return not source_place(output, split=False).is_file() and is_package(source_place(output, split=True))


def _example(declared: InputDeclaration, generator: torch.Generator) -> torch.Tensor:
    import torch  # noqa: PLC0415  (slow)

    dtype: Any = getattr(torch, declared.type.dtype, None)
    if not isinstance(dtype, torch.dtype):
        where = str(declared.type.position)
        raise RulesError(Diagnostic(f"torch has no dtype {declared.type.dtype!r}", where=where))
    shape = [
        size if isinstance(size, int) else (_BATCH if axis == 0 else _DYNAMIC)
        for axis, size in enumerate(declared.type.dimensions)
    ]
    if dtype.is_floating_point or dtype.is_complex:
        return torch.randn(shape, generator=generator, dtype=dtype)
    # 0 and 1 are indices that any table has.
    return torch.randint(0, 2, shape, generator=generator).to(dtype)
