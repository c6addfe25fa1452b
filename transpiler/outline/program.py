"""What outline hands to render: classes with parameters, members and statements, every name final.

>>> # class TFGSConv(c1, c2, k=1, s=1): c_ = c2 // 2; self.cv1 = TFConv(c1, c_, k, s); …
>>> # ClassDefinition("TFGSConv", parameters=(Parameter("c1"), …), setup=(Assign(("c_",), …), …), …)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from transpiler.code import Code, Function
from transpiler.lowered import LINE_LENGTH, Basic, Signature


@dataclass(frozen=True, slots=True)
class Numbered(Function):
    """`f"denselayer{index + 1}"`: the name of an attribute in a loop over `index`; `name` is the variable."""

    prefix: str = ""
    start: int = 0


@dataclass(frozen=True, slots=True)
class Required:
    """Stands where a parameter has no default."""


REQUIRED = Required()


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    default: Basic | Required = REQUIRED


@dataclass(frozen=True, slots=True)
class Assign:
    """`targets = value  # comment`; without targets, an expression on its own."""

    targets: tuple[str, ...]
    value: Code
    comment: str = ""


@dataclass(frozen=True, slots=True)
class If:
    test: Code
    then: tuple[Line, ...]
    otherwise: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class For:
    variables: tuple[str, ...]
    iterable: Code
    body: tuple[Line, ...]
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Return:
    value: Code
    comment: str = ""


Line: TypeAlias = Assign | If | For | Return


@dataclass(frozen=True, slots=True)
class ClassDefinition:
    """One generated layer class."""

    name: str
    docstring: tuple[str, ...]
    """Lines; the first one names the torch class."""
    parameters: tuple[Parameter, ...]
    setup: tuple[Line, ...]
    """`__init__` after `super().__init__(**kwargs)`."""
    arguments: tuple[str, ...]
    """Parameters of `call` after self."""
    body: tuple[Line, ...]
    is_root: bool = False
    kept: tuple[str, ...] = ()
    """Members that `call` never calls: `build` builds them."""
    module: str = ""
    """The Python module of the torch class."""
    optional: tuple[str, ...] = ()
    """Those of the arguments that may be left out: None."""
    build: tuple[Line, ...] = ()
    """What `build(input_shape)` makes."""
    config: tuple[tuple[str, str], ...] = ()
    """Where a parameter takes a layer: every parameter, and the attribute that holds it."""


@dataclass(frozen=True, slots=True)
class ClassProgram:
    """A whole module: classes, children before parents, the last one is the root."""

    name: str
    package: str
    rules_name: str
    digest: str
    model_name: str
    classes: tuple[ClassDefinition, ...]
    root: Code
    """The call that makes the root layer, `TFSlimNeck(nc=80, name="model")`."""
    inputs: tuple[InputArgument, ...]
    signature: Signature
    framework: str = "keras"
    """How Keras is imported: "keras" or "tf.keras"."""
    line_length: int = LINE_LENGTH
    """Characters that a line of the source may have."""


@dataclass(frozen=True, slots=True)
class InputArgument:
    """An argument of the root's `call`, and the model inputs that it takes."""

    inputs: tuple[int, ...]
    is_list: bool
