"""Functions that move elements about."""

from functools import partial

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_digits.testing import strategies as draw

from .common import ALL, elementwise, fixed, on


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
                lambda x: np.reshape(x, shape, "F"),
                lambda x: x.reshape(shape, order="F"),
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
def repeats(draw_from):
    x = draw_from(draw.arrays())
    axis = draw_from(draw.axes(x.ndim, several=False))
    side = x.size if axis is None else x.shape[axis]
    times = draw_from(st.integers(0, 3) | st.lists(st.integers(0, 3), min_size=side, max_size=side))
    if isinstance(times, list) and draw_from(st.booleans()):
        times = np.array(times, int)
    return draw_from(st.sampled_from([partial(np.repeat, repeats=times, axis=axis),
                                      lambda x: x.repeat(times, axis)])), (x,), None  # fmt: skip


@st.composite
def tiles(draw_from):
    x = draw_from(draw.arrays(draw.shapes(max_dims=2)))
    reps = draw_from(st.integers(0, 3) | st.lists(st.integers(0, 2), max_size=3) | st.just((2, np.int64(2))))
    return partial(np.tile, reps=reps), (x,), None


@st.composite
def rolls(draw_from):
    x = draw_from(draw.arrays())
    axis = draw_from(draw.axes(x.ndim).filter(lambda axis: axis != ()))
    shift = draw_from(st.integers(-4, 4))
    if isinstance(axis, tuple) and axis and draw_from(st.booleans()):
        shift = [draw_from(st.integers(-4, 4)) for _ in axis]
    return partial(np.roll, shift=shift, axis=axis), (x,), None


@st.composite
def rotations(draw_from):
    x = draw_from(draw.arrays(draw.shapes(min_dims=2)))
    axes = draw_from(st.permutations(range(x.ndim)))[:2]
    return partial(np.rot90, k=draw_from(st.integers(-3, 5)), axes=(axes[0], axes[1] - x.ndim)), (x,), None


def one_axis(x):
    return st.fixed_dictionaries({"axis": st.integers(-x.ndim, x.ndim - 1), "start": st.integers(-x.ndim, x.ndim)})


def several(op):
    """A function that does the same to each of its arguments, seen through one of its results."""
    pair = st.tuples(draw.arrays(), draw.arrays())
    return draw.arrays().map(lambda x: (op, (x,), None)) | pair.map(
        lambda xs: (lambda x, y: np.concatenate([np.ravel(z) for z in op(x, y)]), xs, None)
    )


@st.composite
def broadcast_pairs(draw_from):
    xs = draw_from(draw.broadcastable(ALL, ALL))
    return (lambda *xs: np.multiply(*np.broadcast_arrays(*xs))), xs, None


cases = {
    np.reshape: reshapes(),
    np.ravel: on(
        draw.arrays(), lambda x: st.fixed_dictionaries({}, optional={"order": st.sampled_from("CF")}), np.ravel
    )
    | elementwise(lambda x: x.ravel(), ALL)
    | elementwise(lambda x: x.flatten("F"), ALL),
    np.squeeze: squeezes(),
    np.expand_dims: expansions(),
    np.transpose: transposes(),
    np.swapaxes: on(draw.arrays(draw.shapes(min_dims=1)), pair_of_axes, np.swapaxes),
    np.moveaxis: moves(),
    np.flip: on(draw.arrays(), lambda x: st.fixed_dictionaries({}, optional={"axis": draw.axes(x.ndim)}), np.flip),
    np.broadcast_to: broadcasts(),
    np.fliplr: on(draw.arrays(draw.shapes(min_dims=2)), fixed(), np.fliplr),
    np.flipud: on(draw.arrays(draw.shapes(min_dims=1)), fixed(), np.flipud),
    np.rot90: rotations(),
    np.roll: rolls(),
    np.rollaxis: on(draw.arrays(draw.shapes(min_dims=1)), one_axis, np.rollaxis),
    np.matrix_transpose: on(draw.arrays(draw.shapes(min_dims=2)), fixed(), np.matrix_transpose),
    np.atleast_1d: several(np.atleast_1d),
    np.atleast_2d: several(np.atleast_2d),
    np.atleast_3d: several(np.atleast_3d),
    np.broadcast_arrays: broadcast_pairs(),
    np.tile: tiles(),
    np.repeat: repeats(),
}
