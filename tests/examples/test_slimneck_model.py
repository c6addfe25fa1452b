"""The example's torch model does what the published designs say, traps included: without kerascribe."""

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 as everyone calls it

from tests.networks import constant_tensors, randomise, slimneck_module

design = slimneck_module("model")

BATCHES = (1, 3)
CHANNELS, HEIGHT, WIDTH = 6, 5, 7
"""All different, so that no mixed-up axis goes unseen."""


def ready(module: nn.Module) -> nn.Module:
    randomise(module, seed=1)
    return module.eval()


def features(batch: int, channels: int = CHANNELS, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    return torch.randn(batch, channels, height, width, generator=torch.Generator().manual_seed(batch))


def before_shuffle(conv: nn.Module, x: Tensor) -> Tensor:
    """What GSConv computes before it shuffles."""
    x1 = conv.cv1(x)
    return torch.cat((x1, conv.cv2(x1)), 1)


# ── the two shuffles ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("batch", BATCHES)
def test_published_shuffle_is_even_channels_then_odd_ones(batch: int) -> None:
    conv = ready(design.GSConv(CHANNELS, 8, 3))
    x = features(batch)
    x2 = before_shuffle(conv, x)
    assert torch.equal(conv(x), torch.cat((x2[:, ::2], x2[:, 1::2]), 1))


@pytest.mark.parametrize("batch", BATCHES)
def test_variant_shuffle_is_shufflenets(batch: int) -> None:
    conv = ready(design.GSConvShuffleNet(CHANNELS, 8, 3))
    x = features(batch)
    assert torch.equal(conv(x), F.channel_shuffle(before_shuffle(conv, x), 2))


def test_the_two_shuffles_differ() -> None:
    published, variant = ready(design.GSConv(CHANNELS, 8)), ready(design.GSConvShuffleNet(CHANNELS, 8))
    variant.load_state_dict(published.state_dict())
    x = features(2)
    assert published(x).shape == variant(x).shape
    assert not torch.allclose(published(x), variant(x))


@pytest.mark.parametrize("batch", BATCHES)
def test_published_shuffle_written_literally_channels_last_scrambles(batch: int) -> None:
    """The trap of the original port: the same lines on `n h w c` give the right shape and wrong values."""
    conv = ready(design.GSConv(CHANNELS, 8, 3))
    x = features(batch)
    x2 = before_shuffle(conv, x).permute(0, 2, 3, 1)
    b, h, w, n = x2.shape
    y = x2.reshape(b * n // 2, 2, h * w).permute(1, 0, 2).reshape(2, -1, h, w, n // 2)
    literal = torch.cat((y[0], y[1]), -1)
    expected = conv(x).permute(0, 2, 3, 1)
    assert literal.shape == expected.shape
    assert not torch.allclose(literal, expected)


def test_published_shuffle_keeps_images_apart() -> None:
    """It reshapes across the batch, but no channel may leave its image."""
    conv = ready(design.GSConv(CHANNELS, 8, 3))
    x = features(3)
    alone = torch.cat([conv(image[None]) for image in x])
    torch.testing.assert_close(conv(x), alone)


# ── blocks ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("act", "expected"), [(True, F.silu), ("mish", F.mish), (False, lambda x: x)])
def test_conv_is_convolution_batchnorm_activation(act, expected) -> None:
    conv = ready(design.Conv(CHANNELS, 8, 3, 2, act=act))
    x = features(2)
    bn = conv.bn
    normed = (F.conv2d(x, conv.conv.weight, stride=2, padding=1) - bn.running_mean[:, None, None]) / torch.sqrt(
        bn.running_var[:, None, None] + 1e-3
    )
    torch.testing.assert_close(conv(x), expected(normed * bn.weight[:, None, None] + bn.bias[:, None, None]))
    assert bn.momentum == 0.03


def test_conv_refuses_an_unknown_activation() -> None:
    with pytest.raises(ValueError, match="'relu'"):
        design.Conv(3, 8, act="relu")


@pytest.mark.parametrize(("k", "p", "padding"), [(1, None, 0), (3, None, 1), (5, None, 2), (6, 2, 2), (3, 0, 0)])
def test_autopad(k: int, p: int | None, padding: int) -> None:
    assert design.autopad(k, p) == padding


@pytest.mark.parametrize(("c2", "shortcut", "adds"), [(6, True, True), (6, False, False), (8, True, False)])
def test_bottleneck_adds_where_the_channels_allow_it(c2: int, shortcut: bool, adds: bool) -> None:
    block = ready(design.Bottleneck(CHANNELS, c2, shortcut))
    x = features(2)
    body = block.cv2(block.cv1(x))
    assert torch.equal(block(x), x + body if adds else body)


def test_sppf_is_pools_of_5_9_and_13() -> None:
    block = ready(design.SPPF(CHANNELS, 8))
    x = features(2)
    y = block.cv1(x)
    pools = [F.max_pool2d(y, k, 1, k // 2) for k in (5, 9, 13)]
    assert torch.equal(block(x), block.cv2(torch.cat((y, *pools), 1)))


def test_gsbottleneck_is_its_lighting_alone() -> None:
    block = ready(design.GSBottleneck(CHANNELS, 8))
    x = features(2)
    assert torch.equal(block(x), block.conv_lighting[1](block.conv_lighting[0](x)))


def test_gsbottleneckc_adds_a_convolution() -> None:
    block = ready(design.GSBottleneckC(CHANNELS, 8))
    x = features(2)
    assert torch.equal(block(x), block.conv_lighting[1](block.conv_lighting[0](x)) + block.shortcut(x))


def test_vovgscsp_joins_the_plain_branch_first() -> None:
    block = ready(design.VoVGSCSP(CHANNELS, 8, n=2))
    x = features(2)
    assert torch.equal(block(x), block.cv3(torch.cat((block.cv2(x), block.gsb(block.cv1(x))), 1)))
    assert len(block.gsb) == 2


# ── the head ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_detect_decodes_every_cell_by_the_formula() -> None:
    nc, channels = 2, (4, 6, 8)
    maps = [features(2, c, height, width) for c, height, width in zip(channels, (8, 4, 2), (12, 6, 3), strict=True)]
    detect = ready(design.Detect(nc, ch=channels))

    expected = []
    for scale, (x, stride) in enumerate(zip(maps, (8, 16, 32), strict=True)):
        raw = torch.sigmoid(detect.m[scale](x))
        for anchor in range(3):
            width, height = design.ANCHORS[scale][2 * anchor : 2 * anchor + 2]
            t = raw[:, anchor * (nc + 5) : (anchor + 1) * (nc + 5)]
            for row in range(x.shape[2]):
                for column in range(x.shape[3]):
                    cell = t[:, :, row, column]
                    box = (
                        (cell[:, 0] * 2 + column - 0.5) * stride,
                        (cell[:, 1] * 2 + row - 0.5) * stride,
                        (cell[:, 2] * 2) ** 2 * width,
                        (cell[:, 3] * 2) ** 2 * height,
                    )
                    expected.append(torch.cat((torch.stack(box, 1), cell[:, 4:]), 1))

    torch.testing.assert_close(detect(maps), torch.stack(expected, 1))


def test_detect_keeps_its_anchors_in_a_buffer_in_cells() -> None:
    detect = design.Detect(1, ch=(1, 1, 1))
    assert detect.state_dict()["anchors"].shape == (3, 3, 2)
    torch.testing.assert_close(detect.anchors[1, 2], torch.tensor([59 / 16, 119 / 16]))


# ── the detector ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def detector() -> nn.Module:
    model = design.SlimNeck(nc=3)
    model.load_state_dict(slimneck_weights(nc=3))
    return model.eval()


def slimneck_weights(nc: int) -> dict[str, Tensor]:
    return make_weights().random_weights(nc)


def make_weights():
    """The script, which finds the model beside itself as `model`."""
    import sys

    sys.modules.setdefault("model", design)
    return slimneck_module("make_weights")


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("height", "width"), [(64, 96), (96, 32)])
def test_detector_gives_three_boxes_for_each_cell(detector: nn.Module, batch: int, height: int, width: int) -> None:
    cells = sum((height // stride) * (width // stride) for stride in (8, 16, 32))
    assert detector(torch.randn(batch, 3, height, width)).shape == (batch, 3 * cells, 8)


def test_images_of_a_batch_do_not_influence_each_other(detector: nn.Module) -> None:
    x = torch.randn(3, 3, 64, 96, generator=torch.Generator().manual_seed(5))
    alone = torch.cat([detector(image[None]) for image in x])
    torch.testing.assert_close(detector(x), alone, rtol=1e-4, atol=1e-3)


def test_modules_that_forward_never_calls(detector: nn.Module) -> None:
    called = set()
    handles = [
        module.register_forward_pre_hook(lambda *_, name=name: called.add(name))
        for name, module in detector.named_modules()
    ]
    detector(torch.randn(1, 3, 64, 64))
    for handle in handles:
        handle.remove()

    containers = (nn.ModuleList,)
    uncalled = {name for name, m in detector.named_modules() if name not in called and not isinstance(m, containers)}
    tops = {name for name in uncalled if name.rpartition(".")[0] not in uncalled}
    assert tops == {
        *("top4.gsb.0.conv", "top4.gsb.0.shortcut", "top4.res"),
        *("top3.gsb.0.conv", "top3.gsb.0.shortcut", "top3.gsb.1.conv", "top3.gsb.1.shortcut", "top3.res"),
    }


def test_every_design_is_part_of_the_detector(detector: nn.Module) -> None:
    used = {type(module).__name__ for module in detector.modules()}
    assert used >= {
        *("Conv", "C3", "SPPF", "GSConv", "GSConvShuffleNet", "GSBottleneck", "GSBottleneckC", "VoVGSCSP"),
        *("SiLU", "Mish", "Identity", "Upsample", "Concat", "Detect"),
    }


def test_export_takes_any_batch(detector: nn.Module) -> None:
    example = torch.randn(2, 3, 64, 96)
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(detector, (example,), strict=False, dynamic_shapes=dynamic).module()
    for batch in (1, 2, 5):
        x = torch.randn(batch, 3, 64, 96)
        assert torch.equal(program(x), detector(x))


# ── its weights ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_weights_hide_nothing(detector: nn.Module) -> None:
    assert constant_tensors(detector) == []
    result = detector(torch.randn(2, 3, 64, 96))
    assert torch.isfinite(result).all()
    scores = result[..., 4:]
    assert scores.std() > 0.1, "scores that hardly vary would hide errors"


def test_weights_are_the_same_for_the_same_seed() -> None:
    first, again, other = (make_weights().random_weights(2, seed) for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["stem.conv.weight"], other["stem.conv.weight"])


def test_script_writes_both_formats(tmp_path, monkeypatch, capsys) -> None:
    safe, pickled = tmp_path / "w.safetensors", tmp_path / "w.pt"
    monkeypatch.setattr("sys.argv", ["make_weights.py", "--output", str(safe), "--pt", str(pickled)])
    make_weights().main()
    a, b = load_file(safe), torch.load(pickled, weights_only=True)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert "571 tensors" in capsys.readouterr().out


def test_the_example_is_small() -> None:
    assert sum(parameter.numel() for parameter in design.SlimNeck().parameters()) < 1_000_000
