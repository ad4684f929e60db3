"""The operations of neural networks, safe from overflow, with their rules.

The fused ones (a layer's product and bias, a loss with what goes before it) are here because one recorded operation
costs less than three, and because their gradients are simpler and more accurate than those of their parts.
"""

from functools import lru_cache
from math import prod

import numpy as np

from ..autodiff import defvjp, expanded, key, primitive
from .elementwise import finite, quietly
from .reductions import kept

# Of how large a number a dtype can hold the exponential (beyond it, sigmoid is 1 to the last bit), and one. They are
# arrays, as NumPy takes twice as long to compute with a small array and a Python number.
BOUNDS = {
    np.dtype(t): (np.array(11 if t is np.float16 else 88, t), np.array(1, t))
    for t in (np.float16, np.float32, np.float64, np.longdouble)
}
for bound, one in BOUNDS.values():
    bound.flags.writeable = one.flags.writeable = False


def floats(x):
    """The argument as an array of floating-point numbers, as NumPy's own functions take lists and integers."""
    x = x if hasattr(x, "_recipe") else np.asarray(x)
    return x if x.dtype in BOUNDS else x.astype(float)


@primitive
def linear(x, weight, bias):
    """``x @ weight + bias`` for x of shape (…, m), weight (m, n) and bias (n,)."""
    out = x.dot(weight) if x.ndim == 2 else np.matmul(x, weight)  # dot takes half the time of a small matmul
    if out.dtype != bias.dtype:
        return out + bias
    out += bias
    return out


def rows(x):
    """All axes but the last as one."""
    return x if x.ndim == 2 else x.reshape(prod(x.shape[:-1]), x.shape[-1])


@lru_cache
def ones(n, dtype):
    """`numpy.ones`, made once."""
    return np.ones(n, dtype)


def summed(rows):
    """The sum of the rows of a matrix, as a product with ones: for small ones it takes half the time of np.sum."""
    return rows.T.dot(ones(rows.shape[0], rows.dtype))


@primitive
def sigmoid(x):
    """Logistic function 1 / (1 + exp(-x)), element by element; x of any size is safe.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> tg.sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    try:
        largest, one = BOUNDS[x.dtype]
    except (AttributeError, KeyError):
        return sigmoid(floats(x))
    e = np.exp(np.minimum(x, largest))
    return e / (one + e)


@primitive
def relu(x):
    """The positive part of x, element by element; its slope at 0 is taken to be 0.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> tg.relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    return np.maximum(x, 0)


@primitive
def logsumexp(x, *, axis=None, keepdims=False):
    """The logarithm of a sum of exponentials, safe from overflow; -inf, with gradient 0, if all elements are -inf.

    As `numpy.sum`, it reduces all axes, or those of ``axis`` (an int or several), and keeps them at length 1 if wanted.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> x = np.array([[1000.0, 1000.0], [0.0, 0.0]])
    >>> tg.logsumexp(x, axis=1) - np.log(2)
    array([1000.,    0.])
    """
    x = floats(x)
    top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0).astype(x.dtype)
    with np.errstate(divide="ignore"):  # the logarithm of an empty sum is -inf, rightly
        out = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return out if keepdims else np.squeeze(out, axis)


@primitive
def softmax(x, *, axis=-1):
    """Exponentials made to sum to 1 along an axis (or several), safe from overflow; of the shape of x.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> tg.softmax(np.array([[1000.0, 1000.0], [0.0, 1000.0]]))
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    x = floats(x)
    e = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
    return e / np.sum(e, axis=axis, keepdims=True)


@primitive
def log_softmax(x, *, axis=-1):
    """The logarithm of `softmax`, accurate where that is near 0; of the shape of x.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> tg.log_softmax(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """
    x = floats(x)
    y = x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    with np.errstate(divide="ignore"):  # of an empty sum nothing is subtracted
        return y - np.log(np.sum(np.exp(y), axis=axis, keepdims=True))


@primitive
def mean_squared_error(x, y):
    """Mean of (x - y)², over all elements of two arrays of one shape."""
    d = (x - y).reshape(-1)
    return d.dot(d) / d.size


@primitive
def softmax_cross_entropy(logits, *, labels):
    """Mean of -log softmax(logits)[label] over the rows of logits (n, classes)."""
    y = logits - np.max(logits, axis=-1, keepdims=True)
    return np.mean(np.log(np.sum(np.exp(y), axis=-1)) - y[np.arange(len(labels)), labels])


@primitive
def sigmoid_cross_entropy(x, y):
    """Mean of -y log sigmoid(x) - (1 - y) log(1 - sigmoid(x)), over all elements."""
    return np.mean(np.maximum(x, 0) - x * y + np.log1p(np.exp(-np.abs(x))))


@primitive
def relative_entropy(p, log_q):
    """The numbers p (log p - log_q), and 0 where p is 0, whatever log_q is."""
    none = p == 0
    return p * (np.log(p + none) - np.where(none, 0, log_q))


def less_one_hot(p, labels):
    """P - one_hot(labels)."""
    return p - np.astype(labels[:, None] == counted(p.shape[1], labels.dtype), p.dtype)


@lru_cache
def counted(n, dtype):
    """`numpy.arange`, made once, of a dtype if that can hold it: to compare different ones takes twice as long."""
    return np.arange(n, dtype=dtype if np.can_cast(np.min_scalar_type(n), dtype) else None)


def joint_shape(x, y):
    """The shape that broadcasting makes of two."""
    return np.broadcast_shapes(np.shape(x), np.shape(y))


expanded |= {key(op) for op in (linear, sigmoid, relu, logsumexp, softmax, log_softmax, mean_squared_error)}
expanded |= {key(op) for op in (softmax_cross_entropy, sigmoid_cross_entropy, relative_entropy)}

# fmt: off
defvjp(linear,      lambda g, out, x, weight, bias: rows(g).dot(weight.T).reshape(x.shape),
                    lambda g, out, x, weight, bias: rows(x).T.dot(rows(g)),
                    lambda g, out, x, weight, bias: summed(rows(g)))
defvjp(sigmoid,     lambda g, out, x: g * (out - out * out))
defvjp(relu,        lambda g, out, x: np.where(out > 0, g, 0))
defvjp(logsumexp,   lambda g, out, x, *, axis=None, keepdims=False:
                        kept(g, x, axis, keepdims) * np.exp(x - finite(kept(out, x, axis, keepdims))))
defvjp(softmax,     lambda g, out, x, *, axis=-1: out * (g - np.sum(g * out, axis=axis, keepdims=True)))
defvjp(log_softmax, lambda g, out, x, *, axis=-1: g - np.exp(out) * np.sum(g, axis=axis, keepdims=True))
defvjp(mean_squared_error,
                    lambda g, out, x, y: (x - y) * g * (2 / x.size),
                    lambda g, out, x, y: (y - x) * g * (2 / x.size))
defvjp(softmax_cross_entropy,
                    lambda g, out, x, *, labels: g * (1 / len(labels)) * less_one_hot(softmax(x), labels))
defvjp(sigmoid_cross_entropy,
                    lambda g, out, x, y: g * ((sigmoid(x) - y) * (1 / prod(joint_shape(x, y)))),
                    lambda g, out, x, y: g * (np.broadcast_to(-x, joint_shape(x, y)) * (1 / prod(joint_shape(x, y)))))
defvjp(relative_entropy,
                    quietly(lambda g, out, p, log_q: g * (np.log(p + (p == 0) * (g == 0)) + 1 - log_q)),
                    lambda g, out, p, log_q: -g * p)
# fmt: on
