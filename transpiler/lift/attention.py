"""Queries that see no key: `scaled_dot_product_attention` gives them zeros, where a softmax would give anything.

A text that is padded on the left and read from left to right has such queries. Keras's attention gives them the mean of
all values, and NaN if what hides the keys is a bias of -inf.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from transpiler.lift.emission import Emission
from transpiler.lift.program import Value
from transpiler.lift.scatter import Known
from transpiler.lift.simplify import repeated

aten = torch.ops.aten
_LOWEST = float("-inf")
_DEEPEST = 200
"""How many operators before the mask are looked through for what puts -inf into it."""


def attention_of_some(
    node: torch.fx.Node, arguments: Mapping[str, Any], result: Value, known: Known, emit: Emission
) -> Value | None:
    """Attention with zeros where a query sees nothing; None where each sees some key, and for other operators."""
    mask = arguments.get("attn_mask")
    if node.target is not aten.scaled_dot_product_attention.default or not isinstance(mask, Value):
        return None
    boolean = mask.dtype == "bool"
    if not boolean and not _may_hide(node.args[3] if len(node.args) > 3 else node.kwargs["attn_mask"]):
        return None
    tensor = known(mask)
    if tensor is not None and bool((tensor if boolean else tensor > _LOWEST).any(-1).all()):
        return None
    seen = mask
    if not boolean:
        seen = emit(aten.gt.Scalar, {"self": mask, "other": _LOWEST}, mask.shape, "bool")
        lowest = torch.finfo(getattr(torch, mask.dtype)).min / 2
        mask = emit(aten.clamp.default, {"self": mask, "min": lowest}, mask.shape, mask.dtype)
    some = emit(aten.any.dim, {"self": seen, "dim": -1, "keepdim": True}, (*seen.shape[:-1], 1), "bool")
    given = {**arguments, "attn_mask": mask}
    attended = repeated(node.target, given, result, emit)
    if attended is None:
        attended = emit(node.target, given, result.shape)
    return emit(aten.where.ScalarOther, {"condition": some, "self": attended, "other": 0.0}, result.shape)


def _may_hide(mask: Any) -> bool:
    """Whether what a mask is computed from has -inf in it."""
    return any(_LOWEST in node.args or _LOWEST in node.kwargs.values() for node in _before(mask))


def _before(node: torch.fx.Node) -> Iterator[torch.fx.Node]:
    nodes = [node]
    for each in nodes:
        yield each
        nodes += [source for source in each.all_input_nodes if source not in nodes][: _DEEPEST - len(nodes)]
