"""Capture: run `torch.export` once and record the module calls around the graph's nodes.

Source: https://docs.pytorch.org/docs/stable/export.html (non-strict export). Hooks run on fake tensors whose graph node
is known, so a module's true inputs and outputs, their order and their names are seen, and so are the modules that leave
no node in eval mode.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import logging
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, cast
from unittest import mock

import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import get_innermost_proxy_mode, get_proxy_slot
from torch.utils import _pytree as pytree

from transpiler.capture.caches import nothing_remembered
from transpiler.capture.constructors import ConstructorLog
from transpiler.capture.frames import as_text, running
from transpiler.capture.in_the_open import in_the_open
from transpiler.capture.limit import TimeLimitError, time_limit
from transpiler.capture.recurrent import layer_by_layer
from transpiler.capture.sizes import NamedSizes
from transpiler.capture.trace import ModuleCall, NodeRef, Trace
from transpiler.capture.training import attention_rates, dropout_of_attention_kept, stand_ins
from transpiler.capture.triton import without_triton
from transpiler.errors import Diagnostic, ModelError
from transpiler.lowered import Constructor

EXPORT_LIMIT = 180.0
"""Seconds for exporting with dynamic sizes beyond the batch: some models make equations of sizes that never end."""


def capture(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any] | None = None,
    dynamic: Mapping[str, tuple[str | None, ...]] | None = None,
    constructors: ConstructorLog | None = None,
) -> Trace:
    """Trace `model` on example inputs.

    Args:
        model: put into eval mode while it is traced, and back afterwards.
        args: example inputs, batch first; a batch of 1 is repeated to 2, because export specialises size 1.
        kwargs: further inputs by name.
        dynamic: for each input by name, a name for each dimension that is dynamic, None for the others; the first one
            by default. Dimensions of one name have the same size.
        constructors: what was recorded while the model was built.

    Raises:
        ModelError: `torch.export` refuses the model, does not end, or the model fixes a size that was to be dynamic.
    """
    kwargs = dict(kwargs or {})
    if all(names[:1] != (None,) for names in (dynamic or {}).values()):  # a batch that is declared as 1 stays 1
        args, kwargs = _repeat_batch(args, kwargs)
    named = NamedSizes(model, args, kwargs, dynamic or {})
    recorder = _Recorder(model, named)
    was_training = {name: module.training for name, module in model.named_modules()}
    model.eval()
    try:
        with (
            time_limit(EXPORT_LIMIT) if named.beyond_batch else contextlib.nullcontext(),
            recorder.hooked(),
            without_triton(),
            nothing_remembered(model),
            _quiet(),
            torch.no_grad(),
            _flat(),
            layer_by_layer(),
            in_the_open(),
            dropout_of_attention_kept(),
        ):
            exported = torch.export.export(model, args, kwargs, strict=False, dynamic_shapes=named.dynamic_shapes())
    except Exception as error:  # whatever the model's own code raises
        raise ModelError(_export_failure(model, recorder, error)) from error
    except TimeLimitError as error:
        raise ModelError(_endless_export(model, recorder)) from error
    finally:
        for name, module in model.named_modules():
            module.training = was_training[name]
    named.check(model)
    for told in named.fixed_batches(model):
        warnings.warn(told, stacklevel=2)
    calls = recorder.finished()
    return Trace(
        model=model,
        exported=exported,
        calls=calls,
        nodes=recorder.node_names(),
        constructors=_constructors(model, constructors),
        input_names=named.input_names,
        attention_rates=attention_rates(model, args, kwargs, exported.graph),
        stand_ins=stand_ins(calls, exported.graph),
    )


def _repeat_batch(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    leaves, spec = pytree.tree_flatten((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.dim()]
    if not tensors or any(tensor.shape[0] != 1 for tensor in tensors):
        return args, kwargs
    repeated = [
        leaf.repeat(2, *[1] * (leaf.dim() - 1)) if isinstance(leaf, torch.Tensor) and leaf.dim() else leaf
        for leaf in leaves
    ]
    new_args, new_kwargs = pytree.tree_unflatten(repeated, spec)
    return tuple(new_args), dict(new_kwargs)


def _constructors(model: nn.Module, log: ConstructorLog | None) -> dict[str, Constructor]:
    if log is None:
        return {}
    found = ((path, log.of(module)) for path, module in model.named_modules())
    return {path: constructor for path, constructor in found if constructor is not None}


_ADVICE = re.compile(r"TORCH_LOGS|TORCHDYNAMO|docs\.google\.com|data-dependent friendly|^For C\+\+")
"""What torch tells those who mend torch."""
_LONGEST = 200
_MANY = 4
"""Modules that are named together in advice."""
_OPAQUE = (torch.Tensor, nn.Module, type, NodeRef)


class _Recorder:
    """Forward hooks on every module; keeps the stack of calls under way."""

    def __init__(self, model: nn.Module, named: NamedSizes) -> None:
        self.model = model
        self._named = named
        self.modules = dict(model.named_modules())
        self._stack: list[int] = []
        self._calls: list[dict[str, Any]] = []
        self._nodes: list[torch.fx.Node] = []
        self._graph: torch.fx.Graph | None = None

    @contextlib.contextmanager
    def hooked(self) -> Iterator[None]:
        handles = []
        for path, module in self.model.named_modules():
            enter, leave = self._hooks(path)
            handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
            handles.append(module.register_forward_hook(leave, with_kwargs=True))
        handles.append(self.model.register_forward_hook(_plain_output))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hooks(self, path: str) -> tuple[Callable[..., None], Callable[..., None]]:
        """Plain functions: a model that export copies takes them along, where bound methods would copy the recorder."""

        def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._enter(path, module, args, kwargs)

        def leave(_module: nn.Module, _args: tuple[Any, ...], _kwargs: dict[str, Any], output: Any) -> None:
            self._leave(path, output)

        return enter, leave

    def innermost_path(self) -> str:
        """The module whose forward was under way when tracing stopped."""
        return str(self._calls[self._stack[-1]]["path"]) if self._stack else ""

    def returned(self) -> list[str]:
        """Modules with weights that had returned when tracing stopped, to those whose forward was under way."""
        under_way = set(self._stack)
        done = [call for call in self._calls if call["parent"] in under_way and call["index"] not in under_way]
        return list(dict.fromkeys(call["path"] for call in done if [*call["module"].parameters()]))

    def _enter(self, path: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        mode = get_innermost_proxy_mode()
        if mode is None:
            return
        if self._graph is not mode.tracer.graph:  # export may run the model more than once: the last run counts
            self._graph = mode.tracer.graph
            # A node's line is where the module's own code stands, helper functions and `_forward_impl` included.
            mode.tracer._filter_traceback_frames = as_text  # type: ignore[method-assign, assignment]
            self._stack, self._calls, self._nodes = [], [], []
            self._named.unify(_bind(module, args, kwargs))
        self._see_nodes()
        self._named.watch(self.innermost_path())
        index = len(self._calls)
        self._calls.append(
            {
                "index": index,
                "parent": self._stack[-1] if self._stack else None,
                "path": path,
                "module": self.modules[path],
                "arguments": _bind(module, self._references(args), self._references(kwargs)),
                "output": None,
                "source": running(),
                "begin": len(self._nodes),
                "end": len(self._nodes),
            }
        )
        self._stack.append(index)

    def _leave(self, path: str, output: Any) -> None:
        if get_innermost_proxy_mode() is None:
            return
        self._see_nodes()
        self._named.watch(self.innermost_path())
        references = self._references(output)
        while self._calls[self._stack[-1]]["path"] != path:  # a forward that `until` cut short
            cut = self._calls[self._stack.pop()]
            inside = set(self._nodes[cut["begin"] :])
            leaves = [leaf for leaf in _live_nodes(references) if leaf.node in inside]
            cut["output"], cut["end"] = tuple(leaves), len(self._nodes)
        call = self._calls[self._stack.pop()]
        call["output"], call["end"] = references, len(self._nodes)

    def _see_nodes(self) -> None:
        """Append the nodes that appeared since the last call began or ended."""
        if self._graph is None:
            return
        new: list[torch.fx.Node] = []
        for node in reversed(self._graph.nodes):
            if self._nodes and node is self._nodes[-1]:
                break
            new.append(node)
        self._nodes += reversed(new)

    def _references(self, tree: Any) -> Any:
        tracer = get_innermost_proxy_mode().tracer  # type: ignore[union-attr]

        def reference(leaf: Any) -> Any:
            if not isinstance(leaf, torch.Tensor):
                return leaf
            proxy = get_proxy_slot(leaf, tracer, None)
            return leaf if proxy is None else _LiveNode(cast("Any", getattr(proxy, "proxy", proxy)).node)

        return _map_tree(reference, tree)

    def finished(self) -> tuple[ModuleCall, ...]:
        """The calls, with the names that the graph's nodes have now: export renames its placeholders at the end."""

        def name(leaf: Any) -> Any:
            return NodeRef(leaf.node.name) if isinstance(leaf, _LiveNode) else leaf

        named = ("arguments", "output")
        return tuple(ModuleCall(**call | {key: _map_tree(name, call[key]) for key in named}) for call in self._calls)

    def node_names(self) -> tuple[str, ...]:
        return tuple(node.name for node in self._nodes)


