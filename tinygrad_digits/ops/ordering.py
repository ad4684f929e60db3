"""Rules of the functions that pick elements by their order or number: sort, take, quantiles, interp.

Elements that are equal share the gradient of their places in the order equally, as they do in max and min: that is the
minimum-norm subgradient, and it does not depend on which of them a sort puts first.
"""

import numpy as np

from ..autodiff import advice, composites, defvjp, primitive
from .indexing import operand, scatter
from .reductions import kept, lines
from .shapes import along


def along_axis(indices, axis, shape):
    """The subscript that does what `numpy.take_along_axis` does."""
    grid = [np.arange(n).reshape([-1 if i == k else 1 for i in range(len(shape))]) for k, n in enumerate(shape)]
    grid[axis] = operand(indices)
    return tuple(grid)


def put_along(g, x, indices, axis):
    """The transpose of `numpy.take_along_axis`."""
    if axis is None:
        return np.reshape(put_along(g, np.ravel(x), indices, 0), x.shape)
    return scatter(g, index=along_axis(indices, axis, x.shape), shape=x.shape)


def put(g, x, indices, axis, mode):
    """The transpose of `numpy.take`."""
    if axis is None or x.ndim == 0:
        return np.reshape(put(g, np.ravel(x), indices, 0, mode), x.shape)
    indices, n = operand(indices), x.shape[axis]
    if np.result_type(indices).kind not in "iu":  # a truth is a place here, 0 or 1, and no mask
        indices = np.asarray(indices).astype(np.intp)
    if mode != "raise":
        indices = indices % n if mode == "wrap" else np.clip(indices, 0, n - 1)
    return scatter(g, index=along(axis, indices), shape=x.shape)


@primitive
def group_means(g, *, groups):
    """For each number, the mean of those in its group."""
    flat = groups.ravel()
    means = np.bincount(flat, g.ravel()) / np.bincount(flat)
    return means[flat].reshape(g.shape).astype(g.dtype)


def shared(g, y):
    """Share the gradient of an array that is sorted along its last axis among elements that are equal."""
    begins = np.concatenate([np.ones_like(y[..., :1], dtype=bool), y[..., 1:] != y[..., :-1]], axis=-1)
    return group_means(g, groups=np.reshape(np.cumsum(begins) - 1, y.shape))


def reordered(g, out, x, axis):
    """The gradient of a function that puts elements in another order."""
    if axis is None:
        return np.reshape(reordered(g, out, np.ravel(x), -1), x.shape)
    g, out, x = (np.moveaxis(y, axis, -1) for y in (g, out, x))
    order, ranks = np.argsort(out), np.argsort(np.argsort(x))
    g = shared(np.take_along_axis(g, order), np.take_along_axis(out, order))
    return np.moveaxis(np.take_along_axis(g, ranks), -1, axis)


# fmt: off
defvjp(np.take_along_axis, lambda g, out, x, indices, *, axis=-1: put_along(g, x, indices, axis),
                           None)
defvjp(np.take,            lambda g, out, x, indices, *, axis=None, mode="raise": put(g, x, indices, axis, mode),
                           None)
defvjp(np.sort,            lambda g, out, x, *, axis=-1, kind=None, stable=None: reordered(g, out, x, axis))
defvjp(np.partition,       lambda g, out, x, *, kth, axis=-1, kind=None: reordered(g, out, x, axis))
defvjp(group_means,        lambda g, out, x, *, groups: group_means(g, groups=groups))
# fmt: on


def compress(condition, a, axis=None):
    """`numpy.compress`."""
    if np.ndim(condition) != 1:
        raise ValueError(f"np.compress takes a condition of 1 dimension, and not of {np.ndim(condition)}")
    a, axis = (np.ravel(a), 0) if axis is None else (operand(a), axis)
    numbers = np.reshape(holding(condition), [-1 if i == axis % a.ndim else 1 for i in range(a.ndim)])
    return np.take_along_axis(a, numbers, axis=axis)


def extract(condition, arr):
    """`numpy.extract`."""
    return np.take_along_axis(np.ravel(arr), holding(condition))


def holding(condition):
    """Where a condition holds."""
    if getattr(condition, "requires_grad", False):
        raise TypeError("a condition has no derivative, and this one needs a gradient: compare it, or detach() it")
    return np.flatnonzero(condition)


def choose(a, choices, mode="raise"):
    """`numpy.choose`: at each place an element of the choice that a number tells."""
    numbers, choices = np.asarray(a) if isinstance(a, int) else operand(a), list(choices)
    if numbers.dtype.kind not in "iub":
        raise TypeError(f"np.choose needs whole numbers to choose by, not {numbers.dtype}")
    if mode == "raise" and np.any((numbers < 0) | (numbers >= len(choices))):
        raise ValueError(f"np.choose was given a number that is none of its {len(choices)} choices")
    numbers = numbers % len(choices) if mode == "wrap" else np.clip(numbers, 0, len(choices) - 1)
    return np.select([numbers == number for number in range(len(choices))], choices)


