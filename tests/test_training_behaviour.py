"""What happens in training alone is kept although models are traced in eval mode: what is dropped, what is frozen.

Rates are measured: of N independent decisions at rate p, the share of zeros lies within 5 standard deviations of p.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from transpiler import transpile
from transpiler.capture.constructors import recording

SIGMAS = 5


class DropPath(nn.Module):
    """As many models define it themselves."""

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        if self.drop_prob == 0.0 or not self.training:
            return x
        keep = 1 - self.drop_prob
        random = keep + torch.rand((x.shape[0],) + (1,) * (x.ndim - 1), dtype=x.dtype)
        return x.div(keep) * random.floor_()


class KeepPath(nn.Module):
    """The same by another name, with the rate of what is kept."""

    def __init__(self, keep: float) -> None:
        super().__init__()
        self.keep = keep

    def forward(self, features: Tensor) -> Tensor:
        if self.training:
            mask = features.new_empty(features.shape[0], *[1] * (features.ndim - 1)).bernoulli_(self.keep)
            features = features * mask / self.keep
        return features


class DropChannels(nn.Module):
    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * (torch.rand(*x.shape[:2], 1, 1) >= self.rate) / (1 - self.rate)


class Functional(nn.Module):
    def __init__(self, function: Callable[..., Tensor], rate: float) -> None:
        super().__init__()
        self.function, self.rate = function, rate

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.rate, self.training)


class Inside(nn.Module):
    """A dropout below a class, a list, a loop, or a Sequential."""

    def __init__(self, drop: nn.Module, where: str) -> None:
        super().__init__()
        self.where = where
        self.first = nn.Sequential(nn.Sequential(nn.ReLU(), drop if where == "Sequential" else nn.ReLU()))
        self.blocks = nn.ModuleList([Wrapped(drop if where == "list" and place == 1 else None) for place in range(3)])
        self.last = Wrapped(drop if where == "class" else None)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.last(x)  # type: ignore[no-any-return]


class Wrapped(nn.Module):
    def __init__(self, inner: nn.Module | None) -> None:
        super().__init__()
        self.act = nn.Sequential(nn.ReLU(), nn.ReLU())
        self.inner = inner if inner is not None else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.act(x))  # type: ignore[no-any-return]


class Whole(nn.Module):
    """A model around one module: something before it, nothing behind it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(torch.relu(x))  # type: ignore[no-any-return]


def ported(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> Any:
    torch.manual_seed(0)
    with recording() as constructors:
        model = build().eval()
    return transpile(model, (torch.rand(2, *shape[1:]),), name="Net", constructors=constructors)


def check_drops(port: Any, shape: tuple[int, ...], rate: float, per: int) -> None:
    """In training the share of zeros is the rate, decided once for each of the first `per` dimensions' places.

    The mean is kept; outside of training nothing is dropped.
    """
    model = port.build()
    ours, theirs = (side.split() for side in port.signature.inputs[0].pattern.split(" -> "))
    x = np.ones([shape[ours.index(letter)] for letter in theirs], np.float32)
    back = [theirs.index(letter) for letter in ours]
    dropped = np.asarray(model(x, training=True)).transpose(back)
    zero = (dropped == 0).reshape(math.prod(shape[:per]), -1)
    assert (zero.all(1) == zero.any(1)).all(), "not dropped as a whole"
    share, deviation = zero[:, 0].mean(), math.sqrt(rate * (1 - rate) / len(zero))
    assert abs(share - rate) <= SIGMAS * deviation
    assert abs(dropped.mean() - 1) <= SIGMAS * deviation / (1 - rate)
    if per < len(shape):
        decisions = zero[:, 0].reshape(shape[:per])
        assert len(np.unique(decisions.reshape(shape[0], -1), axis=0)) > 1, "all samples alike"
    again = np.asarray(model(x, training=True))
    assert (again.transpose(back) != dropped).any(), "dropped the same twice"
    np.testing.assert_array_equal(np.asarray(model(x, training=False)), x)
    np.testing.assert_array_equal(np.asarray(model(x)), x)


IMAGES = (96, 16, 3, 4)
DROPS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], float, int]] = {
    "Dropout": (lambda: nn.Dropout(0.3), IMAGES, 0.3, 4),
    "Dropout in place": (lambda: nn.Dropout(0.3, inplace=True), IMAGES, 0.3, 4),
    "Dropout1d": (lambda: nn.Dropout1d(0.4), (96, 16, 9), 0.4, 2),
    "Dropout2d": (lambda: nn.Dropout2d(0.2), IMAGES, 0.2, 2),
    "Dropout3d": (lambda: nn.Dropout3d(0.25), (96, 16, 2, 3, 4), 0.25, 2),
    "F.dropout": (lambda: Functional(functional.dropout, 0.35), IMAGES, 0.35, 4),
    "F.dropout1d": (lambda: Functional(functional.dropout1d, 0.35), (96, 16, 9), 0.35, 2),
    "F.dropout2d": (lambda: Functional(functional.dropout2d, 0.35), IMAGES, 0.35, 2),
    "F.dropout3d": (lambda: Functional(functional.dropout3d, 0.35), (96, 16, 2, 3, 4), 0.35, 2),
    "DropPath": (lambda: DropPath(0.15), (2000, 3, 2, 2), 0.15, 1),
    "DropPath of sequences": (lambda: DropPath(0.15), (2000, 3, 5), 0.15, 1),
    "KeepPath": (lambda: KeepPath(0.7), (2000, 3, 2, 2), 0.3, 1),
    "DropChannels": (lambda: DropChannels(0.4), IMAGES, 0.4, 2),
    "in Sequential": (lambda: Inside(nn.Dropout(0.3), "Sequential"), IMAGES, 0.3, 4),
    "in a list": (lambda: Inside(nn.Dropout(0.3), "list"), IMAGES, 0.3, 4),
    "in a class": (lambda: Inside(nn.Dropout(0.3), "class"), IMAGES, 0.3, 4),
    "DropPath in a list": (lambda: Inside(DropPath(0.3), "list"), (2000, 3, 2, 2), 0.3, 1),
}


