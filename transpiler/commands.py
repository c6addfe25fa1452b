"""What the commands do, without the command line around it.

`write_port` and `out_of_date` never import Keras; `pour_checkpoint` imports torch for a `.pt` checkpoint only.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from transpiler.differences import differences
from transpiler.errors import CheckpointError, Diagnostic, ModelError, RulesError
from transpiler.language.checker import check
from transpiler.language.loader import load_rules
from transpiler.progress import Track, silent
from transpiler.quiet import quiet
from transpiler.session import Project, load_project, open_project
from transpiler.source_files import left_over
from transpiler.wanted import Wanted, representative_data, wanted_files
from transpiler.weights.allowances import parse_allowances
from transpiler.weights.checkpoint import Checkpoint, open_checkpoint
from transpiler.weights.matching import match_checkpoint
from transpiler.weights.plan import WeightPlan
from transpiler.weights.plan_file import plan_text, read_plan
from transpiler.weights.same_run import require_pair

if TYPE_CHECKING:
    import keras

    from transpiler.prove.run import Assignment
    from transpiler.verify.divergence import Divergence
    from transpiler.verify.report import Report
    from transpiler.weights.proof import Proof


@dataclass(frozen=True, slots=True)
class Written:
    """What `write_port` did."""

    paths: tuple[Path, ...]
    removed: tuple[Path, ...]
    """Files of an earlier run for the same model that are of no use any more."""


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


def write_port(rules: Path, *, split: bool = False) -> Written:
    """Generate and write the source and its plan.

    Args:
        rules: the rules file.
        split: write a folder with one file for each torch module, even if the rules do not say so.

    Raises:
        KerascribeError: the rules or the model are wrong; nothing is written.
    """
    project = load_project(rules, split=split)
    removed = project.port.write(project.paths.source)
    return Written((project.paths.source, project.paths.plan), tuple(removed))


def out_of_date(rules: Path, *, split: bool | None = None) -> tuple[str, ...]:
    """How the files on disk differ from what the rules give now, and what to run; () if they do not.

    Args:
        rules: the rules file.
        split: whether the source should be a folder even if the rules do not say so; None for as it stands there.

    Raises:
        KerascribeError: the rules or the model are wrong.
    """
    project = load_project(rules, split=split)
    found = _out_of_date(project)
    return (*found, f"out of date: {_generate_anew(project)}") if found else ()


def pour_checkpoint(
    rules: Path,
    asked: Sequence[str] = (),
    representative: Path | None = None,
    allow: Sequence[str] = (),
    track: Track = silent,
) -> Poured:
    """Pour the checkpoint that the rules name into the generated source on disk.

    Args:
        rules: the rules file.
        asked: formats to write, each with a path or without (`transpiler.formats`); the rules' own by default.
        representative: folder of samples for full integer models; the rules' own by default.
        allow: faults of the checkpoint that may pass, `missing:head.*` (`transpiler.weights.allowances`).
        track: shows how far it is.

    Raises:
        CheckpointError: the checkpoint or the plan cannot be read, or does not fit; nothing is written.
    """
    allowances = parse_allowances(allow)
    project = open_project(rules)
    targets = wanted_files(project, asked)
    plan = read_plan(project.paths.plan)
    require_pair(plan, project.paths.plan, project.paths.source)
    checkpoint = _checkpoint(project, plan)
    model = _blank(project)

    from transpiler.artefacts.pour_targets import pour_targets  # noqa: PLC0415  (imports Keras)

    wanted = Wanted(targets, representative_data(project, representative), allowances)
    notes = pour_targets(model, lambda: _built(project), plan, checkpoint, wanted, track)
    return Poured(tuple(each.path for each in targets), (*checkpoint.notes, *notes))


def prove_weights(rules: Path, artefacts: Sequence[Path] = (), track: Track = silent) -> tuple[Proof, ...]:
    """Compare poured files with the digests that they carry, and with the checkpoint if it is there.

    Nothing of the torch model is imported, and torch itself for a `.pt` checkpoint only.

    Args:
        rules: the rules file.
        artefacts: the files; by default those beside the source that `pour` writes.
        track: shows how far it is.

    Raises:
        KerascribeError: a file is missing, damaged, or carries no digests.
    """
    project = open_project(rules)
    plan = read_plan(project.paths.plan)
    usual = [path for path in (project.paths.weights, project.paths.model) if path.is_file()]
    paths = artefacts or usual or [project.paths.weights]
    there = project.paths.checkpoint is not None and project.paths.checkpoint.is_file()
    checkpoint = _checkpoint(project, plan) if there else None
    model = _blank(project)

    from transpiler.weights.proof import prove  # noqa: PLC0415  (imports Keras)

    return tuple(prove(path, model, plan, checkpoint, track) for path in paths)


def verify_port(rules: Path, tolerance: float, seed: int = 0) -> Verdict:
    """Compare the torch model, its checkpoint loaded, with the generated source and the weights poured, as on disk.

    Raises:
        KerascribeError: something is missing, or the generated source is not what the rules give now.
    """
    project = load_project(rules)
    checkpoint = _checkpoint(project, project.port.plan)
    if _out_of_date(project):
        where = project.paths.source.name
        raise ModelError(Diagnostic("is not what the rules give now", where=where, hint=_generate_anew(project)))
    if not project.paths.weights.is_file():
        hint = f"run kerascribe pour {rules}"
        raise CheckpointError(Diagnostic("there are no weights", where=project.paths.weights.name, hint=hint))
    load_keras()

    import torch  # noqa: PLC0415  (slow)

    from transpiler.build import build_from_file  # noqa: PLC0415  (imports Keras)
    from transpiler.verify.compare import compare  # noqa: PLC0415  (as above)
    from transpiler.verify.divergence import first_divergence, with_rule  # noqa: PLC0415  (as above)
    from transpiler.verify.inputs import fresh_cases, given_like  # noqa: PLC0415  (as above)
    from transpiler.weights.poured_values import recorded_allowances  # noqa: PLC0415  (as above)

    allowances = recorded_allowances(project.paths.weights)
    found = match_checkpoint(project.port.plan, checkpoint, checkpoint.where, allowances)
    # What the plan drops may be absent, and what was allowed to be missing; everything else was matched just now.
    dropped = {dropped.source for dropped in project.port.plan.dropped}
    state = {key: checkpoint[key] for key in dropped & checkpoint.keys()} | dict(found)
    project.model.load_state_dict({key: torch.tensor(value) for key, value in state.items()}, strict=False)
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


def _out_of_date(project: Project) -> tuple[str, ...]:
    source, plan = project.paths.source, project.paths.plan
    files = project.port.texts(source)
    wanted = {**files, plan: plan_text(project.port.plan)}
    return tuple(differences(wanted, left_over(files, source), plan, project.paths.rules.name))


def _generate_anew(project: Project) -> str:
    return f"run kerascribe generate {'--split ' if project.is_split else ''}{project.paths.rules}"


def _checkpoint(project: Project, plan: WeightPlan) -> Checkpoint:
    if project.paths.checkpoint is None:
        hint = 'add to the model block: weights "model.safetensors"'
        raise CheckpointError(Diagnostic("the rules name no checkpoint", where=project.paths.rules.name, hint=hint))
    part = project.declaration.part
    if part is None:
        return open_checkpoint(project.paths.checkpoint, [entry.source for entry in plan.entries])
    return open_checkpoint(project.paths.checkpoint, [f"{part}.{entry.source}" for entry in plan.entries]).below(part)


def _blank(project: Project) -> keras.Model:
    load_keras()

    import keras  # noqa: PLC0415  (slow)

    from transpiler.build import build_from_file  # noqa: PLC0415  (imports Keras)
    from transpiler.weights.blank import blank_models  # noqa: PLC0415  (as above)

    keras.utils.set_random_seed(0)  # what no tensor fills is the same every time
    with blank_models():
        return build_from_file(project.paths.source)


def _built(project: Project) -> keras.Model:
    load_keras()

    from transpiler.build import build_from_file  # noqa: PLC0415  (imports Keras)

    return build_from_file(project.paths.source)


def load_keras() -> None:
    """Import Keras without TensorFlow's greetings about CPU features."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet():
        import keras  # noqa: F401, PLC0415  (slow)
