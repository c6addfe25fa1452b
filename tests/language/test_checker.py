import pytest
import torch

from transpiler.language.book import RuleBook, Rules
from transpiler.language.checker import check
from transpiler.language.loader import load_rules, pack_file
from transpiler.language.parser import parse_rules
from transpiler.resources import pack_names


def book(text, file="c.rules"):
    parsed = parse_rules(text, file)
    model = parsed.models[0] if parsed.models else None
    return RuleBook(model, parsed.module_rules, parsed.operator_rules, ((file, text),))


def problems(text):
    return [str(diagnostic) for diagnostic in check(book(text))]


def messages(text):
    return [(diagnostic.where, diagnostic.message, diagnostic.hint) for diagnostic in check(book(text))]


CONV = """\
module torch.nn.Conv{1,2,3}d
    when padding_mode == "zeros" and groups == 1 and same_padding(kernel_size, stride, padding, dilation)
    => keras.layers.Conv{1,2,3}D(
           out_channels, kernel_size, strides = stride, dilation_rate = dilation,
           padding = "same", use_bias = bias is not None)
    reads  x "n c ... -> n ... c"
    writes   "n c ... -> n ... c"
    weights {
        kernel <- weight "o i ... -> ... i o"
        bias   <- bias
    }
"""

SOUND = [
    CONV,
    """module torch.nn.MultiheadAttention
        when batch_first and in_proj_weight is not None and bias_k is None and not add_zero_attn
        => keras.layers.MultiHeadAttention(num_heads, embed_dim // num_heads, dropout = dropout)
        calls (query, key, value) => self(query, value, key)
        weights {
            query.kernel, key.kernel, value.kernel <- in_proj_weight "(t h d) e -> t e h d" with h = num_heads
            query.bias, key.bias, value.bias <- in_proj_bias "(t h d) -> t h d" with h = num_heads
            attention_output.kernel <- out_proj.weight "o (h d) -> h d o" with h = num_heads
            output_dense.bias <- out_proj.bias
        }
        ignores bias, add_bias_kv, kdim, vdim""",
    "module torch.nn.Identity => nothing",
    'module models.common.GSConv => template "gsconv.py.jinja"',
    "module models.common.Unknown when whatever => keras.layers.ReLU(anything)",
    "module torch.nn.ReLU => keras.layers.ReLU() ignores inplace",
    "module torch.nn.Softmax => keras.layers.Softmax(axis = axis(dim)) when rank(input) == 2",
    """module torch.nn.LSTM when num_layers == 1 and weight_ih_l0 is not None
        => keras.layers.LSTM(hidden_size) weights { cell.kernel <- weight_ih_l0 'a b -> b a' }""",
    "op aten.cat(tensors, dim = 0) => keras.ops.concatenate(tensors, axis = axis(dim))",
    "op aten.mean.dim(x, dim, keepdim = False) => keras.ops.mean(x, axis = axes(dim), keepdims = keepdim)",
    'op aten.gelu(x, *, approximate = "none") => keras.ops.gelu(x, approximate = approximate == "tanh") pointwise',
    "op aten.hardsigmoid(x) => keras.ops.relu6(x + 3) / 6 pointwise",
    "op aten.max_pool2d(x, k, stride, padding = 0) => keras.ops.max_pool(x, k, stride)",
    'op aten.pixel_shuffle(x, r) => view "b (c r1 r2) h w -> b c (h r1) (w r2)" with r1 = r, r2 = r',
    "op aten.permute(x, dims) => view permute(dims)",
    "op aten.constant_pad_nd(x, pads, value = 0) => helper pad_axes(x, pads, value)",
    """module torch.nn.Conv2d when kernel_size == (1, 1) and stride == (1, 1) and dilation == (1, 1)
        => keras.layers.ZeroPadding2D(padding) >> GroupedConv2D(out_channels, kernel_size, groups = groups)
        weights { kernel <- weight "o i ... -> ... i o" }
        ignores bias, padding_mode""",
    "module torch.nn.Adaptive{Avg,Max}Pool1d => keras.layers.ReLU() ignores output_size, return_indices",
    "module torch.nn.Tanh => keras.layers.ReLU() ignores args, kwargs",
    "op aten.contiguous(x, *, memory_format = None) => view identity()",
    "op aten.relu(x) when rank(x) == 4 => keras.ops.relu(x)\nop aten.relu(x) => keras.ops.relu(x)",
    """op aten.linear(x, w, b) => keras.layers.Dense(shape(w)[0]) weights { kernel <- w 'o i -> i o' bias <- b }
    op aten.linear(x, w, b) => keras.ops.matmul(x, w) + b""",
    "op aten.mean(x) => keras.ops.mean(x)\nop aten.mean(x, dim) => keras.ops.mean(x, axis = axes(dim))",
    "op myspace.myop(x) => keras.ops.relu(x)",
    "op aten.relu(x) => keras.activations.relu(x, max_value = 6)",
    "op aten.select.int(x, dim, i) => view select(dim, i)",
]


