"""Convolution and pooling, against loops over places and pixels."""

from contextlib import contextmanager
from functools import partial
from itertools import product

import numpy as np
from hypothesis import strategies as st

import tinygrad_digits as tg
from tinygrad_digits.ops import convolution, pooling
from tinygrad_digits.testing import strategies as draw


@contextmanager
def small_blocks():
    """Cut even tiny images into blocks, and lay out even short lines as long ones are, in this block of code."""
    usual = convolution.BLOCK, convolution.SHORT
    convolution.BLOCK, convolution.SHORT = 24, 4
    try:
        yield
    finally:
        convolution.BLOCK, convolution.SHORT = usual


def pairs(most, least=1):
    return st.tuples(st.integers(least, most), st.integers(least, most))


def one_or_two(setting):
    """A pair in one of the forms in which it can be given."""
    return setting[0] if setting[0] == setting[1] else setting


# --------------------------------------------------------------------------------------------------------- convolution


@st.composite
def kernels(draw_from):
    """The shapes of images, weight and result, and the settings, of a convolution without padding."""
    n, c, f = draw_from(st.integers(0, 2)), draw_from(st.integers(1, 2)), draw_from(st.integers(1, 2))
    kernel, stride, dilation = draw_from(pairs(3)), draw_from(pairs(2)), draw_from(pairs(2))
    places, rest = draw_from(pairs(3)), draw_from(pairs(1, 0))
    each = zip(kernel, stride, dilation, places, rest, strict=True)
    sides = [s * (p - 1) + d * (k - 1) + 1 + min(r, s - 1) for k, s, d, p, r in each]
    return (n, *sides, c), (*kernel, c, f), (n, *places, f), {"stride": stride, "dilation": dilation}


def pixels(kernel, places, stride, dilation):
    """Which pixel of the kernel meets which of the image at which place."""
    for i, j, p, q in product(*map(range, (*kernel, *places))):
        yield (
            (i, j),
            (slice(None), p, q),
            (slice(None), stride[0] * p + dilation[0] * i, stride[1] * q + dilation[1] * j),
        )


def convolution_of(x, weight, bias, places, stride, dilation):
    out = np.zeros((len(x), *places, weight.shape[3]), x.dtype) + bias
    for pixel, place, target in pixels(weight.shape[:2], places, stride, dilation):
        out[place] += x[target] @ weight[pixel]
    return out


def images_from(g, weight, shape, stride, dilation):
    x = np.zeros(shape, g.dtype)
    for pixel, place, target in pixels(weight.shape[:2], g.shape[1:3], stride, dilation):
        x[target] += g[place] @ weight[pixel].T
    return x


def weight_from(x, g, kernel, stride, dilation):
    weight = np.zeros((*kernel, x.shape[3], g.shape[3]), g.dtype)
    for pixel, place, target in pixels(kernel, g.shape[1:3], stride, dilation):
        weight[pixel] += x[target].T @ g[place]
    return weight


