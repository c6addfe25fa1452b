"""SlimNeck, channels last.

Written by kerascribe 0.1.0 from `model.py:SlimNeck` with `net.rules` (sha256 0123abcd). Do not edit: change the rules
and run `kerascribe generate net.rules`.
"""

import keras
from keras import layers, ops

serializable = keras.saving.register_keras_serializable(package="slim_neck")


@serializable
class TFConv(layers.Layer):
    """Conv (model.py:10): n h w c1 -> n h w c2."""

    def __init__(self, c1, c2, k=1, s=1, p=None, g=1, act=True, **kwargs):
        super().__init__(**kwargs)
        if c1 == g:
            self.conv = layers.DepthwiseConv2D(k, strides=s, padding="same", use_bias=False)
        else:
            conv = layers.Conv2D(c2, k, strides=s, padding="same" if s == 1 else "valid", groups=g, use_bias=False)
            self.conv = keras.Sequential([layers.ZeroPadding2D(k // 2 if p is None else p), conv]) if s != 1 else conv
        self.bn = layers.BatchNormalization(momentum=0.97)
        self.act = layers.Activation("silu" if act is True else act) if act else layers.Identity()

    def call(self, x):
        return self.act(self.bn(self.conv(x)))


@serializable
class TFBottleneck(layers.Layer):
    """Bottleneck (model.py:10): n h w c1 -> n h w c2."""

    def __init__(self, c1, c2, shortcut=True, g=1, e=0.5, **kwargs):
        super().__init__(**kwargs)
        c_ = int(c2 * e)
        self.add = shortcut and c1 == c2
        self.cv1 = TFConv(c1, c_)
        self.cv2 = TFConv(c_, c2, 3, g=g)

    def call(self, x):
        cv2 = self.cv2(self.cv1(x))
        return x + cv2 if self.add else cv2


@serializable
class TFC3(layers.Layer):
    """C3 (model.py:10): n h w c1 -> n h w c2."""

    def __init__(self, c1, c2, n=1, shortcut=True, g=1, e=0.5, **kwargs):
        super().__init__(**kwargs)
        c_ = int(c2 * e)
        self.cv1 = TFConv(c1, c_)
        self.cv2 = TFConv(c1, c_)
        self.cv3 = TFConv(2 * c_, c2)
        self.m = keras.Sequential([TFBottleneck(c_, c_, shortcut, g, e=1.0) for _ in range(n)])

    def call(self, x):
        return self.cv3(ops.concatenate([self.m(self.cv1(x)), self.cv2(x)], axis=-1))


@serializable
class TFGSConv(layers.Layer):
    """GSConv (model.py:10): n h w c1 -> n h w c2."""

    def __init__(self, c1, c2, k=1, s=1, g=1, act=True, **kwargs):
        super().__init__(**kwargs)
        c_ = c2 // 2
        self.cv1 = TFConv(c1, c_, k, s, g=g, act=act)
        self.cv2 = TFConv(c_, c_, 5, g=c_, act=act)

    def call(self, x):
        x1 = self.cv1(x)
        x2 = ops.concatenate([x1, self.cv2(x1)], axis=-1)
        return ops.concatenate([x2[..., ::2], x2[..., 1::2]], axis=-1)


@serializable
class TFGSBottleneck(layers.Layer):
    """GSBottleneck (model.py:10): n h w c1 -> n h w c2. Never called in torch: conv, shortcut."""

    def __init__(self, c1, c2, **kwargs):
        super().__init__(**kwargs)
        c_ = c2 // 2
        self.conv_lighting = keras.Sequential([TFGSConv(c1, c_), TFGSConv(c_, c2, act=False)])

    def call(self, x):
        return self.conv_lighting(x)


@serializable
class TFSlimNeck(layers.Layer):
    """SlimNeck (model.py:10): n h w c -> n h w c2."""

    def __init__(self, width=8, **kwargs):
        super().__init__(**kwargs)
        self.stem = TFConv(3, width, 6, 2, 2)
        self.down = TFConv(8, 16, 3, 2)
        self.stage1 = TFC3(16, 16)
        self.stage2 = TFC3(16, 32, 3)
        self.stage3 = TFC3(32, 32, 2, shortcut=False)
        self.lateral = TFGSConv(32, 16)
        self.reduce = TFGSConv(16, 16, 3, 2, act="mish")
        self.gsb = TFGSBottleneck(16, 16)

    def call(self, x):
        p2 = self.stage1(self.down(self.stem(x)))
        p3 = self.stage3(self.stage2(p2))
        p4 = self.reduce(self.lateral(p3))
        return p2, self.gsb(p4)

    def get_build_config(self):
        return None  # The functional model builds the layer when it calls it.


def build_model(input_shape=(64, 64, 3)):
    x = keras.Input(input_shape, name="x")
    return keras.Model(x, TFSlimNeck(name="model")(x), name="slim_neck")
