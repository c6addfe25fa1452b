"""All stages from a module to source: capture, lift, match, layout, then outline and render in `port`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from transpiler.capture.constructors import ConstructorLog
from transpiler.capture.export import capture
from transpiler.capture.sizes import input_names
from transpiler.capture.trace import Trace
from transpiler.errors import RulesError
from transpiler.kept import kept_modules
from transpiler.language.book import RuleBook
from transpiler.language.problems import diagnose_all
from transpiler.language.syntax import ModelDeclaration
from transpiler.layout.program import LaidOut
from transpiler.layout.whole import layout
from transpiler.lift.complex_pairs import without_complex
from transpiler.lift.lift import lift
from transpiler.lift.program import Program
from transpiler.lowered import LoweredProgram
from transpiler.match.match import NoRuleError, match
from transpiler.match.program import MatchedProgram
from transpiler.styles import rename_problems, style_of


@dataclass(frozen=True, slots=True)
class Stages:
    """What each stage produced."""

    lifted: Program
    matched: MatchedProgram
    laid_out: LaidOut
    lowered: LoweredProgram


def run_stages(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    book: RuleBook,
    name: str,
    constructors: ConstructorLog | None,
    dynamic: Mapping[str, tuple[str | None, ...]],
) -> Stages:
    """From a torch module to bodies in Keras terms.

    Raises:
        ModelError: the model cannot be captured, or something in it has no rule.
        RulesError: a rule cannot be applied, or a style renames a class that the model has not.
    """
    declaration = None if book.model is None else _named_as(book.model, input_names(model, args, kwargs))
    style = style_of(declaration)
    trace = capture(model, args, kwargs, {**_dynamic(declaration), **dynamic}, constructors)
    lifted, matched = lifted_and_matched(trace, book)
    kept = kept_modules(lifted.root, book, constructors) if style.keep_unused else {}
    laid_out = layout(matched, declaration, kept)
    problems = list(rename_problems(laid_out.root, style, declaration)) if declaration else []
    if problems:
        raise RulesError(diagnose_all(problems, dict(book.texts)))
    own_files = [text for file, text in book.texts if not file.startswith("packs/")]
    lowered = LoweredProgram(
        name=name,
        root=laid_out.root,
        signature=laid_out.signature,
        style=style,
        rules_name=_rules_name(book),
        digest=hashlib.sha256("\0".join(own_files).encode()).hexdigest()[:8] if own_files else "",
        model_name=declaration.factory if declaration else lifted.root.cls.qualified_name,
    )
    return Stages(lifted, matched, laid_out, lowered)


def lifted_and_matched(trace: Trace, book: RuleBook) -> tuple[Program, MatchedProgram]:
    """Lift and match; operators without a rule are tried again as PyTorch decomposes them.

    Raises:
        ModelError: an operator has neither a rule nor a decomposition into operators that have one.
    """
    replaced: frozenset[str] = frozenset()
    first: NoRuleError | None = None
    while True:
        program = without_complex(lift(trace, replaced))
        try:
            return program, match(program, book)
        except NoRuleError as error:
            first = first or error
            if error.operators <= replaced:
                raise first.still_in(error) from None  # in the model's own operators, not in those of a decomposition
            replaced |= error.operators


def _named_as(declaration: ModelDeclaration, names: Sequence[str]) -> ModelDeclaration:
    """The declared inputs under the names of `forward`, in whose order they stand if their own are others."""
    inputs = declaration.inputs
    if {entry.name for entry in inputs} <= set(names) or len(inputs) != len(names):
        return declaration
    renamed = (replace(entry, name=name) for entry, name in zip(inputs, names, strict=True))
    return replace(declaration, inputs=tuple(renamed))


def _dynamic(declaration: ModelDeclaration | None) -> dict[str, tuple[str | None, ...]]:
    if declaration is None:
        return {}
    return {
        entry.name: tuple(size if isinstance(size, str) else None for size in entry.type.dimensions)
        for entry in declaration.inputs
    }


def _rules_name(book: RuleBook) -> str:
    return book.model.position.file.rsplit("/", 1)[-1] if book.model else ""
