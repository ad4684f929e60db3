"""Diagonals and triangles: trace, diagonal, diag, triu, tril and their kin.

A diagonal is a slice of the matrix written as one row, so that taking it, and laying it, have their rules already.
"""

import numpy as np

from ..autodiff import composites, defvjp
from .indexing import scatter

# fmt: off
defvjp(np.tril, lambda g, out, x, *, k=0: np.tril(g, k))
defvjp(np.triu, lambda g, out, x, *, k=0: np.triu(g, k))
# fmt: on


def along(m, n, offset):
    """Where the elements of a diagonal are, in an m × n matrix written as one row: from row to row, n + 1 further."""
    first = max(-offset, 0)
    end = max(min(m, n - offset), first)
    return slice(first * (n + 1) + offset, end * (n + 1) + offset, n + 1)


def diagonal(a, offset=0, axis1=0, axis2=1):
    """`numpy.diagonal`, but no view."""
    a = np.moveaxis(a, (axis1, axis2), (-2, -1))
    *stack, m, n = a.shape
    return np.reshape(a, (*stack, m * n))[..., along(m, n, offset)]


def trace(a, offset=0, axis1=0, axis2=1):
    """`numpy.trace`."""
    return np.sum(diagonal(a, offset, axis1, axis2), axis=-1)


def diagonal_of_last(x, *, offset=0):
    """`numpy.linalg.diagonal`."""
    return diagonal(x, offset, -2, -1)


def trace_of_last(x, *, offset=0):
    """`numpy.linalg.trace`."""
    return trace(x, offset, -2, -1)


def diag(v, k=0):
    """`numpy.diag`: the diagonal of a matrix, or the matrix with a diagonal."""
    if np.ndim(v) == 2:
        return diagonal(v, k)
    if np.ndim(v) != 1:
        raise ValueError(
            f"np.diag takes a vector or a matrix, not an array of shape {np.shape(v)}: np.diagonal takes all"
        )
    n = len(v) + abs(k)
    return np.reshape(scatter(v, index=(along(n, n, k),), shape=(n * n,)), (n, n))


composites |= {
    np.diagonal: diagonal,
    np.trace: trace,
    np.diag: diag,
    np.diagflat: lambda v, k=0: diag(np.ravel(v), k),
}
composites[np.linalg.diagonal] = diagonal_of_last
composites[np.linalg.trace] = trace_of_last