@st.composite
def convolutions(draw_from):
    """In all forms of stride, padding, dilation and bias."""
    images, kernel, result, settings = draw_from(kernels())
    before, after = draw_from(
        st.just(((0, 0), (0, 0))) | pairs(2, 0).map(lambda p: (p, p)) | st.just((None, None))  # the padding "same"
    )
    given = {name: one_or_two(value) for name, value in settings.items() if value != (1, 1)}
    places = result[1:3]
    if before is None:
        given["padding"] = "same"
        places, before, after = same(images[1:3], kernel[:2], **settings)
    elif before == (0, 0):
        given |= draw_from(st.sampled_from([{}, {"padding": 0}, {"padding": "valid"}]))
    else:
        given["padding"] = one_or_two(before)
        images = (images[0], *[max(n - 2 * p, 0) for n, p in zip(images[1:3], before, strict=True)], images[3])
        wanted = [n + 2 * p for n, p in zip(images[1:3], before, strict=True)]
        reach = [d * (k - 1) + 1 for k, d in zip(kernel[:2], settings["dilation"], strict=True)]
        places = [(n - r) // s + 1 for n, r, s in zip(wanted, reach, settings["stride"], strict=True)]
    widths = ((0, 0), *zip(before, after, strict=True), (0, 0))

    def reference(x, weight, bias=0.0):
        return convolution_of(np.pad(x, widths), weight, bias, places, **settings)

    shapes = (images, kernel, kernel[3:])[: draw_from(st.integers(2, 3))]
    return partial(tg.conv2d, **given), draw_from(st.tuples(*map(draw.numbers, shapes))), reference


def same(sides, kernel, stride, dilation):
    """How many places the padding "same" makes, and what it adds before and after."""
    places = [int(np.ceil(n / s)) for n, s in zip(sides, stride, strict=True)]
    added = [
        max((p - 1) * s + (k - 1) * d + 1 - n, 0)
        for p, n, k, s, d in zip(places, sides, kernel, stride, dilation, strict=True)
    ]
    return places, [n // 2 for n in added], [(n + 1) // 2 for n in added]


@st.composite
def ways_to_images(draw_from):
    images, kernel, result, settings = draw_from(kernels())
    gs = draw_from(st.tuples(draw.numbers(result), draw.numbers(kernel)))
    settings = {"shape": images, **settings}
    return partial(convolution.to_images, **settings), gs, partial(images_from, **settings)


@st.composite
def ways_to_weight(draw_from):
    images, kernel, result, settings = draw_from(kernels())
    xs = draw_from(st.tuples(draw.numbers(images), draw.numbers(result)))
    settings = {"kernel": kernel[:2], **settings}
    return partial(convolution.to_weight, **settings), xs, partial(weight_from, **settings)


# ------------------------------------------------------------------------------------------------------------- pooling


@st.composite
def poolings(draw_from):
    """The shapes of images and result, and the settings, of a pooling."""
    n, c, size = draw_from(st.integers(0, 2)), draw_from(st.integers(0, 2)), draw_from(pairs(3))
    stride = draw_from(st.just(size) | pairs(3))
    places, rest = draw_from(pairs(2)), draw_from(pairs(1, 0))
    sides = [s * (p - 1) + k + min(r, s - 1) for k, s, p, r in zip(size, stride, places, rest, strict=True)]
    return (n, *sides, c), (n, *places, c), {"size": size, "stride": stride}


def pool(x, size, stride, function):
    """What a function makes of each window."""
    places = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:3], size, stride, strict=True)]
    out = np.zeros((len(x), *places, x.shape[3]), x.dtype)
    for p, q in product(*map(range, places)):
        out[:, p, q] = function(x[:, stride[0] * p :, stride[1] * q :][:, : size[0], : size[1]], axis=(1, 2))
    return out


def asked(size, stride):
    """A pooling's settings as they can be given."""
    return {"size": one_or_two(size)} | ({} if stride == size else {"stride": one_or_two(stride)})


