"""Padding, sliding windows and convolution."""

from functools import partial

import numpy as np
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_digits.ops import windows
from tinygrad_digits.testing import strategies as draw

PAIR = st.tuples(st.integers(0, 3), st.integers(0, 3))


@st.composite
def widths(draw_from, ndim):
    """All forms of NumPy's ``pad_width``."""
    each = st.tuples(*[PAIR] * ndim)
    some = st.dictionaries(st.integers(-ndim, -1), PAIR | st.integers(0, 2)) if ndim else st.just(0)
    return draw_from(st.integers(0, 3) | PAIR | PAIR.map(lambda p: (p,)) | st.just((2,)) | each.map(np.array) | some)


@st.composite
def pads(draw_from):
    x = draw_from(st.integers(1, 2).flatmap(lambda n: draw.separated((3, 2)[:n])))
    width = draw_from(widths(x.ndim))
    options = draw_from(
        st.sampled_from(
            [
                {},
                {"constant_values": 2},
                {"constant_values": (1, 2.5)},
                {"mode": "constant", "constant_values": [[3]] * x.ndim},
                *({"mode": mode} for mode in ("edge", "reflect", "symmetric", "wrap", "mean", "maximum", "minimum")),
                {"mode": "reflect", "reflect_type": "even"},
                {"mode": "linear_ramp"},
                {"mode": "linear_ramp", "end_values": (1, -2)},
                {"mode": "mean", "stat_length": 2},
                {"mode": "maximum", "stat_length": ((1, 2),)},
                {"mode": "minimum", "stat_length": (2, 9)},
            ]
        )
    )
    return partial(np.pad, pad_width=width, **options), (x,), None


@st.composite
def surroundings(draw_from):
    x = draw_from(draw.arrays(draw.shapes(max_dims=2)))
    width = tuple(draw_from(st.tuples(*[PAIR] * x.ndim)))
    return partial(windows.surrounded, widths=width), (x,), lambda x: np.pad(x, width) if x.ndim else x


@st.composite
def views(draw_from):
    x = draw_from(draw.arrays(draw.shapes(min_dims=1, max_dims=2, min_side=2, max_side=4)))
    if draw_from(st.booleans()):
        width = tuple(draw_from(st.integers(1, n)) for n in x.shape)
        return partial(sliding_window_view, window_shape=width), (x,), None
    axis = draw_from(st.integers(-x.ndim, x.ndim - 1) | st.lists(st.integers(-x.ndim, x.ndim - 1), max_size=2))
    several = isinstance(axis, list)
    most = [2] * len(axis) if several and len({a % x.ndim for a in axis}) == len(axis) else [1] * 2
    width = [draw_from(st.integers(1, n)) for n in most[: len(axis)]] if several else draw_from(st.integers(1, 2))
    return (lambda x: sliding_window_view(x, width, axis)), (x,), None


@st.composite
def windowed(draw_from):
    x = draw_from(draw.arrays(draw.shapes(min_dims=1, max_dims=2, min_side=1, max_side=4)))
    axis = draw_from(st.integers(0, x.ndim - 1))
    width = draw_from(st.integers(1, x.shape[axis]))
    return partial(windows.windows, width=width, axis=axis), (x,), lambda x: sliding_window_view(x, width, axis)


@st.composite
def overlaps(draw_from):
    g = draw_from(draw.arrays(draw.shapes(min_dims=2, max_dims=3, min_side=1)))
    axis = draw_from(st.integers(0, g.ndim - 2))

    def one_by_one(g):
        g = np.moveaxis(g, axis, 0)
        x = np.zeros((len(g) + g.shape[-1] - 1, *g.shape[1:-1]), g.dtype)
        for i, window in enumerate(g):
            for j in range(g.shape[-1]):
                x[i + j] += window[..., j]
        return np.moveaxis(x, 0, axis)

    return partial(windows.overlapped, axis=axis), (g,), one_by_one


@st.composite
def convolutions(draw_from, op):
    a, v = draw_from(st.tuples(*[draw.arrays(draw.shapes(min_dims=1, max_dims=1, min_side=1, max_side=5))] * 2))
    mode = draw_from(st.sampled_from([(), ("full",), ("same",), ("valid",)]))
    if draw_from(st.booleans()):
        return (lambda v: op(a.astype(v.dtype), v, *mode)), (v,), None
    return (lambda a, v: op(a, v, *mode)), (a, v), None


cases = {
    np.pad: pads(),
    windows.surrounded: surroundings(),
    sliding_window_view: views(),
    windows.windows: windowed(),
    windows.overlapped: overlaps(),
    np.convolve: convolutions(np.convolve),
    np.correlate: convolutions(np.correlate),
}
