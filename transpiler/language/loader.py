"""Resolves `use` and puts all rules in force in one order: first every file is read, then they are ranked."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from transpiler.errors import Diagnostic, RulesError
from transpiler.language.book import RuleBook, Rules, RulesFile
from transpiler.language.parser import parse_rules, skim_rules
from transpiler.language.problems import Problem, diagnose
from transpiler.language.syntax import Use
from transpiler.resources import pack_names, read_pack


def load_rules(path: Path | None) -> RuleBook:
    """All rules in force for one rules file, highest priority first.

    >>> book = load_rules(None)  # the packs that ship with kerascribe
    >>> book.model is None
    True

    Within a file the first rule that matches wins. A file's own rules win over those it uses, a later `use` over an
    earlier one. The shipped packs are always in force, below everything else. Only the file itself says what the model
    is: a `model` block in a file that it uses has no effect.

    Args:
        path: the rules file; None for the shipped packs alone.

    Raises:
        RulesError: every problem of every file: syntax, missing files and packs, circles of `use`.
    """
    reading = _Reading()
    root = None if path is None else reading.root(path)
    for name in pack_names():
        reading.pack(name)
    if root is not None and len(root.models) > 1:
        hint = "put the second one in a file of its own"
        reading.report(Problem("a rules file describes one model", root.models[1].position, hint), root)
    if reading.diagnostics:
        raise RulesError(reading.diagnostics)
    files = reading.ranked(path)
    return RuleBook(
        model=root.models[0] if root is not None and root.models else None,
        module_rules=Rules(entry for file in files for entry in file.module_rules.entries),
        operator_rules=Rules(entry for file in files for entry in file.operator_rules.entries),
        texts=tuple((file.path, file.text) for file in files),
    )


def pack_file(name: str) -> str:
    """How messages and positions name a shipped pack.

    >>> pack_file("torch.nn")
    'packs/torch.nn.rules'
    """
    return f"packs/{name}.rules"


@cache
def parse_pack(name: str) -> RulesFile:
    """A shipped pack, read once per process; its rules are parsed when they are asked for.

    Raises:
        FileNotFoundError: there is no such pack.
        RulesError: the pack is malformed, which its tests rule out.
    """
    return skim_rules(read_pack(name), pack_file(name))


@dataclass(slots=True)
class _Reading:
    """The files read so far, by identity: the resolved path of a file, the shown name of a pack."""

    diagnostics: list[Diagnostic] = field(default_factory=list)
    files: dict[str, RulesFile | None] = field(default_factory=dict)
    """None for a file that is malformed."""
    uses: dict[str, list[str]] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)

    def root(self, path: Path) -> RulesFile | None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            message = f"the rules file cannot be read: {_reason(error)}"
            self.diagnostics.append(Diagnostic(message, where=path.as_posix()))
            return None
        self._parse(text, path)
        return self.files[_identity(path)]

    def pack(self, name: str) -> None:
        identity = pack_file(name)
        if identity in self.files:
            return
        self.files[identity] = None
        try:
            self._follow(parse_pack(name), identity, None)
        except RulesError as error:
            self.diagnostics.extend(error.diagnostics)

    def report(self, problem: Problem, file: RulesFile) -> None:
        self.diagnostics.append(diagnose(problem, file.text))

    def ranked(self, path: Path | None) -> tuple[RulesFile, ...]:
        """All files, highest priority first; one that is used twice counts where it stands highest."""
        waiting = [pack_file(name) for name in pack_names()]
        if path is not None:
            waiting.append(_identity(path))
        ranked: dict[str, RulesFile] = {}
        while waiting:
            identity = waiting.pop()
            file = self.files[identity]
            if identity not in ranked and file is not None:
                ranked[identity] = file
                waiting.extend(self.uses[identity])
        return tuple(ranked.values())

    def _parse(self, text: str, path: Path) -> None:
        identity = _identity(path)
        self.files[identity] = None
        try:
            file = parse_rules(text, path.as_posix())
        except RulesError as error:
            self.diagnostics.extend(error.diagnostics)
        else:
            self._follow(file, identity, path.parent)

    def _follow(self, file: RulesFile, identity: str, folder: Path | None) -> None:
        self.files[identity] = file
        self.uses[identity] = []
        self.open.append(identity)
        for use in file.uses:
            if not use.is_file:
                self._use_pack(use, file, identity)
            elif folder is None:
                self.report(Problem("a pack uses packs, not files", use.position), file)
            else:
                self._use_file(use, file, identity, folder / use.name)
        self.open.pop()

    def _use_pack(self, use: Use, file: RulesFile, user: str) -> None:
        known = pack_names()
        if use.name not in known:
            near = difflib.get_close_matches(use.name, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known)}"
            self.report(Problem(f"there is no pack '{use.name}'", use.position, hint), file)
        elif not self._closes_circle(use, file, pack_file(use.name)):
            self.pack(use.name)
            self.uses[user].append(pack_file(use.name))

    def _use_file(self, use: Use, file: RulesFile, user: str, path: Path) -> None:
        identity = _identity(path)
        if self._closes_circle(use, file, identity):
            return
        if identity not in self.files:
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                hint = "files are looked for beside the file that uses them"
                self.report(Problem(f"'{use.name}' cannot be read: {_reason(error)}", use.position, hint), file)
                return
            self._parse(text, path)
        self.uses[user].append(identity)

    def _closes_circle(self, use: Use, file: RulesFile, identity: str) -> bool:
        if identity not in self.open:
            return False
        names = [Path(name).name for name in self.open[self.open.index(identity) :]]
        self.report(Problem(f"a circle of 'use': {' → '.join([*names, names[0]])}", use.position), file)
        return True


def _identity(path: Path) -> str:
    return str(path.resolve())


def _reason(error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return (error.strerror or str(error)).lower()
