"""What layout hands to outline: one `Body` per module instance, in Keras terms, every number a literal.

>>> # TFBottleneck: x + self.cv2(self.cv1(x))
>>> # Body(arguments=(Argument("x", …),), attributes=(cv1, cv2), statements=(
>>> #     Statement((1,), Call(Member("cv1"), (Ref(0),)), …),
>>> #     Statement((2,), Call(Member("cv2"), (Ref(1),)), …),
>>> #     Statement((3,), Binary("+", Ref(0), Ref(2)), …)), result=Ref(3))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from transpiler.code import Call, Code

Basic: TypeAlias = "None | bool | int | float | str | tuple[Basic, ...] | list[Basic]"

SEQUENCE = "sequence"
"""The attribute that holds the chain of a class that is one chain, as those that inherit from `nn.Sequential`."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """A constructor argument that is not a basic value (a class, a function, a config object)."""

    text: str
    """What it is called: the name of a class or function, of an object its class's."""
    is_named: bool = False
    """Whether it is a class or function, of which the name says all."""
    attributes: tuple[tuple[str, Basic], ...] = ()
    """Of a config object: its basic values, by name."""
    children: tuple[str, ...] = field(default=(), compare=False)
    """Of modules that the module they were handed to keeps, one or a list of them: the paths that they have there."""


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of torch source: `file` as shown to people (relative, never absolute)."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class TorchClass:
    """The class that a body was lifted from."""

    name: str  # "GSConv"
    qualified_name: str  # "models.common.GSConv"
    source: SourceLine | None
    init_source: str
    """Text of `__init__` (dedented), "" where it cannot be read; never executed."""
    base_inits: tuple[str, ...] = ()
    """The same of the constructors that `super().__init__` leads to, nearest first."""
    init_methods: tuple[str, ...] = ()
    """Texts of the methods that these constructors call without arguments, `self.define_table()`."""
    forward_source: str = ""
    """Text of `forward`."""
    module: str = ""
    """The Python module that defines it, "models.common"."""

    def is_named(self, name: str) -> bool:
        """Whether `name` is the class's name, with as much of its path in front as is given."""
        return f".{self.qualified_name}".endswith(f".{name}")


@dataclass(frozen=True, slots=True)
class Constructor:
    """How an instance was built: arguments bound to the signature of `cls.__init__`, defaults applied.

    `*args` and `**kwargs` appear under their own names. Empty for instances built outside the factory.
    """

    arguments: Mapping[str, Basic | Opaque]
    defaults: Mapping[str, Basic | Opaque]
    """The signature's default values, by parameter name."""
    positional: int
    """How many were passed by position."""


@dataclass(frozen=True, slots=True)
class LayerAttribute:
    """`self.<name> = keras.layers.X(...)`, or `keras.Sequential([...])` for a chain: literals only."""

    constructor: Call


@dataclass(frozen=True, slots=True)
class BlockAttribute:
    """`self.<name> = TFSomething(...)`."""

    body: Body


@dataclass(frozen=True, slots=True)
class SequentialAttribute:
    """`self.<name> = keras.Sequential([...])`: children in order, each a single-input, single-output layer."""

    children: tuple[AttributeValue, ...]


@dataclass(frozen=True, slots=True)
class WeightAttribute:
    """`self.<name> = self.add_weight(...)`: a parameter, buffer or constant that the body itself uses."""

    shape: tuple[int, ...]
    dtype: str
    trainable: bool


AttributeValue: TypeAlias = LayerAttribute | BlockAttribute | SequentialAttribute


@dataclass(frozen=True, slots=True)
class Member:
    """One attribute of a body: `self.<name>`, or an element of the list `self.<name>` (indices are dense from 0)."""

    name: str
    index: int | None
    torch_path: str
    """Path of the torch module or tensor below the body's own module: "cv1", "m.0"."""
    value: AttributeValue | WeightAttribute
    called: bool = True
    """False for members that only `keep_unused` keeps."""


