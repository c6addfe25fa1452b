"""The command line: every command is a few calls, every expected failure one clear message.

Exit codes: 0 done; 1 `verify` or `rules test` found a difference, `review` a mistake, `generate --check` a file that is
out of date; 2 something that the user must mend; 70 a mistake of ours. Torch and Keras are imported by what needs them,
when it needs them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from transpiler.back import unpour_weights
from transpiler.commands import (
    check_file,
    open_assignment,
    out_of_date,
    pour_checkpoint,
    prove_weights,
    verify_port,
    write_port,
)
from transpiler.errors import KerascribeError
from transpiler.formats import FORMATS
from transpiler.progress import bars
from transpiler.rule_listing import describe_rules, explain_rule
from transpiler.session import load_project
from transpiler.source_review import review_file
from transpiler.weights.allowances import Fault

DIFFERS = 1
USER_MUST_ACT = 2
OUR_MISTAKE = 70  # EX_SOFTWARE of sysexits.h
_FAULTS = ", ".join(Fault)
_FORMATS = ", ".join(each.name for each in FORMATS)


class Stage(StrEnum):
    """What `explain` can show."""

    LIFT = "lift"
    MATCH = "match"
    LAYOUT = "layout"
    OUTLINE = "outline"


Rules = Annotated[Path, typer.Argument(metavar="RULES", help="The rules file, with a model block.", show_default=False)]

app = typer.Typer(
    name="kerascribe",
    help="Write the Keras source code of a PyTorch model, pour its weights, prove that both compute the same.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
rules_app = typer.Typer(help="Check, prove, list and explain rules.", no_args_is_help=True)
app.add_typer(rules_app, name="rules")


_CHECK = "Write nothing; if the files are out of date, show how they differ, and exit 1."
_SPLIT = "Write a folder with one file for each torch source module."


@app.command()
def generate(
    rules: Rules,
    check: Annotated[bool, typer.Option("--check", help=_CHECK)] = False,  # noqa: FBT002
    split: Annotated[bool, typer.Option("--split", help=_SPLIT)] = False,  # noqa: FBT002
) -> None:
    """Write tf.py and its weight plan beside the rules file."""
    if not check:
        written = write_port(rules, split=split)
        _say(*(f"wrote {path}" for path in written.paths), *(f"removed {path}" for path in written.removed))
        return
    found = out_of_date(rules, split=split or None)
    if found:
        _say(*found)
        raise typer.Exit(DIFFERS)
    _say(f"up to date: what {rules} gives")


@app.command()
def pour(
    rules: Rules,
    to: Annotated[
        list[str] | None, typer.Option(metavar="FORMAT[=PATH]", help=f"What to write, may be repeated: {_FORMATS}.")
    ] = None,
    representative: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Samples as .npy files, for tflite-int8.")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND:PATTERN", help=f"Let faults pass for these tensors, may be repeated: {_FAULTS}."),
    ] = None,
) -> None:
    """Pour the checkpoint that the rules name into tf.py: writes tf.weights.h5 and tf.keras, or what the rules say."""
    with bars() as track:
        poured = pour_checkpoint(rules, to or (), representative, allow or (), track)
    _say(*poured.notes, *(f"wrote {path}" for path in poured.written))


@app.command()
def unpour(
    rules: Rules,
    output: Annotated[Path, typer.Option(metavar="FILE", help="Where to write: .safetensors, .pt or .pth.")],
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keras's weights: .weights.h5, .keras or .safetensors.")
    ] = None,
) -> None:
    """Turn Keras's weights, tf.weights.h5 if no others are named, into a torch state dict."""
    went_back = unpour_weights(rules, weights, output)
    _say(*went_back.notes, f"wrote {went_back.written}")


