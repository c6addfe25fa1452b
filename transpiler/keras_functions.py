"""Functions and layers of Keras that more than one stage looks for."""

from __future__ import annotations

from transpiler.code import Function

EINSUM = Function("keras.ops.einsum")
IDENTITY = Function("keras.layers.Identity")
SEQUENTIAL = Function("keras.Sequential")
SHAPE = Function("keras.ops.shape")
TRANSPOSE = Function("keras.ops.transpose")
