"""MobileNet, channels last.

Written by kerascribe 0.1.0 from `model.py:MobileNet` with `net.rules` (sha256 0123abcd). Do not edit: change the rules
and run `kerascribe generate net.rules`.
"""

import keras
from keras import layers

serializable = keras.saving.register_keras_serializable(package="mobile_net")


@serializable
class InvertedResidual(layers.Layer):
    """InvertedResidual (model.py:10): n h w c1 -> n h w c2."""

    def __init__(self, inp, oup, stride, expand_ratio, **kwargs):
        super().__init__(**kwargs)
        hidden_dim = round(inp * expand_ratio)
        self.use_res_connect = stride == 1 and inp == oup
        self.conv = keras.Sequential([
            *(
                [keras.Sequential([layers.Conv2D(hidden_dim, 1), layers.ReLU(max_value=6.0)])]
                if expand_ratio != 1
                else []
            ),
            keras.Sequential([
                layers.DepthwiseConv2D(3, padding="same")
                if stride == 1 and inp == oup
                else keras.Sequential([layers.ZeroPadding2D(1), layers.DepthwiseConv2D(3, strides=stride)]),
                layers.ReLU(max_value=6.0),
            ]),
            layers.Conv2D(oup, 1),
        ])

    def call(self, x):
        conv = self.conv(x)
        return x + conv if self.use_res_connect else conv


@serializable
class Inverted(layers.Layer):
    """Inverted: n h w c1 -> n h w c2."""

    def __init__(self, conv_filters_2, use_conv=False, conv_filters=None, conv_strides=1, **kwargs):
        super().__init__(**kwargs)
        self.add = use_conv and conv_strides == 1
        self.conv = keras.Sequential([
            *([keras.Sequential([layers.Conv2D(conv_filters, 1), layers.ReLU(max_value=6.0)])] if use_conv else []),
            keras.Sequential([
                layers.DepthwiseConv2D(3, padding="same")
                if conv_strides == 1
                else keras.Sequential([layers.ZeroPadding2D(1), layers.DepthwiseConv2D(3, strides=2)]),
                layers.ReLU(max_value=6.0),
            ]),
            layers.Conv2D(conv_filters_2, 1),
        ])

    def call(self, x):
        conv = self.conv(x)
        return x + conv if self.add else conv


@serializable
class MobileNet(layers.Layer):
    """MobileNet (model.py:10): n h w c -> n h w c2."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.features = keras.Sequential([
            InvertedResidual(inp, oup, stride, expand_ratio)
            for inp, oup, stride, expand_ratio in (
                (8, 8, 1, 1),
                (8, 12, 2, 6),
                (12, 12, 1, 6),
                (12, 16, 2, 6),
                (16, 16, 1, 6),
                (16, 16, 1, 6),
            )
        ])
        self.others = keras.Sequential([
            Inverted(
                conv_filters_2=conv_filters_2, use_conv=use_conv, conv_filters=conv_filters, conv_strides=conv_strides
            )
            for conv_filters_2, use_conv, conv_filters, conv_strides in (
                (8, False, None, 1),
                (12, True, 48, 2),
                (12, True, 72, 1),
                (16, True, 72, 2),
                (16, True, 96, 1),
                (16, True, 96, 1),
            )
        ])

    def call(self, x):
        x = self.features(x)
        x = self.others(x)
        return x

    def get_build_config(self):
        return None  # The functional model builds the layer when it calls it.


def build_model(input_shape=(16, 16, 8)):
    x = keras.Input(input_shape, name="x")
    return keras.Model(x, MobileNet(name="model")(x), name="mobile_net")
