"""Functions that reduce axes."""

from functools import partial

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_digits.testing import strategies as draw

from .common import NON_EMPTY, axis_and_keepdims, fixed, on


def spread_out(x):
    """Keywords for std and var, with more elements than ``ddof``."""
    return st.fixed_dictionaries({"ddof": st.sampled_from([0, 0.5])}, optional={"keepdims": st.booleans()})


def holed(arrays, keywords, op):
    """The case of a function that leaves out NaN, which some numbers are; at least two of each line are not.

    The lines lie along the first axis, or the last if that is the axis given.
    """

    def bind(x):
        holes = hnp.arrays(bool, x.shape) if x.ndim and x.shape[0] > 2 else st.just(np.zeros(x.shape, bool))

        def make(drawn):
            where, kw = drawn
            where = where & (np.arange(x.shape[0]) > 1).reshape([-1] + [1] * (x.ndim - 1)) if x.ndim else where
            turned = partial(np.moveaxis, source=0, destination=-1) if kw.get("axis") == -1 else lambda x: x
            return (lambda x: op(turned(np.where(where, np.nan, x)), **kw)), (x,), None

        return st.tuples(holes, keywords(x)).map(make)

    return arrays.flatmap(bind)


def first_axis(x):
    axis = st.sampled_from([0, -1, None, tuple(range(x.ndim))])
    return st.fixed_dictionaries({}, optional={"axis": axis, "keepdims": st.booleans()})


def first_axis_and_ddof(x):
    return first_axis(x).flatmap(lambda kw: st.sampled_from([{}, {"ddof": 1}]).map(lambda more: {**kw, **more}))


TALL = draw.shapes(min_dims=1, min_side=2, max_side=3)
LINES = TALL.flatmap(draw.separated)


@st.composite
def averages(draw_from):
    x = draw_from(draw.arrays(draw.shapes(min_dims=1, min_side=1)))
    axis = draw_from(st.sampled_from([None, 0, -1, (0, -1)][: None if x.ndim > 1 else 3]))
    keywords = {"axis": axis, "keepdims": draw_from(st.booleans())}
    kind = draw_from(st.sampled_from(["none", "same", "line"]))
    if kind == "none":
        return partial(np.average, **keywords), (x,), None
    line = np.take(x.shape, axis or 0)
    shape = x.shape if kind == "same" or axis is None else tuple(map(int, np.atleast_1d(line)))
    w = draw_from(draw.numbers(shape, 0.5, 2))
    which = draw_from(st.sampled_from([None, 0, 1]))
    if which is None:
        return (lambda x, w: np.average(x, weights=w, **keywords)), (x, w), None
    return (lambda x, w: np.average(x, weights=w, returned=True, **keywords)[which] + 0 * x.sum()), (x, w), None


cases = {
    np.sum: on(draw.arrays(), axis_and_keepdims, np.sum),
    np.mean: on(draw.arrays(NON_EMPTY), axis_and_keepdims, np.mean),
    np.var: on(draw.arrays(NON_EMPTY), spread_out, np.var) | on(draw.arrays(NON_EMPTY), axis_and_keepdims, np.var),
    np.std: on(NON_EMPTY.filter(lambda s: np.prod(s) > 1).flatmap(draw.separated), spread_out, np.std)
    | on(draw.shapes(min_dims=2, min_side=2).flatmap(draw.separated), fixed(axis=(0, -1), keepdims=True), np.std),
    np.max: on(NON_EMPTY.flatmap(draw.separated), axis_and_keepdims, np.max),
    np.min: on(NON_EMPTY.flatmap(draw.separated), axis_and_keepdims, np.min),
    np.prod: on(draw.arrays(), axis_and_keepdims, np.prod)
    | on(draw.arrays(draw.shapes(max_dims=2)).map(np.round), axis_and_keepdims, np.prod),
    np.ptp: on(NON_EMPTY.flatmap(draw.separated).filter(lambda x: x.size > 1), fixed(), np.ptp)
    | on(LINES, first_axis, np.ptp),
    np.average: averages(),
    np.nanmax: holed(LINES, first_axis, np.nanmax),
    np.nanmin: holed(LINES, first_axis, np.nanmin),
    np.nansum: holed(draw.arrays(TALL), axis_and_keepdims, np.nansum),
    np.nanprod: holed(draw.arrays(TALL), axis_and_keepdims, np.nanprod),
    np.nanmean: holed(draw.arrays(TALL), first_axis, np.nanmean),
    np.nanvar: holed(draw.arrays(TALL), first_axis_and_ddof, np.nanvar),
    np.nanstd: holed(LINES, first_axis_and_ddof, np.nanstd),
}

NAN = np.nan

kinks = [
    ("prod of no zero", np.prod, [[2.0, 3.0, 4.0]], [[12, 8, 6]]),
    ("prod with a zero", np.prod, [[2.0, 0.0, 4.0]], [[0, 8, 0]]),
    ("prod with two zeros", np.prod, [[0.0, 3.0, 0.0]], [[0, 0, 0]]),
    ("prod by rows", lambda x: np.sum(np.prod(x, axis=1)), [[[2.0, 0.0], [0.0, 0.0]]], [[[0, 2], [0, 0]]]),
    ("prod of one number", np.prod, [[0.0]], [[1]]),
    ("prod of a number", np.prod, [0.0], [1]),
    ("nanmax: a tie is shared", np.nanmax, [[3.0, NAN, 3.0, 1.0]], [[0.5, 0, 0.5, 0]]),
    ("nanmax: -inf is not NaN", np.nanmax, [[-np.inf, NAN]], [[1, 0]]),
    ("nanmin: a tie is shared", np.nanmin, [[3.0, NAN, 1.0, 1.0]], [[0, 0, 0.5, 0.5]]),
    ("ptp: ties are shared", np.ptp, [[3.0, 1.0, 3.0]], [[0.5, -1, 0.5]]),
    ("ptp of equal numbers", np.ptp, [[3.0, 3.0]], [[0, 0]]),
    ("nansum", np.nansum, [[NAN, 2.0]], [[0, 1]]),
    ("nanprod with a zero", np.nanprod, [[NAN, 0.0, 3.0]], [[0, 3, 0]]),
    ("nanmean", np.nanmean, [[NAN, 2.0, 4.0]], [[0, 0.5, 0.5]]),
    ("nanstd of equal numbers", np.nanstd, [[3.0, NAN, 3.0]], [[0, 0, 0]]),
    ("nanvar of equal numbers", np.nanvar, [[3.0, NAN, 3.0]], [[0, 0, 0]]),
]
