"""SwinTransformer, channels last.

Written by kerascribe from `torchvision.models.swin_transformer.SwinTransformer`.
"""

import keras
from keras import layers, ops

serializable = keras.saving.register_keras_serializable(package="swin_transformer")


@serializable
class StochasticDepth(layers.Dropout):
    """Drops whole samples while training, `torchvision.ops.StochasticDepth`.

    With mode "batch", all of them or none.
    """

    def __init__(self, rate, mode="row", **kwargs):
        super().__init__(rate, **kwargs)
        self.mode = mode

    def call(self, inputs, training=False):
        if not training or self.rate == 0:
            return inputs
        samples = ops.shape(inputs)[0] if self.mode == "row" else 1
        shape = (samples,) + (1,) * (len(inputs.shape) - 1)
        return keras.random.dropout(inputs, self.rate, noise_shape=shape, seed=self.seed_generator)

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}


@serializable
class ShiftedWindowAttention(layers.Layer):
    """ShiftedWindowAttention (torchvision/models/swin_transformer.py): n h w c -> n h w c."""

    def __init__(self, dim, window_size, shift_size, num_heads, **kwargs):
        super().__init__(**kwargs)
        self.window_size = window_size
        self.shift_size = shift_size
        self.num_heads = num_heads
        self.dim = dim
        self.relative_position_bias_table = self.add_weight(
            shape=((2 * window_size[0] - 1) * (2 * window_size[1] - 1), num_heads),
            initializer="zeros",
            name="relative_position_bias_table",
        )
        self.relative_position_index = self.add_weight(
            shape=((window_size[0] * window_size[1]) ** 2,),
            initializer="zeros",
            dtype="int64",
            trainable=False,
            name="relative_position_index",
        )
        self.qkv = layers.EinsumDense("bli,io->blo", (None, dim * 3), bias_axes="o")
        self.attn = None
        self.proj = layers.EinsumDense("bli,io->blo", (None, dim), bias_axes="o")

    def build(self, input_shape):
        if self.shift_size[0] > 0 and input_shape[1] > self.window_size[0]:
            self.attn = self.add_weight(
                shape=(
                    input_shape[1] // self.window_size[0] * (input_shape[2] // self.window_size[1]),
                    1,
                    self.window_size[0] * self.window_size[1],
                    self.window_size[0] * self.window_size[1],
                ),
                initializer="zeros",
                trainable=False,
                name="attn",
            )
        super().build(input_shape)

    def call(self, x):
        H, W = ops.shape(x)[1:3]
        relative_position_bias = ops.take(self.relative_position_bias_table, self.relative_position_index, axis=0)
        x = ops.roll(x, [-self.shift_size[0], -self.shift_size[1]], axis=(1, 2)) if self.attn is not None else x
        x = ops.reshape(
            x,
            (
                -1,
                H // self.window_size[0],
                self.window_size[0],
                W // self.window_size[1],
                self.window_size[1],
                self.dim,
            ),
        )
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))  # n1 n2 l1 n3 l2 c -> n1 n2 n3 l1 l2 c
        qkv = self.qkv(ops.reshape(x, (-1, self.window_size[0] * self.window_size[1], self.dim)))
        qkv = ops.reshape(qkv, (-1, ops.shape(qkv)[1], 3, self.num_heads, self.dim // self.num_heads))
        q, k, v = ops.unstack(qkv, axis=-3)
        q = q * (self.dim // self.num_heads) ** -0.5
        attn = ops.einsum("...lhk,...mhk->...hlm", q, k)
        relative_position_bias = ops.transpose(relative_position_bias, (1, 0))  # (h w) c -> c (h w)
        attn = attn + ops.reshape(
            relative_position_bias,
            (self.num_heads, self.window_size[0] * self.window_size[1], self.window_size[0] * self.window_size[1]),
        )
        if self.attn is not None:
            attn = ops.reshape(
                attn,
                (
                    -1,
                    H // self.window_size[0] * (W // self.window_size[1]),
                    self.num_heads,
                    self.window_size[0] * self.window_size[1],
                    self.window_size[0] * self.window_size[1],
                ),
            )
            attn = attn + self.attn
        attn = ops.softmax(attn)
        if self.attn is not None:
            attn = ops.reshape(
                attn,
                (
                    -1,
                    self.num_heads,
                    self.window_size[0] * self.window_size[1],
                    self.window_size[0] * self.window_size[1],
                ),
            )
        x = ops.einsum("...hlk,...khm->...lhm", attn, v)
        x = self.proj(ops.reshape(x, (-1, ops.shape(x)[1], self.dim)))
        x = ops.reshape(x, (-1, W // self.window_size[1], self.window_size[0], self.window_size[1], self.dim))
        x = ops.transpose(x, (0, 2, 1, 3, 4))  # (n c1) h1 c2 h2 w -> (n c1) c2 h1 h2 w
        x = ops.reshape(x, (-1, H, W, self.dim))
        x = ops.roll(x, [self.shift_size[0], self.shift_size[1]], axis=(1, 2)) if self.attn is not None else x
        return x


@serializable
class MLP(layers.Layer):
    """MLP (torchvision/ops/misc.py): n h w c -> n h w c."""

    def __init__(self, hidden_channels, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.sequence = keras.Sequential([
            layers.EinsumDense("bhwi,io->bhwo", (None, None, hidden_channels[0]), bias_axes="o"),
            layers.Activation("gelu"),
            layers.Dropout(dropout),
            layers.EinsumDense("bhwi,io->bhwo", (None, None, hidden_channels[-1]), bias_axes="o"),
            layers.Dropout(dropout),
        ])

    def call(self, input):
        return self.sequence(input)


@serializable
class SwinTransformerBlock(layers.Layer):
    """SwinTransformerBlock (torchvision/models/swin_transformer.py): n h w c -> n h w c."""

    def __init__(
        self, dim, num_heads, window_size, shift_size, mlp_ratio=4.0, dropout=0.0, stochastic_depth_prob=0.0, **kwargs
    ):
        super().__init__(**kwargs)
        self.norm1 = layers.LayerNormalization(epsilon=1e-05)
        self.attn = ShiftedWindowAttention(dim, window_size, shift_size, num_heads)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob)
        self.norm2 = layers.LayerNormalization(epsilon=1e-05)
        self.mlp = MLP([int(dim * mlp_ratio), dim], dropout=dropout)

    def call(self, x):
        x = x + self.stochastic_depth(self.attn(self.norm1(x)))
        x = x + self.stochastic_depth(self.mlp(self.norm2(x)))
        return x


@serializable
class PatchMerging(layers.Layer):
    """PatchMerging (torchvision/models/swin_transformer.py): n h w c -> n h w c."""

    def __init__(self, dim, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.LayerNormalization(epsilon=1e-05)
        self.reduction = layers.EinsumDense("bhwi,io->bhwo", (None, None, 2 * dim))

    def call(self, x):
        x0 = x[:, ::2, ::2]
        x1 = x[:, 1::2, ::2]
        x2 = x[:, ::2, 1::2]
        x3 = x[:, 1::2, 1::2]
        x = ops.concatenate([x0, x1, x2, x3], axis=-1)
        x = self.norm(x)
        x = self.reduction(x)
        return x


@serializable
class SwinTransformer(layers.Layer):
    """SwinTransformer (torchvision/models/swin_transformer.py): n h w c -> n c."""

    def __init__(self, embed_dim, num_classes=1000, **kwargs):
        super().__init__(**kwargs)
        self.features = keras.Sequential([
            keras.Sequential([layers.Conv2D(embed_dim, 4, strides=4), layers.LayerNormalization(epsilon=1e-05)]),
            keras.Sequential([
                SwinTransformerBlock(embed_dim, 3, window_size=[7, 7], shift_size=[0, 0]),
                SwinTransformerBlock(
                    embed_dim, 3, window_size=[7, 7], shift_size=[3, 3], stochastic_depth_prob=0.018181818181818184
                ),
            ]),
            PatchMerging(embed_dim),
            keras.Sequential([
                SwinTransformerBlock(
                    2 * embed_dim, 6, window_size=[7, 7], shift_size=[0, 0], stochastic_depth_prob=0.03636363636363637
                ),
                SwinTransformerBlock(
                    2 * embed_dim, 6, window_size=[7, 7], shift_size=[3, 3], stochastic_depth_prob=0.05454545454545456
                ),
            ]),
            PatchMerging(2 * embed_dim),
            keras.Sequential([
                SwinTransformerBlock(
                    4 * embed_dim,
                    12,
                    window_size=[7, 7],
                    shift_size=[0, 0] if i % 2 == 0 else [3, 3],
                    stochastic_depth_prob=0.2 * (i + 4) / 11,
                )
                for i in range(6)
            ]),
            PatchMerging(4 * embed_dim),
            keras.Sequential([
                SwinTransformerBlock(
                    8 * embed_dim, 24, window_size=[7, 7], shift_size=[0, 0], stochastic_depth_prob=0.18181818181818182
                ),
                SwinTransformerBlock(
                    8 * embed_dim, 24, window_size=[7, 7], shift_size=[3, 3], stochastic_depth_prob=0.2
                ),
            ]),
        ])
        self.norm = layers.LayerNormalization(epsilon=1e-05)
        self.avgpool = layers.GlobalAveragePooling2D(keepdims=True)
        self.head = layers.Dense(num_classes)

    def call(self, x):
        x = self.features(x)
        x = self.norm(x)
        x = self.avgpool(x)
        x = self.head(ops.squeeze(x, axis=(1, 2)))
        return x

    def get_build_config(self):
        return None  # The functional model builds the layer when it calls it.


def build_model(input_shape=(224, 224, 3)):
    x = keras.Input(input_shape, name="x")
    return keras.Model(x, SwinTransformer(embed_dim=96, name="model")(x), name="swin_transformer")
