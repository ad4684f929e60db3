"""Convolution of images: of shape (N, height, width, channels), channels last.

A convolution is a product of matrices. The windows that the kernel sees are laid out as the rows of a matrix (its
*columns*, whose name has stuck, are what im2col made), and the kernel is the other one. With the channels last, what a
window has of one line of the image lies together in memory, and is copied in one piece.

Forward it is linear in the images and in the weight. The two ways back, to the images and to the weight, are
operations of their own; the three are one another's transposes.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd, prod
from operator import index
from typing import Any

import numpy as np

from ..autodiff import defvjp, into, key, primitive
from .indexing import operand
from .neural import rows, summed
from .scratch import filled, scratch
from .threads import each
from .windows import surrounded

BLOCK = 2**18
"""How many numbers are laid out at a time: 1 MB in single precision, to stay in cache until it has been multiplied.

A training step of a LeNet takes a tenth longer with a quarter of it, or with all at once.
"""

SHORT = 16
"""How many numbers make it worth while to copy them in one piece."""

Pair = int | tuple[int, int]


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
    step = down // gcd(down, high)  # the lines go in their `kernel_order`
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


into[key(convolved)] = convolved_into
into[key(to_weight)] = to_weight_into
into[key(to_images)] = to_images_into

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