@pytest.mark.parametrize("name", DROPS)
def test_what_is_dropped_and_how_much(name: str) -> None:
    inner, shape, rate, per = DROPS[name]
    check_drops(ported(lambda: Whole(inner()), shape), shape, rate, per)


@pytest.mark.parametrize("mode", ["row", "batch"])
def test_stochastic_depth_of_torchvision(mode: str) -> None:
    from torchvision.ops import StochasticDepth

    port = ported(lambda: Whole(StochasticDepth(0.2, mode)), (2, 3, 2, 2))
    if mode == "row":
        check_drops(port, (2000, 3, 2, 2), 0.2, 1)
        return
    model = port.build()
    x = np.ones((3, 2, 2, 3), np.float32)
    runs = [np.asarray(model(x, training=True)) for _ in range(400)]
    assert all((run == run.flat[0]).all() for run in runs)
    assert abs(np.mean([run.flat[0] == 0 for run in runs]) - 0.2) <= SIGMAS * math.sqrt(0.2 * 0.8 / 400)


class Stages(nn.Module):
    """Residual blocks with a rate that grows from 0."""

    def __init__(self, depth: int = 4, rate: float = 0.3) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Residual(4, rate * i / (depth - 1)) for i in range(depth)])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class Residual(nn.Module):
    def __init__(self, c: int, rate: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c, c, 3, padding=1)
        self.drop_path = DropPath(rate)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.conv(x))  # type: ignore[no-any-return]


def test_rates_of_blocks_are_arguments_of_their_one_class() -> None:
    port = ported(Stages, (2, 4, 5, 6))
    assert "self.drop_path = StochasticDepth(rate)" in port.source
    assert port.source.count("class Residual") == 1
    rates = [block.drop_path.rate for block in port.build().layers[-1].blocks]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3])


# ── attention ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Attention(nn.Module):
    """All scores alike and all values 1: an output is the share of weights that is left, scaled."""

    def __init__(self, rate: float, heads: int, mask: str = "") -> None:
        super().__init__()
        self.rate, self.heads, self.mask = rate, heads, mask

    def forward(self, x: Tensor) -> Tensor:
        n, length, c = x.shape
        values = x.reshape(n, length, self.heads, c // self.heads).transpose(1, 2) if self.heads else x
        mask = torch.ones(length, length, dtype=torch.bool) if self.mask == "bool" else None
        mask = torch.zeros(length, length) if self.mask == "float" else mask
        y = functional.scaled_dot_product_attention(
            values * 0.0, values, values, mask, self.rate if self.training else 0.0
        )
        return y.transpose(1, 2).reshape(n, length, c) if self.heads else y


class Ready(nn.Module):
    """torch's own attention, with weights that make it do the same."""

    def __init__(self, rate: float, *, need_weights: bool, masked: bool = False) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, dropout=rate, bias=False, batch_first=True)
        self.need_weights, self.masked = need_weights, masked
        with torch.no_grad():
            self.attention.in_proj_weight.copy_(torch.cat([torch.zeros(16, 8), torch.eye(8)]))
            self.attention.out_proj.weight.copy_(torch.eye(8))

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.zeros(x.shape[1], x.shape[1]) if self.masked else None
        y, _ = self.attention(x, x, x, need_weights=self.need_weights, attn_mask=mask)
        return y  # type: ignore[no-any-return]


