"""The syntax tree of the rules language: frozen dataclasses with positions, nothing else.

Semantics that the tree carries (RULES.md has the tour, docs/rules.md the reference):

- In a *module* rule a bare name is an attribute of the module instance, except that the parameter names of the class's
  `forward` name its operands, which only `rank`, `shape`, `dtype`, `axis` and `axes` may look at.
- In an *operator* rule names are the rule's own parameters. They bind to the schema's arguments by position (after `*`,
  by name); the names are free. Schema arguments that a rule leaves out must have their default value, or the rule does
  not match.
- Within one file the first rule that matches wins; a file's own rules win over those it `use`s, and a later `use` over
  an earlier one. `RuleBook.module_rules` and `.operator_rules` are already in that order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where something stands: 1-based line and column."""

    file: str
    line: int
    column: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


# ── expressions ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Literal:
    value: None | bool | int | float | str
    position: Position


@dataclass(frozen=True, slots=True)
class Name:
    """`stride`, or a dotted function such as `keras.ops.concatenate` (parsed as `Attribute`s on a `Name`)."""

    id: str
    position: Position


@dataclass(frozen=True, slots=True)
class Attribute:
    base: Expr
    name: str
    position: Position


@dataclass(frozen=True, slots=True)
class Slice:
    start: Expr | None
    stop: Expr | None
    step: Expr | None
    position: Position


@dataclass(frozen=True, slots=True)
class Ellipsis_:
    """`...` inside an index."""

    position: Position


@dataclass(frozen=True, slots=True)
class Index:
    base: Expr
    items: tuple[Expr | Slice | Ellipsis_, ...]
    position: Position


@dataclass(frozen=True, slots=True)
class Call:
    """`keras.*` calls are emitted; the fixed functions (`axis`, `same_padding`, …) are evaluated at generation."""

    function: Expr
    arguments: tuple[Expr, ...]
    keywords: tuple[tuple[str, Expr], ...]
    position: Position


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str  # "-" "+" "not"
    operand: Expr
    position: Position


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str  # + - * / // % **
    left: Expr
    right: Expr
    position: Position


@dataclass(frozen=True, slots=True)
class Compare:
    """A chain as in Python: `left op[0] rights[0] op[1] rights[1] …`."""

    left: Expr
    operators: tuple[str, ...]  # == != < <= > >= in "not in" is "is not"
    rights: tuple[Expr, ...]
    position: Position


@dataclass(frozen=True, slots=True)
class BoolOp:
    operator: str  # "and" "or"
    operands: tuple[Expr, ...]
    position: Position


@dataclass(frozen=True, slots=True)
class Conditional:
    test: Expr
    then: Expr
    otherwise: Expr
    position: Position


@dataclass(frozen=True, slots=True)
class Sequence:
    """A tuple or list display."""

    kind: str  # "tuple" "list"
    items: tuple[Expr, ...]
    position: Position


Expr: TypeAlias = Literal | Name | Attribute | Index | Call | Unary | Binary | Compare | BoolOp | Conditional | Sequence


# ── patterns ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Pattern:
    """An einops pattern `left -> right`; one tuple per axis: `"n (h d) 1"` is `(("n",), ("h", "d"), ())`.

    Two axes are special: `("...",)`, any number of dimensions, each an axis, in torch's order; and, on the physical
    side of `reads` and `writes` only, `("*",)`, all the atoms that no letter names, in whatever order and grouping.
    """

    left: tuple[tuple[str, ...], ...]
    right: tuple[tuple[str, ...], ...]
    text: str
    position: Position


# ── rules ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Reads:
    """`reads x "n c ... -> n ... c"`: the order in which the rule wants operand `operand`.

    A letter that the weight entries of the same rule use too may arrive with its atoms permuted: pouring undoes it.
    """

    operand: str
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class WeightEntry:
    """`targets <- source "pattern" with sizes`; several targets take the slices of the result's first axis.

    `source` is a dotted attribute path of the module (module rule) or a parameter (operator rule). An entry whose
    source is None in the instance (`bias`) is skipped. A target of a chain `a >> b` is a variable of the one layer of
    the chain that has variables of that name.
    """

    targets: tuple[str, ...]
    source: str
    pattern: Pattern | None
    sizes: tuple[tuple[str, Expr], ...]
    position: Position


@dataclass(frozen=True, slots=True)
class Drop:
    """`drop num_batches_tracked "why it may be left behind"`."""

    name: str
    reason: str
    position: Position


