"""Layers: Linear, Embedding and Flatten; and Sequential, Residual and Lambda, which make layers of others.

A layer without parameters does to an array what it does to a Tensor, and returns an array then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..autodiff import name
from ..ops import neural
from ..ops.indexing import operand
from ..tensor import Tensor, apply, run, tensor
from . import init
from .init import Initialiser
from .module import Module

if TYPE_CHECKING:
    from numpy.random import Generator


class Linear(Module):
    """Weighted sums of the inputs, one for each output: ``x @ weight + bias``.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of the last axis of the input and of the output.
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
    weight : Tensor of shape (in_features, out_features)
    bias : Tensor of shape (out_features,), or None

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> layer = tg.nn.Linear(3, 2, rng=0)
    >>> layer
    Linear(3, 2)  # 8 parameters
    >>> layer(np.ones((5, 3), np.float32)).shape
    (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        weight_init: Initialiser = init.lecun_normal,
        bias_init: Initialiser = init.zeros,
        dtype: DTypeLike = np.float32,
        rng: Generator | int | None = None,
    ) -> None:
        if index(in_features) < 1 or index(out_features) < 1:
            raise ValueError(f"Linear({in_features}, {out_features}): both sizes must be at least 1")
        rng = np.random.default_rng(rng)
        self.weight = _parameter(weight_init, (in_features, out_features), rng, dtype)
        self.bias = _parameter(bias_init, (out_features,), rng, dtype) if bias else None

    def __call__(self, x: ArrayLike | Tensor) -> Tensor:
        """Map x of shape (…, in_features) to (…, out_features)."""
        if type(x) is not Tensor and not isinstance(x, Tensor | np.ndarray):  # the first is asked in no time
            x = np.asarray(x)
        try:
            return apply(np.matmul, x, self.weight) if self.bias is None else neural.linear(x, self.weight, self.bias)
        except ValueError:
            if np.shape(x)[-1:] == self.weight.shape[:1]:
                raise
            raise ValueError(
                f"Linear({self.extra_repr()}) takes inputs of shape (…, {self.weight.shape[0]}), "
                f"and was given shape {np.shape(x)}"
            ) from None

    def extra_repr(self) -> str:
        """Say the sizes."""
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}{', bias=False' * (self.bias is None)}"


def _parameter(initialiser: Initialiser, shape: tuple[int, ...], rng: Generator, dtype: DTypeLike) -> Tensor:
    numbers = initialiser(shape, rng)
    if np.shape(numbers) != shape:
        raise ValueError(f"{name(initialiser)} was asked for shape {shape} and gave {np.shape(numbers)}")
    return tensor(numbers, dtype=dtype, requires_grad=True)


class Flatten(Module):
    """All axes but the first made one: images (N, 28, 28) become rows (N, 784)."""

    def __call__(self, x: ArrayLike | Tensor) -> Any:
        """Map shape (N, …) to (N, the product of the others)."""
        if not isinstance(x, Tensor | np.ndarray):
            x = np.asarray(x)
        return x if x.ndim == 2 else x.reshape(len(x), prod(x.shape[1:]))


class Sequential(Module):
    """Layers one after another, each given what the one before it returned.

    Parameters
    ----------
    *layers : callable
        Modules, or any functions of one argument: ``np.tanh``, ``tg.relu``.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> Linear = tg.nn.Linear
    >>> tg.nn.Sequential(Linear(784, 30, rng=0), tg.nn.Sigmoid(), Linear(30, 10, rng=1))
    Sequential(  # 23,860 parameters
      layers.0: Linear(784, 30)  # 23,550 parameters
      layers.1: Sigmoid()
      layers.2: Linear(30, 10)  # 310 parameters
    )

    ``model[0]`` is a layer, and ``model[:2]`` another Sequential, of the same layers.
    """

    def __init__(self, *layers: Callable[[Any], Any]) -> None:
        if not all(callable(layer) for layer in layers):
            raise TypeError(
                "Sequential takes its layers one by one, each a module or a function: Sequential(Linear(2, 3), …)"
            )
        self.layers = layers

    def __call__(self, x: ArrayLike | Tensor) -> Any:
        """Pass x through all layers in turn."""
        for layer in self.layers:
            x = layer(x)
        return x

    def __iter__(self) -> Iterator[Callable[[Any], Any]]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, position: int | slice) -> Any:
        chosen = self.layers[position]
        return Sequential(*chosen) if isinstance(chosen, tuple) else chosen


