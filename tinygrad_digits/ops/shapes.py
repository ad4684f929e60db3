"""Rules of the functions that move elements about: reshape, transpose, broadcast_to, concatenate and their kin."""

import numpy as np

from ..autodiff import composites, defvjp, defvjp_each, primitive

# fmt: off
defvjp(np.reshape,      lambda g, out, x, *, shape: np.reshape(g, x.shape))
defvjp(np.ravel,        lambda g, out, x: np.reshape(g, x.shape))
defvjp(np.squeeze,      lambda g, out, x, *, axis=None: np.reshape(g, x.shape))
defvjp(np.expand_dims,  lambda g, out, x, *, axis: np.reshape(g, x.shape))
defvjp(np.transpose,    lambda g, out, x, *, axes=None: np.transpose(g, None if axes is None else inverse(axes)))
defvjp(np.swapaxes,     lambda g, out, x, *, axis1, axis2: np.swapaxes(g, axis1, axis2))
defvjp(np.moveaxis,     lambda g, out, x, *, source, destination: np.moveaxis(g, destination, source))
defvjp(np.flip,         lambda g, out, x, *, axis=None: np.flip(g, axis))
defvjp(np.broadcast_to, lambda g, out, x, *, shape: g)  # the sweep undoes broadcasting
# fmt: on


def inverse(axes):
    """The permutation that undoes one; axes may count from the end."""
    return tuple(int(i) for i in np.argsort([axis % len(axes) for axis in axes]))


@primitive
def concatenated(*parts, axis=0):
    """`numpy.concatenate`, with the parts as arguments of their own."""
    return np.concatenate(parts, axis=axis)


@primitive
def stacked(*parts, axis=0):
    """`numpy.stack`, with the parts as arguments of their own."""
    return np.stack(parts, axis=axis)


def along(axis, index):
    """The index that applies ``index`` on one axis and takes all of those before it."""
    return (*[slice(None)] * axis, index) if axis >= 0 else (..., index, *[slice(None)] * (-axis - 1))


def part(g, out, position, *parts, axis=0):
    """What a concatenation's gradient says of one of the parts."""
    if axis is None:
        before = sum(np.size(p) for p in parts[:position])
        return np.reshape(g[before : before + np.size(parts[position])], np.shape(parts[position]))
    before = sum(p.shape[axis] for p in parts[:position])
    return g[along(axis, slice(before, before + parts[position].shape[axis]))]


defvjp_each(concatenated, part)
defvjp_each(stacked, lambda g, out, position, *parts, axis=0: g[along(axis, position)])


def concatenate(arrays, axis=0):
    """`numpy.concatenate`."""
    return concatenated(*arrays, axis=axis)


def stack(arrays, axis=0):
    """`numpy.stack`."""
    return stacked(*arrays, axis=axis)


def atleast_1d(x):
    """`numpy.atleast_1d` of one array."""
    return x if np.ndim(x) else np.reshape(x, (1,))


def hstack(tup):
    """`numpy.hstack`: join along the second axis; vectors and numbers end to end."""
    arrays = [atleast_1d(x) for x in tup]
    return concatenated(*arrays, axis=0 if np.ndim(arrays[0]) == 1 else 1)


def vstack(tup):
    """`numpy.vstack`: join along the first axis; vectors and numbers as rows."""
    return concatenated(*[x if np.ndim(x) > 1 else np.reshape(x, (1, -1)) for x in tup], axis=0)


composites |= {np.concatenate: concatenate, np.stack: stack, np.hstack: hstack, np.vstack: vstack}
composites[np.matrix_transpose] = lambda x: np.swapaxes(x, -1, -2)
