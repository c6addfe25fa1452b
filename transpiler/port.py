"""A ported model: its source, its signature, its weight plan, and the Keras model they make.

>>> port = transpile(model, (x,), name="SlimNeck")  # doctest: +SKIP
>>> port.write(Path("tf.py"))  # doctest: +SKIP
>>> port.verify().max_rel_err  # doctest: +SKIP
3.1e-07
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from transpiler.capture.constructors import ConstructorLog
from transpiler.capture.sizes import in_order
from transpiler.errors import RulesError
from transpiler.language.book import RuleBook
from transpiler.language.loader import load_rules
from transpiler.lowered import Signature
from transpiler.outline import ClassProgram, outline
from transpiler.pipeline import Stages, run_stages
from transpiler.render import render, render_package
from transpiler.weights.plan import WeightPlan
from transpiler.weights.plan_file import plan_path, plan_text
from transpiler.weights.same_run import digest

if TYPE_CHECKING:
    import keras

    from transpiler.verify.report import Report


@dataclass(frozen=True, slots=True)
class Port:
    """What `transpile` returns."""

    source: str
    """The text of `tf.py`: everything in one file."""
    package: Mapping[str, str]
    """Texts of a folder with one file for each torch module, by file name; empty unless the source is split."""
    signature: Signature
    plan: WeightPlan
    stages: Stages
    _program: ClassProgram
    _model: nn.Module
    _arguments: tuple[tuple[Any, ...], dict[str, Any]]
    _name: str

    def split(self) -> Port:
        """The same port with its source in a folder, one file for each torch module.

        >>> port.split().write("tf")  # doctest: +SKIP
        """
        package = render_package(self._program)
        plan = replace(self.plan, source_digest=digest([package[name] for name in sorted(package)]))
        return replace(self, package=package, plan=plan)

    def write(self, path: Path | str) -> list[Path]:
        """Write `tf.py` at `path`, or a folder of that name if the source is split, and the plan beside it.

        Returns:
            Files that were written for this model before, and that are of no use now; they were removed.

        Raises:
            RulesError: something that kerascribe did not write stands in the way; nothing is written.
        """
        from transpiler.atomic import write_text  # noqa: PLC0415
        from transpiler.source_files import check_free, source_place, write_source  # noqa: PLC0415

        place = source_place(Path(path), split=bool(self.package))
        files = self.texts(place)
        check_free(files, place)
        write_text(plan_path(place), plan_text(self.plan))
        return write_source(files, place)

    def texts(self, place: Path) -> dict[Path, str]:
        """The texts of all files of the source, by path, if it is written at `place`."""
        return {place / name: text for name, text in self.package.items()} or {place: self.source}

    def build(self) -> keras.Model:
        """The Keras model that the source makes, with the torch model's weights poured in."""
        from transpiler.build import build_from_package, build_from_source  # noqa: PLC0415  (imports keras)
        from transpiler.weights.pour import pour  # noqa: PLC0415  (imports keras)

        split = bool(self.package)
        built = build_from_package(self.package, self._name) if split else build_from_source(self.source, self._name)
        state = {key: _array(tensor) for key, tensor in self._model.state_dict().items()}
        pour(built, self.plan, state, where=self._name)
        return built

    def unpour(self, keras_model: keras.Model) -> dict[str, torch.Tensor]:
        """The state dict for the torch model that a Keras model makes, trained on after `build`.

        >>> model.load_state_dict(port.unpour(keras_model), strict=True)  # doctest: +SKIP

        What training has not touched is the torch model's own, bit for bit. What cannot simply go back is warned of,
        see `transpiler.weights.back`.

        Raises:
            CheckpointError: it is another model.
        """
        from transpiler.weights.back import state_of  # noqa: PLC0415
        from transpiler.weights.pour import variables_by_path  # noqa: PLC0415  (imports keras)
        from transpiler.weights.torch_tensors import as_numpy, as_torch  # noqa: PLC0415

        own = {key: as_numpy(tensor) for key, tensor in self._model.state_dict().items()}
        returned = state_of(self.plan, variables_by_path(keras_model, self.plan), own, self._name)
        for note in returned.notes:
            warnings.warn(note, stacklevel=2)
        return as_torch(returned.tensors)

    def verify(self, batches: tuple[int, ...] = (1, 3), seed: int = 0) -> Report:
        """Both models on fresh random inputs: per output the largest absolute and relative error.

        Where they differ, the report names the first module whose output does, and the rule that made it.
        """
        from transpiler.verify.compare import compare  # noqa: PLC0415  (imports keras)
        from transpiler.verify.divergence import first_divergence, with_rule  # noqa: PLC0415  (imports keras)
        from transpiler.verify.inputs import fresh_cases, given_like  # noqa: PLC0415

        args, kwargs = self._arguments
        tensors, call = given_like(args, kwargs)
        built = self.build()
        cases = tuple(fresh_cases(self.signature, tensors, batches, seed))
        report = compare(self._model, built, self.signature, cases, call)
        if report.ok():
            return report
        found = first_divergence(self._model, built, self.signature, cases[-1], call=call)
        return replace(report, divergence=str(with_rule(found, self.stages.matched) or ""))


def _array(tensor: torch.Tensor) -> Any:
    """The tensor for pouring; numpy knows no bfloat16."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()


def transpile(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any] | None = None,
    *,
    rules: Path | str | RuleBook | None = None,
    name: str | None = None,
    constructors: ConstructorLog | None = None,
    dynamic: Mapping[str, tuple[str | None, ...]] | None = None,
) -> Port:
    """Write the Keras source of a torch model.

    >>> port = transpile(model, (torch.rand(1, 3, 224, 224),), name="ResNet")  # doctest: +SKIP

    Args:
        model: traced in evaluation mode; it is not changed.
        args: example inputs, batch first.
        kwargs: further inputs by name.
        rules: a rules file beside the shipped packs; None for the packs alone.
        name: of the Keras model; the class's name by default.
        constructors: what `recording()` saw while the model was built, for the parameters of the generated classes.
        dynamic: names for the dynamic sizes of inputs, `{"x": ("batch", None, "height", "width")}`; those of one name
            are the same. Only the first one is dynamic in an input that is not mentioned here or in the rules file.

    Raises:
        RulesError: the rules file is wrong; every problem is listed.
        ModelError: the model cannot be captured, or something in it has no rule.
    """
    book = rules if isinstance(rules, RuleBook) else checked_rules(None if rules is None else Path(rules))
    name = name or type(model).__name__
    kwargs = in_order(model, kwargs or {})
    stages = run_stages(model, args, kwargs, book, name, constructors, dynamic or {})
    laid_out = stages.laid_out
    program = outline(stages.lowered)
    source = render(program)
    plan = WeightPlan(name, laid_out.entries, laid_out.dropped, laid_out.tied, digest([source]))
    port = Port(source, {}, laid_out.signature, plan, stages, program, model, (args, kwargs), name)
    return port.split() if stages.lowered.style.split else port


def checked_rules(path: Path | None) -> RuleBook:
    """The rules of a file and the packs below them, checked.

    Raises:
        RulesError: every problem of every file.
    """
    from transpiler.language.checker import check  # noqa: PLC0415

    book = load_rules(path)
    problems = tuple(check(book)) if path is not None else ()
    if problems:
        raise RulesError(problems)
    return book
