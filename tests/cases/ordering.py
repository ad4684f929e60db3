"""Functions that pick elements by their order or number."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_digits.ops import ordering
from tinygrad_digits.testing import strategies as draw

from .common import fixed, on
from .cumulative import places

DIFFERENT = draw.shapes(min_dims=1).flatmap(draw.separated)
SOME = draw.shapes(min_dims=1, min_side=1).flatmap(draw.separated)


@st.composite
def sorts(draw_from):
    x = draw_from(DIFFERENT)
    axis = draw_from(draw.axes(x.ndim, several=False))
    call = draw_from(
        st.sampled_from(
            [
                lambda x: np.sort(x, axis),
                lambda x: np.sort(x, axis=axis, kind="stable"),
                lambda x: np.sort(x, axis=axis, stable=True),
            ]
        )
    )
    return call, (x,), None


@st.composite
def partitions(draw_from):
    x = draw_from(SOME)
    axis = draw_from(draw.axes(x.ndim, several=False))
    n = x.size if axis is None else x.shape[axis]
    kth = draw_from(st.integers(-n, n - 1) | st.lists(st.integers(0, n - 1), min_size=1, max_size=2))
    return (lambda x: np.partition(x, kth, axis)), (x,), None


@st.composite
def takes(draw_from):
    x = draw_from(draw.arrays(draw.shapes(min_dims=1, min_side=1)))
    axis = draw_from(draw.axes(x.ndim, several=False))
    n = x.size if axis is None else x.shape[axis]
    mode, most = draw_from(st.sampled_from([("raise", n), ("wrap", 3 * n), ("clip", 3 * n)]))
    indices = draw_from(
        hnp.arrays(np.int64, draw.shapes(max_dims=2), elements=st.integers(-most, most - 1))
        | st.integers(-most, most - 1)
    )
    keywords = {} if mode == "raise" else {"mode": mode}
    call = draw_from(
        st.sampled_from(
            [lambda x: np.take(x, indices, axis=axis, **keywords), lambda x: x.take(indices, axis, **keywords)]
        )
    )
    return call, (x,), None


@st.composite
def takes_along(draw_from):
    x = draw_from(draw.arrays(draw.shapes(min_dims=1, min_side=1)))
    axis = draw_from(draw.axes(x.ndim, several=False))
    if axis is None:
        indices = draw_from(hnp.arrays(np.int64, st.integers(0, 4), elements=st.integers(-x.size, x.size - 1)))
    else:
        n = x.shape[axis]
        sides = [draw_from(st.integers(0, 3)) if i == axis % x.ndim else m for i, m in enumerate(x.shape)]
        sides = [1 if i != axis % x.ndim and draw_from(st.booleans()) else m for i, m in enumerate(sides)]
        indices = draw_from(hnp.arrays(np.int64, tuple(sides), elements=st.integers(-n, n - 1)))
    return (lambda x: np.take_along_axis(x, indices, axis=axis)), (x,), None


@st.composite
def compressions(draw_from):
    x = draw_from(draw.arrays(draw.shapes(min_dims=1)))
    axis = draw_from(draw.axes(x.ndim, several=False))
    n = x.size if axis is None else x.shape[axis]
    condition = draw_from(hnp.arrays(bool, st.integers(0, n)))
    call = draw_from(
        st.sampled_from([lambda x: np.compress(condition, x, axis), lambda x: x.compress(condition, axis=axis)])
    )
    return call, (x,), None


@st.composite
def extractions(draw_from):
    x = draw_from(draw.arrays())
    condition = draw_from(hnp.arrays(bool, x.shape))
    return (lambda x: np.extract(condition, x)), (x,), None


@st.composite
def choices(draw_from):
    a, *shapes = draw_from(draw.broadcast_shapes(4, max_dims=2))
    mode, low, high = draw_from(st.sampled_from([("raise", 0, 2), ("wrap", -5, 5), ("clip", -5, 5)]))
    numbers = draw_from(hnp.arrays(np.int64, a, elements=st.integers(low, high)))
    return (
        (lambda *xs: np.choose(numbers, xs, mode=mode)),
        draw_from(st.tuples(*map(draw.numbers, shapes))),
        None,
    )


@st.composite
def quantiles(draw_from, op):
    """Quantiles between the places of elements in the order, as at a place the slope by q has a kink."""
    x = draw_from(SOME)
    axis = draw_from(st.sampled_from([None, 0, -1, tuple(range(x.ndim))]))
    top = 100 if "percent" in op.__name__ else 1
    keywords = {"axis": axis, "keepdims": draw_from(st.booleans())}
    q = draw_from(draw.arrays(draw.shapes(max_dims=2, min_side=1), 0.0, 1.0))
    q = (0.013 + 0.97 * np.round(q, 1)) * top
    if draw_from(st.booleans()):
        keywords["method"] = draw_from(st.sampled_from(list(ordering.PLACES)))
        return (lambda x: op(x, q.astype(x.dtype), **keywords)), (x,), None
    return (lambda x, q: op(x, q, **keywords)), (x, q), None


@st.composite
def with_holes(draw_from, cases):
    """The same case where some numbers are NaN."""
    op, (x, *rest), _ = draw_from(cases)
    where = np.zeros(x.shape, bool)
    where[(-1,) * x.ndim] = min(x.shape) > 1 and draw_from(st.booleans())
    return (lambda x, *rest: op(np.where(where, np.nan, x), *rest)), (x, *rest), None


@st.composite
def interpolations(draw_from):
    """A broken line, and places that are none of its points."""
    n = draw_from(st.integers(1, 4))
    xp, fp = draw_from(st.tuples(places(n), draw.numbers((n,))))
    x = draw_from(draw.arrays(draw.shapes(max_dims=2), -1.0, 7.0))
    x = np.where(np.min(np.abs(x[..., None] - xp), axis=-1) < 0.1, xp[0] - 0.4, x)
    keywords = draw_from(st.fixed_dictionaries({}, optional={"left": st.just(5.0), "right": st.just(-5.0)}))
    return (lambda x, xp, fp: np.interp(x, xp, fp, **keywords)), (x, xp, fp), None


@st.composite
def periodic_interpolations(draw_from):
    xp = np.array([2.5, -1.0, 0.6])
    x = np.round(draw_from(draw.arrays(draw.shapes(max_dims=2), -9.0, 9.0))) + 0.17
    return (lambda x, xp, fp: np.interp(x, xp, fp, period=4.0)), (x, xp, draw_from(draw.numbers((3,)))), None


def one_or_all(x):
    return st.fixed_dictionaries({}, optional={"axis": draw.axes(x.ndim), "keepdims": st.booleans()})


def means(g, groups):
    return np.array([np.mean(g[groups == k]) for k in groups.ravel()]).reshape(g.shape).astype(g.dtype)


GROUPS = np.array([[0, 0, 1], [2, 1, 0]])

cases = {
    np.sort: sorts(),
    np.partition: partitions(),
    np.take: takes(),
    np.take_along_axis: takes_along(),
    np.compress: compressions(),
    np.extract: extractions(),
    np.choose: choices(),
    np.median: on(SOME, one_or_all, np.median),
    np.quantile: quantiles(np.quantile),
    np.percentile: quantiles(np.percentile),
    np.nanmedian: with_holes(on(SOME, fixed(axis=0), np.nanmedian)) | on(SOME, one_or_all, np.nanmedian),
    np.nanquantile: with_holes(quantiles(np.nanquantile)),
    np.nanpercentile: with_holes(quantiles(np.nanpercentile)),
    np.interp: interpolations() | periodic_interpolations(),
    ordering.group_means: on(draw.numbers((2, 3)), fixed(groups=GROUPS), ordering.group_means, means),
}

NAN = np.nan
WEIGHTS = np.array([1.0, 3.0, 10.0])

kinks = [
    ("sort: ties share", lambda x: np.sum(np.sort(x) * WEIGHTS), [[2.0, 5.0, 2.0]], [[2, 10, 2]]),
    ("sort: all tie", lambda x: np.sort(x)[0], [[2.0, 2.0]], [[0.5, 0.5]]),
    ("sort: NaN goes last", lambda x: np.sum(np.sort(x)[:2] * WEIGHTS[:2]), [[NAN, 5.0, 2.0]], [[0, 3, 1]]),
    ("partition: ties share", lambda x: np.partition(x, 1)[0], [[2.0, 5.0, 2.0]], [[0.5, 0, 0.5]]),
    ("median: ties share", np.median, [[2.0, 2.0, 5.0]], [[0.5, 0.5, 0]]),
    ("median of an even number", np.median, [[1.0, 4.0, 2.0, 9.0]], [[0, 0.5, 0.5, 0]]),
    ("median of infinities and numbers", np.median, [[np.inf, 1.0, -np.inf]], [[0, 1, 0]]),
    ("nanmedian", np.nanmedian, [[NAN, 1.0, 3.0, NAN]], [[0, 0.5, 0.5, 0]]),
    ("quantile at an element", lambda x: np.quantile(x, 0.5), [[1.0, 2.0, 4.0]], [[0, 1, 0]]),
    ("quantile at the end", lambda x: np.quantile(x, 1), [[4.0, 2.0, 4.0]], [[0.5, 0, 0.5]]),
    ("take: repeated indices add up", lambda x: np.sum(np.take(x, [0, 0, 1])), [[5.0, 6.0, 7.0]], [[2, 1, 0]]),
    ("interp at a peak", lambda x: np.interp(x, [0, 1, 2], [0, 1, 0]), [1.0], [0]),
    ("interp in a valley", lambda x: np.interp(x, [0, 1, 2], [1, 0, 1]), [1.0], [0]),
    ("interp at a gentle bend", lambda x: np.interp(x, [0, 1, 2], [0, 0.5, 0.75]), [1.0], [0.25]),
    ("interp at a bend down", lambda x: np.interp(x, [0, 1, 2], [4, 1, 0]), [1.0], [-1]),
    ("interp at a bend", lambda x: np.interp(x, [0, 1, 2], [0, 1, 4]), [1.0], [1]),
    ("interp at an end", lambda x: np.interp(x, [0, 1, 2], [0, 1, 4]), [2.0], [0]),
    ("interp beyond", lambda x: np.sum(np.interp(x, [0, 1], [2, 5])), [[-1.0, np.inf]], [[0, 0]]),
    ("interp: of the points, at one", lambda y: np.interp(1.0, [0, 1, 2], y), [[0.0, 1.0, 4.0]], [[0, 1, 0]]),
]
