"""Hand-made lowered programs, as layout would make them from the torch classes whose constructors stand beside."""

# ruff: noqa: F821, RUF046 — the constructors are torch code that is read, never run
from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections.abc import Callable

from transpiler.code import (
    Binary,
    Call,
    Code,
    Ellipsis_,
    Function,
    Index,
    Literal,
    Mapping,
    Member,
    Ref,
    Sequence,
    Slice,
)
from transpiler.lowered import (
    Argument,
    BlockAttribute,
    Body,
    Constructor,
    LayerAttribute,
    LoweredProgram,
    ModelInput,
    ModelOutput,
    Opaque,
    SequentialAttribute,
    Signature,
    SourceLine,
    Statement,
    Style,
    TorchClass,
    WeightAttribute,
)
from transpiler.lowered import Member as LoweredMember
from transpiler.trees import code_of


def layer(name: str, *arguments: object, **keywords: object) -> LayerAttribute:
    return LayerAttribute(keras_call(name, *arguments, **keywords))


def keras_call(name: str, *arguments: object, **keywords: object) -> Call:
    def code(value: object) -> Code:
        return value if isinstance(value, (Call, Sequence)) else code_of(value)

    return Call(
        Function(f"keras.layers.{name}"),
        tuple(code(argument) for argument in arguments),
        tuple((key, code(value)) for key, value in keywords.items()),
    )


def chain(*calls: Call) -> LayerAttribute:
    return LayerAttribute(Call(Function("keras.Sequential"), (Sequence("list", calls),)))


def ops(name: str, *arguments: Code, **keywords: object) -> Call:
    return Call(Function(f"keras.ops.{name}"), arguments, tuple((k, code_of(v)) for k, v in keywords.items()))


def concatenate(*values: Code) -> Call:
    return ops("concatenate", Sequence("list", values), axis=-1)


def call(member: str, *arguments: Code, index: int | None = None) -> Call:
    return Call(Member(member, index), arguments)


class Draft:
    """A body being written: `value = draft.do(code, "name", line)`."""

    def __init__(self, name: str, init: Callable[..., None] | str = "", args: tuple = (), kwargs: dict | None = None):
        source = init if isinstance(init, str) else textwrap.dedent(inspect.getsource(init))
        if not isinstance(init, str) and init.__name__ == "<lambda>":
            source = ""
        elif not isinstance(init, str):
            function = ast.parse(source).body[0]
            assert isinstance(function, ast.FunctionDef)
            function.name = "__init__"
            source = ast.unparse(function)
        self.cls = TorchClass(name, f"models.{name}", SourceLine("model.py", 10), source)
        self.constructor = _constructor(init, args, kwargs or {}) if callable(init) else None
        self.members: list[LoweredMember] = []
        self.statements: list[Statement] = []
        self.arguments: list[Argument] = []
        self.count = itertools.count()
        self.unused: tuple[str, ...] = ()
        self.frozen = False

    def argument(self, name: str = "x", pattern: str = "n h w c1") -> Ref:
        value = next(self.count)
        self.arguments.append(Argument(name, (value,), False, pattern))
        return Ref(value)

    def list_argument(self, name: str, length: int) -> list[Ref]:
        values = tuple(next(self.count) for _ in range(length))
        self.arguments.append(Argument(name, values, True, "n h w c"))
        return [Ref(value) for value in values]

    def member(self, name: str, value: object, index: int | None = None) -> None:
        value = BlockAttribute(value) if isinstance(value, Body) else value
        path = name if index is None else f"{name}.{index}"
        self.members.append(LoweredMember(name, index, path, value))

    def do(self, code: Code, name: str | None = None, line: int | None = None, comment: str = "") -> Ref:
        value = next(self.count)
        source = None if line is None else SourceLine("model.py", line)
        self.statements.append(Statement((value,), code, (name,), source, comment))
        return Ref(value)

    def do_many(self, code: Code, names: tuple[str | None, ...], line: int | None = None) -> list[Ref]:
        values = tuple(next(self.count) for _ in names)
        source = None if line is None else SourceLine("model.py", line)
        self.statements.append(Statement(values, code, names, source))
        return [Ref(value) for value in values]

    def done(self, result: Code, path: str = "") -> Body:
        return Body(
            self.cls,
            path,
            self.constructor,
            tuple(self.arguments),
            tuple(self.members),
            tuple(self.statements),
            result,
            "n h w c2",
            self.unused,
            self.frozen,
        )


