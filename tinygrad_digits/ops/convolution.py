"""Convolution and pooling of images: of shape (N, height, width, channels), channels last.

A convolution is a product of matrices. The windows that the kernel sees are laid out as the rows of a matrix (its
*columns*, whose name has stuck, are what im2col made), and the kernel is the other one. With the channels last, what a
window has of one line of the image lies together in memory, and is copied in one piece.

Forward it is linear in the images and in the weight. The two ways back, to the images and to the weight, are
operations of their own; the three are one another's transposes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar, copy_context
from functools import lru_cache
from itertools import product
from math import gcd, prod
from operator import index
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
    """Have so many threads share the images in this block of code: those of each convolution, or of a program's batch.

    It is for a BLAS that is held to one thread: two threads that each do half of the images need less time than two
    that each do half of every product. Convolutions give the same results; a program (see `tinygrad_digits.compile`)
    that is made here gives each thread a piece of the batch for the whole step, where that can be done, and adds up
    their gradients: the same but for rounding.
    """
    try:
        others = index(count) - 1  # whoever calls `each` is one, too
    except TypeError:
        raise TypeError(f"image_threads({count!r}): give a whole number of threads") from None
    if others < 0:
        raise ValueError(f"image_threads({count!r}): give 1 thread or more")
    with _threads(others) as pool:
        token = _pool.set(pool)
        try:
            yield
        finally:
            _pool.reset(token)


def _threads(count: int) -> Any:
    if not count:
        return nullcontext()
    from concurrent.futures import ThreadPoolExecutor  # takes milliseconds to load

    return ThreadPoolExecutor(count)


def thread_count() -> int:
    """How many threads share the images here."""
    pool = _pool.get()
    return pool._max_workers + 1 if pool else 1


def each(function: Callable[[Any], None], items: Iterable[Any]) -> None:
    """Call a function with each item: in order, or in threads if there are any, which take one after another."""
    pool, left = _pool.get(), deque(items)
    if pool is None or len(left) < 2:
        for item in left:
            function(item)
        return

    def work() -> None:
        _pool.set(None)  # it is one thread's share, and not to be shared again
        while left:
            try:
                item = left.popleft()
            except IndexError:  # another has taken the last
                return
            function(item)

    others = []
    with suppress(RuntimeError):  # there are no more threads to be had, as the block has been left
        others += [pool.submit(copy_context().run, work) for _ in range(min(pool._max_workers, len(left) - 1))]
    try:
        copy_context().run(work)
    finally:
        begun = [other for other in others if not other.cancel()]
        for other in begun:
            other.exception()
    for other in begun:
        other.result()


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
        line = scratch("bias", (seen.shape[2], len(bias)), out.dtype)
        np.copyto(line, bias)
        bias = line.reshape(-1)

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
    pieces = blocks(seen.shape)
    parts = scratch("parts", (len(pieces), *total.shape), out.dtype)

    def multiply(piece):  # to lay the windows out again costs less than to have kept them
        i, block = piece
        np.matmul(laid_out(seen[block]).T, rows(g[block]), out=parts[i])

    each(multiply, enumerate(pieces))
    np.copyto(total, added_up(parts) if pieces else 0)


def added_up(parts):
    """The sum of arrays, in the first one's place: of their halves' sums, as those of a batch's halves would be."""
    if len(parts) > 1:
        half = (len(parts) + 1) // 2
        np.add(added_up(parts[:half]), added_up(parts[half:]), out=parts[0])
    return parts[0]


@primitive
def to_images(g, weight, *, shape, stride, dilation):
    """The way back to the images: what each sum is given goes, weighted, to its window; where they overlap, it adds up.

    What a line of an image gets from all lines of places whose windows reach it is one product of matrices; then pixels
    are added up along the line.
    """
    dtype = np.result_type(g, weight)
    return filled(to_images_into, shape, dtype, g, weight, shape=shape, stride=stride, dilation=dilation)


def to_images_into(x, g, weight, *, shape, stride, dilation):
    """`to_images`, in an array that is there."""
    (down, right), (high, wide), (height, width, channels, filters) = stride, dilation, weight.shape
    across = g.shape[2]
    matrix = scratch("matrix", (height, filters, width, channels), x.dtype)
    step = down // gcd(down, high)
    put_in_a_row(matrix, (weight[k::step][::-1].transpose(0, 3, 1, 2) for k in range(min(step, height))))
    matrix = matrix.reshape(height * filters, width * channels)
    x.fill(0)

    def add(target, columns):
        """Add to images what their lines get, laid out for each place along a line."""
        seen = columns.reshape(*columns.shape[:3], width, channels)
        for j in range(width):
            pixels = target[:, :, every(j * wide, across, right)]
            np.add(pixels, seen[:, :, :, j], out=pixels)

    def of_one_line(block):  # each line of places meets one line of the image
        piece = g[block]
        columns = scratch("columns", (*piece.shape[:3], width * channels), x.dtype)
        np.matmul(rows(piece), matrix, out=rows(columns))
        add(x[block[0], every(block[1].start * down, piece.shape[1], down)], columns)

    def of_several(block):
        images, lines = block
        target = x[block]
        n, count = target.shape[:2]
        places, apart, meetings = meeting(lines.start, lines.start + count, g.shape[1], height, down, high, filters)
        piece = g[images, places].transpose(1, 0, 2, 3)
        given = scratch("given", (n, across, len(piece), filters), x.dtype)
        put_in_a_row(given.transpose(2, 0, 1, 3), (piece[i::apart] for i in range(min(apart, len(piece)))))
        given = given.reshape(n * across, len(piece) * filters)
        columns = scratch("columns", (count, n * across, width * channels), x.dtype)
        for column, (of_given, of_kernel) in zip(columns, meetings, strict=True):
            np.matmul(given[:, of_given], matrix[of_kernel], out=column)
        add(target, columns.reshape(count, n, across, width * channels).transpose(1, 0, 2, 3))

    size = across, max(width * channels, filters)
    if height == 1:
        each(of_one_line, blocks((*g.shape[:2], *size)))
    else:
        each(of_several, blocks((*shape[:2], *size)))


