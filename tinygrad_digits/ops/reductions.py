"""Rules of the functions that reduce axes: sum, mean, var, std, max, min.

Elements that tie for the max or min share the gradient equally; the gradient of std is 0 where all elements are equal.
"""

from math import nan

import numpy as np

from ..autodiff import composites, defvjp


def kept(y, x, axis, keepdims):
    """What a reduction over some axes gave, with those axes back, of length 1."""
    if axis is None:
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


def nonzero(out):
    """The result, but 1 for 0: what it divides is 0 then."""
    return np.where(out == 0, 1, out)


# fmt: off
defvjp(np.sum,  lambda g, out, x, *, axis=None, keepdims=False: spread(g, x, axis, keepdims))
defvjp(np.mean, lambda g, out, x, *, axis=None, keepdims=False: spread(g * share(out, x), x, axis, keepdims))
defvjp(np.var,  lambda g, out, x, *, axis=None, ddof=0, keepdims=False:
                    kept(g * (2 * share(out, x, ddof)), x, axis, keepdims) * centred(x, axis))
defvjp(np.std,  lambda g, out, x, *, axis=None, ddof=0, keepdims=False:
                    kept(g / nonzero(out) * share(out, x, ddof), x, axis, keepdims) * centred(x, axis))
defvjp(np.max,  lambda g, out, x, *, axis=None, keepdims=False: to_ties(g, out, x, axis, keepdims))
defvjp(np.min,  lambda g, out, x, *, axis=None, keepdims=False: to_ties(g, out, x, axis, keepdims))
# fmt: on

composites[np.amax] = np.max
composites[np.amin] = np.min
