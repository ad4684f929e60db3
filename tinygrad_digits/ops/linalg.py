"""Rules of matrix products, for vectors, matrices and stacks of matrices."""

import numpy as np

from ..autodiff import composites, defvjp


def left(g, x, y):
    """∂(x @ y)/∂x applied to g: g @ yᵀ, vectors taken as the matrices they stand for."""
    if x.ndim == 1 and y.ndim == 1:
        return g * y
    if y.ndim == 1:
        return np.expand_dims(g, -1) * y
    if x.ndim == 1:
        return np.matmul(y, np.expand_dims(g, -1))[..., 0]
    return np.matmul(g, y.mT)


def right(g, x, y):
    """∂(x @ y)/∂y applied to g: xᵀ @ g, vectors taken as the matrices they stand for."""
    if x.ndim == 1 and y.ndim == 1:
        return g * x
    if x.ndim == 1:
        return np.expand_dims(x, -1) * np.expand_dims(g, -2)
    if y.ndim == 1:
        return np.matmul(x.mT, np.expand_dims(g, -1))[..., 0]
    return np.matmul(x.mT, g)


# fmt: off
defvjp(np.matmul, lambda g, out, x, y: left(g, x, y),
                  lambda g, out, x, y: right(g, x, y))
# fmt: on


def dot(a, b):
    """`numpy.dot`: a product of numbers, vectors or matrices."""
    if 0 in (np.ndim(a), np.ndim(b)):
        return np.multiply(a, b)
    if np.ndim(b) > 2:
        raise TypeError(
            "np.dot of a Tensor takes at most two dimensions on the right: use np.matmul for stacks of matrices"
        )
    return np.matmul(a, b)


composites[np.dot] = dot