ATTENTION: dict[str, Callable[[], nn.Module]] = {
    "one head": lambda: Attention(0.3, 0),
    "heads": lambda: Attention(0.3, 2),
    "boolean mask": lambda: Attention(0.3, 2, "bool"),
    "float mask": lambda: Attention(0.3, 2, "float"),
    "MultiheadAttention": lambda: Ready(0.3, need_weights=False),
    "MultiheadAttention with weights": lambda: Ready(0.3, need_weights=True),
    "MultiheadAttention with a mask": lambda: Ready(0.3, need_weights=False, masked=True),
    "MultiheadAttention with weights and a mask": lambda: Ready(0.3, need_weights=True, masked=True),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_drops_its_weights(name: str) -> None:
    length, rate, samples = 20, 0.3, 64
    port = ported(ATTENTION[name], (2, length, 8))
    assert port.verify().ok()
    model = port.build()
    x = np.ones((samples, length, 8), np.float32)
    np.testing.assert_allclose(np.asarray(model(x, training=False)), x, rtol=1e-5)
    heads = 1 if name == "one head" else 2
    sums = np.asarray(model(x, training=True)).reshape(samples * length * heads, -1)[:, 0]
    # A sum over `length` weights of 1 / length, each left with probability 1 - rate and divided by that.
    variance = rate / (1 - rate) / length
    assert abs(sums.mean() - 1) <= SIGMAS * math.sqrt(variance / len(sums))
    assert sums.var() == pytest.approx(variance, rel=0.15)
    shares = np.unique(np.round(sums * length * (1 - rate), 3))
    assert (shares == np.round(shares)).all(), "not whole weights were dropped"


# ── frozen ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Parts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(Residual(4, 0.0), nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8))
        self.neck = nn.ModuleList([nn.Conv2d(8, 8, 1), Residual(8, 0.0)])
        self.head = nn.Linear(8, 3)
        self.scale = nn.Parameter(torch.ones(3))
        self.shift = nn.Parameter(torch.rand(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.backbone(x)
        for part in self.neck:
            x = part(x)
        return self.head(x.mean((2, 3))) * self.scale + self.shift  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "frozen",
    ["", "backbone", "backbone.0", "backbone.0.conv", "neck.1", "head", "scale", "shift", "neck.0 head scale"],
)
def test_frozen_parameters_are_not_trainable(frozen: str) -> None:
    def build() -> nn.Module:
        model = Parts()
        for name, parameter in model.named_parameters():
            if any(name == path or name.startswith(f"{path}.") for path in frozen.split()):
                parameter.requires_grad_(requires_grad=False)
        return model

    check_trainable(ported(build, (2, 4, 5, 6)), build())


def test_single_frozen_weight_of_a_layer_is_told() -> None:
    def build() -> nn.Module:
        model = Parts()
        model.head.bias.requires_grad_(requires_grad=False)
        return model

    with pytest.warns(UserWarning, match=r"head\.bias is frozen in torch, but others of its layer are trained"):
        ported(build, (2, 4, 5, 6))


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(6, 6)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        scores = self.proj(x)
        return (scores if bias is None else scores + bias).softmax(-1)


class CalledInTwoWays(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn = Masked()
        self.bias = nn.Parameter(torch.randn(6))

    def forward(self, x: Tensor) -> Tensor:
        return self.attn(self.attn(x), self.bias)  # type: ignore[no-any-return]


def test_one_module_that_becomes_two_layers_is_told() -> None:
    with pytest.warns(UserWarning, match=r"attn is called in ways that need different code: .* trained apart"):
        ported(CalledInTwoWays, (2, 5, 6))


@pytest.mark.parametrize("need_weights", [False, True])
def test_frozen_attention_is_not_trainable(need_weights: bool) -> None:
    class Half(Ready):
        def __init__(self) -> None:
            super().__init__(0.0, need_weights=need_weights)
            self.attention.requires_grad_(requires_grad=False)
            self.head = nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(super().forward(x))  # type: ignore[no-any-return]

    check_trainable(ported(Half, (2, 5, 8)), Half())


def check_trainable(port: Any, model: nn.Module) -> None:
    """Exactly the variables of parameters that want a gradient are trainable."""
    from transpiler.weights.variables import find_variable, top_layer

    built = port.build()
    trainable = {id(variable) for variable in built.trainable_variables}
    wanted = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    found = {
        entry.source: id(find_variable(top_layer(built), path)) in trainable
        for entry in port.plan.entries
        for path in entry.variables
        if entry.source in wanted
    }
    assert found == wanted


# ── BatchNorm ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_momentum_is_the_share_of_the_old() -> None:
    port = ported(lambda: Whole(nn.BatchNorm2d(4, momentum=0.3)), (2, 4, 5, 6))
    model = port.build()
    before = {variable.name: np.asarray(variable) for variable in model.weights}
    x = np.abs(np.random.default_rng(0).standard_normal((8, 5, 6, 4), dtype=np.float32))
    model(x, training=True)
    after = {variable.name: np.asarray(variable) for variable in model.weights}
    expected = 0.7 * before["moving_mean"] + 0.3 * x.mean((0, 1, 2))
    np.testing.assert_allclose(after["moving_mean"], expected, rtol=1e-5)
    model(x, training=False)
    np.testing.assert_array_equal(np.asarray(model.weights[2]), after["moving_mean"])


# ── capture leaves the model as it was ─────────────────────────────────────────────────────────────────────────────


def test_the_model_its_modes_and_the_random_state_stay_as_they_were() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(5), DropPath(0.2), Attention(0.3, 2)).train()
    model[1].eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    port = transpile(model, (torch.ones(2, 5, 8),))
    assert "DroppedAttention(0.3)" in port.source
    torch.testing.assert_close(torch.rand(4), expected, rtol=0, atol=0)
    assert [module.training for module in model] == [True, False, True, True]
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
