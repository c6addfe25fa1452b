"""A wrong rule is caught, each by what gives it away. A check of shapes would see next to none of them."""

from __future__ import annotations

import pytest

from transpiler.prove.run import assignment

BATCH_NORM = """
module torch.nn.BatchNorm2d
    => keras.layers.BatchNormalization(momentum = 1 - momentum, {arguments})
    reads input "n c ... -> * c"
    writes      "n c ... -> * c"
    weights {{
        gamma           <- {gamma} "c -> c"
        beta            <- {beta} "c -> c"
        moving_mean     <- running_mean "c -> c"
        moving_variance <- running_var "c -> c"
        drop num_batches_tracked "not needed"
    }}
    ignores num_features, affine, track_running_stats, device, dtype, eps
    example BatchNorm2d(6) float32[2, 6, 5, 8]
"""
LINEAR = """
module torch.nn.Linear
    => keras.layers.Dense(out_features, use_bias = {use_bias})
    reads input "... x -> * x"
    writes      "... y -> * y"
    weights {{
        kernel <- weight "{kernel}"
        {bias}
    }}
    ignores in_features, bias, device, dtype
    example Linear(12, 12) float32[3, 12]
"""
CONV = """
module torch.nn.Conv2d
    when groups == 1
    => keras.layers.Conv2D(out_channels, kernel_size, strides = stride, padding = "same")
    reads input "n c h w -> n h w c"
    writes      "n d p q -> n p q d"
    weights {{
        kernel <- weight "o i {kernel} -> h w i o"
        bias   <- bias "o -> o"
    }}
    ignores in_channels, padding, dilation, padding_mode, device, dtype
    example Conv2d(3, 8, 3, padding = 1, stride = {stride}) float32[2, 3, 12, 18]
"""
ATTENTION = """
module torch.nn.MultiheadAttention
    when batch_first
    => keras.layers.MultiHeadAttention(num_heads, embed_dim // num_heads)
    calls (query, key, value) => self(query, {order})
    reads query "b l x -> b l x", key "b s y -> b s y", value "b s z -> b s z"
    writes      "b l f -> b l f"
    weights {{
        query.kernel, key.kernel, value.kernel <- in_proj_weight "(t {heads}) e -> t e h d" with t = 3, h = num_heads
        query.bias, key.bias, value.bias       <- in_proj_bias "(t {heads}) -> t h d" with t = 3, h = num_heads
        attention_output.kernel                <- out_proj.weight "f (h d) -> h d f" with h = num_heads
        attention_output.bias                  <- out_proj.bias "f -> f"
    }}
    ignores dropout, bias, add_bias_kv, add_zero_attn, kdim, vdim, device, dtype
    example MultiheadAttention(12, 3, batch_first = True)
        float32[2, 5, 12], float32[2, 7, 12], float32[2, 7, 12] with need_weights = False
"""
DIFFERS = " of its largest value"
RIGHT = (
    BATCH_NORM.format(arguments="epsilon = eps", gamma="weight", beta="bias"),
    LINEAR.format(use_bias="True", kernel="o i -> i o", bias='bias <- bias "o -> o"'),
    CONV.format(kernel="h w", stride=1),
    ATTENTION.format(order="value, key", heads="h d"),
)
WRONG = {
    "epsilon missing": (BATCH_NORM.format(arguments="center = True", gamma="weight", beta="bias"), DIFFERS),
    "gamma for beta": (BATCH_NORM.format(arguments="epsilon = eps", gamma="bias", beta="weight"), DIFFERS),
    "kernel not transposed": (
        LINEAR.format(use_bias="True", kernel="o i -> o i", bias='bias <- bias "o -> o"'),
        DIFFERS,
    ),
    "bias forgotten": (LINEAR.format(use_bias="False", kernel="o i -> i o", bias=""), "neither pours nor drops bias"),
    "kernel rows and columns swapped": (CONV.format(kernel="w h", stride=1), DIFFERS),
    "same padding with a stride": (CONV.format(kernel="h w", stride=2), DIFFERS),
    "heads and their width swapped": (ATTENTION.format(order="value, key", heads="d h"), DIFFERS),
    "key for value": (ATTENTION.format(order="key, value", heads="h d"), DIFFERS),
    "tanh for erf": (
        """
        op aten.gelu(x, *, approximate = "none")
            => keras.ops.gelu(x, approximate = True) pointwise
            example float32[2, 6, 5, 8]
        """,
        DIFFERS,
    ),
    "axis not mapped": (
        """
        op aten.softmax.int(x, dim)
            => keras.ops.softmax(x, axis = dim)
            reads x "n c h w -> n h w c"
            writes "n c h w -> n h w c"
            example float32[2, 6, 5, 8] with dim = 1
        """,
        DIFFERS,
    ),
    "infinity for NaN": ("op aten.isnan(x) => keras.ops.isinf(x) pointwise example float32[2, 6]", DIFFERS),
    "another kind of number": (
        """
        op aten.argmax(x, dim = None, keepdim = False)
            => keras.ops.cast(keras.ops.argmax(x, axis = axis(dim), keepdims = keepdim), "float32")
            example float32[2, 6, 5, 8] with dim = 1
        """,
        "torch gives int64, Keras float32",
    ),
    "gradient let through": (
        """
        op aten.round(x)
            => x + keras.ops.stop_gradient(keras.ops.round(x) - x) pointwise
            example float32[2, 6, 5, 8]
        """,
        "the gradient of inputs_0 differs",
    ),
    "batch of the example in the source": (
        """
        op aten.relu(x)
            => keras.ops.relu(x) * keras.ops.ones((2, 1)) pointwise
            example float32[2, 6]
        """,
        "",
    ),
    "another rule in front": (
        """
        module torch.nn.ReLU
            when not inplace
            => keras.layers.ReLU() pointwise
            example ReLU() float32[2, 6]
        module torch.nn.ReLU
            => keras.layers.ReLU(max_value = 6.0) pointwise
            ignores inplace
            example ReLU() float32[2, 6]
        """,
        "another rule serves it: torch.nn.ReLU",
    ),
    "an example that torch refuses": (
        'module torch.nn.Tanh => keras.layers.Activation("tanh") pointwise example Tanh(3) float32[2, 6]',
        "torch refuses to build it: TypeError",
    ),
    "inputs that torch refuses": (
        "op aten.mm(a, b) => keras.ops.matmul(a, b) example float32[3, 5], float32[4, 5]",
        "torch refuses: RuntimeError: mat1 and mat2 shapes cannot be multiplied",
    ),
}


def outcomes(tmp_path, text):
    (tmp_path / "some.rules").write_text(text)
    return list(assignment(tmp_path / "some.rules").outcomes())


@pytest.mark.parametrize("text", RIGHT)
def test_the_rules_that_are_made_wrong_below_are_right(tmp_path, text):
    (outcome,) = outcomes(tmp_path, text)

    assert outcome.ok, str(outcome)


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_rule_is_caught(tmp_path, text, message):
    found = outcomes(tmp_path, text)[-1]

    assert not found.ok
    assert message in str(found)
    assert str(found).startswith(f"{tmp_path / 'some.rules'}:{found.claim.position.line}:")


def test_every_outcome_is_found_though_one_breaks(tmp_path):
    text = WRONG["tanh for erf"][0] + WRONG["inputs that torch refuses"][0] + RIGHT[0]

    assert sorted(outcome.ok for outcome in outcomes(tmp_path, text)) == [False, False, True]
