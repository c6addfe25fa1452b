"""ResNet, channels last.

Written by kerascribe from `torchvision.models.resnet.ResNet`.
"""

import keras
from keras import layers, ops

serializable = keras.saving.register_keras_serializable(package="res_net")


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
class BasicBlock(layers.Layer):
    """BasicBlock (torchvision/models/resnet.py): n h w c -> n h w c."""

    def __init__(self, planes, stride=1, downsample=False, **kwargs):
        super().__init__(**kwargs)
        conv = layers.Conv2D(planes, 3, strides=stride, padding="same" if stride == 1 else "valid", use_bias=False)
        self.conv1 = conv if stride == 1 else keras.Sequential([layers.ZeroPadding2D(1), conv])
        self.bn1 = layers.BatchNormalization(momentum=0.9, epsilon=1e-05)
        self.relu = layers.ReLU()
        self.conv2 = layers.Conv2D(planes, 3, padding="same", use_bias=False)
        self.bn2 = layers.BatchNormalization(momentum=0.9, epsilon=1e-05)
        self.downsample = None
        if downsample:
            self.downsample = keras.Sequential([
                layers.Conv2D(planes, 1, strides=stride, use_bias=False),
                layers.BatchNormalization(momentum=0.9, epsilon=1e-05),
            ])

    def call(self, x):
        out = self.conv1(x)
        out = self.bn1(out)
        out = self.relu(out)
        out = self.conv2(out)
        out = self.bn2(out)
        identity = self.downsample(x) if self.downsample is not None else x
        out = out + identity
        out = self.relu(out)
        return out


@serializable
class ResNet(layers.Layer):
    """ResNet (torchvision/models/resnet.py): n h w c -> n c."""

    def __init__(self, num_classes=1000, **kwargs):
        super().__init__(**kwargs)
        self.conv1 = keras.Sequential([layers.ZeroPadding2D(3), layers.Conv2D(64, 7, strides=2, use_bias=False)])
        self.bn1 = layers.BatchNormalization(momentum=0.9, epsilon=1e-05)
        self.relu = layers.ReLU()
        self.maxpool = PaddedMaxPooling((3, 3), (2, 2), (1, 1))
        self.layer1 = keras.Sequential([BasicBlock(64) for _ in range(2)])
        self.layer2 = keras.Sequential([BasicBlock(128, 2, downsample=True), BasicBlock(128)])
        self.layer3 = keras.Sequential([BasicBlock(256, 2, downsample=True), BasicBlock(256)])
        self.layer4 = keras.Sequential([BasicBlock(512, 2, downsample=True), BasicBlock(512)])
        self.avgpool = layers.GlobalAveragePooling2D(keepdims=True)
        self.fc = layers.Dense(num_classes)

    def call(self, x):
        x = self.conv1(x)
        x = self.bn1(x)
        x = self.relu(x)
        x = self.maxpool(x)
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        x = self.layer4(x)
        x = self.avgpool(x)
        x = self.fc(ops.squeeze(x, axis=(1, 2)))
        return x

    def get_build_config(self):
        return None  # The functional model builds the layer when it calls it.


def build_model(input_shape=(224, 224, 3)):
    x = keras.Input(input_shape, name="x")
    return keras.Model(x, ResNet(name="model")(x), name="res_net")
