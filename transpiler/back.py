"""What `kerascribe unpour` does: Keras weights, trained on, become a torch checkpoint again.

>>> unpour_weights(Path("slimneck.rules"), None, Path("back.safetensors")).notes  # doctest: +SKIP
()

Torch is imported for `.pt` files alone, and Keras unless the weights are a `.safetensors` file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from transpiler.atomic import writing
from transpiler.commands import load_keras
from transpiler.errors import CheckpointError, Diagnostic
from transpiler.session import Project, open_project
from transpiler.weights.arrange import Array
from transpiler.weights.back import Returned, state_of
from transpiler.weights.checkpoint import open_checkpoint
from transpiler.weights.plan import WeightPlan
from transpiler.weights.plan_file import read_plan
from transpiler.weights.same_run import require_pair
from transpiler.weights.tensors import read_tensors, write_tensors

if TYPE_CHECKING:
    from transpiler.weights.checkpoint import Checkpoint

_KERAS = (".weights.h5", ".keras", ".safetensors")
_TORCH = (".safetensors", ".pt", ".pth")


@dataclass(frozen=True, slots=True)
class WentBack:
    """What `unpour_weights` did."""

    written: Path
    notes: tuple[str, ...]


def unpour_weights(rules: Path, weights: Path | None, output: Path) -> WentBack:
    """Write the torch state dict that Keras's weights make, for `load_state_dict(strict=True)`.

    What the plan does not cover comes from the checkpoint that the rules name: of `part "…"` the whole model's.

    Args:
        rules: the rules file.
        weights: `.weights.h5`, `.keras` or `.safetensors`; those that `pour` wrote by default.
        output: `.safetensors`, or `.pt` or `.pth`.

    Raises:
        CheckpointError: a file is missing, cannot be read or does not fit; nothing is written.
    """
    project = open_project(rules)
    weights = weights or project.paths.weights
    _require_ending(output, _TORCH)
    _require_ending(weights, _KERAS)
    if not weights.is_file():
        raise CheckpointError(Diagnostic("there are no weights", where=weights.name, hint=f"kerascribe pour {rules}"))
    plan = read_plan(project.paths.plan)
    require_pair(plan, project.paths.plan, project.paths.source)
    whole = _original(project, plan)
    values = _values(project, plan, weights)
    returned = _in_the_whole(project, plan, values, whole)
    with writing(output) as temporary:
        write = write_tensors if output.suffix == ".safetensors" else _write_pickle
        write(temporary, returned.tensors)
    return WentBack(output, (*(whole.notes if whole is not None else ()), *returned.notes))


def _require_ending(path: Path, endings: tuple[str, ...]) -> None:
    if not path.name.endswith(endings):
        raise CheckpointError(Diagnostic(f"must end in {' or '.join(endings)}", where=path.name))


def _original(project: Project, plan: WeightPlan) -> Checkpoint | None:
    path, part = project.paths.checkpoint, project.declaration.part
    if path is not None and path.is_file():
        prefix = f"{part}." if part else ""
        return open_checkpoint(path, [prefix + entry.source for entry in plan.entries])
    if part:
        hint = f"{path.name} is not there" if path else 'add to the model block: weights "model.safetensors"'
        message = f"a part, {part!r}, goes back into the checkpoint of the whole model only"
        raise CheckpointError(Diagnostic(message, where=project.paths.rules.name, hint=hint))
    return None


def _values(project: Project, plan: WeightPlan, weights: Path) -> Mapping[str, Array]:
    if weights.suffix == ".safetensors":
        return read_tensors(weights, plan)
    load_keras()

    from transpiler.build import build_from_file  # noqa: PLC0415  (imports Keras)
    from transpiler.weights.pour import load_weights, variables_by_path  # noqa: PLC0415  (as above)

    model = build_from_file(project.paths.source)
    load_weights(model, weights)
    return variables_by_path(model, plan)


def _in_the_whole(
    project: Project, plan: WeightPlan, values: Mapping[str, Array], whole: Checkpoint | None
) -> Returned:
    if whole is None:
        return state_of(plan, values, {})
    part = project.declaration.part
    inner = whole.below(part) if part else whole
    returned = state_of(plan, values, _AsStored(inner), whole.where)
    if inner is whole:
        return returned
    placed = {f"{part}.{key}": value for key, value in returned.tensors.items()}
    return Returned({**_AsStored(whole), **placed}, returned.notes)


class _AsStored(Mapping[str, Array]):
    """A checkpoint's tensors in the types of its file."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._keys = frozenset(checkpoint)

    def __getitem__(self, key: str) -> Array:
        return self._checkpoint.as_stored(key)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._checkpoint)

    def __len__(self) -> int:
        return len(self._checkpoint)


def _write_pickle(path: Path, tensors: Mapping[str, Array]) -> None:
    import torch  # noqa: PLC0415  (slow, and needed for pickles only)

    from transpiler.weights.torch_tensors import as_torch  # noqa: PLC0415  (imports torch)

    torch.save(as_torch(tensors), path)
