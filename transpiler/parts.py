"""A part of a model: one of its modules, or what runs until named modules have returned.

Detectors end in steps whose shapes depend on the data (non-maximum suppression), which no graph takes. What comes
before can be ported: `part "backbone"`, or `until "backbone", "head"` in the rules.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Sequence
from types import MethodType
from typing import Any

from torch import nn
from torch.fx.experimental.proxy_tensor import get_innermost_proxy_mode

from transpiler.errors import Diagnostic, ModelError


def module_at(model: nn.Module, path: str) -> nn.Module:
    """The module of a dotted path such as `backbone.body`.

    Raises:
        ModelError: the model has none; the nearest path is told.
    """
    modules: dict[str, nn.Module] = dict(model.named_modules())
    found = modules.get(path)
    if found is not None:
        return found
    near = difflib.get_close_matches(path, modules, n=3)
    children = ", ".join(dict(model.named_children()))
    hint = f"did you mean {', '.join(map(repr, near))}?" if near else f"it has: {children}"
    raise ModelError(Diagnostic(f"has no module {path!r}", where=type(model).__name__, hint=hint))


def stop_after(model: nn.Module, paths: Sequence[str]) -> None:
    """Let `model` return, instead of its own result, what the modules of these paths return, as a dict by path.

    Its forward ends once all of them have returned for the first time.

    Raises:
        ModelError: the model has no such module; or, when it runs, one of them is not called.
    """
    for path in paths:
        module_at(model, path)

    @functools.wraps(type(model).forward)
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def keep(path: str, _module: nn.Module, _args: object, output: object) -> None:
            found.setdefault(path, output)
            if len(found) == len(paths):
                raise _Reached

        handles = [self.get_submodule(path).register_forward_hook(functools.partial(keep, path)) for path in paths]
        depth = len(_module_stack())
        try:
            type(self).forward(self, *args, **kwargs)
        except _Reached:
            while len(_module_stack()) > depth:  # the tracer leaves modules only when they return
                _module_stack().popitem()
            return {path: found[path] for path in paths}
        finally:
            for handle in handles:
                handle.remove()
        missing = [path for path in paths if path not in found]
        raise ModelError(Diagnostic(f"never calls {', '.join(missing)}", where=type(model).__name__))

    model.forward = MethodType(forward, model)  # a method, so that a copy of the model calls the copy's own modules


def _module_stack() -> dict[str, Any]:
    mode = get_innermost_proxy_mode()
    stack: dict[str, Any] = {} if mode is None else mode.tracer.module_stack
    return stack


class _Reached(Exception):  # noqa: N818  (no error)
    """All modules have returned."""