def _constructor(init: Callable[..., None], args: tuple, kwargs: dict) -> Constructor:
    signature = inspect.signature(init)
    bound = signature.bind(None, *args, **kwargs)
    bound.apply_defaults()
    arguments = {name: value for name, value in bound.arguments.items() if name != "self"}
    defaults = {
        name: parameter.default
        for name, parameter in signature.parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    return Constructor(arguments, defaults, len(args))


def sequential(*children: object) -> SequentialAttribute:
    return SequentialAttribute(tuple(BlockAttribute(c) if isinstance(c, Body) else c for c in children))


def program(root: Body, *shapes: tuple[int | None, ...], name: str = "Net", names: tuple[str, ...] = ("x",), **style):
    inputs = tuple(
        ModelInput(name, "float32", shape, shape, "n c h w -> n h w c")
        for name, shape in zip(names, shapes, strict=True)
    )
    outputs = (ModelOutput("y", "float32", (None,), "n c"),)
    return LoweredProgram(
        name, root, Signature(inputs, outputs), Style(**style), "net.rules", "0123abcd", f"model.py:{name}"
    )


# ── the slim neck ──────────────────────────────────────────────────────────────────────────────────────────────────


def _conv_init(self, c1, c2, k=1, s=1, p=None, g=1, act=True):  # noqa: PLR0917 — as in torch
    self.conv = nn.Conv2d(c1, c2, k, s, autopad(k, p), groups=g, bias=False)
    self.bn = nn.BatchNorm2d(c2, eps=1e-3, momentum=0.03)
    self.act = activation(act)


def conv(c1, c2, k=1, s=1, p=None, g=1, act=True) -> Body:
    given = [c1, c2, k, s, p, g, act]
    while len(given) > 2 and given[-1] == (1, 1, None, 1, True)[len(given) - 3]:
        given.pop()
    draft = Draft("Conv", _conv_init, tuple(given))
    x = draft.argument()
    padding = k // 2 if p is None else p
    if g > 1:
        draft.member("conv", layer("DepthwiseConv2D", (k, k), strides=(s, s), padding="same", use_bias=False))
    elif s == 1:
        draft.member("conv", layer("Conv2D", c2, (k, k), strides=(s, s), padding="same", use_bias=False))
    else:
        pad = keras_call("ZeroPadding2D", ((padding, padding), (padding, padding)))
        draft.member("conv", chain(pad, keras_call("Conv2D", c2, (k, k), strides=(s, s), use_bias=False)))
    draft.member("bn", layer("BatchNormalization", momentum=0.97, epsilon=1e-3))
    x = draft.do(call("conv", x), None, 20)
    x = draft.do(call("bn", x), None, 20)
    if act:
        draft.member("act", layer("Activation", "silu" if act is True else act))
        x = draft.do(call("act", x), None, 20)
    return draft.done(x)


def _bottleneck_init(self, c1, c2, shortcut=True, g=1, e=0.5):
    c_ = int(c2 * e)
    self.cv1 = Conv(c1, c_, 1, 1)
    self.cv2 = Conv(c_, c2, 3, 1, g=g)
    self.add = shortcut and c1 == c2


def bottleneck(c1, c2, shortcut=True, g=1, e=0.5) -> Body:
    draft = Draft("Bottleneck", _bottleneck_init, (c1, c2, shortcut, g), {"e": e})
    x = draft.argument()
    c_ = int(c2 * e)
    draft.member("cv1", conv(c1, c_, 1, 1))
    draft.member("cv2", conv(c_, c2, 3, 1, g=g))
    y = draft.do(call("cv2", draft.do(call("cv1", x), None, 30)), None, 30)
    if shortcut and c1 == c2:
        y = draft.do(Binary("+", x, y), None, 30)
    return draft.done(y)


def _c3_init(self, c1, c2, n=1, shortcut=True, g=1, e=0.5):
    c_ = int(c2 * e)
    self.cv1 = Conv(c1, c_, 1, 1)
    self.cv2 = Conv(c1, c_, 1, 1)
    self.cv3 = Conv(2 * c_, c2, 1)
    self.m = nn.Sequential(*(Bottleneck(c_, c_, shortcut, g, e=1.0) for _ in range(n)))


def c3(c1, c2, n=1, shortcut=True) -> Body:
    draft = Draft("C3", _c3_init, (c1, c2, n), {"shortcut": shortcut})
    x = draft.argument()
    c_ = int(c2 * 0.5)
    draft.member("cv1", conv(c1, c_, 1, 1))
    draft.member("cv2", conv(c1, c_, 1, 1))
    draft.member("cv3", conv(2 * c_, c2, 1))
    draft.member("m", sequential(*(bottleneck(c_, c_, shortcut, 1, e=1.0) for _ in range(n))))
    y = draft.do(call("m", draft.do(call("cv1", x), None, 40)), None, 40)
    z = draft.do(call("cv2", x), None, 40)
    return draft.done(draft.do(call("cv3", draft.do(concatenate(y, z), None, 40)), None, 40))


def _gsconv_init(self, c1, c2, k=1, s=1, g=1, act=True):
    c_ = c2 // 2
    self.cv1 = Conv(c1, c_, k, s, None, g, act)
    self.cv2 = Conv(c_, c_, 5, 1, None, c_, act)


def gsconv(c1, c2, k=1, s=1, **kwargs) -> Body:
    draft = Draft("GSConv", _gsconv_init, (c1, c2, k, s), kwargs)
    act = kwargs.get("act", True)
    x = draft.argument()
    draft.member("cv1", conv(c1, c2 // 2, k, s, None, 1, act))
    draft.member("cv2", conv(c2 // 2, c2 // 2, 5, 1, None, c2 // 2, act))
    x1 = draft.do(call("cv1", x), "x1", 50)
    x2 = draft.do(concatenate(x1, draft.do(call("cv2", x1), "x2", 51)), "x2", 51)
    even = Index(x2, (Ellipsis_(), Slice(None, None, Literal(2))))
    odd = Index(x2, (Ellipsis_(), Slice(Literal(1), None, Literal(2))))
    return draft.done(draft.do(concatenate(even, odd), None, 55))


def _gsbottleneck_init(self, c1, c2):
    c_ = c2 // 2
    self.conv_lighting = nn.Sequential(GSConv(c1, c_, 1, 1), GSConv(c_, c2, 1, 1, act=False))
    self.conv = nn.Sequential(GSConv(c1, c_, 3, 1), GSConv(c_, c2, 3, 1, act=False))
    self.shortcut = nn.Identity()


def gsbottleneck(c1, c2) -> Body:
    draft = Draft("GSBottleneck", _gsbottleneck_init, (c1, c2))
    x = draft.argument()
    c_ = c2 // 2
    draft.member("conv_lighting", sequential(gsconv(c1, c_, 1, 1), gsconv(c_, c2, 1, 1, act=False)))
    draft.unused = ("conv", "shortcut")
    return draft.done(draft.do(call("conv_lighting", x), None, 60))


def _neck_init(self, nc=80, width=8):
    self.stem = Conv(3, width, 6, 2, 2)


def slim_neck() -> LoweredProgram:
    draft = Draft("SlimNeck", _neck_init, (), {"nc": 3})
    image = draft.argument("x", "n h w c")
    draft.member("stem", conv(3, 8, 6, 2, 2))
    draft.member("down", conv(8, 16, 3, 2))
    draft.member("stage1", c3(16, 16, 1))
    draft.member("stage2", c3(16, 32, 3))
    draft.member("stage3", c3(32, 32, 2, shortcut=False))
    draft.member("lateral", gsconv(32, 16, 1, 1))
    draft.member("reduce", gsconv(16, 16, 3, 2, act="mish"))
    draft.member("gsb", gsbottleneck(16, 16))
    p2 = draft.do(call("stage1", draft.do(call("down", draft.do(call("stem", image), "p2", 70)), "p2", 70)), "p2", 70)
    p3 = draft.do(call("stage3", draft.do(call("stage2", p2), "p3", 71)), "p3", 71)
    p4 = draft.do(call("reduce", draft.do(call("lateral", p3), "p4", 72)), "p4", 72)
    y = draft.do(call("gsb", p4), None, 73)
    return program(draft.done(Sequence("tuple", (p2, y))), (None, 64, 64, 3), name="SlimNeck", prefix="TF")


# ── residual networks ──────────────────────────────────────────────────────────────────────────────────────────────


def _block_init(self, inplanes, planes, stride=1, downsample=None, groups=1, base_width=64):
    width = int(planes * (base_width / 64.0)) * groups
    self.conv1 = conv1x1(inplanes, width)
    self.bn1 = norm_layer(width)
    self.conv2 = conv3x3(width, width, stride, groups, dilation)
    self.bn2 = norm_layer(width)
    self.conv3 = conv1x1(width, planes * self.expansion)
    self.bn3 = norm_layer(planes * self.expansion)
    self.relu = nn.ReLU(inplace=True)
    self.downsample = downsample
    self.stride = stride


def residual(inplanes, planes, stride=1, downsample=False) -> Body:
    opaque = Opaque("Sequential(...)") if downsample else None
    draft = Draft("Bottleneck", _block_init, (inplanes, planes, stride, opaque))
    x = draft.argument()
    draft.member("conv1", layer("Conv2D", planes, (1, 1), use_bias=False))
    draft.member("bn1", layer("BatchNormalization", momentum=0.9, epsilon=1e-5))
    if stride == 1:
        draft.member("conv2", layer("Conv2D", planes, (3, 3), padding="same", use_bias=False))
    else:
        pad = keras_call("ZeroPadding2D", ((1, 1), (1, 1)))
        draft.member("conv2", chain(pad, keras_call("Conv2D", planes, (3, 3), strides=(2, 2), use_bias=False)))
    draft.member("bn2", layer("BatchNormalization", momentum=0.9, epsilon=1e-5))
    draft.member("conv3", layer("Conv2D", planes * 4, (1, 1), use_bias=False))
    draft.member("bn3", layer("BatchNormalization", momentum=0.9, epsilon=1e-5))
    draft.member("relu", layer("ReLU"))
    out = draft.do(call("conv1", x), "out", 81)
    out = draft.do(call("bn1", out), "out", 82)
    out = draft.do(call("relu", out), "out", 83)
    out = draft.do(call("conv2", out), "out", 84)
    out = draft.do(call("bn2", out), "out", 85)
    out = draft.do(call("relu", out), "out", 86)
    out = draft.do(call("conv3", out), "out", 87)
    out = draft.do(call("bn3", out), "out", 88)
    identity = x
    if downsample:
        draft.member(
            "downsample",
            chain(
                keras_call("Conv2D", planes * 4, (1, 1), strides=(stride, stride), use_bias=False),
                keras_call("BatchNormalization", momentum=0.9, epsilon=1e-5),
            ),
        )
        identity = draft.do(call("downsample", x), "identity", 90)
    out = draft.do(Binary("+", out, identity), "out", 91)
    return draft.done(draft.do(call("relu", out), "out", 92))


def residual_network() -> LoweredProgram:
    draft = Draft("ResNet", "def __init__(self):\n    self.layer1 = self._make_layer(block, 8, layers[0])\n")
    x = draft.argument("x", "n h w c")
    draft.member("layer1", sequential(residual(3, 8, 1, True), residual(32, 8), residual(32, 8)))
    draft.member("layer2", sequential(residual(32, 16, 2, True), residual(64, 16)))
    draft.member("layer3", sequential(residual(64, 32, 2, True), residual(128, 32)))
    for place, name in enumerate(("layer1", "layer2", "layer3")):
        x = draft.do(call(name, x), "x", 100 + place)
    return program(draft.done(Sequence("list", (x,))), (None, None, None, 3), name="ResNet")


# ── dense blocks ───────────────────────────────────────────────────────────────────────────────────────────────────


def _dense_layer_init(self, num_input_features, growth_rate, bn_size=4):
    self.norm1 = nn.BatchNorm2d(num_input_features)
    self.conv1 = nn.Conv2d(num_input_features, bn_size * growth_rate, kernel_size=1, stride=1, bias=False)
    self.conv2 = nn.Conv2d(bn_size * growth_rate, growth_rate, kernel_size=3, stride=1, padding=1, bias=False)


def dense_layer(features: int, growth: int, length: int) -> Body:
    draft = Draft("_DenseLayer", _dense_layer_init, (features, growth), {"bn_size": 4})
    inputs = draft.list_argument("inputs", length)
    draft.member("norm1", layer("BatchNormalization", epsilon=1e-5))
    draft.member("conv1", layer("Conv2D", 4 * growth, (1, 1), use_bias=False))
    draft.member("conv2", layer("Conv2D", growth, (3, 3), padding="same", use_bias=False))
    joined = draft.do(concatenate(*inputs), "concated_features", 110)
    bottleneck_output = draft.do(call("conv1", draft.do(call("norm1", joined), None, 111)), "bottleneck_output", 111)
    return draft.done(draft.do(call("conv2", bottleneck_output), "new_features", 112))


def dense_network() -> LoweredProgram:
    draft = Draft("DenseNet")
    x = draft.argument("x", "n h w c")
    features: list[Code] = [x]
    for place in range(3):
        draft.member("denselayers", dense_layer(3 + 4 * place, 4, place + 1), place)
        features.append(
            draft.do(call("denselayers", Sequence("list", tuple(features)), index=place), "new_features", 120)
        )
    scale = Member("scale")
    draft.member("scale", WeightAttribute((15,), "float32", True))
    draft.member("steps", WeightAttribute((), "int64", False))
    held = draft.do(scale)
    joined = draft.do(concatenate(*features), None, 121)
    y = draft.do(Binary("*", joined, held), "x", 122)
    return program(draft.done(Mapping((("out", y), ("last", features[-1])))), (None, 8, 8, 3), name="DenseNet")


# ── loops and lists ────────────────────────────────────────────────────────────────────────────────────────────────


def _stack_init(self, dim, depth, heads=4):
    self.num_heads = heads
    self.blocks = nn.ModuleList([nn.Linear(dim, dim) for _ in range(depth)])


def stack(dim: int, depth: int, heads: int) -> Body:
    draft = Draft("Stack", _stack_init, (dim, depth), {"heads": heads})
    x = draft.argument("x", "n l c")
    for place in range(depth):
        draft.member("blocks", layer("Dense", dim), place)
    for place in range(depth):
        x = draft.do(call("blocks", x, index=place), "x", 130)
    shape = Sequence("tuple", (Literal(-1), Literal(4), Literal(heads), Literal(dim // heads)))
    y = draft.do(ops("reshape", x, shape), "y", 131)
    parts = draft.do_many(ops("split", y, Literal(2), axis=2), ("q", "k"), 132)
    return draft.done(draft.do(Binary("*", *parts), None, 133))


def two_inputs() -> LoweredProgram:
    draft = Draft("Pair")
    (x, y) = draft.list_argument("features", 2)
    z = draft.argument("lambda", "n l c")
    draft.member("small", stack(8, 2, 4))
    draft.member("large", stack(16, 3, 8))
    a = draft.do(call("small", x), "layers", 140)
    b = draft.do(call("large", y), None, 141)
    c = draft.do(Binary("*", z, z), "x", 142)
    d = draft.do(Binary("+", c, z), "x", 143)
    return program(
        draft.done(Sequence("tuple", (a, Sequence("list", (b, d))))),
        (None, 4, 8),
        (None, 4, 16),
        (2, 4),
        name="Pair",
        names=("a", "b", "c"),
    )


def dense_block(features: int, growth: int, count: int) -> Body:
    init = """def __init__(self, num_layers, num_input_features, growth_rate):
    for i in range(num_layers):
        layer = _DenseLayer(num_input_features + i * growth_rate, growth_rate)
        self.add_module("denselayer%d" % (i + 1), layer)
"""
    draft = Draft("_DenseBlock", init)
    given = {"num_layers": count, "num_input_features": features, "growth_rate": growth}
    draft.constructor = Constructor(given, {}, 3)
    first = draft.argument("init_features", "n h w c")
    held: list[Code] = [first]
    for place in range(count):
        draft.member(f"denselayer{place + 1}", dense_layer(features + growth * place, growth, place + 1))
        held.append(draft.do(call(f"denselayer{place + 1}", Sequence("list", tuple(held))), "new_features", 150))
    return draft.done(draft.do(concatenate(*held), None, 151))


def dense_blocks() -> LoweredProgram:
    draft = Draft("DenseNet")
    x = draft.argument("x", "n h w c")
    draft.member("features", sequential(dense_block(3, 4, 2), dense_block(11, 4, 3), dense_block(23, 4, 3)))
    return program(draft.done(draft.do(call("features", x), None, 160)), (None, 8, 8, 3), name="DenseNet")


# ── optional elements, with and without recorded constructors ──────────────────────────────────────────────────────


def _inverted_init(self, inp, oup, stride, expand_ratio):
    self.stride = stride
    hidden_dim = int(round(inp * expand_ratio))
    self.use_res_connect = self.stride == 1 and inp == oup
    layers = []
    if expand_ratio != 1:
        layers.append(ConvBNReLU(inp, hidden_dim, kernel_size=1))
    layers.extend([ConvBNReLU(hidden_dim, hidden_dim, stride=stride, groups=hidden_dim), nn.Conv2d(hidden_dim, oup, 1)])
    self.conv = nn.Sequential(*layers)


def inverted(inp: int, oup: int, stride: int, expand: int, *, recorded: bool = True) -> Body:
    draft = Draft("InvertedResidual", _inverted_init, (inp, oup, stride, expand))
    if not recorded:
        draft.constructor = None
        draft.cls = TorchClass("Inverted", "models.Inverted", None, "")
    x = draft.argument()
    relu = keras_call("ReLU", max_value=6.0)
    expansion = chain(keras_call("Conv2D", inp * expand, (1, 1)), relu)
    depthwise = keras_call("DepthwiseConv2D", (3, 3), padding="same")
    if stride > 1:
        pad = keras_call("ZeroPadding2D", ((1, 1), (1, 1)))
        strided = keras_call("DepthwiseConv2D", (3, 3), strides=(stride, stride))
        depthwise = chain(pad, strided).constructor
    children: list[object] = [expansion] if expand != 1 else []
    children += [chain(depthwise, relu), layer("Conv2D", oup, (1, 1))]
    draft.member("conv", sequential(*children))
    y = draft.do(call("conv", x), None, 170)
    if stride == 1 and inp == oup:
        y = draft.do(Binary("+", x, y), None, 170)
    return draft.done(y)


def mobile_network() -> LoweredProgram:
    draft = Draft("MobileNet")
    x = draft.argument("x", "n h w c")
    sizes = [(8, 8, 1, 1), (8, 12, 2, 6), (12, 12, 1, 6), (12, 16, 2, 6), (16, 16, 1, 6), (16, 16, 1, 6)]
    draft.member("features", sequential(*(inverted(*size) for size in sizes)))
    draft.member("others", sequential(*(inverted(*size, recorded=False) for size in [(16, *sizes[0][1:]), *sizes[1:]])))
    x = draft.do(call("others", draft.do(call("features", x), "x", 180)), "x", 181)
    return program(draft.done(x), (None, 16, 16, 8), name="MobileNet")


# ── lists that are gathered, comments, names that clash ────────────────────────────────────────────────────────────


def branches() -> LoweredProgram:
    draft = Draft("Branches")
    x = draft.argument("x", "n l c")
    for place in range(3):
        draft.member("branches", layer("Dense", 4), place)
    draft.member("class_", layer("Dense", 4))
    gathered = [draft.do(call("branches", x, index=place), "out", 190) for place in range(3)]
    parts = draft.do(concatenate(*gathered), "parts", 191)
    y = draft.do(call("class_", parts), "y", 192)
    order = Sequence("tuple", (Literal(0), Literal(2), Literal(1)))
    y = draft.do(ops("transpose", y, order), "y", 193, "n l c -> n c l")
    lost, kept = draft.do_many(ops("split", y, Literal(2), axis=1), (None, "lambda"), 194)
    del lost
    draft.frozen = True
    return program(draft.done(draft.do(Binary("-", kept, Literal(1.5)), "ops", 195)), (None, 4, 6), name="Branches")


PROGRAMS = {
    "slim_neck": slim_neck,
    "residual_network": residual_network,
    "dense_network": dense_network,
    "dense_blocks": dense_blocks,
    "mobile_network": mobile_network,
    "branches": branches,
    "two_inputs": two_inputs,
}
