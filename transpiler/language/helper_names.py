"""The helpers that rules may use: `=> helper pad_axes(…)`, or a helper layer such as `GroupedConv2D(…)` in a chain."""

from __future__ import annotations

import difflib
from functools import cache

from transpiler.resources import template_root

_SUFFIX = ".py.jinja"


def is_helper(name: str) -> bool:
    """Whether `templates/helpers/` has a helper of that name; `GroupedConv2D` is in `grouped_conv2d.py.jinja`."""
    return _key(name) in _files()


def is_helper_layer(name: str) -> bool:
    """Whether this is a helper that is a class, and so may stand wherever a Keras layer may."""
    return name[:1].isupper() and "." not in name and is_helper(name)


def nearest_helper(name: str) -> str:
    """A hint for a name that is no helper."""
    near = difflib.get_close_matches(_key(name), _files(), n=1)
    return f"did you mean '{_files()[near[0]]}'?" if near else f"there are: {', '.join(sorted(_files().values()))}"


def _key(name: str) -> str:
    return name.replace("_", "").lower()


@cache
def _files() -> dict[str, str]:
    names = (entry.name for entry in template_root().joinpath("helpers").iterdir())
    stems = [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)]
    return {_key(stem): stem for stem in stems}
