"""DenseNet, channels last.

Written by kerascribe 0.1.0 from `model.py:DenseNet` with `net.rules` (sha256 0123abcd). Do not edit: change the rules
and run `kerascribe generate net.rules`.
"""

import keras
from keras import layers, ops

serializable = keras.saving.register_keras_serializable(package="dense_net")


@serializable
class DenseLayer(layers.Layer):
    """_DenseLayer (model.py:10): n h w c -> n h w c2."""

    def __init__(self, growth_rate, bn_size=4, **kwargs):
        super().__init__(**kwargs)
        self.norm1 = layers.BatchNormalization(epsilon=1e-05)
        self.conv1 = layers.Conv2D(bn_size * growth_rate, 1, use_bias=False)
        self.conv2 = layers.Conv2D(growth_rate, 3, padding="same", use_bias=False)

    def call(self, inputs):
        concated_features = ops.concatenate(inputs, axis=-1)
        bottleneck_output = self.conv1(self.norm1(concated_features))
        new_features = self.conv2(bottleneck_output)
        return new_features


@serializable
class DenseNet(layers.Layer):
    """DenseNet (model.py:10): n h w c -> n h w c2."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.denselayers = [DenseLayer(4) for _ in range(3)]
        self.scale = self.add_weight(shape=(15,), initializer="zeros", name="scale")
        self.steps = self.add_weight(shape=(), initializer="zeros", dtype="int64", trainable=False, name="steps")

    def call(self, x):
        new_features = self.denselayers[0]([x])
        new_features_2 = self.denselayers[1]([x, new_features])
        new_features_3 = self.denselayers[2]([x, new_features, new_features_2])
        x = ops.concatenate([x, new_features, new_features_2, new_features_3], axis=-1)
        x = x * self.scale
        return {"out": x, "last": new_features_3}

    def get_build_config(self):
        return None  # The functional model builds the layer when it calls it.


def build_model(input_shape=(8, 8, 3)):
    x = keras.Input(input_shape, name="x")
    return keras.Model(x, DenseNet(name="model")(x), name="dense_net")
