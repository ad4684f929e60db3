"""The step as a patient expert writes it in NumPy: every buffer is kept, and nothing is allocated.

The learning rate is multiplied into the smallest array there is, the error of the outputs, so that the gradients come
out as what is to be subtracted; with momentum, so do the velocities. Nobody asks for the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .nets import SIDE, Array, Data, Net, Rival

Pass = Callable[[NDArray[np.int64], list[Array]], None]
"""Writes what is to be subtracted for the mini-batch of these indices to these arrays."""


def rivals(net: Net, threads: int) -> dict[str, Callable[..., Rival]]:
    """One or two ways to write it, to be given the net, the data, and the parameters to start from."""
    if not net.convolutional:
        return {"by hand": _shallow if net.after[0] == "sigmoid" else _deep}
    return {
        "by hand": partial(_convolutional, at_once=net.batch),
        "by hand, 16 at a time": partial(_convolutional, at_once=16, threads=threads),
    }


def buffers(count: int, *shape: int, dtype: Any = np.float32) -> Iterator[NDArray[Any]]:
    """Arrays to be kept."""
    return (np.empty(shape, dtype) for _ in range(count))


# ------------------------------------------------------------------------------------------------------------ in common


def _sigmoid(z: Array) -> None:
    np.negative(z, out=z)
    np.exp(z, out=z)
    np.add(z, 1, out=z)
    np.reciprocal(z, out=z)


def _quadratic(rows: int, scale: float) -> Callable[[Array, Array], Array]:
    (slope,), scale = buffers(1, rows, 10), np.float32(2 * scale / 10)

    def error(z: Array, y: Array) -> Array:
        """What the mean squared error of sigmoids asks of z, in y's place."""
        _sigmoid(z)
        np.subtract(z, y, out=y)
        np.multiply(y, scale, out=y)
        np.multiply(y, z, out=y)
        np.subtract(1, z, out=slope)
        np.multiply(y, slope, out=y)
        return y

    return error


def _cross_entropy(rows: int, scale: float) -> Callable[[Array, Array], Array]:
    (column,), scale = buffers(1, rows, 1), np.float32(scale)

    def error(z: Array, y: Array) -> Array:
        """What cross-entropy asks of the logits z, in their place."""
        np.maximum.reduce(z, axis=1, keepdims=True, out=column)
        np.subtract(z, column, out=z)
        np.exp(z, out=z)
        np.add.reduce(z, axis=1, keepdims=True, out=column)
        np.divide(z, column, out=z)
        np.subtract(z, y, out=z)
        np.multiply(z, scale, out=z)
        return z

    return error


ERRORS = {"quadratic": _quadratic, "cross entropy": _cross_entropy}


# ------------------------------------------------------------------------------------------------ one layer of sigmoids


def _shallow(net: Net, data: Data, start: list[Array]) -> Rival:
    """For few rows the first weights lie transposed, the faster way to multiply them."""
    w1, b1, w2, b2 = (p.copy() for p in start)
    rows, hidden, transposed = net.batch, len(b1), net.batch < 16
    if transposed:
        w1 = np.asfortranarray(w1)
    (x,), (y, z) = buffers(1, rows, SIDE * SIDE), buffers(2, rows, 10)
    h, d, slope = buffers(3, rows, hidden)
    g1, c1, g2, c2 = (np.empty_like(p) for p in (w1, b1, w2, b2))
    error = ERRORS[net.loss](rows, net.lr / rows)

    def step(index: NDArray[np.int64]) -> None:
        data.images.take(index, axis=0, out=x, mode="clip")
        data.targets.take(index, axis=0, out=y, mode="clip")
        np.matmul(x, w1, out=h)
        np.add(h, b1, out=h)
        _sigmoid(h)
        np.matmul(h, w2, out=z)
        np.add(z, b2, out=z)
        e = error(z, y)
        np.matmul(e, w2.T, out=d)
        np.multiply(d, h, out=d)
        np.subtract(1, h, out=slope)
        np.multiply(d, slope, out=d)
        np.matmul(h.T, e, out=g2)
        np.add.reduce(e, axis=0, out=c2)
        np.add.reduce(d, axis=0, out=c1)
        if transposed:
            np.matmul(d.T, x, out=g1.T)
        else:
            np.matmul(x.T, d, out=g1)
        np.subtract(w1, g1, out=w1)
        np.subtract(b1, c1, out=b1)
        np.subtract(w2, g2, out=w2)
        np.subtract(b2, c2, out=b2)

    return Rival(step, lambda: [w1, b1, w2, b2])


