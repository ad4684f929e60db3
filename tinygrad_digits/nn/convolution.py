"""Layers for images, channels last: Conv2d, MaxPool2d, AvgPool2d."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..ops import convolution, pooling
from ..tensor import Tensor
from . import init
from .init import Initialiser
from .layers import _parameter
from .module import Module

if TYPE_CHECKING:
    from numpy.random import Generator

Pair = int | tuple[int, int]


class Conv2d(Module):
    """Filters that slide over images: each gives, at each place, the weighted sum of the pixels it covers there.

    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998, section II.

    Parameters
    ----------
    in_channels, out_channels : int
        Sizes of the last axis of the input and of the output: how many filters there are is the latter.
    kernel_size : int or pair of int
        Height and width of what a filter covers.
    stride : int or pair of int
        How far it moves at a time, down and to the right.
    padding : int, pair of int, "same" or "valid"
        How many zeros surround an image on each side. "same": as many as it takes for an output of the input's size,
        divided by the stride and rounded up. "valid": none.
    dilation : int or pair of int
        How far apart the pixels are that a filter covers.
    bias : bool
        Whether there is a bias.
    weight_init, bias_init : callable
        Initialisers; see `tinygrad_digits.nn.init`.
    dtype : dtype
        Of the parameters.
    rng : Generator, int or None
        Where the initial weights are drawn from: a Generator, a seed for one, or None for a different start each time.

    Attributes
    ----------
    weight : Tensor of shape (kernel height, kernel width, in_channels, out_channels)
    bias : Tensor of shape (out_channels,), or None

    Raises
    ------
    ValueError, TypeError
        If a size or a setting is too small, or no whole number.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> layer = tg.nn.Conv2d(1, 20, 5, rng=0)
    >>> layer
    Conv2d(1, 20, 5)  # 520 parameters
    >>> layer(np.ones((64, 28, 28, 1), np.float32)).shape
    (64, 24, 24, 20)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        bias: bool = True,
        weight_init: Initialiser = init.lecun_normal,
        bias_init: Initialiser = init.zeros,
        dtype: DTypeLike = np.float32,
        rng: Generator | int | None = None,
    ) -> None:
        with _naming(f"Conv2d({in_channels}, {out_channels}, {kernel_size})"):
            if index(in_channels) < 1 or index(out_channels) < 1:
                raise ValueError("there must be at least 1 channel on either side")
            kernel = convolution.pair("kernel_size", kernel_size)
            self.stride = convolution.pair("stride", stride)
            self.padding = padding if padding in ("same", "valid") else convolution.pair("padding", padding, 0)
            self.dilation = convolution.pair("dilation", dilation)
        rng = np.random.default_rng(rng)
        self.weight = _parameter(weight_init, (*kernel, in_channels, out_channels), rng, dtype)
        self.bias = _parameter(bias_init, (out_channels,), rng, dtype) if bias else None

    def __call__(self, x: ArrayLike | Tensor) -> Tensor:
        """Map (N, height, width, in_channels) to (N, height, width, out_channels); see `tinygrad_digits.conv2d`."""
        with _naming(self):
            return convolution.conv2d(
                x, self.weight, self.bias, stride=self.stride, padding=self.padding, dilation=self.dilation
            )

    def extra_repr(self) -> str:
        """Say the sizes, and the settings that are not the usual ones."""
        *kernel, in_channels, out_channels = self.weight.shape
        settings = _settings(
            stride=(self.stride, (1, 1)), padding=(self.padding, (0, 0)), dilation=(self.dilation, (1, 1))
        )
        return f"{in_channels}, {out_channels}, {_short(tuple(kernel))}{settings}{', bias=False' * (self.bias is None)}"


class MaxPool2d(Module):
    """The largest number of each window of an image, channel by channel: whether a filter has found its pattern there.

    Parameters
    ----------
    size : int or pair of int
        The height and width of a window.
    stride : int or pair of int, optional
        How far the window moves at a time; its size if not given.
    padding : int or pair of int
        How many pixels are added on each side, which are never the largest; at most half the size.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> tg.nn.MaxPool2d(2)(np.ones((64, 24, 24, 20))).shape
    (64, 12, 12, 20)
    """

    def __init__(self, size: Pair, stride: Pair | None = None, padding: Pair = 0) -> None:
        with _naming(f"MaxPool2d({size})"):
            self.size, self.stride, self.padding = pooling.settings(size, stride, padding)

    def __call__(self, x: ArrayLike | Tensor) -> Any:
        """Map (N, height, width, channels) to (N, height, width, channels); see `tinygrad_digits.max_pool2d`."""
        with _naming(self):
            return pooling.max_pool2d(x, self.size, self.stride, self.padding)

    def extra_repr(self) -> str:
        """Say the size, and the settings that are not the usual ones."""
        return _short(self.size) + _settings(stride=(self.stride, self.size), padding=(self.padding, (0, 0)))


class AvgPool2d(Module):
    """The mean of each window of an image, channel by channel: the image made smaller.

    Parameters
    ----------
    size : int or pair of int
        The height and width of a window.
    stride : int or pair of int, optional
        How far the window moves at a time; its size if not given.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> tg.nn.AvgPool2d(2)(np.ones((64, 24, 24, 20))).shape
    (64, 12, 12, 20)
    """

    def __init__(self, size: Pair, stride: Pair | None = None) -> None:
        with _naming(f"AvgPool2d({size})"):
            self.size, self.stride, _ = pooling.settings(size, stride)

    def __call__(self, x: ArrayLike | Tensor) -> Any:
        """Map (N, height, width, channels) to (N, height, width, channels); see `tinygrad_digits.avg_pool2d`."""
        with _naming(self):
            return pooling.avg_pool2d(x, self.size, self.stride)

    def extra_repr(self) -> str:
        """Say the size, and the stride if it is another."""
        return _short(self.size) + _settings(stride=(self.stride, self.size))


@contextmanager
def _naming(layer: object) -> Iterator[None]:
    """Say in an error which layer it comes from."""
    try:
        yield
    except (TypeError, ValueError) as error:
        title = f"{type(layer).__name__}({layer.extra_repr()})" if isinstance(layer, Module) else layer
        raise type(error)(f"{title}: {error}") from None


def _short(both: tuple[int, ...] | str) -> str:
    """One number for two equal ones."""
    return repr(both[0] if isinstance(both, tuple) and both[0] == both[1] else both)


def _settings(**given: tuple[Any, Any]) -> str:
    """The settings that are not the usual ones, each given with the usual one."""
    return "".join(f", {name}={_short(value)}" for name, (value, usual) in given.items() if value != usual)
