"""Rules of the functions that give an array another shape, or another order: reshape, transpose, repeat, …."""

import operator

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..autodiff import composites, defvjp
from .indexing import operand

# fmt: off
defvjp(np.reshape,      lambda g, out, x, *, shape, order="C", copy=None:
                            np.reshape(g, x.shape, order=as_read(x, order)))
defvjp(np.squeeze,      lambda g, out, x, *, axis=None: np.reshape(g, x.shape))
defvjp(np.expand_dims,  lambda g, out, x, *, axis: np.reshape(g, x.shape))
defvjp(np.transpose,    lambda g, out, x, *, axes=None: np.transpose(g, None if axes is None else inverse(axes)))
defvjp(np.swapaxes,     lambda g, out, x, *, axis1, axis2: np.swapaxes(g, axis1, axis2))
defvjp(np.moveaxis,     lambda g, out, x, *, source, destination: np.moveaxis(g, destination, source))
defvjp(np.flip,         lambda g, out, x, *, axis=None: np.flip(g, axis))
defvjp(np.fliplr,       lambda g, out, x: np.fliplr(g))
defvjp(np.flipud,       lambda g, out, x: np.flipud(g))
defvjp(np.rot90,        lambda g, out, x, *, k=1, axes=(0, 1): np.rot90(g, -operator.index(k), axes))
defvjp(np.roll,         lambda g, out, x, *, shift, axis=None: np.roll(g, -np.asarray(shift, int), axis))
defvjp(np.broadcast_to, lambda g, out, x, *, shape: g)  # the sweep undoes broadcasting
# fmt: on


def inverse(axes):
    """The permutation that undoes one; axes may count from the end."""
    return tuple(np.argsort(np.atleast_1d(axes) % np.size(axes)).tolist())


def as_read(x, order):
    """C or F: in which order a reshape reads an array. "A" goes by how the array lies in memory."""
    return order if order != "A" else "F" if x.flags.fnc else "C"


def along(axis, index):
    """The index that applies ``index`` on one axis and takes all of the others."""
    return (*[slice(None)] * axis, index) if axis >= 0 else (..., index, *[slice(None)] * (-axis - 1))


def ravel(a, order="C"):
    """`numpy.ravel`: in the order K, the axes come in the order in which they lie in memory."""
    if order == "K":
        a, order = np.transpose(a, sorted(range(np.ndim(a)), key=[-abs(n) for n in a.strides].__getitem__)), "C"
    return np.reshape(a, np.size(a), order=order)


def rollaxis(a, axis, start=0):
    """`numpy.rollaxis`: move an axis to before another."""
    axis = normalize_axis_index(axis, np.ndim(a))
    start = start + np.ndim(a) if start < 0 else start
    return np.moveaxis(a, axis, start - (start > axis))


def each(function):
    """A function of one array as one of several, as ``np.atleast_1d`` is."""
    return lambda *arys: function(arys[0]) if len(arys) == 1 else tuple(map(function, arys))


def filled_up(x, at_least):
    """An array with axes of length 1 added, as ``np.atleast_1d`` and its kin add them."""
    x = operand(x)
    missing = at_least - np.ndim(x)
    after = at_least == 3  # the third axis is the last
    return np.reshape(x, (1,) * (missing - after) + np.shape(x) + (1,) * after) if missing > 0 else x


def broadcast_arrays(*args):
    """`numpy.broadcast_arrays`."""
    shape = np.broadcast_shapes(*map(np.shape, args))
    return tuple(np.broadcast_to(x, shape) for x in args)


def tile(A, reps):  # noqa: N803 - NumPy's name
    """`numpy.tile`: each axis is stretched along a new one before it, and the two are joined."""
    reps = [operator.index(n) for n in np.atleast_1d(reps)]
    shape = (1,) * (len(reps) - np.ndim(A)) + np.shape(A)
    reps = [1] * (len(shape) - len(reps)) + reps
    apart = np.reshape(A, [n for side in shape for n in (1, side)])
    stretched = np.broadcast_to(apart, [n for pair in zip(reps, shape, strict=True) for n in pair])
    return np.reshape(stretched, [*map(operator.mul, reps, shape)])


def repeat(a, repeats, axis=None):
    """`numpy.repeat`: an equal number of times by stretching, others by indexing."""
    if axis is None:
        a, axis = np.ravel(a), 0
    shape = np.shape(a)
    axis = normalize_axis_index(axis, len(shape))
    if np.size(repeats) != 1:
        return a[along(axis, np.repeat(np.arange(shape[axis]), [operator.index(n) for n in repeats]))]
    before, side, after = shape[:axis], shape[axis], shape[axis + 1 :]
    times = operator.index(np.ravel(repeats)[0])
    stretched = np.broadcast_to(np.expand_dims(a, axis + 1), (*before, side, times, *after))
    return np.reshape(stretched, (*before, side * times, *after))


composites |= {
    np.ravel: ravel,
    np.rollaxis: rollaxis,
    np.matrix_transpose: lambda x: np.swapaxes(x, -1, -2),
    np.linalg.matrix_transpose: lambda x: np.swapaxes(x, -1, -2),
    np.atleast_1d: each(lambda x: filled_up(x, 1)),
    np.atleast_2d: each(lambda x: filled_up(x, 2)),
    np.atleast_3d: each(lambda x: filled_up(x, 3)),
    np.broadcast_arrays: broadcast_arrays,
    np.tile: tile,
    np.repeat: repeat,
}
