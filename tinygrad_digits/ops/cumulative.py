"""Rules of running sums and products, and what is made of differences: diff, gradient, trapezoid.

The rule of cumprod never divides by the elements, which may be 0.
"""

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..autodiff import composites, defvjp
from .indexing import fitting, in_dtype, operand
from .shapes import along


def backward_sum(g, axis):
    """The running sum from the end."""
    return np.flip(np.cumsum(np.flip(g, axis), axis=axis), axis)


def moved(x, steps):
    """Each element some places later along the last axis, after zeros."""
    return np.concatenate([np.zeros_like(x[..., :steps]), x[..., :-steps]], axis=-1)


def recurrence(a, b):
    """Solve s[i] = a[i] s[i-1] + b[i] along the last axis, for all i at once in log₂ n rounds.

    After each round, s[i] is known from twice as many places back (Hillis & Steele, "Data parallel algorithms", 1986).
    """
    steps = 1
    while steps < b.shape[-1]:
        b = b + a * moved(b, steps)
        a = a * moved(a, steps)
        steps *= 2
    return b


def products(g, out, x, axis):
    """The gradient of cumprod: for each x[i], the product before it times Σ g[k] x[i+1] … x[k] over k from i on."""
    line = -1 if axis is None else axis
    x, g, out = (np.moveaxis(y, line, -1) for y in (np.reshape(x, out.shape), g, out))
    before = np.concatenate([np.ones_like(x[..., :1]), out], axis=-1)[..., :-1]
    after = np.flip(recurrence(moved(np.flip(x, -1), 1), np.flip(g, -1)), -1)
    return np.moveaxis(before * after, -1, line)


# fmt: off
defvjp(np.cumsum,  lambda g, out, x, *, axis=None: np.reshape(backward_sum(g, axis), x.shape))
defvjp(np.cumprod, lambda g, out, x, *, axis=None: np.reshape(products(g, out, x, axis), x.shape))
# fmt: on


def nancumsum(a, axis=None):
    """`numpy.nancumsum`."""
    return np.cumsum(np.where(np.isnan(a), 0, a), axis=axis)


def nancumprod(a, axis=None):
    """`numpy.nancumprod`."""
    return np.cumprod(np.where(np.isnan(a), 1, a), axis=axis)


def cumulative_sum(x, *, axis=None, include_initial=False):
    """`numpy.cumulative_sum`."""
    return from_first(np.cumsum, np.zeros_like, x, axis, include_initial)


def cumulative_prod(x, *, axis=None, include_initial=False):
    """`numpy.cumulative_prod`."""
    return from_first(np.cumprod, np.ones_like, x, axis, include_initial)


def from_first(running, first, x, axis, include_initial):
    """A running sum or product, after that of no elements if that is wanted."""
    x = np.atleast_1d(x)
    if axis is None:
        if x.ndim > 1:
            raise ValueError(f"a cumulative sum or product of an array of shape {x.shape} needs axis=")
        axis = 0
    if include_initial:
        side = [1 if i == axis % x.ndim else n for i, n in enumerate(x.shape)]
        x = np.concatenate([first(x, shape=side), x], axis=axis)
    return running(x, axis=axis)


def neighbours(x, axis):
    """All elements but the first, and all but the last."""
    x = operand(x)
    return x[along(axis, slice(1, None))], x[along(axis, slice(-1))]


def diff(a, n=1, axis=-1, prepend=None, append=None):
    """`numpy.diff`."""
    if n < 0 or np.ndim(a) == 0:
        raise ValueError(f"np.diff takes n of 0 or more, and an array of 1 dimension or more; not {n} and {np.ndim(a)}")
    if n == 0:
        return a
    a = operand(a)
    side = [1 if i == axis % a.ndim else length for i, length in enumerate(np.shape(a))]
    ends = [np.broadcast_to(end, side) if np.ndim(end) == 0 else end for end in (prepend, append) if end is not None]
    if ends:
        a = np.concatenate([*ends[: prepend is not None], a, *ends[prepend is not None :]], axis=axis)
    for _ in range(n):
        later, sooner = neighbours(a, axis)
        a = np.not_equal(later, sooner) if a.dtype == bool else later - sooner
    return a


def ediff1d(ary, to_end=None, to_begin=None):
    """`numpy.ediff1d`: the differences in a flattened array, between others."""
    ary = np.ravel(ary)
    begin, end = (
        () if part is None else (in_dtype(np.ravel(fitting(part, ary)), ary.dtype),) for part in (to_begin, to_end)
    )
    return np.concatenate([*begin, diff(ary), *end])


def trapezoid(y, x=None, dx=1.0, axis=-1):
    """`numpy.trapezoid`: the integral of a function of which some values are known."""
    if x is not None:
        dx = np.diff(x)
        if dx.ndim == 1:
            dx = np.reshape(dx, [-1 if i == axis % np.ndim(y) else 1 for i in range(np.ndim(y))])
        else:
            dx = np.diff(x, axis=axis)
    later, sooner = neighbours(y, axis)
    return np.sum(dx * (later + sooner) / 2, axis=axis)


def gradient(f, *spacing, axis=None, edge_order=1):
    """`numpy.gradient`: the slopes of a function of which some values are known, from second-order differences."""
    axes = normalize_axis_tuple(range(np.ndim(f)) if axis is None else axis, np.ndim(f))
    if len(spacing) not in (0, len(axes)) and not (len(spacing) == 1 and np.ndim(spacing[0]) == 0):
        raise TypeError(
            f"np.gradient along {len(axes)} axes takes as many spacings, one number for all, or none, and not "
            f"{len(spacing)} of shapes {', '.join(str(np.shape(h)) for h in spacing)}"
        )
    if edge_order not in (1, 2):
        raise ValueError(f"np.gradient takes edge_order 1 or 2, and not {edge_order}")
    spacing = spacing * len(axes) if len(spacing) == 1 else spacing or (1.0,) * len(axes)
    slopes = [
        np.moveaxis(in_dtype(slope(np.moveaxis(f, i, -1), h, edge_order), np.result_type(f, 0.0)), -1, i)
        for i, h in zip(axes, spacing, strict=True)
    ]
    return slopes[0] if len(slopes) == 1 else tuple(slopes)


def slope(f, h, edge_order):
    """The slopes along the last axis; h is the distance of neighbours, or where the values are."""
    n = f.shape[-1]
    if n <= edge_order:
        raise ValueError(
            f"np.gradient with edge_order={edge_order} needs {edge_order + 1} values along an axis, not {n}"
        )
    if np.ndim(h) > 0 and np.shape(h) != (n,):
        raise ValueError(f"np.gradient of {n} values got coordinates of shape {np.shape(h)}")
    steps = (f[..., 1:] - f[..., :-1]) / (h if np.ndim(h) == 0 else np.diff(h))  # the slope of each interval
    one, other = (1, 1) if np.ndim(h) == 0 else (np.diff(h)[:-1], np.diff(h)[1:])
    inner = (steps[..., :-1] * other + steps[..., 1:] * one) / (one + other)
    first, last = steps[..., :1], steps[..., -1:]
    if edge_order == 2:  # where the straight line of the two slopes ends
        first = first + (first - inner[..., :1])
        last = last + (last - inner[..., -1:])
    return np.concatenate([first, inner, last], axis=-1)


composites |= {np.nancumsum: nancumsum, np.nancumprod: nancumprod}
composites |= {np.cumulative_sum: cumulative_sum, np.cumulative_prod: cumulative_prod}
composites |= {np.diff: diff, np.ediff1d: ediff1d, np.trapezoid: trapezoid, np.gradient: gradient}