@app.command()
def verify(
    rules: Rules,
    tolerance: Annotated[float, typer.Option(help="Largest relative error that counts as the same.")] = 1e-5,
    seed: Annotated[int, typer.Option(help="Seed of the random inputs.")] = 0,
    weights: Annotated[bool, typer.Option("--weights", help="Prove poured files by digests instead.")] = False,  # noqa: FBT002
    artefact: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="With --weights: a poured file, may be repeated.")
    ] = None,
) -> None:
    """Run both models on the same random inputs; exit 1 if their outputs differ."""
    if weights or artefact:
        _verify_weights(rules, artefact or ())
        return
    verdict = verify_port(rules, tolerance, seed)
    Console().print(verdict.report.table(tolerance))
    if not verdict.report.ok(tolerance):
        _say(str(verdict.divergence or "no module's output differs by itself: look at what stands between them"))
        raise typer.Exit(DIFFERS)


def _verify_weights(rules: Path, artefacts: Sequence[Path]) -> None:
    with bars() as track:
        proofs = prove_weights(rules, artefacts, track)
    _say(*map(str, proofs))
    if any(proof.faults for proof in proofs):
        raise typer.Exit(DIFFERS)


@app.command()
def explain(
    rules: Rules, stage: Annotated[Stage, typer.Option(help="The stage whose result is shown.")] = Stage.LAYOUT
) -> None:
    """Print what a stage made of the model."""
    from transpiler.explain import show_stage  # noqa: PLC0415  (imports torch)

    _say(show_stage(load_project(rules), stage.value))


@app.command()
def review(
    source: Annotated[Path, typer.Argument(metavar="FILE.py", help="Keras source, generated or not.")],
) -> None:
    """Review Keras source for layers passed to Sequential as arguments; exit 1 if there are any."""
    problems = review_file(source)
    _say(*map(str, problems))
    if problems:
        raise typer.Exit(DIFFERS)


@rules_app.command("check")
def check_rules(rules: Rules) -> None:
    """Check a rules file, with or without a model block, and everything that it uses."""
    _say(f"{rules}: {check_file(rules)} rules, no problem")


@rules_app.command("test")
def prove_rules(
    rules: Annotated[Path | None, typer.Argument(metavar="[RULES]", show_default=False)] = None,
    name: Annotated[str, typer.Option(help="Only rules whose class or operator contains this text.")] = "",
) -> None:
    """Prove every example of the rules: run it in torch and in Keras; without a file, of those that ship with us."""
    work = open_assignment(rules, name)
    differing = 0
    with bars() as track:
        for outcome in track(work.outcomes(), "proving", len(work.claims)):
            if not outcome.ok:
                differing += 1
                _say(str(outcome))
    _say(*(f"{position}: no example" for position in dict.fromkeys(rule.position for rule in work.unproven)))
    _say(f"{len(work.claims)} examples, {differing} of them differ; {len(work.unproven)} rules have no example")
    if differing:
        raise typer.Exit(DIFFERS)


@rules_app.command("list")
def list_rules(rules: Annotated[Path | None, typer.Argument(metavar="[RULES]", show_default=False)] = None) -> None:
    """List the rules in force, highest priority first; without a file, those that ship with kerascribe."""
    _say(describe_rules(rules))


@rules_app.command("explain")
def explain_rules(
    name: Annotated[str, typer.Argument(help="A module class or an operator: torch.nn.Conv2d, aten.cat.")],
    rules: Annotated[Path | None, typer.Argument(metavar="[RULES]", show_default=False)] = None,
) -> None:
    """Show the rules for one class or operator, the one that is tried first at the top."""
    _say(explain_rule(name, rules))


def main() -> None:
    """Run the command line; never shows a traceback unless KERASCRIBE_DEBUG is set."""
    try:
        app()
    except KerascribeError as error:
        _fail(str(error), USER_MUST_ACT)
    except OSError as error:
        _fail(_describe(error), USER_MUST_ACT)
    except Exception as error:
        if os.environ.get("KERASCRIBE_DEBUG"):
            raise
        lines = (
            f"kerascribe failed, which is a mistake of ours: {type(error).__name__}: {error}",
            "  please report it, with what KERASCRIBE_DEBUG=1 shows",
        )
        _fail("\n".join(lines), OUR_MISTAKE)


def _describe(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def _say(*lines: str) -> None:
    for line in lines:
        typer.echo(line)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    sys.exit(code)
