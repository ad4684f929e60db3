"""Rules of padding, of sliding windows and of convolution in one dimension."""

import operator

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..autodiff import composites, defvjp, primitive
from .indexing import moved
from .shapes import along


@primitive
def surrounded(x, *, widths, constant_values=0):
    """`numpy.pad` with constants; ``widths`` has a pair of numbers for each axis."""
    return np.pad(x, widths or 0, constant_values=constant_values)


@primitive
def windows(x, *, width, axis):
    """All windows of a width along an axis; the elements of a window lie along a new last axis."""
    return np.lib.stride_tricks.sliding_window_view(x, width, axis)


@primitive
def overlapped(g, *, axis):
    """Windows added up where they overlap: the transpose of `windows`."""
    g = np.moveaxis(g, axis, -1)
    count, width = g.shape[-1], g.shape[-2]
    x = np.zeros((*g.shape[:-2], count + width - 1), g.dtype)
    for i in range(width):
        x[..., i : i + count] += g[..., i, :]
    return np.moveaxis(x, -1, axis)


def unpadded(g, widths):
    """The middle of a padded array."""
    return g[tuple(slice(a, n - b) for (a, b), n in zip(widths, g.shape, strict=True))]


def in_full(g, a, v):
    """A convolution's gradient with zeros for what its mode had cut off: half before, and half or one more behind."""
    missing = np.size(a) + np.size(v) - 1 - np.size(g)
    return np.pad(g, (missing // 2, missing - missing // 2))


# fmt: off
defvjp(surrounded,  lambda g, out, x, *, widths, constant_values=0: unpadded(g, widths))
defvjp(windows,     lambda g, out, x, *, width, axis: overlapped(g, axis=axis))
defvjp(overlapped,  lambda g, out, x, *, axis: windows(g, width=x.shape[-1], axis=axis))
defvjp(np.convolve, lambda g, out, a, v, *, mode="full": np.correlate(in_full(g, a, v), np.atleast_1d(v)),
                    lambda g, out, a, v, *, mode="full": np.correlate(in_full(g, a, v), np.atleast_1d(a)))
# fmt: on


def correlate(a, v, mode="valid"):
    """`numpy.correlate`: a convolution with the second backward."""
    if not np.ndim(a) == np.ndim(v) == 1:
        raise ValueError(f"np.correlate takes two vectors, and not arrays of shapes {np.shape(a)} and {np.shape(v)}")
    if np.size(a) < np.size(v):  # matters to the middle that the mode "same" takes
        return np.flip(np.convolve(v, np.flip(a), mode))
    return np.convolve(a, np.flip(v), mode)


def sliding_window_view(x, window_shape, axis=None):
    """`numpy.lib.stride_tricks.sliding_window_view`, one axis after the other."""
    widths = tuple(np.atleast_1d(window_shape))
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim, allow_duplicate=True)
    if len(widths) != len(axes):
        raise ValueError(f"sliding_window_view was given {len(widths)} widths for {len(axes)} axes: give as many")
    for width, axis in zip(widths, axes, strict=True):
        x = windows(x, width=operator.index(width), axis=axis)
    return x


# ------------------------------------------------------------------------------------------------------------- padding

STATISTICS = {"maximum": np.max, "minimum": np.min, "mean": np.mean, "median": np.median}


def pad(array, pad_width, mode="constant", *, constant_values=0, end_values=0, stat_length=None, reflect_type="even"):
    """`numpy.pad`, in all modes but "empty", odd reflections and those that are functions."""
    ndim = np.ndim(array)
    widths = pairs(by_axis(pad_width, ndim), ndim)
    if mode == "constant":
        return surrounded(array, widths=widths, constant_values=constant_values)
    if mode in ("edge", "wrap") or (mode in ("reflect", "symmetric") and reflect_type == "even"):
        return moved(lambda places: np.pad(places, widths, mode), array)
    if mode == "linear_ramp":
        return ramped(array, widths, pairs(end_values, ndim))
    if mode in STATISTICS:
        return flanked(array, widths, pairs(stat_length, ndim), STATISTICS[mode])
    raise TypeError(
        f"np.pad of a Tensor does not know mode={mode!r} with reflect_type={reflect_type!r}: make the margins, and "
        "join them with np.concatenate"
    )


def by_axis(pad_width, ndim):
    """A width for each axis, where a dict names some of them."""
    if not isinstance(pad_width, dict):
        return pad_width
    widths = [(0, 0)] * ndim
    for axis, width in pad_width.items():
        widths[axis] = (width, width) if np.ndim(width) == 0 else width
    return widths


def pairs(values, ndim):
    """For each axis what holds before it and after it."""
    found = np.broadcast_to(np.asarray(values), (ndim, 2)).tolist()
    return tuple(map(tuple, found))


def ramped(x, widths, ends):
    """Margins that go evenly from an end value to the edge."""
    for axis, ((before, after), (first, last)) in enumerate(zip(widths, ends, strict=True)):
        up = np.linspace(first, x[along(axis, 0)], before, endpoint=False, axis=axis)
        down = np.flip(np.linspace(last, x[along(axis, -1)], after, endpoint=False, axis=axis), axis)
        x = np.concatenate([up, x, down], axis)
    return x


def flanked(x, widths, lengths, statistic):
    """Margins that hold a statistic of the elements next to them, or of a whole line."""
    for axis, (sides, (first, last)) in enumerate(zip(widths, lengths, strict=True)):
        near = x[along(axis, slice(first))], x[along(axis, slice(None if last is None else -last, None))]
        margins = [
            np.repeat(statistic(part, axis=axis, keepdims=True), width, axis)
            for part, width in zip(near, sides, strict=True)
        ]
        x = np.concatenate([margins[0], x, margins[1]], axis)
    return x


composites |= {
    np.pad: pad,
    np.correlate: correlate,
    np.lib.stride_tricks.sliding_window_view: sliding_window_view,
}