@dataclass(frozen=True, slots=True)
class Argument:
    """A parameter of `call`. A list argument (`forward(self, features: list)`) has several values."""

    name: str
    values: tuple[int, ...]
    is_list: bool
    pattern: str
    """Keras-side axes for the docstring, "n h w c"."""
    shape: tuple[int | None, ...] = field(default=(), compare=False)
    """Of the Keras tensor, of a list's first one; None is dynamic. A module may be called with several."""
    shapes: tuple[tuple[int | None, ...], ...] = field(default=(), compare=False)
    """Of all elements of a list."""


@dataclass(frozen=True, slots=True)
class Statement:
    """`results = code`; several results unpack a tuple or list."""

    results: tuple[int, ...]
    code: Code
    names: tuple[str | None, ...]
    """Name hints, one a result: the variable that the torch line assigns, `outs[]` for an element of the list `outs`;
    None where the line names none."""
    source: SourceLine | None
    """The line of this body's own `forward` that computed it: statements of one line nest in the original."""
    comment: str = ""
    reason: str = field(default="", compare=False)
    """What asked for it, an operator or a module, for `kerascribe explain`; the source does not depend on it."""


@dataclass(frozen=True, slots=True)
class Body:
    """One call of one module instance."""

    cls: TorchClass
    path: str
    """Absolute module path, "" for the model."""
    constructor: Constructor | None
    arguments: tuple[Argument, ...]
    members: tuple[Member, ...]
    """In the order in which torch registered them."""
    statements: tuple[Statement, ...]
    result: Code
    result_pattern: str
    """Keras-side axes of the first result, for the docstring."""
    unused: tuple[str, ...]
    """Submodules that `forward` never calls and that are left out."""
    frozen: bool = False
    """All parameters below have requires_grad=False."""


@dataclass(frozen=True, slots=True)
class ModelInput:
    name: str
    dtype: str
    shape: tuple[int | None, ...]
    """torch's order; None is dynamic."""
    keras_shape: tuple[int | None, ...]
    pattern: str
    """"n c h w -> n h w c"."""


@dataclass(frozen=True, slots=True)
class ModelOutput:
    name: str
    dtype: str
    shape: tuple[int | None, ...]
    pattern: str


@dataclass(frozen=True, slots=True)
class Signature:
    inputs: tuple[ModelInput, ...]
    outputs: tuple[ModelOutput, ...]


LINE_LENGTH = 120
"""That of torch, torchvision and timm, beside which the source is read."""


@dataclass(frozen=True, slots=True)
class Style:
    """`style { … }` of the rules file."""

    prefix: str = ""
    renames: tuple[tuple[str, str], ...] = ()
    """Torch class name (or its end, `common.Conv`) to generated class name."""
    package: str = ""
    """For `register_keras_serializable`; "" takes the model's name in snake case."""
    keep_unused: bool = False
    split: bool = False
    """A folder with one file for each torch source module, instead of one file."""
    framework: str = "keras"
    """How Keras is imported: "keras" or "tf.keras"."""
    line_length: int = LINE_LENGTH
    """Characters that a line may have."""

    def name_of(self, cls: TorchClass) -> str:
        """The name of the generated class.

        >>> Style("TF", (("Conv", "BaseConv"),)).name_of(TorchClass("Conv", "models.common.Conv", None, ""))
        'BaseConv'
        """
        fitting = [(key, name) for key, name in self.renames if cls.is_named(key)]
        return max(fitting, key=lambda entry: len(entry[0]))[1] if fitting else f"{self.prefix}{cls.name}"


@dataclass(frozen=True, slots=True)
class LoweredProgram:
    name: str
    """Model name, "SlimNeck"."""
    root: Body
    signature: Signature
    style: Style
    rules_name: str
    """Rules file as shown in the header, "" for none."""
    digest: str
    """First 8 hex digits of the sha256 of all rules read."""
    model_name: str
    """`model.py:SlimNeck` or the class's qualified name."""