@st.composite
def maxima(draw_from):
    images, _, settings = draw_from(poolings())
    padding = tuple(draw_from(st.integers(0, k // 2)) for k in settings["size"])
    given = asked(**settings) | ({"padding": one_or_two(padding)} if any(padding) else {})
    widths = [(0, 0), *zip(padding, padding, strict=True), (0, 0)]
    return (
        partial(tg.max_pool2d, **given),
        (draw_from(draw.separated(images)),),
        lambda x: pool(np.pad(x, widths, constant_values=-np.inf), **settings, function=np.max),
    )


@st.composite
def means(draw_from):
    images, _, settings = draw_from(poolings())
    x = draw_from(draw.numbers(images))
    return partial(tg.avg_pool2d, **asked(**settings)), (x,), lambda x: pool(x, **settings, function=np.mean)


def windows_of(result, size, stride):
    """For each place: its index, and that of its window."""
    for p, q in product(*map(range, result[1:3])):
        corner = stride[0] * p, stride[1] * q
        yield (slice(None), p, q), (slice(None), *(slice(a, a + k) for a, k in zip(corner, size, strict=True)))


@st.composite
def ways_to_windows(draw_from):
    images, result, settings = draw_from(poolings())

    def reference(g):
        x = np.zeros(images, g.dtype)
        for place, window in windows_of(result, **settings):
            x[window] += g[place][:, None, None]
        return x

    return partial(pooling.to_windows, shape=images, **settings), (draw_from(draw.numbers(result)),), reference


def equal_to_largest(part):
    return part == np.max(part, axis=(1, 2), keepdims=True)


@st.composite
def ways_to_largest(draw_from):
    images, result, settings = draw_from(poolings())

    def op(g, x):
        return pooling.to_largest(g, x, pooling.largest(x, **settings), **settings)

    def reference(g, x):
        back = np.zeros(images, g.dtype)
        for place, window in windows_of(result, **settings):
            back[window] += g[place][:, None, None] * equal_to_largest(x[window])
        return back

    return op, draw_from(st.tuples(draw.numbers(result), draw.separated(images))), reference


@st.composite
def at_the_largest(draw_from):
    images, result, settings = draw_from(poolings())

    def op(h, x):
        return pooling.at_largest(h, x, pooling.largest(x, **settings), **settings)

    def reference(h, x):
        out = np.zeros(result, h.dtype)
        for place, window in windows_of(result, **settings):
            out[place] = np.sum(h[window], axis=(1, 2), where=equal_to_largest(x[window]))
        return out

    return op, draw_from(st.tuples(draw.numbers(images), draw.separated(images))), reference


cases = {
    convolution.convolved: convolutions(),
    convolution.to_images: ways_to_images(),
    convolution.to_weight: ways_to_weight(),
    pooling.largest: maxima(),
    pooling.to_largest: ways_to_largest(),
    pooling.at_largest: at_the_largest(),
    pooling.window_sums: means(),
    pooling.to_windows: ways_to_windows(),
}


def pooled(*settings):
    """The sum of what pooling an image without channels gives."""
    return lambda x: np.sum(tg.max_pool2d(np.reshape(x, (1, *x.shape, 1)), *settings))


INF, NAN = np.inf, np.nan

kinks = [
    ("max_pool2d: ties share", pooled(2), [[[3.0, 1.0], [3.0, 3.0]]], [[[1 / 3, 0], [1 / 3, 1 / 3]]]),
    ("max_pool2d: infinities tie", pooled(2), [[[-INF] * 2] * 2], [[[0.25] * 2] * 2]),
    ("max_pool2d: ties in windows that overlap", pooled((1, 2), 1), [[[2.0, 2.0, 2.0, 1.0]]], [[[0.5, 1, 1.5, 0]]]),
    ("max_pool2d: padding is never the largest", pooled(2, 1, 1), [[[-5.0]]], [[[4]]]),
    ("max_pool2d: more ties than a byte counts", pooled(16), [np.zeros((16, 16))], [np.full((16, 16), 1 / 256)]),
    ("max_pool2d: with NaN", pooled((1, 2)), [[[NAN, 1.0, 2.0, 3.0]]], [[[NAN, NAN, 0, 1]]]),
    ("max_pool2d: NaN in windows that overlap", pooled((1, 2), 1), [[[NAN, 1.0, 2.0]]], [[[NAN, NAN, 1]]]),
    (
        "max_pool2d: NaN that counts for nothing",
        lambda x: 0 * pooled(2)(x),
        [[[NAN, 1.0], [2.0, 3.0]]],
        [[[NAN] * 2] * 2],
    ),
    (
        "max_pool2d: as many pixels in two windows as in none",
        pooled((2, 3), (1, 3)),
        [[[1.0, 2.0, 0.0, 9.0], [0.0, 3.0, 1.0, 9.0], [0.0, 1.0, 2.0, 9.0]]],
        [[[0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0]]],
    ),
    ("max_pool2d: what is left over", pooled(1, 2), [[[1.0, 2.0], [3.0, 4.0]]], [[[1, 0], [0, 0]]]),
]
