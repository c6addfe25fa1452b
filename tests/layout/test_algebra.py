"""Any chain of views on random shapes, in any physical order, gives what torch gives."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.layout.interpreter import physical, run, value_of
from transpiler.layout import operands, views
from transpiler.layout.axes import Layout, ordered
from transpiler.layout.body import BodyBuilder, Tensor

SIZES = st.sampled_from([1, 2, 3, 4, 6])
MANY = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


class Chain:
    """The same operations on a torch tensor and on a tensor of a body, side by side."""

    def __init__(self, shape: list[int], order: list[int]) -> None:
        self.body = BodyBuilder("")
        array = np.arange(prod(shape), dtype=np.float32).reshape(shape)
        held = self.body.argument(ordered(shape, order), "float32")
        self.inputs = [physical(array, held.layout)]
        self.torch = torch.from_numpy(array)
        self.tensor: Tensor = held

    def check(self) -> None:
        held = self.body.hold(self.tensor)
        found = value_of(held, run(self.body, self.inputs))
        assert held.layout.shape == tuple(self.torch.shape)
        np.testing.assert_array_equal(found, self.torch.numpy())


def factorings(data: st.DataObject, count: int) -> list[int]:
    """A random shape of `count` elements."""
    shape = []
    while count > 1 and len(shape) < 5:
        factor = data.draw(st.sampled_from([size for size in range(1, count + 1) if count % size == 0]))
        shape.append(factor)
        count //= factor
    return [*shape, count] if count > 1 or not shape else shape


def permute(chain: Chain, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(chain.torch.dim())))
    chain.torch = chain.torch.permute(order)
    chain.tensor = views.permuted(chain.tensor, order)


def view(chain: Chain, data: st.DataObject) -> None:
    shape = factorings(data, chain.torch.numel())
    chain.torch = chain.torch.reshape(shape)
    chain.tensor = views.reshaped(chain.body, chain.tensor, shape)


def flatten(chain: Chain, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, chain.torch.dim() - 1))
    stop = data.draw(st.integers(start, chain.torch.dim() - 1))
    chain.torch = chain.torch.flatten(start, stop)
    chain.tensor = views.reshaped(chain.body, chain.tensor, tuple(chain.torch.shape))


def unsqueeze(chain: Chain, data: st.DataObject) -> None:
    chain.torch = chain.torch.unsqueeze(data.draw(st.integers(0, chain.torch.dim())))
    chain.tensor = views.reshaped(chain.body, chain.tensor, tuple(chain.torch.shape))


def squeeze(chain: Chain, data: st.DataObject) -> None:
    chain.torch = chain.torch.squeeze()
    chain.torch = chain.torch if chain.torch.dim() else chain.torch.reshape(1)
    chain.tensor = views.reshaped(chain.body, chain.tensor, tuple(chain.torch.shape))


def expand(chain: Chain, data: st.DataObject) -> None:
    shape = [data.draw(st.sampled_from([1, 2, 3])) if size == 1 else size for size in chain.torch.shape]
    chain.torch = chain.torch.expand(shape)
    chain.tensor = views.expanded(chain.tensor, shape)


def select(chain: Chain, data: st.DataObject) -> None:
    if chain.torch.dim() < 2:
        return
    dim = data.draw(st.integers(0, chain.torch.dim() - 1))
    index = data.draw(st.integers(-chain.torch.shape[dim], chain.torch.shape[dim] - 1))
    chain.torch = chain.torch.select(dim, index)
    chain.tensor = views.selected(chain.body, chain.tensor, dim, index)


def slice_(chain: Chain, data: st.DataObject) -> None:
    dim = data.draw(st.integers(0, chain.torch.dim() - 1))
    size = chain.torch.shape[dim]
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start + 1, size))
    step = data.draw(st.integers(1, 3))
    chain.torch = chain.torch[(slice(None),) * dim + (slice(start, stop, step),)]
    chain.tensor = views.sliced(chain.body, chain.tensor, dim, start, stop, step, chain.torch.shape[dim])


def chunk_and_cat(chain: Chain, data: st.DataObject) -> None:
    """Split along one dimension, put together in another order along another one where shapes allow."""
    dim = data.draw(st.integers(0, chain.torch.dim() - 1))
    parts = chain.torch.chunk(data.draw(st.integers(1, 3)), dim)
    tensors = views.pieces(chain.body, chain.tensor, dim, [part.shape[dim] for part in parts])
    alike = len({part.shape for part in parts}) == 1
    along = data.draw(st.integers(0, chain.torch.dim() - 1)) if alike else dim
    chain.torch = torch.cat(parts[::-1], along)
    shapes = [tuple(chain.torch.shape)]
    laid = operands.along_axes(chain.body, {"x": list(tensors[::-1])}, [along], shapes, single=True)
    chain.tensor = emit(chain, "concatenate", laid, along)


def unbind_and_stack(chain: Chain, data: st.DataObject) -> None:
    dim = data.draw(st.integers(0, chain.torch.dim() - 1))
    if chain.torch.dim() < 2:
        return
    along = data.draw(st.integers(0, chain.torch.dim() - 1))
    parts = chain.torch.unbind(dim)
    tensors = views.unbound(chain.body, chain.tensor, dim)
    chain.torch = torch.stack(parts, along)
    laid = operands.along_axes(chain.body, {"x": list(tensors)}, [along], [tuple(chain.torch.shape)], single=True)
    chain.tensor = emit(chain, "stack", laid, along)


def emit(chain: Chain, function: str, laid: operands.Ordered, dim: int) -> Tensor:
    from transpiler.code import Call, Function, Literal

    axis = laid.functions["axis"](dim)
    assert isinstance(axis, int)
    code = Call(Function(f"keras.ops.{function}"), (laid.codes["x"],), (("axis", Literal(axis)),))
    return chain.body.emit(code, laid.results[0], "float32")


def total(chain: Chain, data: st.DataObject) -> None:
    """A reduction: no order of the axes is asked for."""
    from transpiler.code import Call, Function, Literal
    from transpiler.code import Sequence as CodeSequence

    dims = data.draw(st.lists(st.integers(0, chain.torch.dim() - 1), min_size=1, max_size=2, unique=True))
    keep = data.draw(st.booleans()) or len(dims) == chain.torch.dim()
    chain.torch = chain.torch.sum(dims, keepdim=keep)
    held = chain.body.hold(chain.tensor)
    laid = operands.along_axes(chain.body, {"x": held}, dims, [tuple(chain.torch.shape)], single=False)
    axes = laid.functions["axes"](dims)
    assert isinstance(axes, tuple)
    code = Call(
        Function("keras.ops.sum"),
        (laid.codes["x"],),
        (("axis", CodeSequence("tuple", tuple(Literal(axis) for axis in axes))), ("keepdims", Literal(keep))),
    )
    chain.tensor = chain.body.emit(code, laid.results[0], "float32")


STEPS = (
    permute, view, flatten, unsqueeze, squeeze, expand, select, slice_, chunk_and_cat, unbind_and_stack, total
)  # fmt: skip


@MANY
@given(st.data())
def test_any_chain_gives_what_torch_gives(data: st.DataObject) -> None:
    shape = data.draw(st.lists(SIZES, min_size=1, max_size=5))
    chain = Chain(shape, data.draw(st.permutations(range(len(shape)))))
    for step in data.draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=6)):
        if chain.torch.dim() > 7 or chain.torch.numel() > 20_000:
            break
        step(chain, data)
    chain.check()


@MANY
@given(st.data())
def test_pointwise_operands_of_different_orders_are_aligned(data: st.DataObject) -> None:
    from transpiler.code import Binary

    shape = data.draw(st.lists(SIZES, min_size=1, max_size=4))
    chain = Chain(shape, data.draw(st.permutations(range(len(shape)))))
    other_shape = [data.draw(st.sampled_from([1, size])) for size in shape][data.draw(st.integers(0, len(shape) - 1)) :]
    other = ordered(other_shape, data.draw(st.permutations(range(len(other_shape)))))
    array = np.arange(prod(other_shape), dtype=np.float32).reshape(other_shape) * 7
    second: Tensor = chain.body.argument(other, "float32")
    chain.inputs.append(physical(array, other))
    right = torch.from_numpy(array)
    if data.draw(st.booleans()):
        count = right.numel()
        split = factorings(data, count)
        if (
            prod(split) == count
            and len(split) == right.dim()
            and all(one in (1, size) for one, size in zip(split[::-1], shape[::-1], strict=False))
        ):
            right, second = right.reshape(split), views.reshaped(chain.body, second, split)
    chain.torch = chain.torch + right
    laid = operands.pointwise(chain.body, {"a": chain.tensor, "b": second}, [tuple(chain.torch.shape)])
    chain.tensor = chain.body.emit(Binary("+", laid.codes["a"], laid.codes["b"]), laid.results[0], "float32")
    chain.check()


def test_published_gsconv_shuffle_is_even_and_odd_channels() -> None:
    """`reshape(b * n // 2, 2, h * w)`, `permute(1, 0, 2)`, `reshape(2, -1, n // 2, h, w)`: two strided slices."""
    body = BodyBuilder("")
    image: Layout = ordered((2, 8, 3, 5), (0, 2, 3, 1))
    x: Tensor = body.argument(image, "float32")
    x = views.reshaped(body, x, (8, 2, 15))
    x = views.permuted(x, (1, 0, 2))
    x = views.reshaped(body, x, (2, 2, 4, 3, 5))
    assert body.statements == []
    for index in (0, 1):
        views.selected(body, x, 0, index)
    codes = [statement.code for statement in body.statements]
    assert len(codes) == 2
    assert all(type(code).__name__ == "Index" for code in codes)
