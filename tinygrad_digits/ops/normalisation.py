"""What normalisation layers are made of: arrays taken as rows of features, (…, features)."""

import numpy as np

from ..autodiff import defvjp, expanded, key, primitive
from .neural import rows, summed


def means(x, axis):
    """The means of a matrix's columns (axis 0) or rows (axis 1), as products with ones: half the time of np.mean."""
    return summed(x) / x.shape[0] if axis == 0 else np.expand_dims(summed(x.T), 1) / x.shape[1]


def means_of_products(x, y, axis):
    """The means of columns or rows of the matrix x * y, which is not made."""
    if axis == 0:
        return np.einsum("nc,nc->c", x, y) / x.shape[0]
    return np.expand_dims(np.einsum("nc,nc->n", x, y), 1) / x.shape[1]


def moments(x, axis):
    """What is left of rows when their mean is taken away, the mean, and the variance."""
    mean = means(x, axis)
    centred = x - mean
    return centred, mean, means_of_products(centred, centred, axis)


@primitive
def standardised(x, *, axis, eps):
    """Features given mean 0 and variance 1: each over all rows (axis 0), or those of each row (axis 1).

    They are divided by the square root of their variance and ``eps``.
    """
    centred, _, variance = moments(rows(x), axis)
    centred *= 1 / np.sqrt(variance + eps)
    return centred.reshape(x.shape)


def slope_of_standardised(g, out, x, axis, eps):
    """The gradient of `standardised`, of matrices."""
    _, _, variance = moments(x, axis)
    scale = 1 / np.sqrt(variance + eps)
    return g * scale - means(g, axis) * scale - out * (means_of_products(g, out, axis) * scale)


@primitive
def affine(x, scale, shift):
    """``x * scale + shift`` for x of shape (…, features), and a scale and shift for each feature."""
    out = x * scale
    if out.dtype != shift.dtype:
        return out + shift
    out += shift
    return out


expanded |= {key(standardised), key(affine)}

# fmt: off
defvjp(standardised, lambda g, out, x, *, axis, eps:
                         slope_of_standardised(rows(g), rows(out), rows(x), axis, eps).reshape(x.shape))
defvjp(affine,       lambda g, out, x, scale, shift: g * scale,
                     lambda g, out, x, scale, shift: np.einsum("nc,nc->c", rows(g), rows(x)),
                     lambda g, out, x, scale, shift: summed(rows(g)))
# fmt: on
