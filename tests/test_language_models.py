"""Language models: integer inputs, masks, tied and rotary embeddings, dict outputs, any length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from transpiler import Port, transpile
from transpiler.errors import ModelError
from transpiler.verify.compare import compare
from transpiler.verify.inputs import Case, given_like
from transpiler.verify.randomise import randomise

WORDS = 99
TOLERANCE = 1e-5


class Writer(nn.Module):
    """A causal transformer in the manner of transformers: masks by indices that enumerate, rotary embeddings, a head
    that shares the embedding's weight, and a dict as its result."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, 24)
        self.position = nn.Embedding(64, 24)
        self.query, self.key, self.value = nn.Linear(24, 24), nn.Linear(24, 12), nn.Linear(24, 12)
        self.norm = nn.LayerNorm(24)
        self.head = nn.Linear(24, WORDS, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("frequencies", 1.0 / 100 ** (torch.arange(0, 6, 2) / 6))

    def _rotated(self, x: Tensor, angles: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=-1)
        return x * angles.cos() + torch.cat([-second, first], dim=-1) * angles.sin()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        batch, length = input_ids.shape
        places = torch.arange(length)
        seen = attention_mask.bool()[torch.arange(batch)[:, None, None, None], places[None, None, None, :] + 0]
        mask = (places[None, None, None, :] <= places[None, None, :, None]) & seen
        x = self.embed(input_ids) + self.position(places)[None]
        angles = (places[:, None] * self.frequencies).repeat(1, 2)
        query = self._rotated(self.query(x).view(batch, length, 4, 6).transpose(1, 2), angles)
        key = self._rotated(self.key(x).view(batch, length, 2, 6).transpose(1, 2), angles)
        value = self.value(x).view(batch, length, 2, 6).transpose(1, 2)
        key, value = (t[:, :, None].expand(batch, 2, 2, length, 6).reshape(batch, 4, length, 6) for t in (key, value))
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = self.norm(x + mixed.transpose(1, 2).reshape(batch, length, 24) * 1.0)
        return {"logits": self.head(x), "hidden": x}


def texts(batch: int, length: int) -> dict[str, Tensor]:
    """Random words, the last text shorter than the others."""
    generator = torch.Generator().manual_seed(length)
    mask = torch.ones(batch, length, dtype=torch.long)
    mask[-1, length - 3 :] = 0
    return {"input_ids": torch.randint(0, WORDS, (batch, length), generator=generator), "attention_mask": mask}


def ported(model: nn.Module) -> Port:
    randomise(model.eval(), 0)
    dynamic: dict[str, tuple[str | None, ...]] = dict.fromkeys(texts(2, 16), ("batch", "length"))
    return transpile(model, (), texts(2, 16), name="Writer", dynamic=dynamic)


def largest_error(port: Port, model: nn.Module, batch: int, length: int) -> float:
    tensors, call = given_like((), texts(batch, length))
    return compare(model, port.build(), port.signature, [Case(batch, tensors)], call).max_rel_err


def test_written_in_the_manner_of_transformers_at_three_lengths() -> None:
    model = Writer()
    port = ported(model)
    assert "take" not in port.source.partition("def call")[2], port.source  # the mask needs no gather
    assert {output.name for output in port.signature.outputs} == {"logits", "hidden"}
    for batch, length in ((3, 16), (1, 11), (2, 23)):
        assert largest_error(port, model, batch, length) <= TOLERANCE


def test_sizes_of_one_name_are_one_size() -> None:
    port = ported(Writer())
    read = {line for line in port.source.splitlines() if "ops.shape(attention_mask)" in line}
    assert not read  # every length is that of the first input


def test_an_unknown_name_in_dynamic_is_told_with_the_inputs() -> None:
    with pytest.raises(ModelError, match="has no input image") as caught:
        transpile(nn.ReLU(), (torch.rand(2, 3),), dynamic={"image": ("batch", "width")})
    assert "it has: input" in str(caught.value)


def bert(transformers: Any) -> nn.Module:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
    return transformers.BertModel(transformers.BertConfig(vocab_size=WORDS, max_position_embeddings=64, **sizes))  # type: ignore[no-any-return]


def gpt2(transformers: Any) -> nn.Module:
    config = transformers.GPT2Config(
        vocab_size=WORDS,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=64,
        use_cache=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    return transformers.GPT2LMHeadModel(config)  # type: ignore[no-any-return]


def t5(transformers: Any) -> nn.Module:
    config = transformers.T5Config(vocab_size=WORDS, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4)
    return transformers.T5EncoderModel(config)  # type: ignore[no-any-return]


def llama(transformers: Any) -> nn.Module:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
    config = transformers.LlamaConfig(vocab_size=WORDS, num_key_value_heads=2, use_cache=False, **sizes)
    return transformers.LlamaForCausalLM(config)  # type: ignore[no-any-return]


@pytest.mark.zoo
@pytest.mark.parametrize("build", [bert, gpt2, t5, llama], ids=lambda build: build.__name__)
def test_transformers_at_three_lengths(build: Callable[[Any], nn.Module]) -> None:
    transformers = pytest.importorskip("transformers")
    model = build(transformers)
    port = ported(model)
    for batch, length in ((3, 16), (1, 11), (2, 23)):
        assert largest_error(port, model, batch, length) <= TOLERANCE


@pytest.mark.zoo
def test_vision_transformer_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
    model = transformers.ViTModel(transformers.ViTConfig(image_size=32, patch_size=8, **sizes))
    randomise(model.eval(), 0)
    port = transpile(model, (), {"pixel_values": torch.randn(1, 3, 32, 32)})
    assert port.verify(batches=(1, 2)).max_rel_err <= TOLERANCE
