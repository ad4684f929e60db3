"""Running sums and products, and differences."""

from functools import partial

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_digits.testing import strategies as draw

from .common import on


def one_axis(x):
    return st.fixed_dictionaries({}, optional={"axis": draw.axes(x.ndim, several=False)})


def holed(op):
    """The case of a function that takes NaN for nothing."""

    def bind(x):
        return st.tuples(hnp.arrays(bool, x.shape), one_axis(x)).map(
            lambda drawn: ((lambda x: op(np.where(drawn[0], np.nan, x), **drawn[1])), (x,), None)
        )

    return draw.arrays().flatmap(bind)


def an_axis_and_initial(x):
    axis = st.integers(-x.ndim, x.ndim - 1)
    axis = {} if x.ndim == 0 else {"axis": axis} if x.ndim > 1 else {"axis": axis | st.none()}
    return st.fixed_dictionaries(axis, optional={"include_initial": st.booleans()})


WITH_ZEROS = draw.arrays(draw.shapes(max_side=4)).map(np.round)
LINES = draw.arrays(draw.shapes(min_dims=1, min_side=1))


@st.composite
def differences(draw_from):
    x = draw_from(draw.arrays(draw.shapes(min_dims=1, max_side=4)))
    axis = draw_from(st.integers(-x.ndim, x.ndim - 1))
    keywords = draw_from(st.fixed_dictionaries({}, optional={"n": st.integers(1, 3)}))
    ends = {}
    for end in "prepend", "append":
        side = [draw_from(st.integers(0, 2)) if i == axis % x.ndim else n for i, n in enumerate(x.shape)]
        if draw_from(st.booleans()):
            ends[end] = draw_from(draw.numbers(tuple(draw_from(st.sampled_from([(), tuple(side)])))))
    if x.shape[axis] == 0 and not ends:
        keywords = {}
    return (
        (lambda x, *parts: np.diff(x, axis=axis, **keywords, **dict(zip(ends, parts, strict=True)))),
        (x, *ends.values()),
        None,
    )


@st.composite
def flat_differences(draw_from):
    x, begin, end = draw_from(st.tuples(*[draw.arrays(draw.shapes(max_dims=2, min_side=1))] * 3))
    kind = draw_from(st.sampled_from([np.ediff1d, lambda x, begin, end: np.ediff1d(x, to_begin=begin, to_end=end)]))
    return (kind, (x, begin, end), None) if kind is not np.ediff1d else (np.ediff1d, (x,), None)


def places(n):
    """Different numbers, in order."""
    return draw.numbers((n,), 0.5, 2).map(np.cumsum)


@st.composite
def slopes(draw_from):
    edge_order = draw_from(st.integers(1, 2))
    x = draw_from(draw.arrays(draw.shapes(min_dims=1, max_dims=2, min_side=edge_order + 1, max_side=4)))
    axis = draw_from(st.integers(-x.ndim, x.ndim - 1))
    kind = draw_from(st.sampled_from(["plain", "number", "numbers", "places", "all"]))
    if kind in ("plain", "number"):
        step = [0.5] if kind == "number" else []
        axes = draw_from(st.sampled_from([axis, None]))
        return (lambda x: total(np.gradient(x, *step, axis=axes, edge_order=edge_order))), (x,), None
    if kind == "places":
        where = draw_from(places(x.shape[axis]))
        return (lambda x, where: np.gradient(x, where, axis=axis, edge_order=edge_order)), (x, where), None
    if kind == "numbers":
        steps = [0.5, 2.0][: x.ndim]
        return (lambda x: total(np.gradient(x, *steps, edge_order=edge_order))), (x,), None
    where = [draw_from(places(n)) for n in x.shape]
    return (lambda x, *where: total(np.gradient(x, *where, edge_order=edge_order))), (x, *where), None


def total(arrays):
    return sum(arrays) if isinstance(arrays, tuple) else arrays


@st.composite
def integrals(draw_from):
    y = draw_from(draw.arrays(draw.shapes(min_dims=1, max_side=3)))
    axis = draw_from(st.integers(-y.ndim, y.ndim - 1))
    kind = draw_from(st.sampled_from(["plain", "dx", "places", "all places"]))
    if kind == "plain":
        return partial(np.trapezoid, axis=axis), (y,), None
    if kind == "dx":
        return (lambda y, dx: np.trapezoid(y, None, dx, axis)), (y, np.array(0.5)), None
    x = draw_from(draw.numbers(y.shape if kind == "all places" else y.shape[axis : axis + 1 or None]))
    return (lambda y, x: np.trapezoid(y, x, axis=axis)), (y, x), None


cases = {
    np.cumsum: on(draw.arrays(), one_axis, np.cumsum),
    np.cumprod: on(draw.arrays(), one_axis, np.cumprod) | on(WITH_ZEROS, one_axis, np.cumprod),
    np.nancumsum: holed(np.nancumsum),
    np.nancumprod: holed(np.nancumprod),
    np.cumulative_sum: on(draw.arrays(), an_axis_and_initial, np.cumulative_sum),
    np.cumulative_prod: on(draw.arrays(), an_axis_and_initial, np.cumulative_prod),
    np.diff: differences(),
    np.ediff1d: flat_differences(),
    np.gradient: slopes(),
    np.trapezoid: integrals(),
}

kinks = [
    ("cumprod with a zero", lambda x: np.cumprod(x)[2], [[2.0, 0.0, 4.0]], [[0, 8, 0]]),
    ("cumprod with a zero, summed", lambda x: np.sum(np.cumprod(x)), [[2.0, 0.0, 4.0]], [[1, 10, 0]]),
    ("cumprod with two zeros", lambda x: np.sum(np.cumprod(x)), [[0.0, 0.0, 4.0]], [[1, 0, 0]]),
    ("nancumsum", lambda x: np.sum(np.nancumsum(x)), [[1.0, np.nan, 2.0]], [[3, 0, 1]]),
]
