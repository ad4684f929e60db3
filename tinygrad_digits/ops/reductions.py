"""Rules of the functions that reduce axes: sum, mean, max, min. Elements that tie share the gradient equally."""

import numpy as np

from ..autodiff import defvjp


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


# fmt: off
defvjp(np.sum,  lambda g, out, x, *, axis=None, keepdims=False: spread(g, x, axis, keepdims))
defvjp(np.mean, lambda g, out, x, *, axis=None, keepdims=False: spread(g / (x.size // max(out.size, 1)), x, axis, keepdims))
defvjp(np.max,  lambda g, out, x, *, axis=None, keepdims=False: to_ties(g, out, x, axis, keepdims))
defvjp(np.min,  lambda g, out, x, *, axis=None, keepdims=False: to_ties(g, out, x, axis, keepdims))
# fmt: on