# ------------------------------------------------------------------------------------------------- some layers of relus


def _deep(net: Net, data: Data, start: list[Array]) -> Rival:
    parameters = [p.copy() for p in start]
    velocities = [np.zeros_like(p) for p in parameters]
    gradients = [np.empty_like(p) for p in parameters]
    ((x,), (y,)) = buffers(1, net.batch, SIDE * SIDE), buffers(1, net.batch, 10)
    forward, backward = _dense(parameters, net.batch)
    error = _cross_entropy(net.batch, net.lr / net.batch)

    def step(index: NDArray[np.int64]) -> None:
        data.images.take(index, axis=0, out=x, mode="clip")
        data.targets.take(index, axis=0, out=y, mode="clip")
        backward(x, error(forward(x), y), gradients)
        for p, v, g in zip(parameters, velocities, gradients, strict=True):
            np.multiply(v, net.momentum, out=v)
            np.add(v, g, out=v)
            np.subtract(p, v, out=p)

    return Rival(step, lambda: parameters)


def _dense(parameters: list[Array], rows: int) -> tuple[Callable[[Array], Array], Callable[..., None]]:
    """Dense layers with relus between them: the ways forward and back."""
    weights, biases = parameters[::2], parameters[1::2]
    outputs = [np.empty((rows, w.shape[1]), np.float32) for w in weights]
    errors = [np.empty_like(h) for h in outputs[:-1]]
    masks = [np.empty(h.shape, bool) for h in outputs[:-1]]

    def forward(x: Array) -> Array:
        for w, b, h in zip(weights, biases, outputs, strict=True):
            np.matmul(x, w, out=h)
            np.add(h, b, out=h)
            if h is not outputs[-1]:
                np.maximum(h, 0, out=h)
            x = h
        return x

    def backward(x: Array, d: Array, gradients: list[Array], back: Array | None = None) -> None:
        """Write the parameters' gradients, and x's if asked for."""
        for i in reversed(range(len(weights))):
            np.matmul((outputs[i - 1] if i else x).T, d, out=gradients[2 * i])
            np.add.reduce(d, axis=0, out=gradients[2 * i + 1])
            if i:
                np.matmul(d, weights[i].T, out=errors[i - 1])
                np.greater(outputs[i - 1], 0, out=masks[i - 1])
                d = np.multiply(errors[i - 1], masks[i - 1], out=errors[i - 1])
        if back is not None:
            np.matmul(d, weights[0].T, out=back)

    return forward, backward


# ---------------------------------------------------------------- convolutions of 5×5, each pooled, dense layers on top


def _convolutional(net: Net, data: Data, start: list[Array], at_once: int, threads: int = 0) -> Rival:
    """So many images at a time, that their columns stay in cache; the threads, if any, have a share of the images each.

    BLAS has one thread then: two that each do half of the images wait for each other once.
    """
    parameters = [p.copy() for p in start]
    velocities = [np.zeros_like(p) for p in parameters]
    shares = [_Share(net, data, parameters, at_once) for _ in range(max(threads, 1))]
    pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def step(index: NDArray[np.int64]) -> None:
        size = len(index) // len(shares)
        parts = [index[i : i + size] for i in range(0, len(index), size)]
        for _ in (pool.map if pool else map)(_Share.add_up, shares, parts):
            pass
        for i, (p, v) in enumerate(zip(parameters, velocities, strict=True)):
            np.multiply(v, net.momentum, out=v)
            for share in shares:
                np.add(v, share.gradients[i], out=v)
            np.subtract(p, v, out=p)

    return Rival(step, lambda: parameters, blas=1 if threads else None)