@pytest.mark.parametrize("text", SOUND, ids=lambda text: text[:40])
def test_sound_rules_have_no_problems(text):
    assert problems(text) == []


def test_an_unknown_argument_is_shown_as_the_reference_says():
    text = CONV.replace("strides = stride", "stride = stride")
    (problem,) = problems(text)  # once for the three alternatives
    assert problem.splitlines() == [
        "c.rules:4:39: unknown argument 'stride' of keras.layers.Conv1D",
        "             out_channels, kernel_size, stride = stride, dilation_rate = dilation,",
        "                                        ^^^^^^",
        "  did you mean 'strides'?",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "op aten.relu(x) => keras.layers.Relu(x)",
            ("1:20", "unknown Keras layer 'keras.layers.Relu'", "did you mean 'keras.layers.ReLU'?"),
        ),
        (
            "op aten.relu(x) => keras.ops.rellu(x)",
            ("1:20", "unknown Keras function 'keras.ops.rellu'", "did you mean 'keras.ops.relu'?"),
        ),
        (
            "op aten.relu(x) => keras.ops.relu(x, 1)",
            ("1:38", "keras.ops.relu takes 1 argument by position, not 2", ""),
        ),
        ("op aten.relu(x) => keras.ops.relu()", ("1:20", "keras.ops.relu needs the argument 'x'", "")),
        (
            "op aten.relu(x) => keras.ops.relu(x, x = x)",
            ("1:38", "the argument 'x' of keras.ops.relu is given by position, too", ""),
        ),
        (
            "op aten.relu(x) => keras.layers.Activation(keras.activations.rellu)",
            ("1:44", "unknown Keras function 'keras.activations.rellu'", "did you mean 'keras.activations.relu'?"),
        ),
        (
            "op aten.relu(x) => x >> keras.layers.ReLU()",
            ("1:20", "'>>' chains layers", "as in: keras.layers.ZeroPadding2D(1) >> keras.layers.…"),
        ),
        (
            "op aten.linear(x, w) => keras.layers.Dense(3) weights { kernl <- w }",
            ("1:57", "keras.layers.Dense has no variable 'kernl'", "did you mean 'kernel'?"),
        ),
        (
            "op aten.linear(x, w) => keras.layers.ReLU() weights { kernel <- w }",
            ("1:55", "keras.layers.ReLU has no variable 'kernel'", "it has none"),
        ),
        ("op aten.relu(x) => keras.ops.relu(y)", ("1:35", "unknown name 'y'", "")),
        ("op aten.relu(xs) when rank(x) == 1 => xs", ("1:28", "unknown name 'x'", "did you mean 'xs'?")),
        ("op aten.relu(x) => helper pad_axis(x)", ("1:27", "unknown helper 'pad_axis'", "did you mean 'pad_axes'?")),
        ("op aten.relu(x) when rnk(x) == 1 => x", ("1:22", "unknown function 'rnk'", "did you mean 'rank'?")),
        ("op aten.relu(x) => x reads y 'n -> n'", ("1:30", "the rule has no parameter 'y'", "")),
        ("op aten.rellu(x) => x", ("1:4", "unknown operator 'aten.rellu'", "did you mean 'aten.relu'?")),
        ("op aten.mean.dimm(x) => x", ("1:4", "unknown operator 'aten.mean.dimm'", "did you mean 'aten.mean.dim'?")),
        (
            "op aten.relu(x, y) => x",
            ("1:17", "aten.relu has 1 argument by position, not 2", "aten::relu(Tensor self) -> Tensor"),
        ),
        (
            "op aten.cat(x, dim = 1) => x",
            (
                "1:16",
                "the default of 'dim' is 0 in torch, not 1",
                "aten::cat(Tensor[] tensors, int dim=0) -> Tensor",
            ),
        ),
        (
            "op aten.gelu(x, *, approx = 'none') => x",
            (
                "1:20",
                "aten.gelu has no argument 'approx' by name",
                'aten::gelu(Tensor self, *, str approximate="none") -> Tensor',
            ),
        ),
        (
            "op aten.permute(x) => x",
            (
                "1:4",
                "the rule lacks the argument 'dims' of aten.permute",
                "aten::permute(Tensor(a) self, int[] dims) -> Tensor(a)",
            ),
        ),
        (
            "op aten.permute(x, dims) => view permute()",
            ("1:4", "'view permute' takes 1 argument, not 0", ""),
        ),
        (
            "op aten.relu(x) => view 'n (a b) -> n a b'",
            ("1:25", "the sizes of 'a' and 'b' are not known", "give all but one: with a = …"),
        ),
        (
            "op aten.relu(x) => view 'n a -> a n' with b = 1",
            ("1:47", "'b' is no letter of the pattern", "its letters: n, a"),
        ),
        (
            "op aten.linear(x, w) => keras.layers.GRU(3) weights { cell.kernel, cell.bias <- w }",
            (
                "1:55",
                "several variables need a pattern",
                "several variables take the slices of the pattern's first axis on the right",
            ),
        ),
        (
            "module torch.nn.Relu => keras.layers.ReLU()",
            ("1:8", "unknown class 'torch.nn.Relu'", "did you mean 'torch.nn.ReLU'?"),
        ),
        (
            "module torch.nn.ReLU => keras.layers.ReLU()",
            (
                "1:8",
                "the rule does not read 'inplace' of torch.nn.ReLU",
                "read what matters, guard against it with 'when', or say: ignores inplace",
            ),
        ),
        (
            "module torch.nn.ReLU => keras.layers.ReLU() ignores inplace, inplac",
            (
                "1:8",
                "the constructor of torch.nn.ReLU has no parameter 'inplac' to ignore",
                "did you mean 'inplace'?",
            ),
        ),
        (
            "module torch.nn.Dropout when rate > 0 => keras.layers.Dropout(p) ignores inplace",
            ("1:30", "unknown name 'rate'", ""),
        ),
        (
            """module torch.nn.MaxPool1d => keras.layers.MaxPooling1D(kernel_size, stride)
            ignores padding, dilation, return_indices""",
            (
                "1:8",
                "the rule does not read 'ceil_mode' of torch.nn.MaxPool1d",
                "read what matters, guard against it with 'when', or say: ignores ceil_mode",
            ),
        ),
        (
            """module torch.nn.Linear => keras.layers.Dense(out_features, use_bias = bias is not None)
            weights { kernel <- weigth 'o i -> i o' bias <- bias }""",
            ("2:23", "torch.nn.Linear has no attribute 'weigth'", "did you mean 'weight'?"),
        ),
        (
            "module torch.nn.ReLU => keras.layers.ReLU() calls (inputs) => self(inputs) ignores inplace",
            ("1:63", "forward of torch.nn.ReLU has no parameter 'inputs'", "did you mean 'input'?"),
        ),
        (
            "module torch.nn.ReLU => keras.layers.ReLU() calls (input) => keras.ops.relu(input) ignores inplace",
            ("1:62", "'calls' calls the layer", "as in: calls (query, key) => self(query, key)"),
        ),
        (
            "module torch.nn.Identity => nothing\nmodule torch.nn.Identity => nothing",
            (
                "2:8",
                "this rule is never reached: the one in line 1 has no 'when'",
                "put this rule above the one in line 1, or give that one a 'when'",
            ),
        ),
        (
            "op aten.relu(x) => keras.ops.relu(x)\nop aten.relu.default(x) => keras.ops.relu(x)",
            (
                "2:4",
                "this rule is never reached: the one in line 1 has no 'when'",
                "put this rule above the one in line 1, or give that one a 'when'",
            ),
        ),
        ('model "a.py:A" (n = m) { }', ("1:21", "unknown name 'm'", "")),
        (
            'model "a.py:A" { style { prefx = "TF" } }',
            ("1:34", "unknown style 'prefx'", "did you mean 'prefix'?"),
        ),
    ],
    ids=lambda value: value[:50] if isinstance(value, str) else "",
)
def test_message(text, expected):
    where, message, hint = expected
    assert messages(text) == [(f"c.rules:{where}", message, hint)]


