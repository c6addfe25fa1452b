"""VideoResNet, channels last.

Written by kerascribe from `torchvision.models.video.resnet.VideoResNet`.
"""

import keras
from keras import layers, ops

serializable = keras.saving.register_keras_serializable(package="video_res_net")


@serializable
class BasicStem(layers.Layer):
    """BasicStem (torchvision/models/video/resnet.py): n d h w c -> n d h w c."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.sequence = keras.Sequential([
            layers.ZeroPadding3D((1, 3, 3)),
            layers.Conv3D(64, (3, 7, 7), strides=(1, 2, 2), use_bias=False),
            layers.BatchNormalization(momentum=0.9, epsilon=1e-05),
            layers.ReLU(),
        ])

    def call(self, input):
        return self.sequence(input)


@serializable
class BasicBlock(layers.Layer):
    """BasicBlock (torchvision/models/video/resnet.py): n d h w c -> n d h w c."""

    def __init__(self, planes, stride=1, **kwargs):
        super().__init__(**kwargs)
        self.conv1 = keras.Sequential([
            *([layers.ZeroPadding3D(1)] if stride != 1 else []),
            layers.Conv3D(planes, 3, strides=stride, padding="same" if stride == 1 else "valid", use_bias=False),
            layers.BatchNormalization(momentum=0.9, epsilon=1e-05),
            layers.ReLU(),
        ])
        self.conv2 = keras.Sequential([
            layers.Conv3D(planes, 3, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9, epsilon=1e-05),
        ])
        self.downsample = None
        if stride != 1:
            self.downsample = keras.Sequential([
                layers.Conv3D(planes, 1, strides=stride, use_bias=False),
                layers.BatchNormalization(momentum=0.9, epsilon=1e-05),
            ])
        self.relu = layers.ReLU()

    def call(self, x):
        out = self.conv1(x)
        out = self.conv2(out)
        residual = self.downsample(x) if self.downsample is not None else x
        out = out + residual
        out = self.relu(out)
        return out


@serializable
class VideoResNet(layers.Layer):
    """VideoResNet (torchvision/models/video/resnet.py): n d h w c -> n c."""

    def __init__(self, num_classes=400, **kwargs):
        super().__init__(**kwargs)
        self.stem = BasicStem()
        self.layer1 = keras.Sequential([BasicBlock(64) for _ in range(2)])
        self.layer2 = keras.Sequential([BasicBlock(128, 2), BasicBlock(128)])
        self.layer3 = keras.Sequential([BasicBlock(256, 2), BasicBlock(256)])
        self.layer4 = keras.Sequential([BasicBlock(512, 2), BasicBlock(512)])
        self.avgpool = layers.GlobalAveragePooling3D(keepdims=True)
        self.fc = layers.Dense(num_classes)

    def call(self, x):
        x = self.stem(x)
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        x = self.layer4(x)
        x = self.avgpool(x)
        x = self.fc(ops.squeeze(x, axis=(1, 2, 3)))
        return x

    def get_build_config(self):
        return None  # The functional model builds the layer when it calls it.


def build_model(input_shape=(8, 112, 112, 3)):
    x = keras.Input(input_shape, name="x")
    return keras.Model(x, VideoResNet(name="model")(x), name="video_res_net")
