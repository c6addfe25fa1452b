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
class DenseBlock(layers.Layer):
    """_DenseBlock (model.py:10): n h w c -> n h w c2."""

    def __init__(self, num_layers, growth_rate, **kwargs):
        super().__init__(**kwargs)
        self.num_layers = num_layers
        for index in range(num_layers):
            setattr(self, f"denselayer{index + 1}", DenseLayer(growth_rate))

    def call(self, init_features):
        features = [init_features]
        for i in range(self.num_layers):
            layer = getattr(self, f"denselayer{i + 1}")
            features = [*features, layer(features)]
        return ops.concatenate(features, axis=-1)


@serializable
class DenseNet(layers.Layer):
    """DenseNet (model.py:10): n h w c -> n h w c2."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.features = keras.Sequential([DenseBlock(2, 4), *[DenseBlock(3, 4) for _ in range(2)]])

    def call(self, x):
        return self.features(x)

    def get_build_config(self):
        return None  # The functional model builds the layer when it calls it.


def build_model(input_shape=(8, 8, 3)):
    x = keras.Input(input_shape, name="x")
    return keras.Model(x, DenseNet(name="model")(x), name="dense_net")
