"""DenseNet, channels last.

Written by kerascribe from `torchvision.models.densenet.DenseNet`.
"""

import keras
from keras import layers, ops

serializable = keras.saving.register_keras_serializable(package="dense_net")


@serializable
class PaddedMaxPooling(layers.Layer):
    """Max pooling, `torch.nn.MaxPool1d` to `MaxPool3d`: pads both sides with -inf.

    With `ceil_mode` the last window may stick out at the end, by less than a stride.
    """

    def __init__(self, pool_size, strides, padding, ceil_mode=False, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = tuple(pool_size)
        self.strides = tuple(strides)
        extra = [stride - 1 if ceil_mode else 0 for stride in self.strides]
        self.pad_width = ((0, 0), *((p, p + e) for p, e in zip(padding, extra)), (0, 0))

    def call(self, inputs):
        x = ops.pad(inputs, self.pad_width, constant_values=float("-inf"))
        return ops.max_pool(x, self.pool_size, self.strides, padding="valid")


@serializable
class DenseLayer(layers.Layer):
    """_DenseLayer (torchvision/models/densenet.py): n h w c -> n h w c."""

    def __init__(self, growth_rate, bn_size, **kwargs):
        super().__init__(**kwargs)
        self.norm1 = layers.BatchNormalization(momentum=0.9, epsilon=1e-05)
        self.relu1 = layers.ReLU()
        self.conv1 = layers.Conv2D(bn_size * growth_rate, 1, use_bias=False)
        self.norm2 = layers.BatchNormalization(momentum=0.9, epsilon=1e-05)
        self.relu2 = layers.ReLU()
        self.conv2 = layers.Conv2D(growth_rate, 3, padding="same", use_bias=False)

    def call(self, input):
        concated_features = ops.concatenate(input, axis=-1)
        bottleneck_output = self.conv1(self.relu1(self.norm1(concated_features)))
        new_features = self.conv2(self.relu2(self.norm2(bottleneck_output)))
        return new_features


@serializable
class DenseBlock(layers.Layer):
    """_DenseBlock (torchvision/models/densenet.py): n h w c -> n h w c."""

    def __init__(self, num_layers, bn_size, growth_rate, **kwargs):
        super().__init__(**kwargs)
        self.num_layers = num_layers
        for index in range(num_layers):
            setattr(self, f"denselayer{index + 1}", DenseLayer(growth_rate=growth_rate, bn_size=bn_size))

    def call(self, init_features):
        features = [init_features]
        for i in range(self.num_layers):
            layer = getattr(self, f"denselayer{i + 1}")
            features = [*features, layer(features)]
        return ops.concatenate(features, axis=-1)


@serializable
class Transition(layers.Layer):
    """_Transition (torchvision/models/densenet.py): n h w c -> n h w c."""

    def __init__(self, num_output_features, **kwargs):
        super().__init__(**kwargs)
        self.sequence = keras.Sequential([
            layers.BatchNormalization(momentum=0.9, epsilon=1e-05),
            layers.ReLU(),
            layers.Conv2D(num_output_features, 1, use_bias=False),
            layers.AveragePooling2D(2),
        ])

    def call(self, input):
        return self.sequence(input)


@serializable
class DenseNet(layers.Layer):
    """DenseNet (torchvision/models/densenet.py): n h w c -> n c."""

    def __init__(
        self, growth_rate=32, block_config=(6, 12, 24, 16), num_init_features=64, bn_size=4, num_classes=1000, **kwargs
    ):
        super().__init__(**kwargs)
        self.features = keras.Sequential([
            layers.ZeroPadding2D(3),
            layers.Conv2D(num_init_features, 7, strides=2, use_bias=False),
            layers.BatchNormalization(momentum=0.9, epsilon=1e-05),
            layers.ReLU(),
            PaddedMaxPooling((3, 3), (2, 2), (1, 1)),
            DenseBlock(num_layers=block_config[0], bn_size=bn_size, growth_rate=growth_rate),
            Transition(num_output_features=128),
            DenseBlock(num_layers=block_config[1], bn_size=bn_size, growth_rate=growth_rate),
            Transition(num_output_features=256),
            DenseBlock(num_layers=block_config[2], bn_size=bn_size, growth_rate=growth_rate),
            Transition(num_output_features=512),
            DenseBlock(num_layers=block_config[3], bn_size=bn_size, growth_rate=growth_rate),
            layers.BatchNormalization(momentum=0.9, epsilon=1e-05),
        ])
        self.classifier = layers.Dense(num_classes)

    def call(self, x):
        features = self.features(x)
        out = ops.relu(features)
        out = ops.mean(out, axis=(1, 2), keepdims=True)
        out = self.classifier(ops.squeeze(out, axis=(1, 2)))
        return out

    def get_build_config(self):
        return None  # The functional model builds the layer when it calls it.


def build_model(input_shape=(224, 224, 3)):
    x = keras.Input(input_shape, name="x")
    return keras.Model(x, DenseNet(name="model")(x), name="dense_net")