def test_parameters_that_instances_do_not_keep():
    text = (
        "module torch.nn.MultiheadAttention => keras.layers.MultiHeadAttention(num_heads, embed_dim, dropout = dropout)"
    )
    found = dict(message[1:] for message in messages(f"{text} ignores kdim, vdim, batch_first, add_zero_attn"))
    assert found == {
        "instances of torch.nn.MultiheadAttention don't keep 'bias' and 'add_bias_kv'": (
            "guard what the constructor sets instead, and say: ignores bias, add_bias_kv"
        )
    }


def test_all_problems_come_in_the_order_of_the_lines():
    text = """\
op aten.rellu(x) => keras.ops.rellu(y)
module torch.nn.Relu => nothing
op aten.cat(xs) => keras.ops.concatenate(xs, axes = 1)
"""
    places = [diagnostic.where for diagnostic in check(book(text))]
    assert places == ["c.rules:1:4", "c.rules:1:21", "c.rules:1:37", "c.rules:2:8", "c.rules:3:46"]


def test_only_chosen_files_are_checked():
    rules = book("op aten.rellu(x) => x", file="other.rules")
    assert check(rules, files=["c.rules"]) == ()
    assert len(check(rules, files=["other.rules"])) == 1


def test_overriding_a_rule_of_another_file_is_no_problem():
    first = parse_rules("module torch.nn.Identity => nothing", "a.rules")
    second = parse_rules("module torch.nn.Identity => nothing", "b.rules")
    rules = RuleBook(
        None,
        Rules((*first.module_rules.entries, *second.module_rules.entries)),
        Rules(),
        (("a.rules", ""), ("b.rules", "")),
    )
    assert check(rules) == ()


def test_shipped_packs_are_sound():
    assert check(load_rules(None), files=[pack_file(name) for name in pack_names()]) == ()


def test_shipped_packs_are_not_checked_on_every_run():
    assert check(load_rules(None)) == ()


def test_classes_keep_their_parameters_after_constructors_were_recorded():
    from transpiler.capture.constructors import recording
    from transpiler.language import torch_facts

    with recording():
        torch.nn.Linear(2, 3)
    torch_facts._class_facts.cache_clear()
    facts = torch_facts.class_facts("torch.nn.MaxPool1d")
    assert "ceil_mode" in facts.parameters
