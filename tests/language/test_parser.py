import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transpiler.errors import RulesError
from transpiler.language import syntax
from transpiler.language.expressions import dotted_name
from transpiler.language.parser import parse_rules
from transpiler.language.syntax import Position

TOUR = """\
# slimneck.rules
use torch.nn                      # packs that ship with the package
use torch.aten
use "gsconv.rules"                # a file beside this one

model "model.py:SlimNeck" (nc = 80) {          # or "package.module:factory"
    input x float32[batch, 3, 640, 640]        # a name is a dynamic size, a number is fixed
    input mask bool[batch, 1] as "n c -> n c"
    result y "n c h w -> n c h w"
    weights "slimneck.safetensors"
    output "tf.py"
    style { prefix = "TF", keep_unused = false }
}

module torch.nn.Conv{1,2,3}d                      # {…} expands side by side, on both sides of the arrow
    when padding_mode == "zeros" and groups == 1 and same_padding(kernel_size, stride, padding, dilation)
    => keras.layers.Conv{1,2,3}D(
           out_channels, kernel_size, strides = stride, dilation_rate = dilation,
           padding = "same", use_bias = bias is not None)
    reads  x "n c ... -> n ... c"                 # the order in which it wants its operand
    writes   "n c ... -> n ... c"                 # the order in which it leaves its result
    weights {
        kernel <- weight "o i ... -> ... i o"
        bias   <- bias
    }
    example Conv2d(8, 16, 3, padding = 1) float32[2, 8, 13, 17]

module torch.nn.Conv{1,2,3}d
    when padding_mode == "zeros" and groups == 1
    => keras.layers.ZeroPadding{1,2,3}D(padding) >> keras.layers.Conv{1,2,3}D(out_channels, kernel_size)

module torch.nn.MultiheadAttention
    when batch_first and in_proj_weight is not None
    => keras.layers.MultiHeadAttention(num_heads, embed_dim // num_heads, dropout = dropout)
    calls (query, key, value) => self(query, value, key)
    weights {
        query.kernel, key.kernel, value.kernel <- in_proj_weight "(t h d) e -> t e h d" with h = num_heads
        drop bias_k "guarded"
    }
    ignores kdim, vdim

module models.common.GSConv => template "gsconv.py.jinja"      # a whole class by hand
module torch.nn.Identity    => nothing

op aten.cat(tensors, dim = 0)               => keras.ops.concatenate(tensors, axis = axis(dim))
op aten.mean.dim(x, dim, keepdim = False)   => keras.ops.mean(x, axis = axes(dim), keepdims = keepdim)
op aten.gelu(x, *, approximate = "none")    => keras.ops.gelu(x, approximate = approximate == "tanh")   pointwise
op aten.hardsigmoid(x)                      => keras.ops.relu6(x + 3) / 6                                pointwise
op aten.permute(x, dims)                    => view permute(dims)
op aten.pixel_shuffle(x, r)                 => view "b (c r1 r2) h w -> b c (h r1) (w r2)" with r1 = r, r2 = r
op aten.channel_shuffle(x, g)               => view "b (g c) ... -> b (c g) ..." with g = g
op aten.scaled_dot_product_attention(q, k, v, attn_mask = None, dropout_p = 0.0, is_causal = False, *, scale = None)
    => keras.ops.dot_product_attention(q, k, v, mask = attn_mask, scale = scale, is_causal = is_causal)
    reads  q "b h n d -> b n h d", k "b h n d -> b n h d", v "b h n d -> b n h d"
    writes "b h n d -> b n h d"
op aten.grid_sampler(x, grid, mode, padding, align) => helper grid_sample(x, grid, mode = mode, align = align)
    example float32[2, 3, 5, 7], float32[2, 4, 4, 2] with mode = 0, padding = 0, align = False
"""


@pytest.fixture(scope="module")
def tour():
    return parse_rules(TOUR, "slimneck.rules")


def diagnostics(text, file):
    """What is wrong with a text; anything but a RulesError passes through and fails the test."""
    try:
        parse_rules(text, file)
    except RulesError as error:
        return error.diagnostics
    return ()


def expression(text):
    rule = parse_rules(f"op a.b(x) when {text} => x", "e.rules").operator_rules[0]
    return rule.when


def test_uses(tour):
    assert [(use.name, use.is_file) for use in tour.uses] == [
        ("torch.nn", False),
        ("torch.aten", False),
        ("gsconv.rules", True),
    ]


def test_model(tour):
    (model,) = tour.models
    assert model.factory == "model.py:SlimNeck"
    assert [(name, value.value) for name, value in model.arguments] == [("nc", 80)]
    assert [(item.name, item.type.dtype, item.type.dimensions) for item in model.inputs] == [
        ("x", "float32", ("batch", 3, 640, 640)),
        ("mask", "bool", ("batch", 1)),
    ]
    assert model.inputs[0].pattern is None
    assert model.inputs[1].pattern.text == "n c -> n c"
    assert [(item.name, item.pattern.text) for item in model.outputs] == [("y", "n c h w -> n c h w")]
    assert (model.weights, model.output) == ("slimneck.safetensors", "tf.py")
    assert [(name, value.value) for name, value in model.style] == [("prefix", "TF"), ("keep_unused", False)]


