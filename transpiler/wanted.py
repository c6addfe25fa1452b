"""Which files a pour shall write: those that were asked for, else those that the rules name, else the usual ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transpiler.errors import Diagnostic, RulesError
from transpiler.formats import USUAL, Target, target
from transpiler.session import Project
from transpiler.weights.allowances import Allowance


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a pour shall write, and by which leave."""

    targets: tuple[Target, ...]
    representative: Path | None
    """The folder of data that scales integers."""
    allowances: tuple[Allowance, ...] = ()


def wanted_files(project: Project, asked: Sequence[str] = ()) -> tuple[Target, ...]:
    """The artefacts to write, in the order in which they are named.

    >>> [each.path.name for each in wanted_files(project, ["tflite", "keras=out/net.keras"])]  # doctest: +SKIP
    ['tf.tflite', 'net.keras']

    Args:
        project: the rules; what they name lies beside them.
        asked: what the user names, formats with or without a path; paths begin where the user is.

    Raises:
        RulesError: unknown formats, folders that are not there, two files of one path, or one that would take the
            place of what the rules read; all is listed.
    """
    source = project.paths.source
    declared = [(text, str(position)) for text, position in project.declaration.artefacts]
    named = [(text, "") for text in asked] or declared or [(text, "") for text in USUAL]
    base = Path() if asked else project.paths.rules.parent
    found: list[Target] = []
    problems: list[Diagnostic] = []
    for text, where in named:
        try:
            found.append(target(text, source, base))
        except RulesError as error:
            problems += [Diagnostic(said.message, where, hint=said.hint) for said in error.diagnostics]
    problems += _conflicts(project, found)
    if problems:
        raise RulesError(problems)
    return tuple(found)


def representative_data(project: Project, given: Path | None) -> Path | None:
    """The folder of representative data: the one that was given, else the rules', else none."""
    named = project.declaration.representative
    return given or (project.paths.rules.parent / named if named else None)


def _replaceable(wanted: Target) -> bool:
    """Whether the folder at the target's path is an older SavedModel, or empty."""
    is_folder = wanted.format.name == "saved_model"
    return is_folder and ((wanted.path / "saved_model.pb").is_file() or not any(wanted.path.iterdir()))


def _conflicts(project: Project, targets: Sequence[Target]) -> Iterator[Diagnostic]:
    paths = project.paths
    read = {path.resolve() for path in (paths.rules, paths.source, paths.plan, paths.checkpoint) if path}
    seen: set[Path] = set()
    for each in targets:
        place, example = each.path.resolve(), f"{each.format.name}=other{each.format.suffix}"
        if place in read:
            hint = f"name another place: --to {example}"
            yield Diagnostic("is read, so it cannot be written", where=each.path.name, hint=hint)
        if place in seen:
            yield Diagnostic("is to be written twice", where=each.path.name, hint=f"name two places: --to {example}")
        if each.path.is_dir() and not _replaceable(each):
            hint = "what is in it would be lost: name another place"
            yield Diagnostic("is a folder that holds something else", where=str(each.path), hint=hint)
        if not each.path.parent.is_dir():
            yield Diagnostic("there is no such folder", where=str(each.path.parent))
        seen.add(place)
