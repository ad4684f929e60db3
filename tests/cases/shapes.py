"""Functions that move elements about."""

from functools import partial

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_digits.ops import shapes
from tinygrad_digits.testing import strategies as draw

from .common import ALL, elementwise, on


@st.composite
def reshapes(draw_from):
    x = draw_from(draw.arrays())
    order = draw_from(st.permutations(x.shape))
    shape = draw_from(
        st.sampled_from([tuple(order), (-1,), (1, x.size), x.size, [x.size, 1]] if x.size else [(0, 2), 0])
    )
    call = draw_from(
        st.sampled_from(
            [
                lambda x: np.reshape(x, shape),
                lambda x: np.reshape(x, shape=shape, order="C"),
                lambda x: x.reshape(shape),
            ]
        )
    )
    return call, (x,), None


@st.composite
def transposes(draw_from):
    x = draw_from(draw.arrays())
    order = tuple(i - x.ndim * draw_from(st.booleans()) for i in draw_from(st.permutations(range(x.ndim))))
    call = draw_from(
        st.sampled_from(
            [
                lambda x: np.transpose(x),
                lambda x: np.transpose(x, order),
                lambda x: np.transpose(x, axes=list(order)),
                lambda x: x.transpose(*order),
                lambda x: x.T,
            ]
        )
    )
    return call, (x,), None


def pair_of_axes(x):
    one = st.integers(-x.ndim, x.ndim - 1)
    return st.fixed_dictionaries({"axis1": one, "axis2": one})


@st.composite
def moves(draw_from):
    x = draw_from(draw.arrays(draw.shapes(min_dims=1)))
    count = draw_from(st.integers(1, x.ndim))
    source = draw_from(st.permutations(range(x.ndim)))[:count]
    destination = [i - x.ndim for i in draw_from(st.permutations(range(x.ndim)))[:count]]
    return (lambda x: np.moveaxis(x, source, destination)), (x,), None


@st.composite
def squeezes(draw_from):
    x = draw_from(draw.arrays(st.sampled_from([(), (1,), (1, 2, 1), (3, 1), (0, 1)])))
    ones = [i for i, n in enumerate(x.shape) if n == 1]
    axis = draw_from(st.sampled_from([None, tuple(ones), *ones, *[i - x.ndim for i in ones]]))
    return partial(np.squeeze, axis=axis), (x,), None


@st.composite
def expansions(draw_from):
    x = draw_from(draw.arrays(draw.shapes(max_dims=2)))
    axis = draw_from(st.integers(-x.ndim - 1, x.ndim) | st.just((0, -1)) | st.just(()))
    return (lambda x: np.expand_dims(x, axis)), (x,), None


@st.composite
def broadcasts(draw_from):
    found = draw_from(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3))
    x = draw_from(draw.numbers(found.input_shapes[0]))
    return (lambda x: np.broadcast_to(x, found.result_shape)), (x,), None


@st.composite
def concatenations(draw_from, join, primitive):
    shape = draw_from(draw.shapes(min_dims=1, max_dims=2))
    count = draw_from(st.integers(1, 3))
    joins_along = primitive is shapes.concatenated
    axis = draw_from(st.integers(-len(shape), len(shape) - joins_along) | st.just(None) if joins_along
                     else st.integers(-len(shape) - 1, len(shape)))  # fmt: skip
    if joins_along and axis is None:
        parts = [draw_from(draw.arrays(draw.shapes(max_dims=2))) for _ in range(count)]
    else:
        sides = [[*shape] for _ in range(count)]
        if joins_along:
            for side in sides:
                side[axis] = draw_from(st.integers(0, 3))
        parts = [draw_from(draw.numbers(tuple(side))) for side in sides]
    if draw_from(st.booleans()):
        return (lambda *xs: join(xs, axis)), tuple(parts), None
    return (lambda *xs: primitive(*xs, axis=axis)), tuple(parts), lambda *xs: join(xs, axis)


cases = {
    np.reshape: reshapes(),
    np.ravel: elementwise(np.ravel, ALL) | elementwise(lambda x: x.ravel(), ALL),
    np.squeeze: squeezes(),
    np.expand_dims: expansions(),
    np.transpose: transposes(),
    np.swapaxes: on(draw.arrays(draw.shapes(min_dims=1)), pair_of_axes, np.swapaxes),
    np.moveaxis: moves(),
    np.flip: on(draw.arrays(), lambda x: st.fixed_dictionaries({}, optional={"axis": draw.axes(x.ndim)}), np.flip),
    np.broadcast_to: broadcasts(),
    shapes.concatenated: concatenations(np.concatenate, shapes.concatenated),
    shapes.stacked: concatenations(np.stack, shapes.stacked),
}