def test_braces_expand_side_by_side(tour):
    rules = tour.module_rules[:3]
    assert [rule.cls for rule in rules] == ["torch.nn.Conv1d", "torch.nn.Conv2d", "torch.nn.Conv3d"]
    layers = [dotted_name(rule.target.chain[0].function) for rule in rules]
    assert layers == ["keras.layers.Conv1D", "keras.layers.Conv2D", "keras.layers.Conv3D"]
    assert [len(rule.examples) for rule in rules] == [0, 1, 0]


def test_clauses_of_a_module_rule(tour):
    rule = tour.module_rules[1]
    assert rule.position == Position("slimneck.rules", 15, 8, 29)
    assert [name for name, _ in rule.target.chain[0].keywords] == ["strides", "dilation_rate", "padding", "use_bias"]
    assert [(reads.operand, reads.pattern.text) for reads in rule.reads] == [("x", "n c ... -> n ... c")]
    assert [pattern.right for pattern in rule.writes] == [(("n",), ("...",), ("c",))]
    assert [(entry.targets, entry.source) for entry in rule.weights] == [(("kernel",), "weight"), (("bias",), "bias")]
    assert rule.weights[1].pattern is None
    (example,) = rule.examples
    assert example.constructor.function.id == "Conv2d"
    assert [(item.dtype, item.dimensions) for item in example.inputs] == [("float32", (2, 8, 13, 17))]


def test_chain(tour):
    chain = tour.module_rules[4].target.chain
    assert [dotted_name(call.function) for call in chain] == ["keras.layers.ZeroPadding2D", "keras.layers.Conv2D"]


def test_calls_several_targets_drop_and_ignores(tour):
    rule = tour.module_rules[6]
    assert rule.calls.parameters == ("query", "key", "value")
    assert [argument.id for argument in rule.calls.call.arguments] == ["query", "value", "key"]
    assert rule.weights[0].targets == ("query.kernel", "key.kernel", "value.kernel")
    assert [(name, value.id) for name, value in rule.weights[0].sizes] == [("h", "num_heads")]
    assert [(drop.name, drop.reason) for drop in rule.drops] == [("bias_k", "guarded")]
    assert rule.ignores == ("kdim", "vdim")


def test_targets(tour):
    targets = {rule.cls: rule.target for rule in tour.module_rules}
    targets |= {rule.operator: rule.target for rule in tour.operator_rules}
    assert targets["models.common.GSConv"] == syntax.Template("gsconv.py.jinja")
    assert targets["torch.nn.Identity"] == syntax.Nothing()
    assert targets["aten.permute"].verb == "permute"
    assert [argument.id for argument in targets["aten.permute"].arguments] == ["dims"]
    assert targets["aten.pixel_shuffle"].pattern.left == (("b",), ("c", "r1", "r2"), ("h",), ("w",))
    assert [name for name, _ in targets["aten.pixel_shuffle"].sizes] == ["r1", "r2"]
    assert targets["aten.grid_sampler"].call.function.id == "grid_sample"


def test_operator_parameters(tour):
    rule = next(rule for rule in tour.operator_rules if rule.operator == "aten.gelu")
    assert [(item.name, item.keyword_only) for item in rule.parameters] == [("x", False), ("approximate", True)]
    assert rule.parameters[1].default.value == "none"
    assert rule.pointwise


def test_example_of_an_operator(tour):
    (example,) = tour.operator_rules[-1].examples
    assert example.constructor is None
    assert [item.dimensions for item in example.inputs] == [(2, 3, 5, 7), (2, 4, 4, 2)]
    assert [name for name, _ in example.arguments] == ["mode", "padding", "align"]


def test_clauses_stand_in_any_order():
    first = parse_rules('module a.B pointwise ignores c => nothing when d reads x "n -> n"', "m.rules").module_rules[0]
    assert first.pointwise
    assert first.ignores == ("c",)
    assert isinstance(first.target, syntax.Nothing)


def test_words_of_clauses_are_names_where_no_clause_can_stand():
    text = "op a.b(input, weights, when) when weights.reads is None and when => f(input, drop = example) pointwise"
    rule = parse_rules(text, "m.rules").operator_rules[0]
    assert [parameter.name for parameter in rule.parameters] == ["input", "weights", "when"]
    assert rule.target.chain[0].keywords[0][0] == "drop"


def test_line_breaks_mean_nothing():
    spread = "\n".join(
        [
            "op",
            "a.b",
            "(",
            "x",
            ",",
            "y",
            "=",
            "1",
            ")",
            "=>",
            "view",
            '"n',
            "m",
            "->",
            "m",
            'n"',
            "with",
            "n",
            "=",
            "y",
            "reads",
            "x",
            '"n',
            "m",
            "->",
            "m",
            'n"',
        ]
    )
    # strings don't span lines
    spread = spread.replace('"n\nm\n->\nm\nn"', '"n m -> m n"')
    rule = parse_rules(spread, "m.rules").operator_rules[0]
    assert rule.target.pattern.text == rule.reads[0].pattern.text == "n m -> m n"


