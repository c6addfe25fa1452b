"""SlimNeck, channels last.

Written by kerascribe 0.1.0 from `model.py:SlimNeck` with `slimneck.rules` (sha256 0f7dab6d). Do not edit: change the
rules and run `kerascribe generate slimneck.rules`.
"""

import keras
from keras import layers, ops

serializable = keras.saving.register_keras_serializable(package="slim_neck")


@serializable
class TFConv(layers.Layer):
    """Conv (model.py:39): n h w c -> n h w c."""

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
    """Bottleneck (model.py:54): n h w c -> n h w c."""

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
    """C3 (model.py:68): n h w c -> n h w c."""

    def __init__(self, c1, c2, n=1, shortcut=True, g=1, e=0.5, **kwargs):
        super().__init__(**kwargs)
        c_ = int(c2 * e)
        self.cv1 = TFConv(c1, c_)
        self.m = keras.Sequential([TFBottleneck(c_, c_, shortcut, g, e=1.0) for _ in range(n)])
        self.cv2 = TFConv(c1, c_)
        self.cv3 = TFConv(2 * c_, c2)

    def call(self, x):
        return self.cv3(ops.concatenate([self.m(self.cv1(x)), self.cv2(x)], axis=-1))


@serializable
class TFSPPF(layers.Layer):
    """SPPF (model.py:83): n h w c -> n h w c."""

    def __init__(self, c1, c2, k=5, **kwargs):
        super().__init__(**kwargs)
        c_ = c1 // 2
        self.cv1 = TFConv(c1, c_)
        self.m = layers.MaxPooling2D(k, strides=1, padding="same")
        self.cv2 = TFConv(c_ * 4, c2)

    def call(self, x):
        x = self.cv1(x)
        y1 = self.m(x)
        y2 = self.m(y1)
        return self.cv2(ops.concatenate([x, y1, y2, self.m(y2)], axis=-1))


@serializable
class TFGSConv(layers.Layer):
    """GSConv (model.py:100): n h w c -> n h w c."""

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
class TFConcat(layers.Layer):
    """Concat (model.py:204): n h w c -> n h w c."""

    def call(self, x):
        return ops.concatenate(x, axis=-1)


@serializable
class TFGSBottleneck(layers.Layer):
    """GSBottleneck (model.py:142): n h w c -> n h w c. Never called in torch: conv, shortcut."""

    def __init__(self, c1, c2, **kwargs):
        super().__init__(**kwargs)
        c_ = c2 // 2
        self.conv_lighting = keras.Sequential([TFGSConv(c1, c_), TFGSConv(c_, c2, act=False)])

    def call(self, x):
        return self.conv_lighting(x)


@serializable
class TFVoVGSCSP(layers.Layer):
    """VoVGSCSP (model.py:169): n h w c -> n h w c. Never called in torch: res."""

    def __init__(self, c1, c2, n=1, e=0.5, **kwargs):
        super().__init__(**kwargs)
        c_ = int(c2 * e)
        self.cv1 = TFConv(c1, c_)
        self.gsb = keras.Sequential([TFGSBottleneck(c_, c_) for _ in range(n)])
        self.cv2 = TFConv(c1, c_)
        self.cv3 = TFConv(2 * c_, c2)

    def call(self, x):
        x1 = self.gsb(self.cv1(x))
        y = self.cv2(x)
        return self.cv3(ops.concatenate([y, x1], axis=-1))


@serializable
class TFGSBottleneckC(layers.Layer):
    """GSBottleneckC (model.py:156): n h w c -> n h w c."""

    def __init__(self, c1, c2, e=0.5, **kwargs):
        super().__init__(**kwargs)
        c_ = int(c2 * e)
        self.conv_lighting = keras.Sequential([TFGSConv(c1, c_), TFGSConv(c_, c2, 3, act=False)])
        self.shortcut = TFConv(c1, c2, act=False)

    def call(self, x):
        return self.conv_lighting(x) + self.shortcut(x)


@serializable
class TFVoVGSCSPC(layers.Layer):
    """VoVGSCSPC (model.py:187): n h w c -> n h w c."""

    def __init__(self, c1, c2, n=1, e=0.5, **kwargs):
        super().__init__(**kwargs)
        c_ = int(c2 * e)
        self.cv1 = TFConv(c1, c_)
        self.gsb = keras.Sequential([TFGSBottleneckC(c_, c_, e=1.0) for _ in range(n)])
        self.cv2 = TFConv(c1, c_)
        self.cv3 = TFConv(2 * c_, c2)

    def call(self, x):
        x1 = self.gsb(self.cv1(x))
        y = self.cv2(x)
        return self.cv3(ops.concatenate([y, x1], axis=-1))


