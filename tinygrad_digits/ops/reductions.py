"""Rules of the functions that reduce axes: sum, mean, prod, var, std, max, min, and what is made of them.

Elements that tie for the max or min share the gradient equally; the gradient of std is 0 where all elements are equal;
that of prod never divides by the elements, which may be 0. NaN has no part in the functions whose names say so.
Medians and quantiles are in ``ordering``.
"""

from math import nan, prod

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..autodiff import composites, defvjp
from .elementwise import nonzero


def kept(y, x, axis, keepdims):
    """What a reduction over some axes gave, with those axes back, of length 1."""
    if axis is None or x.ndim == 0:
        return np.reshape(y, (1,) * x.ndim)
    return y if keepdims else np.expand_dims(y, axis)


def spread(g, x, axis, keepdims):
    """Give a reduction's gradient to each of the elements that were reduced."""
    return np.broadcast_to(kept(g, x, axis, keepdims), x.shape)


def to_ties(g, out, x, axis, keepdims):
    """Share a gradient among the elements that are equal to the result."""
    ties = (x == kept(out, x, axis, keepdims)).astype(x.dtype)
    return kept(g, x, axis, keepdims) * (ties / np.sum(ties, axis=axis, keepdims=True))


def count(out, x):
    """How many elements went into each result."""
    return x.size // max(out.size, 1)


def share(out, x, ddof=0):
    """The weight of one element in a mean: a Python number, as float16 cannot hold all counts; nan for none."""
    n = count(out, x) - ddof
    return 1 / n if n > 0 else nan


def centred(x, axis):
    """The deviations from the mean, taken twice: the first mean of equal elements may be off by a rounding error."""
    d = x - np.mean(x, axis=axis, keepdims=True)
    return d - np.mean(d, axis=axis, keepdims=True)


def lines(x, axis):
    """The elements that are reduced together, moved to one first axis."""
    axes = range(x.ndim) if axis is None else normalize_axis_tuple(axis, x.ndim)
    moved = np.moveaxis(x, tuple(axes), tuple(range(len(axes))))
    return np.reshape(moved, (prod(moved.shape[: len(axes)]), *moved.shape[len(axes) :]))


def unlined(y, x, axis):
    """Undo `lines`: give its result the shape of x."""
    axes = range(x.ndim) if axis is None else normalize_axis_tuple(axis, x.ndim)
    rest = [n for i, n in enumerate(x.shape) if i not in axes]
    return np.moveaxis(np.reshape(y, [x.shape[i] for i in axes] + rest), tuple(range(len(axes))), tuple(axes))


def before(x):
    """The product of all that come before each element, along the first axis."""
    return np.cumprod(np.concatenate([np.ones_like(x[:1]), x])[:-1], axis=0)


def others(x, axis):
    """The product of all elements that are reduced together but one, for each."""
    axis = axis if x.ndim else None  # NumPy takes an axis of a single number, too
    line = lines(x, axis)
    return unlined(before(line) * np.flip(before(np.flip(line, 0)), 0), x, axis)


# fmt: off
defvjp(np.sum,  lambda g, out, x, *, axis=None, keepdims=False: spread(g, x, axis, keepdims))
defvjp(np.mean, lambda g, out, x, *, axis=None, keepdims=False: spread(g * share(out, x), x, axis, keepdims))
defvjp(np.var,  lambda g, out, x, *, axis=None, ddof=0, keepdims=False:
                    kept(g * (2 * share(out, x, ddof)), x, axis, keepdims) * centred(x, axis))
defvjp(np.std,  lambda g, out, x, *, axis=None, ddof=0, keepdims=False:
                    kept(g / nonzero(out) * share(out, x, ddof), x, axis, keepdims) * centred(x, axis))
defvjp(np.prod, lambda g, out, x, *, axis=None, keepdims=False: kept(g, x, axis, keepdims) * others(x, axis))
for extreme in np.max, np.min, np.nanmax, np.nanmin:
    defvjp(extreme,
                lambda g, out, x, *, axis=None, keepdims=False: to_ties(g, out, x, axis, keepdims))
# fmt: on

composites[np.amax] = np.max
composites[np.amin] = np.min


def average(a, axis=None, weights=None, returned=False, *, keepdims=False):
    """`numpy.average`: a weighted mean, and the sum of the weights if that is to be returned."""
    if weights is None:
        mean = np.mean(a, axis=axis, keepdims=keepdims)
        return (mean, np.full_like(mean.detach(), np.size(a) // max(mean.size, 1))) if returned else mean
    if np.shape(weights) != np.shape(a):
        if axis is None:
            raise TypeError("np.average needs axis= when the weights have another shape than the numbers")
        axes = normalize_axis_tuple(axis, np.ndim(a))
        if np.shape(weights) != tuple(np.shape(a)[i] for i in axes):
            raise ValueError(f"np.average with weights of shape {np.shape(weights)} along axis {axis} of {np.shape(a)}")
        order = sorted(range(len(axes)), key=axes.__getitem__)
        sides = [n if i in axes else 1 for i, n in enumerate(np.shape(a))]
        weights = np.reshape(np.transpose(weights, order), sides)
    scale = np.sum(weights, axis=axis, keepdims=keepdims)
    if np.any(scale == 0):
        raise ZeroDivisionError("np.average: the weights sum to zero, so they cannot be normalized")
    mean = np.sum(np.multiply(a, weights), axis=axis, keepdims=keepdims) / scale
    return (mean, np.broadcast_to(scale, mean.shape).astype(mean.dtype)) if returned else mean


def without_nan(x, value):
    """The numbers, with another in place of every NaN."""
    return np.where(np.isnan(x), value, x)


def present(x, axis, keepdims=False):
    """How many of the numbers are not NaN."""
    return np.sum(np.astype(np.logical_not(np.isnan(x)), x.dtype), axis=axis, keepdims=keepdims)


def nanmean(a, axis=None, *, keepdims=False):
    """`numpy.nanmean`."""
    return np.sum(without_nan(a, 0), axis=axis, keepdims=keepdims) / present(a, axis, keepdims)


def scattered(x, axis, ddof, keepdims):
    """The numbers, with their mean in place of NaN; and by what their variance is too small, being of so many."""
    filled = without_nan(x, nanmean(x, axis, keepdims=True))
    freedom = present(x, axis, keepdims) - ddof
    return filled, count(freedom, x) / np.where(freedom > 0, freedom, np.nan)


def nanvar(a, axis=None, ddof=0, *, keepdims=False):
    """`numpy.nanvar`."""
    filled, factor = scattered(a, axis, ddof, keepdims)
    return np.var(filled, axis=axis, keepdims=keepdims) * factor


def nanstd(a, axis=None, ddof=0, *, keepdims=False):
    """`numpy.nanstd`, with gradient 0 where all numbers are equal."""
    filled, factor = scattered(a, axis, ddof, keepdims)
    return np.std(filled, axis=axis, keepdims=keepdims) * np.sqrt(factor)


def nansum(a, axis=None, *, keepdims=False):
    """`numpy.nansum`."""
    return np.sum(without_nan(a, 0), axis=axis, keepdims=keepdims)


def nanprod(a, axis=None, *, keepdims=False):
    """`numpy.nanprod`."""
    return np.prod(without_nan(a, 1), axis=axis, keepdims=keepdims)


def ptp(a, axis=None, *, keepdims=False):
    """`numpy.ptp`: the largest number less the smallest."""
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


composites |= {np.average: average, np.ptp: ptp}
composites |= {np.nansum: nansum, np.nanprod: nanprod, np.nanmean: nanmean, np.nanvar: nanvar, np.nanstd: nanstd}
