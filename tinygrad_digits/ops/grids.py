"""Arrays made by rule of others: linspace and its kin, meshgrid, vander, polyval, full_like. All are composites."""

import operator

import numpy as np

from ..autodiff import composites, nondifferentiable
from .indexing import fitting, operand


def ends(*numbers):
    """Ends as arrays, and how many axes and which dtype they have together."""
    numbers = list(map(operand, numbers))
    return *numbers, max(map(np.ndim, numbers)), np.result_type(*numbers, 0.0)


def evenly(num, endpoint, ndim, dtype):
    """Numbers from 0 to 1, along an axis before others."""
    return np.linspace(0, 1, num, endpoint, dtype=dtype).reshape(-1, *[1] * ndim)


def cast(x, dtype):
    """An array in the dtype asked for, if one is."""
    if dtype is not None and np.dtype(dtype).kind != "f":
        raise TypeError(f"numbers between Tensors cannot be made in dtype={dtype}: only in floating point")
    return x if dtype is None else x.astype(dtype)


def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0):
    """`numpy.linspace`, as means of the ends with changing weights."""
    start, stop, ndim, kind = ends(start, stop)
    weight = evenly(num, endpoint, ndim, kind)
    steps = cast(np.moveaxis(np.multiply(start, 1 - weight) + np.multiply(stop, weight), 0, axis), dtype)
    parts = num - bool(endpoint)
    return (steps, np.subtract(stop, start) * (1 / parts if parts else np.nan)) if retstep else steps


def logspace(start, stop, num=50, endpoint=True, base=10.0, dtype=None, axis=0):
    """`numpy.logspace`: powers of a base."""
    start, stop, base, ndim, kind = ends(start, stop, base)
    weight = evenly(num, endpoint, ndim, kind)
    steps = np.power(base, np.multiply(start, 1 - weight) + np.multiply(stop, weight))
    return cast(np.moveaxis(steps, 0, axis), dtype)


def geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    """`numpy.geomspace`: each number is the same multiple of the one before it."""
    start, stop, ndim, kind = ends(start, stop)
    ratio = np.divide(stop, start)
    if not np.all(ratio > 0):
        raise ValueError("np.geomspace of Tensors needs ends of one sign, neither of them 0")
    steps = np.multiply(start, np.power(ratio, evenly(num, endpoint, ndim, kind)))
    return cast(np.moveaxis(steps, 0, axis), dtype)


def meshgrid(*xi, sparse=False, indexing="xy"):
    """`numpy.meshgrid`."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"np.meshgrid takes 'xy' or 'ij' for indexing, not {indexing!r}")
    order = [1, 0, *range(2, len(xi))] if indexing == "xy" and len(xi) > 1 else range(len(xi))
    grid = [np.reshape(x, [-1 if i == axis else 1 for i in range(len(xi))]) for x, axis in zip(xi, order, strict=True)]
    return tuple(grid) if sparse else np.broadcast_arrays(*grid)


def vander(x, N=None, increasing=False):  # noqa: N803 - NumPy's name
    """`numpy.vander`: the powers of a vector's elements."""
    if np.ndim(x) != 1:
        raise ValueError(f"np.vander takes a vector, and not an array of shape {np.shape(x)}")
    exponents = np.arange(len(x) if N is None else operator.index(N))
    exponents = exponents if increasing else exponents[::-1]
    return np.power(np.expand_dims(x, 1), exponents.astype(x.dtype))


def polyval(p, x):
    """`numpy.polyval`: a polynomial's value by Horner's rule, the highest power first."""
    value = np.zeros_like(x)
    for i in range(len(p)):
        value = value * x + p[i]
    return value


def full_like(a, fill_value, dtype=None, *, shape=None):
    """`numpy.full_like`."""
    zeros = np.zeros_like(a, dtype, shape=shape)
    filled = zeros + fitting(fill_value, zeros)
    if filled.size != zeros.size:
        raise ValueError(f"np.full_like of shape {zeros.shape} cannot be filled with shape {np.shape(fill_value)}")
    return np.reshape(filled, zeros.shape).astype(zeros.dtype)


composites |= {
    np.linspace: linspace,
    np.logspace: logspace,
    np.geomspace: geomspace,
    np.meshgrid: meshgrid,
    np.vander: vander,
    np.polyval: polyval,
    np.full_like: full_like,
}

nondifferentiable |= {
    *(np.ix_, np.diag_indices_from, np.tril_indices_from, np.triu_indices_from, np.mask_indices),
    *(np.unravel_index, np.ravel_multi_index),
}
