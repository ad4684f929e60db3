"""Pooling of images, of shape (N, height, width, channels): the largest number, or the mean, of each window."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..autodiff import defvjp, into, key, primitive
from .convolution import Pair, blocks, every, padded, pair
from .indexing import operand
from .neural import floats
from .scratch import filled, scratch
from .threads import each


def max_pool2d(x: Any, size: Pair, stride: Pair | None = None, padding: Pair = 0) -> Any:
    """The largest number of each window of images, channel by channel; numbers that tie share the gradient equally.

    Parameters
    ----------
    x : array of shape (N, height, width, channels)
    size : int or pair of int
        The height and width of a window.
    stride : int or pair of int, optional
        How far the window moves at a time; its size if not given. What is left over at the end has no part.
    padding : int or pair of int
        How many pixels are added on each side, which are never the largest. At most half the size.

    Returns
    -------
    array of shape (N, places down, places to the right, channels)

    Raises
    ------
    ValueError
        If x is no batch of images, the window is larger than they are, or a setting is too small or too large.
    TypeError
        If a setting is no whole number.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> tg.max_pool2d(np.arange(16.0).reshape(1, 4, 4, 1), 2)[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    size, stride, padding = settings(size, stride, padding)
    return largest(poolable(x, size, padding), size=size, stride=stride)


def avg_pool2d(x: Any, size: Pair, stride: Pair | None = None) -> Any:
    """The mean of each window of images, channel by channel.

    The parameters and errors are those of `max_pool2d`, which has padding besides.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> tg.avg_pool2d(np.arange(16.0).reshape(1, 4, 4, 1), 2)[0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    size, stride, _ = settings(size, stride)
    return window_sums(poolable(x, size), size=size, stride=stride) * (1 / prod(size))


def settings(size: Pair, stride: Pair | None = None, padding: Pair = 0) -> tuple[tuple[int, int], ...]:
    """The settings of a pooling, each as a pair."""
    size, padding = pair("size", size), pair("padding", padding, 0)
    if any(2 * p > k for p, k in zip(padding, size, strict=True)):
        raise ValueError(f"padding={padding} of windows of size {size}: it may be half of it at most")
    return size, size if stride is None else pair("stride", stride), padding


def poolable(x, size, padding=(0, 0)):
    """Images with margins. Complains if windows of that size do not fit on them."""
    shape = np.shape(x)
    if len(shape) != 4 or any(n + 2 * p < k for n, k, p in zip(shape[1:3], size, padding, strict=True)):
        raise ValueError(
            f"windows of {size[0]}×{size[1]} pixels on images of shape {shape}: they must be (N, height, width, "
            "channels), and as large as a window"
        )
    x = operand(x)
    least = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
    return padded(x, tuple((n, n) for n in padding), least)


def taps(places, size, stride):
    """For each pixel of a window: the index of that pixel in all windows at once."""
    for down, right in product(*map(steps, places, size, stride)):
        yield slice(None), down, right


def combine(out, x, size, stride, function):
    """What a ufunc makes of the pixels of each window: of its lines first, then across."""
    down, across = (steps(*of_axis) for of_axis in zip(out.shape[1:3], size, stride, strict=True))
    lines = x[:, down[0]]
    if len(down) > 1:
        lines = function(lines, x[:, down[1]], out=scratch("lines", lines.shape, out.dtype))
        for pixels in down[2:]:
            function(lines, x[:, pixels], out=lines)
    first = lines[:, :, across[0]]
    if len(across) == 1:
        np.copyto(out, first)
        return
    function(first, lines[:, :, across[1]], out=out)
    for pixels in across[2:]:
        function(out, lines[:, :, pixels], out=out)


@lru_cache
def steps(places, size, stride):
    """For each pixel of a window, along one axis: where that pixel is of all windows, as a slice."""
    return [every(i, places, stride) for i in range(size)]


def shares(x):
    """Cut images into pieces that stay in cache: the slices."""
    return [images for images, _ in blocks((len(x), 1, prod(x.shape[1:])))]


def pooled_shape(x, size, stride):
    """The shape of what pooling makes of images."""
    n, *sides, channels = x.shape
    return (n, *((m - k) // s + 1 for m, k, s in zip(sides, size, stride, strict=True)), channels)


@primitive
def largest(x, *, size, stride):
    """The largest number of each window."""
    return filled(largest_into, pooled_shape(x, size, stride), x.dtype, x, size=size, stride=stride)


def largest_into(out, x, *, size, stride):
    """`largest`, in an array that is there."""
    each(lambda images: combine(out[images], x[images], size, stride, np.maximum), shares(x))


@primitive
def to_largest(g, x, top, *, size, stride):
    """Share what each window is given among those of its pixels that are equal to the largest, ``top``."""
    return filled(to_largest_into, x.shape, g.dtype, g, x, top, size=size, stride=stride)


def to_largest_into(back, g, x, top, *, size, stride):
    """`to_largest`, in an array that is there."""
    tiled = size == stride and back.size == top.size * prod(size) and all(a.flags.c_contiguous for a in (back, x))
    if not tiled:
        back.fill(0)  # there are pixels in no window, or in several
    share_out = to_tiles if tiled else to_taps
    each(lambda images: share_out(back[images], g[images], x[images], top[images], size, stride), shares(x))


def to_taps(back, g, x, top, size, stride):
    """Add to each pixel what it gets of its windows."""
    pixels = list(taps(top.shape[1:3], size, stride))
    ties = scratch("ties", (len(pixels), *top.shape), bool)
    for tie, tap in zip(ties, pixels, strict=True):
        np.equal(x[tap], top, out=tie)
    share = shared(g, tie_count(ties))
    given = scratch("given", top.shape, g.dtype)
    with np.errstate(invalid="ignore"):
        for tie, tap in zip(ties, pixels, strict=True):
            np.add(back[tap], np.multiply(tie, share, out=given), out=back[tap])


def to_tiles(back, g, x, top, size, stride):
    """Write to each pixel what it gets of its window, where windows lie side by side, and all pixels are in one.

    Whole lines of the images are gone through at a time, which takes two thirds of the time if no pixels tie: loops
    over the channels alone are short.
    """
    n, below, across, channels = top.shape
    lines, wide = (n, below, size[0], across * size[1] * channels), (n, below, across, size[1], channels)

    def widened(a):
        wider = scratch("wider", wide, a.dtype)
        np.copyto(wider, a[:, :, :, None])
        return wider.reshape(n, below, 1, lines[-1])

    ties = scratch("ties", x.shape, bool)
    np.equal(x.reshape(lines), widened(top), out=ties.reshape(lines))
    least = np.minimum.reduce(top, axis=None, initial=np.inf)  # NaN if there are any
    if np.count_nonzero(ties) != top.size or np.isnan(least):  # else each window has one
        count = scratch("count", top.shape, np.min_scalar_type(prod(size)))
        combine(count, ties.view(np.uint8), size, stride, np.add)
        g = shared(g, count)
    with np.errstate(invalid="ignore"):
        np.multiply(ties.reshape(lines), widened(g), out=back.reshape(lines))


def shared(g, count):
    """What each of so many pixels that tie gets of a window's. One with NaN has no ties, and passes on NaN."""
    share = scratch("share", g.shape, g.dtype)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(g, count, out=share)


def tie_count(ties):
    """How many of the arrays are true, in scratch memory."""
    count = scratch("count", ties[0].shape, np.min_scalar_type(len(ties)))
    np.copyto(count, ties[0])
    for tie in ties[1:]:
        np.add(count, tie.view(np.uint8), out=count)
    return count


@primitive
def at_largest(h, x, top, *, size, stride):
    """Of each window, the mean of h where x is largest: the transpose of `to_largest`."""
    ties = [(x[tap] == top, h[tap]) for tap in taps(top.shape[1:3], size, stride)]
    return sum(tie * part for tie, part in ties) / tie_count([tie for tie, _ in ties])


@primitive
def window_sums(x, *, size, stride):
    """The sum of each window, in floating point: bytes would wrap around."""
    x = floats(x)
    return filled(window_sums_into, pooled_shape(x, size, stride), x.dtype, x, size=size, stride=stride)


def window_sums_into(out, x, *, size, stride):
    """`window_sums`, in an array that is there."""
    x = floats(x)
    each(lambda images: combine(out[images], x[images], size, stride, np.add), shares(x))


@primitive
def to_windows(g, *, shape, size, stride):
    """Give each pixel what the windows are given in which it is: the transpose of `window_sums`."""
    return filled(to_windows_into, shape, g.dtype, g, shape=shape, size=size, stride=stride)


def to_windows_into(x, g, *, shape, size, stride):
    """`to_windows`, in an array that is there."""
    x.fill(0)
    for tap in taps(g.shape[1:3], size, stride):
        np.add(x[tap], g, out=x[tap])


into |= {
    key(largest): largest_into,
    key(to_largest): to_largest_into,
    key(window_sums): window_sums_into,
    key(to_windows): to_windows_into,
}

# Which pixel is largest changes in steps, so that the derivatives by x and top are 0.
# fmt: off
defvjp(largest,     lambda g, out, x, *, size, stride: to_largest(g, x, out, size=size, stride=stride))
defvjp(to_largest,  lambda h, out, g, x, top, *, size, stride: at_largest(h, x, top, size=size, stride=stride),
                    lambda h, out, g, x, top, *, size, stride: np.zeros_like(x),
                    lambda h, out, g, x, top, *, size, stride: np.zeros_like(top))
defvjp(at_largest,  lambda g, out, h, x, top, *, size, stride: to_largest(g, x, top, size=size, stride=stride),
                    lambda g, out, h, x, top, *, size, stride: np.zeros_like(x),
                    lambda g, out, h, x, top, *, size, stride: np.zeros_like(top))
defvjp(window_sums, lambda g, out, x, *, size, stride: to_windows(g, shape=x.shape, size=size, stride=stride))
defvjp(to_windows,  lambda h, out, g, *, shape, size, stride: window_sums(h, size=size, stride=stride))
# fmt: on