@serializable
class TFGSConvShuffleNet(layers.Layer):
    """GSConvShuffleNet (model.py:124): n h w c -> n h w c."""

    def __init__(self, c1, c2, k=1, s=1, g=1, act=True, **kwargs):
        super().__init__(**kwargs)
        c_ = c2 // 2
        self.c = c_
        self.c2 = c2
        self.cv1 = TFConv(c1, c_, k, s, g=g, act=act)
        self.cv2 = TFConv(c_, c_, 5, g=c_, act=act)

    def call(self, x):
        x1 = self.cv1(x)
        x2 = ops.concatenate([x1, self.cv2(x1)], axis=-1)
        x2 = ops.reshape(x2, (-1, *ops.shape(x2)[1:3], 2, self.c))
        x2 = ops.transpose(x2, (0, 1, 2, 4, 3))  # n h w c2 c1 -> n h w c1 c2
        return ops.reshape(x2, (-1, *ops.shape(x2)[1:3], self.c2))


@serializable
class TFDetect(layers.Layer):
    """Detect (model.py:215): n h w c -> n l c."""

    def __init__(
        self,
        nc=80,
        anchors=((10, 13, 16, 30, 33, 23), (30, 61, 62, 45, 59, 119), (116, 90, 156, 198, 373, 326)),
        strides=(8, 16, 32),
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.no = nc + 5
        self.nl = len(anchors)
        self.na = len(anchors[0]) // 2
        self.stride = strides
        self.m = [layers.Conv2D(self.no * self.na, 1) for _ in range(3)]
        self.anchors = self.add_weight(shape=(3, 3, 2), initializer="zeros", trainable=False, name="anchors")

    def call(self, x):
        z = []
        for i in range(self.nl):
            ny, nx = ops.shape(x[i])[1:3]
            y = self.m[i](x[i])
            yv, xv = ops.meshgrid(ops.arange(ny, dtype="float32"), ops.arange(nx, dtype="float32"), indexing="ij")
            grid = ops.stack([xv, yv], axis=-1) - 0.5
            anchor_grid = self.anchors[i] * self.stride[i]
            y = ops.sigmoid(y)
            xy, wh, conf = ops.split(ops.reshape(y, (-1, *ops.shape(y)[1:3], self.na, self.no)), [2, 4], axis=-1)
            xy = (xy * 2 + ops.expand_dims(grid, 2)) * self.stride[i]
            wh = (wh * 2) ** 2 * anchor_grid
            y = ops.concatenate([xy, wh, conf], axis=-1)
            y = ops.transpose(y, (0, 3, 1, 2, 4))  # n l2 l3 l1 c -> n l1 l2 l3 c
            z.append(ops.reshape(y, (-1, self.na * ny * nx, self.no)))
        return ops.concatenate(z, axis=1)


@serializable
class TFSlimNeck(layers.Layer):
    """SlimNeck (model.py:267): n h w c -> n l c."""

    def __init__(self, nc=80, width=8, **kwargs):
        super().__init__(**kwargs)
        c2 = width * 2
        c3 = width * 4
        c4 = width * 8
        c5 = width * 16
        self.stem = TFConv(3, width, 6, 2, 2)
        self.down2 = TFConv(width, c2, 3, 2)
        self.stage2 = TFC3(c2, c2)
        self.down3 = TFConv(c2, c3, 3, 2)
        self.stage3 = TFC3(c3, c3, 2)
        self.down4 = TFConv(c3, c4, 3, 2)
        self.stage4 = TFC3(c4, c4, 3)
        self.down5 = TFConv(c4, c5, 3, 2)
        self.stage5 = TFC3(c5, c5, shortcut=False)
        self.pool = TFSPPF(c5, c5)
        self.lateral5 = TFGSConv(c5, c4)
        self.upsample = layers.UpSampling2D(2)
        self.concat = TFConcat()
        self.top4 = TFVoVGSCSP(c4 + c4, c4)
        self.lateral4 = TFGSConv(c4, c3)
        self.top3 = TFVoVGSCSP(c3 + c3, c3, 2)
        self.reduce3 = TFGSConv(c3, c3, 3, 2, act="mish")
        self.bottom4 = TFVoVGSCSPC(c3 + c3, c4)
        self.reduce4 = TFGSConvShuffleNet(c4, c4, 3, 2, act="mish")
        self.bottom5 = TFVoVGSCSPC(c4 + c4, c5, 2)
        self.detect = TFDetect(nc)

    def call(self, x):
        p2 = self.stage2(self.down2(self.stem(x)))
        p3 = self.stage3(self.down3(p2))
        p4 = self.stage4(self.down4(p3))
        p5 = self.pool(self.stage5(self.down5(p4)))
        lateral5 = self.lateral5(p5)
        top4 = self.top4(self.concat([self.upsample(lateral5), p4]))
        lateral4 = self.lateral4(top4)
        top3 = self.top3(self.concat([self.upsample(lateral4), p3]))
        bottom4 = self.bottom4(self.concat([self.reduce3(top3), lateral4]))
        bottom5 = self.bottom5(self.concat([self.reduce4(bottom4), lateral5]))
        return self.detect([top3, bottom4, bottom5])

    def get_build_config(self):
        return None  # The functional model builds the layer when it calls it.


def build_model(input_shape=(192, 256, 3)):
    x = keras.Input(input_shape, name="x")
    return keras.Model(x, TFSlimNeck(name="model")(x), name="slim_neck")