@dataclass(frozen=True, slots=True)
class _LiveNode:
    """A node of a graph whose names are not final yet."""

    node: torch.fx.Node


def _live_nodes(tree: Any) -> list[_LiveNode]:
    found: list[_LiveNode] = []
    _map_tree(lambda leaf: found.append(leaf) if isinstance(leaf, _LiveNode) else None, tree)
    return list(dict.fromkeys(found))


def _map_tree(function: Any, tree: Any) -> Any:
    """Like `tree_map`, but data classes and other mappings (model outputs) become plain dicts, and so does what an
    object of another class holds of tensors (a batch of images with their sizes).
    """
    if isinstance(tree, list):
        return [_map_tree(function, item) for item in tree]
    if isinstance(tree, tuple):
        return tuple(_map_tree(function, item) for item in tree)
    if isinstance(tree, Mapping):
        return {key: _map_tree(function, item) for key, item in tree.items()}
    if is_dataclass(tree) and not isinstance(tree, type | _LiveNode | NodeRef):
        return {field.name: _map_tree(function, getattr(tree, field.name)) for field in fields(tree)}
    held = {} if isinstance(tree, _OPAQUE) else {name: each for name, each in _attributes(tree) if _has_tensors(each)}
    return {name: _map_tree(function, each) for name, each in held.items()} if held else function(tree)


