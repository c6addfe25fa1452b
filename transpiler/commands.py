"""What the commands do, without the command line around it.

`write_port` and `is_current` never import Keras; `pour_checkpoint` imports torch for a `.pt` checkpoint only.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from transpiler.errors import CheckpointError, Diagnostic, ModelError, RulesError
from transpiler.language.checker import check
from transpiler.language.loader import load_rules
from transpiler.progress import Track, silent
from transpiler.quiet import quiet
from transpiler.session import Project, load_project, open_project
from transpiler.wanted import representative_data, wanted_files
from transpiler.weights.checkpoint import Checkpoint, open_checkpoint
from transpiler.weights.matching import match_checkpoint
from transpiler.weights.plan import WeightPlan
from transpiler.weights.plan_file import plan_text, read_plan
from transpiler.weights.same_run import require_pair

if TYPE_CHECKING:
    from transpiler.prove.run import Assignment
    from transpiler.verify.divergence import Divergence
    from transpiler.verify.report import Report


@dataclass(frozen=True, slots=True)
class Poured:
    """What `pour_checkpoint` did."""

    written: tuple[Path, ...]
    notes: tuple[str, ...]
    """How the tensors were found in the checkpoint, and what the files written need."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify_port` found."""

    report: Report
    divergence: Divergence | None
    """The first module that differs; looked for only if the outputs differ."""


def write_port(rules: Path) -> tuple[Path, ...]:
    """Generate and write the source and its plan; gives the paths written.

    Raises:
        KerascribeError: the rules or the model are wrong; nothing is written.
    """
    project = load_project(rules)
    project.port.write(project.paths.source)
    return project.paths.source, project.paths.plan


def is_current(rules: Path) -> bool:
    """Whether the files on disk are what the rules give now.

    Raises:
        KerascribeError: the rules or the model are wrong.
    """
    return _is_current(load_project(rules))


def pour_checkpoint(
    rules: Path, asked: Sequence[str] = (), representative: Path | None = None, track: Track = silent
) -> Poured:
    """Pour the checkpoint that the rules name into the generated source on disk.

    Args:
        rules: the rules file.
        asked: formats to write, each with a path or without (`transpiler.formats`); the rules' own by default.
        representative: folder of samples for full integer models; the rules' own by default.
        track: shows how far it is.

    Raises:
        CheckpointError: the checkpoint or the plan cannot be read, or does not fit; nothing is written.
    """
    project = open_project(rules)
    targets = wanted_files(project, asked)
    plan = read_plan(project.paths.plan)
    require_pair(plan, project.paths.plan, project.paths.source)
    checkpoint = _checkpoint(project, plan)
    load_keras()

    from transpiler.artefacts.write import write_artefacts  # noqa: PLC0415  (imports Keras)
    from transpiler.build import build_from_file  # noqa: PLC0415  (as above)
    from transpiler.weights.pour import pour  # noqa: PLC0415  (as above)

    model = build_from_file(project.paths.source)
    pour(model, plan, checkpoint, checkpoint.where, track)
    notes = write_artefacts(model, plan, targets, representative_data(project, representative), track)
    return Poured(tuple(each.path for each in targets), (*checkpoint.notes, *notes))


def verify_port(rules: Path, tolerance: float, seed: int = 0) -> Verdict:
    """Compare the torch model, its checkpoint loaded, with the generated source and the weights poured, as on disk.

    Raises:
        KerascribeError: something is missing, or the generated source is not what the rules give now.
    """
    project = load_project(rules)
    checkpoint = _checkpoint(project, project.port.plan)
    if not _is_current(project):
        hint = f"run kerascribe generate {rules}"
        raise ModelError(Diagnostic("is not what the rules give now", where=project.paths.source.name, hint=hint))
    if not project.paths.weights.is_file():
        hint = f"run kerascribe pour {rules}"
        raise CheckpointError(Diagnostic("there are no weights", where=project.paths.weights.name, hint=hint))
    load_keras()

    import torch  # noqa: PLC0415  (slow)

    from transpiler.build import build_from_file  # noqa: PLC0415  (imports Keras)
    from transpiler.verify.compare import compare  # noqa: PLC0415  (as above)
    from transpiler.verify.divergence import first_divergence, with_rule  # noqa: PLC0415  (as above)
    from transpiler.verify.inputs import fresh_cases, given_like  # noqa: PLC0415  (as above)

    match_checkpoint(project.port.plan, checkpoint, checkpoint.where)
    # What the plan drops may be absent; everything else was matched just now.
    project.model.load_state_dict({key: torch.tensor(checkpoint[key]) for key in checkpoint}, strict=False)
    model = build_from_file(project.paths.source)
    model.load_weights(project.paths.weights)
    signature = project.port.signature
    tensors, call = given_like(*project.arguments)
    cases = tuple(fresh_cases(signature, tensors, seed=seed))
    report = compare(project.model, model, signature, cases, call)
    if report.ok(tolerance):
        return Verdict(report, None)
    divergence = first_divergence(project.model, model, signature, cases[-1], tolerance, call)
    return Verdict(report, with_rule(divergence, project.port.stages.matched))


def check_file(rules: Path) -> int:
    """Check a rules file; gives the number of rules in force.

    Raises:
        RulesError: with every problem found.
    """
    book = load_rules(rules)
    problems = tuple(check(book))
    if problems:
        raise RulesError(problems)
    return len(book.module_rules) + len(book.operator_rules)


def open_assignment(rules: Path | None, name: str) -> Assignment:
    """The examples of a rules file, or of the shipped packs, ready to be proven.

    Raises:
        KerascribeError: the rules are wrong, or none has that name.
    """
    from transpiler.prove.subjects import load_torchvision  # noqa: PLC0415  (imports torch)

    load_torchvision()
    load_keras()

    from transpiler.prove.run import assignment  # noqa: PLC0415  (imports torch and Keras)

    return assignment(rules, name)


def _is_current(project: Project) -> bool:
    return _holds(project.paths.source, project.port.source) and _holds(
        project.paths.plan, plan_text(project.port.plan)
    )


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


def _checkpoint(project: Project, plan: WeightPlan) -> Checkpoint:
    if project.paths.checkpoint is None:
        hint = 'add to the model block: weights "model.safetensors"'
        raise CheckpointError(Diagnostic("the rules name no checkpoint", where=project.paths.rules.name, hint=hint))
    part = project.declaration.part
    if part is None:
        return open_checkpoint(project.paths.checkpoint, [entry.source for entry in plan.entries])
    return open_checkpoint(project.paths.checkpoint, [f"{part}.{entry.source}" for entry in plan.entries]).below(part)


def load_keras() -> None:
    """Import Keras without TensorFlow's greetings about CPU features."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet():
        import keras  # noqa: F401, PLC0415  (slow)