class _Share:
    """The images of one thread, with buffers of their own."""

    def __init__(self, net: Net, data: Data, parameters: list[Array], rows: int) -> None:
        self.data, self.rows = data, rows
        self.gradients = [np.empty_like(p) for p in parameters]
        self.more = [np.empty_like(p) for p in parameters]
        (self.x,), (self.y,) = buffers(1, rows, SIDE * SIDE), buffers(1, rows, 10)
        self.first = _PooledConvolution(self.x.reshape(rows, SIDE, SIDE, 1), *parameters[:2])
        self.second = _PooledConvolution(self.first.out, *parameters[2:4], d_x=self.first.d_out)
        self.forward, self.backward = _dense(parameters[4:], rows)
        self.error = _cross_entropy(rows, net.lr / net.batch)

    def add_up(self, index: NDArray[np.int64]) -> None:
        """Leave in `gradients` what is to be subtracted for these images."""
        for i in range(0, len(index), self.rows):
            self.one_pass(index[i : i + self.rows], self.more if i else self.gradients)
            if i:
                for total, g in zip(self.gradients, self.more, strict=True):
                    np.add(total, g, out=total)

    def one_pass(self, index: NDArray[np.int64], gradients: list[Array]) -> None:
        self.data.images.take(index, axis=0, out=self.x, mode="clip")
        self.data.targets.take(index, axis=0, out=self.y, mode="clip")
        self.first.forward()
        self.second.forward()
        features = self.second.out.reshape(self.rows, -1)
        error = self.error(self.forward(features), self.y)
        self.backward(features, error, gradients[4:], back=self.second.d_out.reshape(features.shape))
        self.second.backward(*gradients[2:4])
        self.first.backward(*gradients[:2])


class _PooledConvolution:
    """A convolution of 5×5, pooling of 2×2, and relu, on images that are in one place always.

    Its columns are kept for the way back, which then leaves there what it has for the images. The bias is added after
    pooling, to a quarter of the numbers.
    """

    def __init__(self, x: Array, weight: Array, bias: Array, d_x: Array | None = None) -> None:
        n, height, width, channels = x.shape
        self.weight, self.bias, filters = weight.reshape(-1, len(bias)), bias, len(bias)
        size, down, across = len(weight), height - len(weight) + 1, width - len(weight) + 1
        seen = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
        if channels == 1:  # lines of places are longer than a window's, and laid out in less time
            self.seen = seen[:, :, :, 0].transpose(3, 4, 0, 1, 2)
            self.laid = np.empty(self.seen.shape, np.float32)
            self.columns = self.laid.reshape(size * size, -1).T
        else:
            self.seen = seen.transpose(0, 1, 2, 4, 5, 3)
            self.laid = np.empty(self.seen.shape, np.float32)
            self.columns = self.laid.reshape(n * down * across, -1)
        self.z, self.d_z = buffers(2, n * down * across, filters)
        self.taps, self.d_taps = (
            [a.reshape(n, down, across, filters)[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
            for a in (self.z, self.d_z)
        )
        self.top, self.out, self.d_out, self.other = buffers(4, n, down // 2, across // 2, filters)
        self.mask = np.empty(self.top.shape, bool)
        self.d_x = d_x
        if d_x is not None:
            self.lines = np.empty((n, height, across, size, channels), np.float32)

    def forward(self) -> None:
        np.copyto(self.laid, self.seen)
        np.matmul(self.columns, self.weight, out=self.z)
        a, b, c, d = self.taps
        np.maximum(a, b, out=self.top)
        np.maximum(c, d, out=self.other)
        np.maximum(self.top, self.other, out=self.top)
        np.add(self.top, self.bias, out=self.out)
        np.maximum(self.out, 0, out=self.out)

    def backward(self, g_weight: Array, g_bias: Array) -> None:
        """Go back from `d_out`, which is lost; to `d_x` if there is one."""
        np.greater(self.out, 0, out=self.mask)
        np.multiply(self.d_out, self.mask, out=self.d_out)
        np.add.reduce(self.d_out.reshape(-1, len(g_bias)), axis=0, out=g_bias)
        for z, d_z in zip(self.taps, self.d_taps, strict=True):
            np.equal(z, self.top, out=self.mask)
            np.multiply(self.d_out, self.mask, out=d_z)
        np.matmul(self.columns.T, self.d_z, out=g_weight.reshape(self.weight.shape))
        if self.d_x is None:
            return
        np.matmul(self.d_z, self.weight.T, out=self.columns)
        self.lines.fill(0)
        self.d_x.fill(0)
        _, down, across, size = self.laid.shape[:4]
        for i in range(size):  # first the lines of each window, which lie together, then its pixels
            lines = self.lines[:, i : i + down]
            np.add(lines, self.laid[:, :, :, i], out=lines)
        for j in range(size):
            pixels = self.d_x[:, :, j : j + across]
            np.add(pixels, self.lines[:, :, :, j], out=pixels)
