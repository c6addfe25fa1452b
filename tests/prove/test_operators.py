"""An operator's example becomes the call that a network would make."""

from __future__ import annotations

import pytest
import torch

from transpiler.language.parser import parse_rules
from transpiler.prove.claims import claims
from transpiler.prove.subjects import subject_of


def subject(text):
    (rule,) = parse_rules(text, "some.rules").operator_rules
    return subject_of(rule, rule.examples[0])


def test_tensors_fill_the_parameters_that_have_no_setting():
    found = subject(
        "op aten.addcmul(x, a, b, *, value = 1) => x example float32[3], float32[3], float32[3] with value = 2"
    )
    x, a, b = found.inputs

    assert torch.equal(found.module(x, a, b), torch.addcmul(x, a, b, value=2))


def test_what_comes_after_a_gap_is_passed_by_name():
    found = subject(
        'op aten.pad(x, pad, mode = "constant", value = None) => x example float32[2, 3] with pad = [1, 0], value = 7'
    )

    assert (found.module(*found.inputs)[:, 0] == 7).all()


def test_a_list_takes_all_tensors_that_are_left():
    found = subject("op aten.cat(x, dim = 0) => keras.ops.stack(x) example float32[2, 3], float32[2, 4] with dim = 1")

    assert found.module(*found.inputs).shape == (2, 7)


def test_dtypes_are_words():
    found = subject('op aten.to.dtype(x, kind) => x example int64[2] with kind = "float16"')

    assert found.module(*found.inputs).dtype == torch.float16


def test_weights_of_a_layer_are_parameters_and_statistics_buffers():
    found = subject("""
        op aten.batch_norm(x, weight, bias, mean, variance, training, momentum, eps, cudnn)
            => keras.layers.BatchNormalization(epsilon = eps)
            weights { gamma <- weight beta <- bias moving_mean <- mean moving_variance <- variance }
            example float32[2, 6, 5], float32[6], float32[6], float32[6], float32[6]
                with training = False, momentum = 0.1, eps = 1e-5, cudnn = False
    """)

    assert {name for name, _ in found.module.named_parameters()} == {"weight", "bias"}
    assert {name for name, _ in found.module.named_buffers()} == {"running_mean", "running_var"}
    assert (found.module.running_var > 0).all()
    assert len(found.inputs) == 1


def test_computed_weights_are_inputs():
    found = subject("op aten.linear(x, weight, bias = None) => x example float32[2, 6], float32[4, 6]")

    assert len(found.inputs) == 2
    assert not list(found.module.parameters())


def test_indices_are_not_negative_and_other_whole_numbers_are():
    indices = subject("op aten.index_select(x, dim, index) => x example float32[6, 5], int64[20] with dim = 0").inputs[
        1
    ]
    numbers = subject("op aten.abs(x) => x example int64[20]").inputs[0]

    assert indices.min() >= 0
    assert numbers.min() < 0


@pytest.mark.parametrize(
    ("overload", "count"), [("split.Tensor", 0), ("split.sizes", 1), ("{split.Tensor,split.sizes}", 1)]
)
def test_an_alternative_that_torch_refuses_claims_nothing_beside_one_that_it_takes(overload, count):
    text = f"op aten.{overload}(x, sizes, dim = 0) => view split(dim) example float32[3, 5] with sizes = [1, 2]"
    found = claims(parse_rules(text, "some.rules").operator_rules)

    assert len(found) == 1  # alone, it is left to fail
    assert (found[0].title == "aten.split.sizes") == bool(count)