class Residual(Sequential):
    """Layers whose result is added to what they were given: ``x + layers(x)``.

    He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2016.

    Parameters
    ----------
    *layers : callable
        As of `Sequential`.

    Raises
    ------
    ValueError
        When it is called, if the layers give another shape than they were given.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> tg.nn.Residual(np.square, np.negative)(np.array([1.0, 2.0]))
    array([ 0., -2.])
    """

    def __call__(self, x: ArrayLike | Tensor) -> Any:
        """Pass x through all layers in turn, and add it to what comes out."""
        x = operand(x)
        change = super().__call__(x)
        if np.shape(change) != np.shape(x):
            raise ValueError(
                f"Residual adds what its layers give to what they were given, of shape {np.shape(x)}, and they made "
                f"{np.shape(change)} of it: let them keep the shape"
            )
        return x + change


class Lambda(Module):
    """A function as a layer, where a module is wanted. `Sequential` takes functions as they are.

    Parameters
    ----------
    function : callable
        Of what Tensors can pass through.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> tg.nn.Lambda(np.square)(np.array([3.0]))
    array([9.])
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise TypeError(f"Lambda takes a function, and was given {function!r:.50}")
        self.function = function

    def __call__(self, *args: Any) -> Any:
        """Call the function."""
        return self.function(*args)


class Embedding(Module):
    """A table of learned vectors: one for each of a number of things, such as words, looked up by whole numbers.

    Parameters
    ----------
    count, features : int
        How many vectors, and of which size.
    weight_init : callable
        Initialiser; see `tinygrad_digits.nn.init`.
    dtype : dtype
        Of the vectors.
    rng : Generator, int or None
        As of `Linear`.

    Attributes
    ----------
    weight : Tensor of shape (count, features)

    Raises
    ------
    TypeError, ValueError
        When it is called, if it is not given whole numbers from 0 to count - 1.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> tg.nn.Embedding(1000, 16, rng=0)([[3, 1, 4], [1, 5, 9]]).shape
    (2, 3, 16)
    """

    def __init__(
        self,
        count: int,
        features: int,
        *,
        weight_init: Initialiser = init.normal,
        dtype: DTypeLike = np.float32,
        rng: Generator | int | None = None,
    ) -> None:
        if index(count) < 1 or index(features) < 1:
            raise ValueError(f"Embedding({count}, {features}): both sizes must be at least 1")
        self.weight = _parameter(weight_init, (count, features), np.random.default_rng(rng), dtype)

    def __call__(self, indices: ArrayLike | Tensor) -> Tensor:
        """Map whole numbers of any shape (…) to their vectors (…, features)."""
        given: Any = indices if isinstance(indices, Tensor) else np.asarray(indices)
        if given.dtype.kind not in "iu":
            raise TypeError(f"Embedding looks up whole numbers, and was given dtype {given.dtype}")
        run(_check_rows, self, given)
        return self.weight[given]

    def extra_repr(self) -> str:
        """Say the sizes."""
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}"


def _check_rows(table: Embedding, indices: Any) -> None:
    """Complain of whole numbers that have no vector."""
    indices, count = np.asarray(indices), len(table.weight)
    if indices.size and not (np.min(indices) >= 0 and np.max(indices) < count):
        wrong = indices[(indices < 0) | (indices >= count)][0]
        raise ValueError(f"Embedding({table.extra_repr()}) has rows 0 to {count - 1}, not {wrong}")
