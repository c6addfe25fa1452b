"""`unpour`: what comes back for what training touched, what it did not touch, and what Keras never had."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from transpiler.back import unpour_weights
from transpiler.commands import pour_checkpoint, write_port
from transpiler.errors import CheckpointError
from transpiler.factory import load_factory
from transpiler.verify.randomise import randomise

MODEL = """\
import torch
from torch import nn


class Stem(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.spare = nn.Linear(2, 3)
        self.register_buffer("scale", torch.tensor([2.0]), persistent=False)

    def forward(self, x):
        return self.bn(self.conv(x)) * self.scale


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = Stem()
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        return self.fc(self.stem(x).mean((2, 3)))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.emb.weight

    def forward(self, x):
        return self.head(torch.tanh(self.emb(x)))
"""
RULES = 'model "net.py:{}" {{ {} input x {} weights "{}" }}\n'


@pytest.fixture
def make(tmp_path):
    """Writes a model, its rules and a checkpoint, generates and pours; gives the folder's rules and the state dict."""

    def made(
        name="Net", clauses="", given="float32[batch, 3, 6, 7]", checkpoint="net.safetensors", dtype=torch.float32
    ):
        (tmp_path / "net.py").write_text(MODEL)
        (tmp_path / "net.rules").write_text(RULES.format(name, clauses, given, checkpoint))
        torch.manual_seed(0)
        model = load_factory(f"net.py:{name}", tmp_path)()
        randomise(model, 0)
        state = model.to(dtype).state_dict()
        if checkpoint.endswith(".pt"):
            torch.save(state, tmp_path / checkpoint)
        else:
            save_file({key: value.clone() for key, value in state.items()}, tmp_path / checkpoint)
        write_port(tmp_path / "net.rules")
        pour_checkpoint(tmp_path / "net.rules", ["weights.h5", "keras"])
        return tmp_path / "net.rules", state

    return made


def train(folder, path, change):
    """Change one variable of the poured weights, as training would."""
    from transpiler.build import build_from_file
    from transpiler.weights.variables import find_variable, top_layer

    model = build_from_file(folder / "tf.py")
    model.load_weights(folder / "tf.weights.h5")
    variable = find_variable(top_layer(model), path)
    variable.assign(change(np.asarray(variable)))
    model.save_weights(folder / "trained.weights.h5")


def same_bits(left, right):
    return (
        left.dtype == right.dtype
        and left.shape == right.shape
        and left.numpy(force=True).tobytes() == (right.numpy(force=True).tobytes())
    )


def check(state, found, touched=()):
    assert found.keys() == state.keys()
    for key, value in state.items():
        if key not in touched:
            bits = torch.int16 if value.dtype == torch.bfloat16 else value.dtype
            assert found[key].dtype == value.dtype, key
            assert same_bits(found[key].view(bits), value.view(bits)), key


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("checkpoint", ["net.safetensors", "net.pt"])
def test_what_training_did_not_touch_comes_back_bit_for_bit(make, dtype, checkpoint):
    rules, state = make(dtype=dtype, checkpoint=checkpoint)
    train(rules.parent, "fc.kernel", lambda value: value + 0.25)
    output = rules.parent / f"back{rules.parent.joinpath(checkpoint).suffix}"
    assert unpour_weights(rules, rules.parent / "trained.weights.h5", output).notes == ()
    found = load_file(output) if output.suffix == ".safetensors" else torch.load(output, weights_only=True)
    check(state, found, touched=["fc.weight"])
    assert found["fc.weight"].dtype == torch.float32  # the torch model's own type, not the checkpoint's
    torch.testing.assert_close(found["fc.weight"], state["fc.weight"].float() + 0.25, rtol=0, atol=0)
    load_factory("net.py:Net", rules.parent)().load_state_dict(found, strict=True)


def test_from_every_format_with_keras_weights(make):
    rules, state = make()
    folder = rules.parent
    pour_checkpoint(rules, [f"safetensors={folder / 'named.safetensors'}"])
    for name in ("tf.weights.h5", "tf.keras", "named.safetensors"):
        unpour_weights(rules, folder / name, folder / "back.safetensors")
        check(state, load_file(folder / "back.safetensors"))


def test_without_the_checkpoint_what_keras_does_not_have_is_zero(make):
    rules, state = make()
    (rules.parent / "net.safetensors").unlink()
    went_back = unpour_weights(rules, None, rules.parent / "back.pt")
    zeros = ["stem.bn.num_batches_tracked", "stem.spare.weight", "stem.spare.bias"]
    assert went_back.notes == (f"zeros, without the original checkpoint: {', '.join(zeros)}",)
    found = torch.load(rules.parent / "back.pt", weights_only=True)
    check(state, found, touched=zeros)
    assert all(not found[key].any() and found[key].dtype == state[key].dtype for key in zeros)
    load_factory("net.py:Net", rules.parent)().load_state_dict(found, strict=True)


def test_a_part_goes_back_into_the_whole(make):
    rules, _ = make()
    whole = rules.parent / "net.safetensors"
    text = RULES.format("Net", 'part "stem"', "float32[batch, 3, 6, 7]", whole.name)
    rules.write_text(text)
    write_port(rules)
    pour_checkpoint(rules)
    train(rules.parent, "conv.bias", lambda value: value * 2)
    unpour_weights(rules, rules.parent / "trained.weights.h5", rules.parent / "back.safetensors")
    found, state = load_file(rules.parent / "back.safetensors"), load_file(whole)
    check(state, found, touched=["stem.conv.bias"])
    torch.testing.assert_close(found["stem.conv.bias"], state["stem.conv.bias"] * 2)
    whole.unlink()
    with pytest.raises(CheckpointError, match=r"^net.rules: a part, 'stem', goes back into the checkpoint"):
        unpour_weights(rules, None, rules.parent / "back.safetensors")


def test_a_tied_tensor_is_the_mean_of_its_variables_and_is_named(make):
    rules, state = make("Tied", given="int64[batch, 5]")
    unpour_weights(rules, None, rules.parent / "back.safetensors")
    check(state, load_file(rules.parent / "back.safetensors"))
    train(rules.parent, "head.kernel", lambda value: value + 0.5)
    went_back = unpour_weights(rules, rules.parent / "trained.weights.h5", rules.parent / "back.pt")
    (note,) = went_back.notes
    assert note.startswith("head.weight is the mean of emb.embeddings, head.kernel: torch has one tensor for them")
    assert note.endswith("5.0e-01 apart")
    found = torch.load(rules.parent / "back.pt", weights_only=True)
    torch.testing.assert_close(found["emb.weight"], state["emb.weight"] + 0.25)
    assert found["head.weight"].data_ptr() == found["emb.weight"].data_ptr()


def test_a_constant_that_has_changed_is_named(make):
    rules, _ = make()
    train(rules.parent, "stem.scale", lambda value: value + 1)
    went_back = unpour_weights(rules, rules.parent / "trained.weights.h5", rules.parent / "back.pt")
    assert went_back.notes == ("stem.scale has changed, but no state dict holds it: the change is lost",)


def other_model(folder):
    import keras

    x = keras.Input((3,))
    keras.Model(x, keras.layers.Dense(2)(x)).save_weights(folder / "other.weights.h5")


@pytest.mark.parametrize(
    ("weights", "output", "message"),
    [
        ("none.weights.h5", "back.pt", "none.weights.h5: there are no weights\n"),
        ("tf.py", "back.pt", "tf.py: must end in .weights.h5 or .keras or .safetensors"),
        ("tf.weights.h5", "back.npz", "back.npz: must end in .safetensors or .pt or .pth"),
        ("other.weights.h5", "back.pt", "other.weights.h5: cannot be loaded: "),
        ("cut.weights.h5", "back.pt", "cut.weights.h5: cannot be loaded: "),
        ("cut.keras", "back.pt", "cut.keras: cannot be loaded: "),
        ("cut.safetensors", "back.pt", "cut.safetensors: not a readable safetensors file: "),
        ("net.safetensors", "back.pt", "net.safetensors: missing: 'stem.scale'\n"),
    ],
)
def test_what_is_wrong_is_one_message_and_nothing_is_written(make, weights, output, message):
    rules, _ = make()
    folder = rules.parent
    other_model(folder)
    (folder / "cut.weights.h5").write_bytes((folder / "tf.weights.h5").read_bytes()[:5000])
    (folder / "cut.keras").write_bytes((folder / "tf.keras").read_bytes()[:5000])
    (folder / "cut.safetensors").write_bytes((folder / "net.safetensors").read_bytes()[:300])
    before = sorted(folder.iterdir())
    with pytest.raises(CheckpointError) as caught:
        unpour_weights(rules, folder / weights, folder / output)
    assert str(caught.value).startswith(message), str(caught.value)
    assert sorted(folder.iterdir()) == before


def test_a_checkpoint_of_another_model_is_refused(make):
    rules, state = make()
    state["fc.weight"] = torch.zeros(9, 9)
    save_file(state, rules.parent / "net.safetensors")
    with pytest.raises(CheckpointError, match=r"^net.safetensors: 'fc.weight' has shape \[9, 9\], the model needs"):
        unpour_weights(rules, None, rules.parent / "back.pt")