def put_in_a_row(out, parts):
    """Write arrays to a larger one, one after another along its first axis."""
    first = 0
    for part in parts:
        np.copyto(out[first : first + len(part)], part)
        first += len(part)


def kernel_order(lines, stride, dilation):
    """An order of a kernel's lines in which those that meet a line of an image lie side by side."""
    apart = stride // gcd(stride, dilation)
    return sorted(range(lines), key=lambda k: (k % apart, -k))


@lru_cache
def meeting(start, stop, places, kernel, stride, dilation, size):
    """Which lines of a kernel, put at which lines of places, meet each of an image's lines from start to stop.

    Returns the lines of places that there are for these, as a slice; a number a, such that those that meet lie side by
    side in the order 0, a, 2a, …, 1, 1 + a, … of them; and for each line of the image, which part of this order, and of
    `kernel_order`, meets there, in numbers of that size.
    """
    low = max(-((dilation * (kernel - 1) - start) // stride), 0)
    high = max(min((stop - 1) // stride + 1, places), low)
    apart = dilation // gcd(stride, dilation)
    place = {p: i for i, p in enumerate(sorted(range(low, high), key=lambda p: ((p - low) % apart, p)))}
    row = {k: i for i, k in enumerate(kernel_order(kernel, stride, dilation))}
    found = []
    for line in range(start, stop):
        pairs = [(k, *divmod(line - k * dilation, stride)) for k in reversed(range(kernel))]
        met = [(place[p], row[k]) for k, p, rest in pairs if not rest and p in place]
        i, j = met[0] if met else (0, 0)
        found.append(tuple(slice(start * size, (start + len(met)) * size) for start in (i, j)))
    return slice(low, high), apart, found


def every(start, count, step):
    """The slice of so many places, a step apart."""
    return slice(start, start + (count - 1) * step + 1, step)


def windows(x, kernel, stride, dilation):
    """A view of shape (N, places down, places to the right, kernel height, kernel width, channels)."""
    return np.lib.stride_tricks.as_strided(x, *windows_of(x.shape, x.strides, kernel, stride, dilation))


@lru_cache
def windows_of(shape, strides, kernel, stride, dilation):
    """The shape and strides of `windows`."""
    (n, *sides, channels), (first, *between, last) = shape, strides
    places = [(m - d * (k - 1) - 1) // s + 1 for m, k, s, d in zip(sides, kernel, stride, dilation, strict=True)]
    apart = [step * size for step, size in zip((*stride, *dilation), between * 2, strict=True)]
    return (n, *places, *kernel, channels), (first, *apart, last)


def blocks(shape):
    """Cut windows into blocks of some images, or of some lines of one image: the indices of each."""
    return blocks_of(shape, BLOCK)


@lru_cache
def blocks_of(shape, most):
    """`blocks` of so many numbers at most."""
    n, height = shape[:2]
    lines = max(most // max(prod(shape[2:]), 1), 1)
    images, lines = max(lines // height, 1), min(lines, height)
    return [(some, slice(j, j + lines)) for some in halves(0, n, images) for j in range(0, height, lines)]


def halves(start, stop, most):
    """Cut a range in half until each piece has so many at most: the slices. Two threads then have as many blocks."""
    if stop - start > most:
        middle = (start + stop + 1) // 2
        yield from halves(start, middle, most)
        yield from halves(middle, stop, most)
    elif start < stop:
        yield slice(start, stop)


def laid_out(seen):
    """Windows as the rows of a matrix, in this thread's scratch memory.

    Where the lines of a window are short, as in images of one channel, its transpose is laid out, in pieces as long as
    a line of places: in a quarter of the time.
    """
    places, pixels, line = sizes(seen.shape)
    if line < SHORT:
        seen = seen.transpose(3, 4, 5, 0, 1, 2)
        columns = scratch("columns", seen.shape, seen.dtype)
        np.copyto(columns, seen)
        return columns.reshape(pixels, places).T
    columns = scratch("columns", seen.shape, seen.dtype)
    np.copyto(columns, seen)
    return columns.reshape(places, pixels)


@lru_cache
def sizes(shape):
    """How many places windows have, how many numbers are in each, and in a line of it."""
    return prod(shape[:3]), prod(shape[3:]), prod(shape[4:])


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
