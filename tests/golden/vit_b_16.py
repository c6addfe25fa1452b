"""VisionTransformer, channels last.

Written by kerascribe from `torchvision.models.vision_transformer.VisionTransformer`.
"""

import keras
from keras import layers, ops

serializable = keras.saving.register_keras_serializable(package="vision_transformer")


@serializable
class MLPBlock(layers.Layer):
    """MLPBlock (torchvision/models/vision_transformer.py): n l c -> n l c."""

    def __init__(self, in_dim, mlp_dim, dropout, **kwargs):
        super().__init__(**kwargs)
        self.sequence = keras.Sequential([
            layers.EinsumDense("bli,io->blo", (None, mlp_dim), bias_axes="o"),
            layers.Activation("gelu"),
            layers.Dropout(dropout),
            layers.EinsumDense("bli,io->blo", (None, in_dim), bias_axes="o"),
            layers.Dropout(dropout),
        ])

    def call(self, input):
        return self.sequence(input)


@serializable
class EncoderBlock(layers.Layer):
    """EncoderBlock (torchvision/models/vision_transformer.py): n l c -> n l c."""

    def __init__(self, num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, **kwargs):
        super().__init__(**kwargs)
        self.ln_1 = layers.LayerNormalization(epsilon=1e-06)
        self.self_attention = layers.MultiHeadAttention(num_heads, hidden_dim // num_heads, dropout=attention_dropout)
        self.dropout = layers.Dropout(dropout)
        self.ln_2 = layers.LayerNormalization(epsilon=1e-06)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def call(self, input):
        x = self.ln_1(input)
        x = self.self_attention(x, x, x)
        x = self.dropout(x)
        x = x + input
        y = self.ln_2(x)
        y = self.mlp(y)
        return x + y


@serializable
class Encoder(layers.Layer):
    """Encoder (torchvision/models/vision_transformer.py): n l c -> n l c."""

    def __init__(self, seq_length, num_layers, num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, **kwargs):
        super().__init__(**kwargs)
        self.pos_embedding = self.add_weight(shape=(seq_length, hidden_dim), initializer="zeros", name="pos_embedding")
        self.dropout = layers.Dropout(dropout)
        self.layers_ = keras.Sequential([
            EncoderBlock(num_heads, hidden_dim, mlp_dim, dropout, attention_dropout) for _ in range(num_layers)
        ])
        self.ln = layers.LayerNormalization(epsilon=1e-06)

    def call(self, input):
        input = input + self.pos_embedding
        return self.ln(self.layers_(self.dropout(input)))


@serializable
class VisionTransformer(layers.Layer):
    """VisionTransformer (torchvision/models/vision_transformer.py): n h w c -> n c."""

    def __init__(
        self,
        image_size,
        patch_size,
        num_layers,
        num_heads,
        hidden_dim,
        mlp_dim,
        dropout=0.0,
        attention_dropout=0.0,
        num_classes=1000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        seq_length = (image_size // patch_size) ** 2 + 1
        self.conv_proj = layers.Conv2D(hidden_dim, patch_size, strides=patch_size)
        self.class_token = self.add_weight(shape=(1, 1, hidden_dim), initializer="zeros", name="class_token")
        self.encoder = Encoder(seq_length, num_layers, num_heads, hidden_dim, mlp_dim, dropout, attention_dropout)
        self.heads = keras.Sequential([layers.Dense(num_classes)])

    def call(self, x):
        x = self.conv_proj(x)
        x = ops.concatenate(
            [
                ops.broadcast_to(self.class_token, (ops.shape(x)[0], 1, self.hidden_dim)),
                ops.reshape(x, (-1, ops.shape(x)[1] * ops.shape(x)[2], self.hidden_dim)),
            ],
            axis=1,
        )
        x = self.encoder(x)
        x = x[:, 0]
        x = self.heads(x)
        return x

    def get_build_config(self):
        return None  # The functional model builds the layer when it calls it.


def build_model(input_shape=(224, 224, 3)):
    x = keras.Input(input_shape, name="x")
    return keras.Model(
        x,
        VisionTransformer(
            image_size=224, patch_size=16, num_layers=12, num_heads=12, hidden_dim=768, mlp_dim=3072, name="model"
        )(x),
        name="vision_transformer",
    )