# What place in the order of n numbers, from 0 to n - 1, a quantile has (Hyndman & Fan, "Sample quantiles in statistical
# packages", 1996). Between two places it is interpolated.
PLACES = {
    "inverted_cdf": lambda n, q: np.ceil(n * q) - 1,
    "interpolated_inverted_cdf": lambda n, q: n * q - 1,
    "hazen": lambda n, q: n * q - 0.5,
    "weibull": lambda n, q: (n + 1) * q - 1,
    "linear": lambda n, q: (n - 1) * q,
    "median_unbiased": lambda n, q: (n + 1 / 3) * q - 2 / 3,
    "normal_unbiased": lambda n, q: (n + 1 / 4) * q - 5 / 8,
    "lower": lambda n, q: np.floor((n - 1) * q),
    "higher": lambda n, q: np.ceil((n - 1) * q),
    "midpoint": lambda n, q: (np.floor((n - 1) * q) + np.ceil((n - 1) * q)) / 2,
    "nearest": lambda n, q: np.rint((n - 1) * q),
}


def ordered(a, q, axis, method, keepdims, skip_nan):
    """Quantiles, of all numbers or of those that are not NaN."""
    if method not in PLACES:
        raise TypeError(f"quantiles of a Tensor have no derivative rule for method={method!r}: use one of {[*PLACES]}")
    a = operand(a)
    kind = a.dtype if a.dtype.kind == "f" else None
    q = np.asarray(q, kind) if type(q) in (bool, int, float) else operand(q)
    if q.dtype.kind != "f":
        q = q.astype(kind or int)
    if not np.all((q >= 0) & (q <= 1)):
        raise ValueError("quantiles must be from 0 to 1, percentiles from 0 to 100")
    line = np.sort(lines(a, axis), axis=0)
    missing = np.isnan(line)
    n = np.astype(line.shape[0] - np.sum(missing, axis=0), q.dtype)
    place = PLACES[method](n, np.reshape(q, (-1,) + (1,) * (line.ndim - 1)))
    place = np.clip(place, 0, np.maximum(n - 1, 0))
    low = np.floor(place)
    share = place - low
    low, high = (np.astype(i, int) for i in (low, np.ceil(place)))
    y = np.take_along_axis(line, low, axis=0) * (1 - share) + np.take_along_axis(line, high, axis=0) * share
    if not skip_nan and a.dtype.kind == "f":
        y = np.where(missing[-1:], np.nan, y)
    rest = kept(line[0], a, axis, False).shape if keepdims else y.shape[1:]
    return np.reshape(y, (*q.shape, *rest))


def quantile(a, q, axis=None, method="linear", keepdims=False):
    """`numpy.quantile`, differentiable by q too."""
    return ordered(a, q, axis, method, keepdims, skip_nan=False)


def nanquantile(a, q, axis=None, method="linear", keepdims=False):
    """`numpy.nanquantile`, differentiable by q too."""
    return ordered(a, q, axis, method, keepdims, skip_nan=True)


def percent(a, q):
    """Percentiles as quantiles, in the precision of the numbers."""
    a = operand(a)
    return np.divide(q, a.dtype.type(100) if a.dtype.kind == "f" else 100)


def percentile(a, q, axis=None, method="linear", keepdims=False):
    """`numpy.percentile`, differentiable by q too."""
    return quantile(a, percent(a, q), axis, method, keepdims)


def nanpercentile(a, q, axis=None, method="linear", keepdims=False):
    """`numpy.nanpercentile`, differentiable by q too."""
    return nanquantile(a, percent(a, q), axis, method, keepdims)


def median(a, axis=None, keepdims=False):
    """`numpy.median`."""
    return quantile(a, 0.5, axis, keepdims=keepdims)


def nanmedian(a, axis=None, keepdims=False):
    """`numpy.nanmedian`."""
    return nanquantile(a, 0.5, axis, keepdims=keepdims)


def interp(x, xp, fp, left=None, right=None, period=None):
    """`numpy.interp`, differentiable by the points too.

    At a point, the slope is the flatter of the two, and 0 if they differ in sign: the minimum-norm subgradient.
    """
    x, xp, fp = operand(x), operand(xp), operand(fp)
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ValueError(
            f"np.interp needs points in two vectors of one length, not of shapes {xp.shape} and {fp.shape}"
        )
    if period is not None:
        x, xp = x % period, xp % period
        order = np.argsort(xp)
        xp, fp = np.take(xp, order), np.take(fp, order)
        xp, fp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period]), np.concatenate([fp[-1:], fp, fp[:1]])
        left = right = None
    flat = np.zeros(1, fp.dtype)
    slopes = np.concatenate([flat, np.diff(fp) / np.diff(xp), flat])
    behind, ahead = np.searchsorted(xp, x), np.searchsorted(xp, x, side="right")
    one, other = np.take(slopes, behind), np.take(slopes, ahead)
    flatter = np.maximum(np.minimum(one, other), 0) + np.minimum(np.maximum(one, other), 0)
    slope = np.where(behind == ahead, one, flatter)
    start = np.maximum(ahead - 1, 0)
    out = np.take(fp, start) + slope * (np.clip(x, xp[0], xp[-1]) - np.take(xp, start))
    out = out if left is None else np.where(x < xp[0], left, out)
    return out if right is None else np.where(x > xp[-1], right, out)


composites |= {np.compress: compress, np.extract: extract, np.choose: choose, np.interp: interp}
composites |= {np.median: median, np.quantile: quantile, np.percentile: percentile}
composites |= {np.nanmedian: nanmedian, np.nanquantile: nanquantile, np.nanpercentile: nanpercentile}

advice |= {
    np.unique: "its inverse and indices, of np.unique(x.detach(), …), can be used with x[…]",
}
