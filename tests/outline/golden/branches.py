"""Branches, channels last.

Written by kerascribe 0.1.0 from `model.py:Branches` with `net.rules` (sha256 0123abcd). Do not edit: change the rules
and run `kerascribe generate net.rules`.
"""

import keras
from keras import layers, ops

serializable = keras.saving.register_keras_serializable(package="branches")


@serializable
class Branches(layers.Layer):
    """Branches (model.py:10): n l c -> n h w c2."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.branches = [layers.Dense(4) for _ in range(3)]
        self.class_ = layers.Dense(4)
        self.trainable = False

    def call(self, x):
        parts = ops.concatenate([branch(x) for branch in self.branches], axis=-1)
        y = self.class_(parts)
        y = ops.transpose(y, (0, 2, 1))  # n l c -> n c l
        _, lambda_ = ops.split(y, 2, axis=1)
        ops_ = lambda_ - 1.5
        return ops_

    def get_build_config(self):
        return None  # The functional model builds the layer when it calls it.


def build_model(input_shape=(4, 6)):
    x = keras.Input(input_shape, name="x")
    return keras.Model(x, Branches(name="model")(x), name="branches")
