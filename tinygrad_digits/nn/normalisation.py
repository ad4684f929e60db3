"""Normalisation: features kept at mean 0 and variance 1, over a batch or in each example, so that deep nets learn."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..ops.indexing import operand
from ..ops.neural import rows
from ..ops.normalisation import affine, moments, standardised
from ..tensor import Tensor, no_grad, tensor
from .module import Module


class _Normalisation(Module):
    """What normalisation layers share: a scale and a shift for each feature, and how inputs are looked at."""

    takes = "inputs of shape (…, {features})"
    dimensions: tuple[int, ...] = ()

    def __init__(self, features: int, *, eps: float = 1e-5, dtype: DTypeLike = np.float32) -> None:
        if index(features) < 1 or not eps > 0:
            raise ValueError(f"{type(self).__name__}({features}, eps={eps}): give at least 1 feature, and eps above 0")
        self.eps = float(eps)
        self.weight = tensor(np.ones(features), dtype=dtype, requires_grad=True)
        self.bias = tensor(np.zeros(features), dtype=dtype, requires_grad=True)

    def _features(self, x: Any) -> Any:
        """The inputs as floating-point numbers of the shape that the layer takes."""
        x = operand(x)
        if np.shape(x)[-1:] != self.weight.shape or (self.dimensions and np.ndim(x) not in self.dimensions):
            raise ValueError(
                f"{type(self).__name__}({self.extra_repr()}) takes {self.takes.format(features=self.weight.size)}, "
                f"and was given shape {np.shape(x)}"
            )
        if x.dtype.kind not in "fiub":
            raise TypeError(f"{type(self).__name__} normalises real numbers, and was given dtype {x.dtype}")
        return x if x.dtype.kind == "f" else x.astype(self.weight.dtype)

    def extra_repr(self) -> str:
        """Say the size."""
        return str(self.weight.size)


class LayerNorm(_Normalisation):
    """Layer normalisation: each example's features are given mean 0 and variance 1, then a learned scale and shift.

    ``(x - mean) / √(variance + eps) * weight + bias``, with mean and variance over the last axis.

    Ba, Kiros and Hinton, "Layer normalization", 2016.

    Parameters
    ----------
    features : int
        The size of the last axis.
    eps : float
        What keeps the divisor from 0.
    dtype : dtype
        Of the parameters.

    Attributes
    ----------
    weight, bias : Tensor of shape (features,)
        1 and 0 at first.

    Raises
    ------
    ValueError
        When it is called, if the last axis is of another size.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> np.round(tg.nn.LayerNorm(2)(np.array([[1.0, 3.0], [10.0, 50.0]])), 3)
    Tensor([[-1.,  1.],
            [-1.,  1.]], op=np.round)
    """

    def __call__(self, x: ArrayLike | Tensor) -> Tensor:
        """Map shape (…, features) to the same."""
        return affine(standardised(self._features(x), axis=1, eps=self.eps), self.weight, self.bias)


class _BatchNorm(_Normalisation):
    """Batch normalisation of inputs with any number of axes, the last of which is for the features."""

    def __init__(
        self, features: int, *, eps: float = 1e-5, momentum: float = 0.1, dtype: DTypeLike = np.float32
    ) -> None:
        super().__init__(features, eps=eps, dtype=dtype)
        if not 0 <= momentum <= 1:
            raise ValueError(f"{type(self).__name__}(momentum={momentum}): it is a share, from 0 to 1")
        self.momentum = float(momentum)
        self.running_mean = tensor(np.zeros(features), dtype=dtype)
        self.running_var = tensor(np.ones(features), dtype=dtype)

    def __call__(self, x: ArrayLike | Tensor) -> Tensor:
        """Map a batch to one of the same shape."""
        x = self._features(x)
        if not self.training:
            scale = self.weight / np.sqrt(self.running_var + self.eps)
            return affine(x, scale, self.bias - self.running_mean * scale)
        self._follow(rows(x.detach() if isinstance(x, Tensor) else x))
        return affine(standardised(x, axis=0, eps=self.eps), self.weight, self.bias)

    def _follow(self, x: Any) -> None:
        """Move the running averages towards the mean and variance of a batch."""
        if len(x) < 2:
            raise ValueError(
                f"{type(self).__name__}({self.extra_repr()}) in training needs at least 2 values of each feature to "
                f"have a variance, and was given {len(x)}: take larger batches, or call eval() to use the averages"
            )
        with no_grad():
            _, mean, variance = moments(x, 0)
            for average, new in (self.running_mean, mean), (self.running_var, variance * (len(x) / (len(x) - 1))):
                average.data = (1 - self.momentum) * average + self.momentum * new


class BatchNorm1d(_BatchNorm):
    """Batch normalisation: each feature is given mean 0 and variance 1 over the batch, then a learned scale and shift.

    ``(x - mean) / √(variance + eps) * weight + bias``, with mean and variance over all axes but the last. In evaluation
    mode (see `Module.eval`) they are the running averages of those seen in training, so that an example's result does
    not depend on the others.

    Ioffe and Szegedy, "Batch normalization", 2015.

    Parameters
    ----------
    features : int
        The size of the last axis.
    eps : float
        What keeps the divisor from 0.
    momentum : float
        By which share, 0 to 1, the running averages move towards those of a batch.
    dtype : dtype
        Of the parameters and the averages.

    Attributes
    ----------
    weight, bias : Tensor of shape (features,)
        1 and 0 at first.
    running_mean, running_var : Tensor of shape (features,)
        The averages; they are state (`Module.state_dict`), but no parameters. Of the variance it is the unbiased
        estimate.

    Raises
    ------
    ValueError
        When it is called, if the shape does not fit, or, in training, if there are less than 2 values of a feature.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> np.round(tg.nn.BatchNorm1d(2)(np.array([[1.0, 10.0], [3.0, 50.0]])), 3)
    Tensor([[-1., -1.],
            [ 1.,  1.]], op=np.round)
    """

    takes = "batches of shape (N, {features}) or (N, T, {features})"
    dimensions = 2, 3


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images (N, H, W, channels): over N, H and W. All else is as of `BatchNorm1d`.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> layer = tg.nn.BatchNorm2d(3)
    >>> layer(np.ones((2, 5, 5, 3), np.float32)).shape
    (2, 5, 5, 3)
    """

    takes = "images of shape (N, H, W, {features})"
    dimensions = (4,)