def _attributes(value: object) -> Iterable[tuple[str, object]]:
    return getattr(value, "__dict__", {}).items()


def _has_tensors(value: object) -> bool:
    return any(isinstance(leaf, torch.Tensor) for leaf in pytree.tree_leaves(value))


def _plain_output(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> Any:
    """The model's output with dicts for data classes that export does not know."""
    leaves = pytree.tree_leaves(output)
    return _map_tree(lambda leaf: leaf, output) if any(map(is_dataclass, leaves)) else output


def _bind(module: nn.Module, args: Any, kwargs: Any) -> dict[str, Any]:
    try:
        bound = inspect.signature(module.forward).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return {f"x{index}": value for index, value in enumerate(args)} | dict(kwargs)
    return dict(bound.arguments)


@contextlib.contextmanager
def _flat() -> Iterator[None]:
    """Keep what ran under `autocast` or `no_grad` in the graph itself: export would move it to subgraphs."""
    with contextlib.ExitStack() as stack:
        for name in ("replace_autocast_with_hop_pass", "replace_set_grad_with_hop_pass"):
            module = importlib.import_module(f"torch._export.passes.{name}")
            stack.enter_context(mock.patch.object(module, name, lambda graph, signature: (graph, signature)))
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Export warns about hooks and shapes that we handle; the user has nothing to do about either."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        module = importlib.import_module("torch.export._trace")
        printing = mock.patch.object(module, "print", create=True)
        with warnings.catch_warnings(), printing:  # export prints the whole graph where it fails
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _export_failure(model: nn.Module, recorder: _Recorder, error: Exception) -> Diagnostic:
    path = recorder.innermost_path()
    lines = [line for line in str(error).strip().splitlines() if line.strip() and not _ADVICE.search(line)]
    told = [line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…" for line in lines]
    return Diagnostic(
        f"torch.export cannot trace {type(model).__name__}: {type(error).__name__}: {told[0] if told else ''}",
        where=path or type(model).__name__,
        excerpt="\n".join(told[1:8]),
        hint="kerascribe needs one graph for every input: replace control flow that depends on tensor values, or port "
        f"what comes before it: {_cut(recorder.returned())}",
    )


def _cut(returned: Sequence[str]) -> str:
    """What to write to port all that ran before tracing stopped."""
    if not returned:
        return 'part "…" takes one module, until "…" all that runs until these modules have returned'
    last = returned if len(returned) <= _MANY else returned[-1:]
    named = ", ".join(f'"{path}"' for path in last)
    return f'until {named} takes all that ran before, part "…" one module'


def _endless_export(model: nn.Module, recorder: _Recorder) -> Diagnostic:
    return Diagnostic(
        f"torch.export did not end within {EXPORT_LIMIT:g} s with the sizes that were to be dynamic",
        where=recorder.innermost_path() or type(model).__name__,
        hint="declare numbers for height and width; only the batch is then dynamic",
    )
