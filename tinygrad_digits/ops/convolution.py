"""Convolution and pooling of images: of shape (N, height, width, channels), channels last.

A convolution is a product of matrices. The windows that the kernel sees are laid out as the rows of a matrix (its
*columns*, whose name has stuck, are what im2col made), and the kernel is the other one. With the channels last, what a
window has of one line of the image lies together in memory, and is copied in one piece.

Forward it is linear in the images and in the weight. The two ways back, to the images and to the weight, are
operations of their own; the three are one another's transposes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from itertools import groupby
from math import prod
from operator import index, itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autodiff import defvjp, into, key, primitive
from .indexing import operand
from .neural import floats, rows, summed
from .scratch import filled, scratch
from .windows import surrounded

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

BLOCK = 2**18
"""How many numbers are laid out at a time: 1 MB in single precision, to stay in cache until it has been multiplied.

A training step of a LeNet takes a tenth longer with a quarter of it, or with all at once.
"""

SHORT = 16
"""How many numbers make it worth while to copy them in one piece."""

Pair = int | tuple[int, int]

_pool: ContextVar[ThreadPoolExecutor | None] = ContextVar("pool", default=None)


@contextmanager
def image_threads(count: int) -> Iterator[None]:
    """Have convolutions in this block of code share their images among so many threads; the results are the same.

    It is for a BLAS that is held to one thread: two threads that each do half of the images need less time than two
    that each do half of every product, and wait for nothing.
    """
    if count < 2:
        yield
        return
    from concurrent.futures import ThreadPoolExecutor  # takes milliseconds to load

    with ThreadPoolExecutor(count) as pool:
        token = _pool.set(pool)
        try:
            yield
        finally:
            _pool.reset(token)


def each(function: Callable[[Any], None], items: Iterable[Any]) -> None:
    """Call a function with each item: in order, or in threads if there are any."""
    pool = _pool.get()
    if pool is None:
        for item in items:
            function(item)
    else:
        running = [pool.submit(copy_context().run, function, item) for item in items]
        for future in running:
            future.result()


# --------------------------------------------------------------------------------------------------------- convolution


def conv2d(
    x: Any, weight: Any, bias: Any = None, *, stride: Pair = 1, padding: Pair | str = 0, dilation: Pair = 1
) -> Any:
    """Slide a kernel over images: at each place, weighted sums of the window it covers (a cross-correlation).

    Parameters
    ----------
    x : array of shape (N, height, width, channels)
    weight : array of shape (kernel height, kernel width, channels, filters)
    bias : array of shape (filters,), optional
    stride : int or pair of int
        How far the kernel moves at a time, down and to the right.
    padding : int, pair of int, "same" or "valid"
        How many zeros surround an image on each side. "same": as many as give ⌈height / stride⌉ and ⌈width / stride⌉
        places, an odd one below and to the right. "valid": none.
    dilation : int or pair of int
        How far apart the pixels are that the kernel covers.

    Returns
    -------
    array of shape (N, places down, places to the right, filters)

    Raises
    ------
    ValueError
        If the shapes do not fit, the kernel is larger than the padded image, or a setting is too small.
    TypeError
        If a setting is no whole number.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> image = np.arange(9.0).reshape(1, 3, 3, 1)
    >>> tg.conv2d(image, np.ones((2, 2, 1, 1)))[0, :, :, 0]
    array([[ 8., 12.],
           [20., 24.]])
    """
    arrays = tuple(operand(a) for a in ((x, weight) if bias is None else (x, weight, bias)))
    kernel, stride, dilation = kernel_of(*arrays), pair("stride", stride), pair("dilation", dilation)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    x = padded(arrays[0], margins(padding, arrays[0].shape[1:3], reach, stride))
    if any(n < r for n, r in zip(x.shape[1:3], reach, strict=True)):
        raise ValueError(
            f"a weight of shape {np.shape(weight)} reaches over {reach[0]}×{reach[1]} pixels, and the images are, with "
            f"their padding, of shape {x.shape}: give larger images, more padding or a smaller kernel"
        )
    return convolved(x, *arrays[1:], stride=stride, dilation=dilation)


def kernel_of(x, weight, bias=None):
    """The kernel's height and width. Complains of shapes that do not fit."""
    images, kernel = np.shape(x), np.shape(weight)
    if len(images) != 4 or len(kernel) != 4 or images[3] != kernel[2] or 0 in kernel:
        raise ValueError(
            f"images of shape {images} and a weight of shape {kernel}: they must be (N, height, width, channels) and "
            "(kernel height, kernel width, the same channels, filters)"
        )
    if bias is not None and np.shape(bias) != kernel[3:]:
        raise ValueError(f"a bias of shape {np.shape(bias)} for a weight of shape {kernel}: give it {kernel[3:]}")
    return kernel[:2]