def test_braces_expand_in_strings_and_to_numbers():
    text = 'op a.up{1,2}(x) => f(x, "{linear,bilinear}", {1,2})'
    values = [
        [argument.value for argument in rule.target.chain[0].arguments[1:]]
        for rule in parse_rules(text, "m.rules").operator_rules
    ]
    assert values == [["linear", 1], ["bilinear", 2]]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a + b * c", "+"),
        ("a ** -b", "**"),
        ("-a ** b", "-"),
        ("a - b - c", "-"),
    ],
)
def test_precedence(text, kind):
    assert expression(text).operator == kind


def test_left_association():
    assert expression("a - b - c").left.operator == "-"


def test_comparisons_chain():
    chain = expression("0 < a <= 3 and b not in (1,) or c is not None and not d")
    assert chain.operator == "or"
    first = chain.operands[0].operands[0]
    assert first.operators == ("<", "<=")
    assert chain.operands[0].operands[1].operators == ("not in",)
    assert chain.operands[1].operands[0].operators == ("is not",)


def test_displays_indices_and_slices():
    assert expression("(1, 2)").kind == "tuple"
    assert expression("()").items == ()
    assert expression("(1,)").kind == "tuple"
    assert expression("[1, 2,]").kind == "list"
    assert isinstance(expression("(1)"), syntax.Literal)
    items = expression("x[..., ::2, 1:, a]").items
    assert [type(item).__name__ for item in items] == ["Ellipsis_", "Slice", "Slice", "Name"]
    assert items[1].start is None
    assert items[1].step.value == 2
    assert items[2].start.value == 1


def test_strings_and_numbers():
    assert expression(r'"a\"b\n\\"').value == 'a"b\n\\'
    assert expression("'#not a comment'").value == "#not a comment"
    assert [expression(text).value for text in ("12", "1.5", ".5", "1e-3", "true", "False", "None")] == [
        12,
        1.5,
        0.5,
        1e-3,
        True,
        False,
        None,
    ]


def test_positions_are_those_of_the_text():
    rule = parse_rules("\n\nop a.b(x)\n    => keras.ops.f(\n        x)", "m.rules").operator_rules[0]
    call = rule.target.chain[0]
    assert (call.position.line, call.position.column) == (4, 8)
    assert call.function.position == Position("m.rules", 4, 8, 19)
    assert call.arguments[0].position == Position("m.rules", 5, 9, 10)


WORDS = [
    "use",
    "model",
    "module",
    "op",
    "when",
    "=>",
    "calls",
    "reads",
    "writes",
    "pointwise",
    "weights",
    "drop",
    "ignores",
    "example",
    "with",
    "nothing",
    "view",
    "helper",
    "template",
    "input",
    "output",
    "style",
    "result",
    "as",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    "...",
    ":",
    "=",
    "==",
    "+",
    "-",
    "*",
    "**",
    "/",
    "//",
    "%",
    "<-",
    ">>",
    "<",
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "else",
    "torch.nn.ReLU",
    "aten.cat",
    "keras.ops.add",
    "x",
    "y",
    "1",
    "2.5",
    '"a',
    "b",
    "->",
    "b",
    'a"',
    '"s"',
    "float32",
    "Conv{1,2}d",
    "{a,b}",
    "#",
    ";",
]


@given(st.lists(st.sampled_from([*WORDS, "\n", "\nop ", "\nmodule "]), max_size=40).map(" ".join))
@settings(max_examples=300, deadline=None)
def test_any_words_parse_or_raise_rules_error(text):
    assert all(diagnostic.where.startswith("any.rules:") for diagnostic in diagnostics(text, "any.rules"))


@given(st.text(max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_text_parses_or_raises_rules_error(text):
    assert all(diagnostic.message for diagnostic in diagnostics(text, "any.rules"))


@pytest.mark.parametrize(
    "nested",
    [
        "(" * 3000 + "x" + ")" * 3000,
        "[" * 3000 + "x" + "]" * 3000,
        "f(" * 3000 + "x" + ")" * 3000,
        "not " * 3000 + "x",
        "-" * 3000 + "x",
        "x" + ".a" * 3000,
        "x" + "[0]" * 3000,
        "x" + " + 1" * 3000,
        "x if y else " * 3000 + "z",
        "9" * 5000,
    ],
    ids=lambda text: text[:12],
)
def test_hostile_nesting_is_a_rules_error_at_worst(nested):
    assert len(diagnostics(f"op a.b(x) => {nested}", "deep.rules")) <= 1


def test_alternatives_may_be_dotted_or_empty():
    text = "op aten.{split.Tensor,chunk}(x) => keras.{ops.relu,activations.silu}(x)\nop aten.relu{,_}(x) => x"
    rules = parse_rules(text, "m.rules").operator_rules
    assert [rule.operator for rule in rules] == ["aten.split.Tensor", "aten.chunk", "aten.relu", "aten.relu_"]
    names = [dotted_name(rule.target.chain[0].function) for rule in rules[:2]]
    assert names == ["keras.ops.relu", "keras.activations.silu"]
