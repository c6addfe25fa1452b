"""Keeps what a model remembers from one call to the next free of what it saw while it was traced.

Tables of positions or relative places are often computed once for each size, by a function under `functools.lru_cache`
or into a dictionary of the module's file. While `torch.export` runs the model, tensors are fake: one that stays in such
a place makes the model fail when it is called the next time.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from torch import nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils import _pytree as pytree

_Cache = functools._lru_cache_wrapper


@contextlib.contextmanager
def nothing_remembered(model: nn.Module) -> Iterator[None]:
    """Empty, behind the block, the caches that were filled in it: those of the files that the model's classes stand in.

    >>> with nothing_remembered(model):  # doctest: +SKIP
    ...     exported = torch.export.export(model, args)
    """
    files = [vars(file) for file in _files(model)]
    caches = {id(cache): cache for names in files for cache in _caches(names)}
    misses = {key: cache.cache_info().misses for key, cache in caches.items()}
    tables = [(table, set(table)) for names in files for table in names.values() if type(table) is dict]
    try:
        yield
    finally:
        for key, cache in caches.items():
            if cache.cache_info().misses > misses[key]:
                cache.cache_clear()
        for table, before in tables:
            for name in [name for name in table if name not in before and _is_fake(table[name])]:
                del table[name]


def _files(model: nn.Module) -> list[Any]:
    classes = {cls for module in model.modules() for cls in type(module).__mro__}
    names = {cls.__module__ for cls in classes if not cls.__module__.startswith("torch.")}
    return [sys.modules[name] for name in sorted(names) if name in sys.modules]


def _caches(names: dict[str, Any]) -> Iterator[_Cache[Any]]:
    """The caches of functions and methods, also where another decorator hides them."""
    for value in list(names.values()):
        for entry in list(vars(value).values()) if isinstance(value, type) else [value]:
            function = getattr(entry, "__func__", getattr(entry, "fget", entry))
            if isinstance(function, _Cache):
                yield function
            elif isinstance(function, FunctionType):
                yield from (cell for cell in _enclosed(function) if isinstance(cell, _Cache))


def _enclosed(function: FunctionType) -> Iterator[object]:
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # a cell that is still empty
            yield cell.cell_contents


def _is_fake(value: object) -> bool:
    return any(isinstance(leaf, FakeTensor) for leaf in pytree.tree_leaves(value))
