"""Functions and layers of Keras that more than one stage looks for."""

from __future__ import annotations

from transpiler.code import Function

EINSUM = Function("keras.ops.einsum")
IDENTITY = Function("keras.layers.Identity")
RESHAPE = Function("keras.ops.reshape")
SEQUENTIAL = Function("keras.Sequential")
SHAPE = Function("keras.ops.shape")
SPLIT = Function("keras.ops.split")
TRANSPOSE = Function("keras.ops.transpose")
UNSTACK = Function("keras.ops.unstack")