def pair(what: str, value: Any, least: int = 1) -> tuple[int, int]:
    """A setting for both axes, given as one number or as two."""
    try:
        first, second = map(index, value if np.ndim(value) else (value, value))
    except (TypeError, ValueError):
        raise TypeError(f"{what}={value!r}: give a whole number, or two, for the height and for the width") from None
    if min(first, second) < least:
        raise ValueError(f"{what}={value!r}: it must be at least {least}")
    return first, second


def margins(padding, sides, reach, stride):
    """How many pixels to add before and after each side of the images."""
    if padding == "valid":
        padding = 0
    if padding != "same":
        return tuple((n, n) for n in pair("padding", padding, 0))
    lacking = [max((-(-n // s) - 1) * s + r - n, 0) for n, r, s in zip(sides, reach, stride, strict=True)]
    return tuple((n // 2, n - n // 2) for n in lacking)


def padded(x, widths, value=0):
    """Images with margins."""
    if not any(map(any, widths)):
        return x
    return surrounded(x, widths=((0, 0), *widths, (0, 0)), constant_values=value)


@primitive
def convolved(x, weight, bias=None, *, stride, dilation):
    """The sums of each window of the images, weighted."""
    places = windows(x, weight.shape[:2], stride, dilation).shape[:3]
    dtype = np.result_type(*[a for a in (x, weight, bias) if a is not None])
    return filled(convolved_into, (*places, weight.shape[3]), dtype, x, weight, bias, stride=stride, dilation=dilation)


def convolved_into(out, x, weight, bias=None, *, stride, dilation):
    """`convolved`, in an array that is there."""
    seen = windows(x, weight.shape[:2], stride, dilation)
    matrix = rows(weight)
    if bias is not None:
        bias = np.tile(bias, seen.shape[2])

    def fill(block):
        np.matmul(laid_out(seen[block]), matrix, out=out[block].reshape(-1, weight.shape[3]))
        if bias is not None:  # to a whole line at a time, as NumPy's loop over the filters alone would be short
            lines = out[block].reshape(-1, bias.size)
            np.add(lines, bias, out=lines)

    each(fill, blocks(seen.shape))


@primitive
def to_weight(x, g, *, kernel, stride, dilation):
    """The way back to the weight: the products of the windows and of what their sums are given."""
    shape = (*kernel, x.shape[3], g.shape[3])
    return filled(to_weight_into, shape, np.result_type(x, g), x, g, kernel=kernel, stride=stride, dilation=dilation)


def to_weight_into(out, x, g, *, kernel, stride, dilation):
    """`to_weight`, in an array that is there."""
    seen = windows(x, kernel, stride, dilation)
    total = rows(out)
    pieces = list(blocks(seen.shape))
    parts = scratch("parts", (len(pieces), *total.shape), out.dtype)

    def product(piece):  # to lay the windows out again costs less than to have kept them
        i, block = piece
        np.matmul(laid_out(seen[block]).T, rows(g[block]), out=parts[i])

    each(product, enumerate(pieces))
    total.fill(0)
    for part in parts:  # in order, however many threads there are
        np.add(total, part, out=total)


@primitive
def to_images(g, weight, *, shape, stride, dilation):
    """The way back to the images: what each sum is given goes, weighted, to its window; where they overlap, it adds up.

    Lines of the kernel are added up first, and then its pixels: one loop over both takes twice as long.
    """
    dtype = np.result_type(g, weight)
    return filled(to_images_into, shape, dtype, g, weight, shape=shape, stride=stride, dilation=dilation)


def to_images_into(x, g, weight, *, shape, stride, dilation):
    """`to_images`, in an array that is there."""
    (height, width, channels), (down, right), (high, wide) = weight.shape[:3], stride, dilation
    x.fill(0)

    def add(images, lines):
        piece = g[images, lines]
        n, below, across = piece.shape[:3]
        wider = scratch("wider", (n, (below - 1) * down + (height - 1) * high + 1, across, width, channels), x.dtype)
        wider.fill(0)
        part = scratch("part", (n * below * across, width * channels), x.dtype)
        for i in range(height):
            np.matmul(rows(piece), weight[i].reshape(width * channels, -1).T, out=part)
            reached = wider[:, every(i * high, below, down)]
            np.add(reached, part.reshape(reached.shape), out=reached)
        target = x[images, lines.start * down :][:, : wider.shape[1]]
        for j in range(width):
            pixels = target[:, :, every(j * wide, across, right)]
            np.add(pixels, wider[:, :, :, j], out=pixels)

    def add_all(parts):  # of the same images, whose lines may overlap
        for part in parts:
            add(*part)

    parts = groupby(blocks((*g.shape[:3], *weight.shape[:3])), key=itemgetter(0))
    each(add_all, [list(group) for _, group in parts])


def every(start, count, step):
    """The slice of so many places, a step apart."""
    return slice(start, start + (count - 1) * step + 1, step)


def windows(x, kernel, stride, dilation):
    """A view of shape (N, places down, places to the right, kernel height, kernel width, channels)."""
    (n, *sides, channels), (first, *between, last) = x.shape, x.strides
    places = [(m - d * (k - 1) - 1) // s + 1 for m, k, s, d in zip(sides, kernel, stride, dilation, strict=True)]
    apart = np.multiply((*stride, *dilation), between * 2).tolist()
    return np.lib.stride_tricks.as_strided(x, (n, *places, *kernel, channels), (first, *apart, last))


def blocks(shape):
    """Cut windows into blocks of some images, or of some lines of one image: the indices of each."""
    n, height = shape[:2]
    lines = max(BLOCK // prod(shape[2:]), 1)
    images, lines = max(lines // height, 1), min(lines, height)
    for i in range(0, n, images):
        for j in range(0, height, lines):
            yield slice(i, i + images), slice(j, j + lines)


def laid_out(seen):
    """Windows as the rows of a matrix, in this thread's scratch memory.

    Where the lines of a window are short, as in images of one channel, its transpose is laid out, in pieces as long as
    a line of places: in a quarter of the time.
    """
    places, pixels = prod(seen.shape[:3]), prod(seen.shape[3:])
    if prod(seen.shape[4:]) < SHORT:
        seen = seen.transpose(3, 4, 5, 0, 1, 2)
        columns = scratch("columns", seen.shape, seen.dtype)
        np.copyto(columns, seen)
        return columns.reshape(pixels, places).T
    columns = scratch("columns", seen.shape, seen.dtype)
    np.copyto(columns, seen)
    return columns.reshape(places, pixels)


# fmt: off
defvjp(convolved, lambda g, out, x, weight, bias=None, *, stride, dilation:
                      to_images(g, weight, shape=x.shape, stride=stride, dilation=dilation),
                  lambda g, out, x, weight, bias=None, *, stride, dilation:
                      to_weight(x, g, kernel=weight.shape[:2], stride=stride, dilation=dilation),
                  lambda g, out, x, weight, bias=None, *, stride, dilation: summed(rows(g)))
defvjp(to_images, lambda h, out, g, weight, *, shape, stride, dilation:
                      convolved(h, weight, stride=stride, dilation=dilation),
                  lambda h, out, g, weight, *, shape, stride, dilation:
                      to_weight(h, g, kernel=weight.shape[:2], stride=stride, dilation=dilation))
defvjp(to_weight, lambda h, out, x, g, *, kernel, stride, dilation:
                      to_images(g, h, shape=x.shape, stride=stride, dilation=dilation),
                  lambda h, out, x, g, *, kernel, stride, dilation:
                      convolved(x, h, stride=stride, dilation=dilation))
# fmt: on


# ------------------------------------------------------------------------------------------------------------- pooling


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
    size, stride, padding = pooling(size, stride, padding)
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
    size, stride, _ = pooling(size, stride)
    return window_sums(poolable(x, size), size=size, stride=stride) * (1 / prod(size))


def pooling(size: Pair, stride: Pair | None = None, padding: Pair = 0) -> tuple[tuple[int, int], ...]:
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
    for i in range(size[0]):
        for j in range(size[1]):
            yield slice(None), every(i, places[0], stride[0]), every(j, places[1], stride[1])


def combine(out, x, size, stride, function):
    """What a ufunc makes of the pixels of each window: of its lines first, then across."""
    places = out.shape[1:3]

    def fill(images):
        lines, found = x[images], out[images]
        if size[0] > 1:
            first, *others = (lines[:, every(i, places[0], stride[0])] for i in range(size[0]))
            lines = scratch("lines", first.shape, out.dtype)
            function(first, others[0], out=lines)
            for other in others[1:]:
                function(lines, other, out=lines)
        else:
            lines = lines[:, every(0, places[0], stride[0])]
        first, *others = (lines[:, :, every(j, places[1], stride[1])] for j in range(size[1]))
        if not others:
            np.copyto(found, first)
            return
        function(first, others[0], out=found)
        for other in others[1:]:
            function(found, other, out=found)

    each(fill, shares(len(x)))


def shares(count):
    """Cut so many images into a share for each thread: the slices."""
    pool = _pool.get()
    step = max(-(-count // (pool._max_workers if pool else 1)), 1)
    return [slice(i, i + step) for i in range(0, count, step)]


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
    combine(out, x, size, stride, np.maximum)


@primitive
def to_largest(g, x, top, *, size, stride):
    """Share what each window is given among those of its pixels that are equal to the largest, ``top``."""
    return filled(to_largest_into, x.shape, g.dtype, g, x, top, size=size, stride=stride)


def to_largest_into(back, g, x, top, *, size, stride):
    """`to_largest`, in an array that is there."""
    pixels = list(taps(top.shape[1:3], size, stride))
    apart = all(k <= s for k, s in zip(size, stride, strict=True))
    if not (apart and back.size == top.size * prod(size)):
        back.fill(0)  # there are pixels in no window, or in several

    def share_out(images):
        seen, most, target = x[images], top[images], back[images]
        ties = scratch("ties", (len(pixels), *most.shape), bool)
        for tie, tap in zip(ties, pixels, strict=True):
            np.equal(seen[tap], most, out=tie)
        share = scratch("share", most.shape, g.dtype)
        with np.errstate(divide="ignore", invalid="ignore"):  # a window with NaN has no ties, and passes on NaN
            np.divide(g[images], tie_count(ties), out=share)
            product = scratch("product", most.shape, g.dtype)
            for tie, tap in zip(ties, pixels, strict=True):
                if apart:  # adding would take 1.4 times as long
                    np.multiply(tie, share, out=target[tap])
                else:
                    np.add(target[tap], np.multiply(tie, share, out=product), out=target[tap])

    each(share_out, shares(len(x)))


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
    combine(out, floats(x), size, stride, np.add)


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
    key(convolved): convolved_into,
    key(to_weight): to_weight_into,
    key(to_images): to_images_into,
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
