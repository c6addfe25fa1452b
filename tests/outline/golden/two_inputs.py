"""Pair, channels last.

Written by kerascribe 0.1.0 from `model.py:Pair` with `net.rules` (sha256 0123abcd). Do not edit: change the rules and
run `kerascribe generate net.rules`.
"""

import keras
from keras import layers, ops

serializable = keras.saving.register_keras_serializable(package="pair")


@serializable
class Stack(layers.Layer):
    """Stack (model.py:10): n l c -> n h w c2."""

    def __init__(self, dim, depth, heads=4, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = heads
        self.blocks = [layers.Dense(dim) for _ in range(depth)]

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        y = ops.reshape(x, (-1, 4, self.num_heads, 2))
        q, k = ops.split(y, 2, axis=2)
        return q * k


@serializable
class Pair(layers.Layer):
    """Pair (model.py:10): n h w c, n l c -> n h w c2."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.small = Stack(8, 2)
        self.large = Stack(16, 3, heads=8)

    def call(self, features, lambda_):
        layers_ = self.small(features[0])
        large = self.large(features[1])
        x = lambda_ * lambda_
        x = x + lambda_
        return layers_, [large, x]

    def get_build_config(self):
        return None  # The functional model builds the layer when it calls it.


def build_model():
    a = keras.Input((4, 8), name="a")
    b = keras.Input((4, 16), name="b")
    c = keras.Input((4,), batch_size=2, name="c")
    return keras.Model([a, b, c], Pair(name="model")([a, b], c), name="pair")
