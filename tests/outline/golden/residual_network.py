"""ResNet, channels last.

Written by kerascribe 0.1.0 from `model.py:ResNet` with `net.rules` (sha256 0123abcd). Do not edit: change the rules and
run `kerascribe generate net.rules`.
"""

import keras
from keras import layers

serializable = keras.saving.register_keras_serializable(package="res_net")


@serializable
class Bottleneck(layers.Layer):
    """Bottleneck (model.py:10): n h w c1 -> n h w c2."""

    def __init__(self, planes, stride=1, downsample=False, groups=1, base_width=64, **kwargs):
        super().__init__(**kwargs)
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = layers.Conv2D(width, 1, use_bias=False)
        self.bn1 = layers.BatchNormalization(momentum=0.9, epsilon=1e-05)
        conv = layers.Conv2D(
            width, 3, strides=stride, padding="same" if stride == 1 else "valid", groups=groups, use_bias=False
        )
        self.conv2 = conv if stride == 1 else keras.Sequential([layers.ZeroPadding2D(1), conv])
        self.bn2 = layers.BatchNormalization(momentum=0.9, epsilon=1e-05)
        self.conv3 = layers.Conv2D(planes * 4, 1, use_bias=False)
        self.bn3 = layers.BatchNormalization(momentum=0.9, epsilon=1e-05)
        self.relu = layers.ReLU()
        self.downsample = None
        if downsample:
            self.downsample = keras.Sequential([
                layers.Conv2D(planes * 4, 1, strides=stride, use_bias=False),
                layers.BatchNormalization(momentum=0.9, epsilon=1e-05),
            ])

    def call(self, x):
        out = self.conv1(x)
        out = self.bn1(out)
        out = self.relu(out)
        out = self.conv2(out)
        out = self.bn2(out)
        out = self.relu(out)
        out = self.conv3(out)
        out = self.bn3(out)
        identity = self.downsample(x) if self.downsample is not None else x
        out = out + identity
        out = self.relu(out)
        return out


@serializable
class ResNet(layers.Layer):
    """ResNet (model.py:10): n h w c -> n h w c2."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.layer1 = keras.Sequential([Bottleneck(8, downsample=True), *[Bottleneck(8) for _ in range(2)]])
        self.layer2 = keras.Sequential([Bottleneck(16, 2, downsample=True), Bottleneck(16)])
        self.layer3 = keras.Sequential([Bottleneck(32, 2, downsample=True), Bottleneck(32)])

    def call(self, x):
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        return [x]

    def get_build_config(self):
        return None  # The functional model builds the layer when it calls it.


def build_model(input_shape=(None, None, 3)):
    x = keras.Input(input_shape, name="x")
    return keras.Model(x, ResNet(name="model")(x), name="res_net")
