"""The rules of ``x[index]``, in all of NumPy's forms, and of what is made of it. Repeated indices accumulate."""

import operator

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..autodiff import composites, defvjp, into, key, primitive, writers
from .scratch import filled


@primitive
def scatter(g, *, index, shape):
    """An array of zeros to which ``g`` is added at an index: the transpose of ``x[index]``."""
    return filled(scatter_into, shape, g.dtype, g, index=index, shape=shape)


def scatter_into(x, g, *, index, shape):
    """`scatter`, in an array that is there."""
    x.fill(0)
    if any(isinstance(i, np.ndarray) and i.dtype != bool for i in index):
        np.add.at(x, index, g)
    else:
        x[index] = g  # slices, numbers and masks take no element twice: assigning is ten times as fast


into[key(scatter)] = scatter_into


@primitive
def overwritten(x, value, *, places):
    """A copy of x with a value at places, which count its elements; if one is named twice, the last value stays."""
    x = np.array(x, order="C")  # a copy in another order would be reshaped into one more copy
    x.reshape(-1)[places] = value
    return x


def last(places, size):
    """Which of the places is not named again after."""
    turn = np.arange(places.size).reshape(places.shape)
    winner = np.empty(size, int)
    winner[places] = turn
    return winner[places] == turn


# fmt: off
defvjp(operator.getitem, lambda g, out, x, index: scatter(g, index=index, shape=x.shape),
                         None)
defvjp(scatter,          lambda g, out, x, *, index, shape: g[index])
defvjp(overwritten,      lambda g, out, x, value, *, places: overwritten(g, 0, places=places),
                         lambda g, out, x, value, *, places:
                             np.where(last(places, g.size), np.reshape(g, -1)[places], 0))
# fmt: on


def places_of(x):
    """An array of x's shape that counts its elements."""
    return np.arange(np.size(x)).reshape(np.shape(x))


def operand(x):
    """A list as an array. Python's numbers, which have no dtype of their own, stay what they are."""
    return x if hasattr(x, "dtype") or isinstance(x, int | float) else np.asarray(x)


def fitting(value, x):
    """A value that can go into an array without losing what its dtype is for."""
    value = operand(value)
    if not np.can_cast(np.result_type(value, x), x.dtype, "same_kind"):
        raise TypeError(f"numbers of dtype {np.result_type(value)} do not go into an array of dtype {x.dtype}")
    return value


def in_dtype(x, dtype):
    """An array in a dtype, itself if it has that."""
    return x if x.dtype == dtype else x.astype(dtype)


def index_update(x, index, value):
    """Copy an array, and put a value where the index says: ``x[index] = value`` for Tensors.

    Parameters
    ----------
    x : Tensor or array
        What to copy. Its gradient is 0 where the value went.
    index
        Whatever can stand in ``x[index]``.
    value : Tensor, array or number
        Of a shape that broadcasts to that of ``x[index]``. Where an index is repeated, the last value stays, and has
        all of the gradient.

    Raises
    ------
    TypeError
        If the value does not fit the dtype of `x`: floating point into integers.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> np.sum(tg.index_update(x, slice(1, None), 0.0) * 2).backward()
    >>> x.grad
    array([2., 0., 0.])
    """
    x = operand(x)
    return overwritten(x, fitting(value, x), places=np.array(places_of(x)[index]))


# ---------------------------------------------------------------------------------------------------- moving by indices


def moved(function, *arrays):
    """What a function that only moves elements makes of arrays: shown where they are, it tells which go where."""
    ends = np.cumsum([np.size(x) for x in arrays])
    places = [places_of(x) + end - np.size(x) for x, end in zip(arrays, ends, strict=True)]
    return np.concatenate([np.ravel(x) for x in arrays])[function(*places)]


def plain(indices):
    """Indices as NumPy's own functions take them, arrays in place of Tensors."""
    return np.asarray(indices) if hasattr(indices, "dtype") else indices


def insert(arr, obj, values, axis=None):
    """`numpy.insert`."""
    arr = operand(arr)
    made = moved(lambda old, new: np.insert(old, plain(obj), new, axis), arr, fitting(values, arr))
    return made.astype(arr.dtype)


def trim_zeros(filt, trim="fb", axis=None):
    """`numpy.trim_zeros`: cut zeros off the ends."""
    if set(trim.lower()) - set("fb"):
        raise ValueError(f"np.trim_zeros takes 'f' for the front, 'b' for the back, or 'fb', and not {trim!r}")
    axes = range(filt.ndim) if axis is None else normalize_axis_tuple(axis, filt.ndim)
    index = [slice(None)] * filt.ndim
    for i in axes:
        found = np.asarray(np.nonzero(filt)[i])
        first, end = np.min(found, initial=filt.shape[i]), np.max(found, initial=-1) + 1
        index[i] = slice(first if "f" in trim.lower() else None, end if "b" in trim.lower() else None)
    return filt[tuple(index)]


composites |= {
    np.insert: insert,
    np.delete: lambda arr, obj, axis=None: moved(lambda places: np.delete(places, plain(obj), axis), arr),
    np.resize: lambda a, new_shape: moved(lambda places: np.resize(places, new_shape), a),
    np.trim_zeros: trim_zeros,
}

writers |= {
    np.copyto: "x = np.where(where, values, x)",
    np.putmask: "x = np.where(mask, values, x)",
    np.place: "x = tg.index_update(x, mask, values)",
    np.put: "x = np.reshape(tg.index_update(np.ravel(x), indices, values), x.shape)",
    np.put_along_axis: "x = tg.index_update(x, index, values)",
    np.fill_diagonal: "x = tg.index_update(x, np.diag_indices(n), values)",
}
