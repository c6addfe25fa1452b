"""MobileNetV3, channels last.

Written by kerascribe from `torchvision.models.mobilenetv3.MobileNetV3`.
"""

import keras
from keras import layers

serializable = keras.saving.register_keras_serializable(package="mobile_net_v3")


@serializable
class Conv2dNormActivation(layers.Layer):
    """Conv2dNormActivation (torchvision/ops/misc.py): n h w c -> n h w c."""

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size=3,
        stride=1,
        groups=1,
        activation_layer="ReLU",
        dilation=1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        conv_padding = "same" if stride == 1 else "valid"
        self.sequence = keras.Sequential([
            *([layers.ZeroPadding2D(kernel_size // 2)] if stride != 1 else []),
            layers.DepthwiseConv2D(
                kernel_size, strides=stride, padding=conv_padding, dilation_rate=dilation, use_bias=False
            )
            if in_channels == groups
            else layers.Conv2D(
                out_channels,
                kernel_size,
                strides=stride,
                padding=conv_padding,
                dilation_rate=dilation,
                groups=groups,
                use_bias=False,
            ),
            layers.BatchNormalization(),
            *([layers.Activation("hard_swish")] if activation_layer == "Hardswish" else []),
            *([layers.ReLU()] if activation_layer == "ReLU" else []),
        ])

    def call(self, input):
        return self.sequence(input)


@serializable
class SqueezeExcitation(layers.Layer):
    """SqueezeExcitation (torchvision/ops/misc.py): n h w c -> n h w c."""

    def __init__(self, input_channels, squeeze_channels, **kwargs):
        super().__init__(**kwargs)
        self.avgpool = layers.GlobalAveragePooling2D(keepdims=True)
        self.fc1 = layers.Conv2D(squeeze_channels, 1)
        self.activation = layers.ReLU()
        self.fc2 = layers.Conv2D(input_channels, 1)
        self.scale_activation = layers.Activation("hard_sigmoid")

    def call(self, input):
        scale = self.avgpool(input)
        scale = self.fc1(scale)
        scale = self.activation(scale)
        scale = self.fc2(scale)
        scale = self.scale_activation(scale)
        return scale * input


@serializable
class InvertedResidual(layers.Layer):
    """InvertedResidual (torchvision/models/mobilenetv3.py): n h w c -> n h w c."""

    def __init__(
        self,
        input_channels,
        kernel,
        expanded_channels,
        out_channels,
        use_se,
        use_hs,
        cnf_stride,
        dilation,
        squeeze_channels=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.use_res_connect = cnf_stride == 1 and input_channels == out_channels
        activation_layer = "Hardswish" if use_hs else "ReLU"
        stride = 1 if dilation > 1 else cnf_stride
        self.block = keras.Sequential([
            *(
                [
                    Conv2dNormActivation(
                        input_channels,
                        expanded_channels,
                        kernel_size=1,
                        activation_layer=activation_layer,
                        dilation=dilation,
                    )
                ]
                if expanded_channels != input_channels
                else []
            ),
            Conv2dNormActivation(
                expanded_channels,
                expanded_channels,
                kernel_size=kernel,
                stride=stride,
                groups=expanded_channels,
                activation_layer=activation_layer,
                dilation=dilation,
            ),
            *([SqueezeExcitation(expanded_channels, squeeze_channels)] if use_se else []),
            Conv2dNormActivation(
                expanded_channels, out_channels, kernel_size=1, activation_layer=None, dilation=dilation
            ),
        ])

    def call(self, input):
        result = self.block(input)
        result = result + input if self.use_res_connect else result
        return result


@serializable
class MobileNetV3(layers.Layer):
    """MobileNetV3 (torchvision/models/mobilenetv3.py): n h w c -> n c."""

    def __init__(self, last_channel, num_classes=1000, dropout=0.2, **kwargs):
        super().__init__(**kwargs)
        self.features = keras.Sequential([
            Conv2dNormActivation(3, 16, stride=2, activation_layer="Hardswish"),
            *[
                InvertedResidual(
                    input_channels=input_channels,
                    kernel=kernel,
                    expanded_channels=expanded_channels,
                    out_channels=out_channels,
                    use_se=use_se,
                    use_hs=use_hs,
                    cnf_stride=cnf_stride,
                    dilation=1,
                    squeeze_channels=squeeze_channels,
                )
                for (
                    input_channels,
                    kernel,
                    expanded_channels,
                    out_channels,
                    use_se,
                    use_hs,
                    cnf_stride,
                    squeeze_channels,
                ) in (
                    (16, 3, 16, 16, True, False, 2, 8),
                    (16, 3, 72, 24, False, False, 2, None),
                    (24, 3, 88, 24, False, False, 1, None),
                    (24, 5, 96, 40, True, True, 2, 24),
                    (40, 5, 240, 40, True, True, 1, 64),
                    (40, 5, 240, 40, True, True, 1, 64),
                    (40, 5, 120, 48, True, True, 1, 32),
                    (48, 5, 144, 48, True, True, 1, 40),
                    (48, 5, 288, 96, True, True, 2, 72),
                    (96, 5, 576, 96, True, True, 1, 144),
                    (96, 5, 576, 96, True, True, 1, 144),
                )
            ],
            Conv2dNormActivation(96, 576, kernel_size=1, activation_layer="Hardswish"),
        ])
        self.avgpool = layers.GlobalAveragePooling2D(keepdims=True)
        self.classifier = keras.Sequential([
            layers.Flatten(),
            layers.Dense(last_channel),
            layers.Activation("hard_swish"),
            layers.Dropout(dropout),
            layers.Dense(num_classes),
        ])

    def call(self, x):
        x = self.features(x)
        x = self.avgpool(x)
        x = self.classifier(x)
        return x

    def get_build_config(self):
        return None  # The functional model builds the layer when it calls it.


def build_model(input_shape=(224, 224, 3)):
    x = keras.Input(input_shape, name="x")
    return keras.Model(x, MobileNetV3(1024, name="model")(x), name="mobile_net_v3")