@dataclass(frozen=True, slots=True)
class Nothing:
    """`=> nothing`: the module returns its (first) argument."""


@dataclass(frozen=True, slots=True)
class Emit:
    """`=> keras.layers.A(...) >> keras.layers.B(...)`, or an expression over `keras.ops`: a chain of one."""

    chain: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class View:
    """`=> view permute(dims)` or `=> view "b (c r) h -> b c (h r)" with r = r`; no data moves.

    Verbs: `permute(dims)`, `transpose(a, b)`, `reshape()` (also squeeze, unsqueeze, flatten, unflatten: the shape of
    torch's result decides), `expand()`, `select(dim, index)`, `slice(dim, start, end, step)`, `split(dim)` (also
    chunk: the shapes of the results decide), `unbind(dim)`, `identity()`.
    """

    verb: str | None
    arguments: tuple[Expr, ...]
    pattern: Pattern | None
    sizes: tuple[tuple[str, Expr], ...]


@dataclass(frozen=True, slots=True)
class Helper:
    """`=> helper grid_sample(x, grid, mode = mode)`: the function or layer in templates/helpers/<name>.py.jinja."""

    call: Call


@dataclass(frozen=True, slots=True)
class Template:
    """`=> template "gsconv.py.jinja"`: a whole class by hand."""

    file: str


Target: TypeAlias = Nothing | Emit | View | Helper | Template


@dataclass(frozen=True, slots=True)
class Example:
    """`example Conv2d(8, 16, 3, padding = 1) float32[2, 8, 13, 17]`; for operators without a constructor."""

    constructor: Call | None
    inputs: tuple[TensorType, ...]
    arguments: tuple[tuple[str, Expr], ...]
    position: Position


@dataclass(frozen=True, slots=True)
class TensorType:
    dtype: str
    dimensions: tuple[int | str, ...]
    """A name is a dynamic size, a number is fixed."""
    position: Position


@dataclass(frozen=True, slots=True)
class Calls:
    """`calls (query, key, value) => self(query, value, key)`."""

    parameters: tuple[str, ...]
    call: Expr


@dataclass(frozen=True, slots=True)
class ModuleRule:
    cls: str  # "torch.nn.Conv2d"
    when: Expr | None
    target: Target
    calls: Calls | None
    reads: tuple[Reads, ...]
    writes: tuple[Pattern, ...]
    pointwise: bool
    weights: tuple[WeightEntry, ...]
    drops: tuple[Drop, ...]
    ignores: tuple[str, ...]
    examples: tuple[Example, ...]
    position: Position


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    default: Expr | None
    keyword_only: bool
    position: Position


@dataclass(frozen=True, slots=True)
class OperatorRule:
    operator: str  # "aten.mean.dim"; without an overload, "aten.cat", every overload whose schema fits
    parameters: tuple[Parameter, ...]
    when: Expr | None
    target: Target
    reads: tuple[Reads, ...]
    writes: tuple[Pattern, ...]
    pointwise: bool
    weights: tuple[WeightEntry, ...]
    examples: tuple[Example, ...]
    position: Position


@dataclass(frozen=True, slots=True)
class InputDeclaration:
    name: str
    type: TensorType
    pattern: Pattern | None
    """`input x float32[...] as "n c h w -> n c h w"` keeps an order other than channels-last."""


@dataclass(frozen=True, slots=True)
class OutputDeclaration:
    name: str
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class ModelDeclaration:
    factory: str  # "model.py:SlimNeck" or "package.module:factory"
    arguments: tuple[tuple[str, Expr], ...]
    inputs: tuple[InputDeclaration, ...]
    outputs: tuple[OutputDeclaration, ...]
    """`result y "n c h w -> n c h w"`."""
    weights: str | None
    output: str | None
    style: tuple[tuple[str, Expr], ...]
    position: Position
    part: str | None = None
    """`part "backbone"`: the module that is ported, instead of all."""
    until: tuple[str, ...] = ()
    """`until "backbone", "head"`: modules whose results are the model's."""
    output_position: Position | None = None
    artefacts: tuple[tuple[str, Position], ...] = ()
    """`artefacts "keras", "tflite-int8"`: what `pour` writes."""
    representative: str | None = None
    """`representative "samples"`: the folder of data by which integers are scaled."""


@dataclass(frozen=True, slots=True)
class Use:
    """`use torch.nn` (pack) or `use "gsconv.rules"` (file beside this one)."""

    name: str
    is_file: bool
    position: Position
