"""Initialisers: what the numbers of a layer are before it has learned anything.

An initialiser takes a shape and a Generator and returns a float64 array. The last axis of a weight is that of the
neurons; its other axes make ``fan_in``, the number of inputs that a neuron sums over. ``fan_out`` is the number of
neurons that an input goes to: the last axis, times the pixels of a kernel, (height, width, channels, filters).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # NumPy loads its random part when it is first used, and so do we
    from numpy.random import Generator

Initialiser = Callable[[tuple[int, ...], "Generator"], NDArray[np.float64]]


def zeros(shape: tuple[int, ...], rng: Generator) -> NDArray[np.float64]:
    """Fill with 0."""
    return np.zeros(shape)


def normal(shape: tuple[int, ...], rng: Generator) -> NDArray[np.float64]:
    """Draw from the standard normal distribution.

    Sums of many inputs are then large and saturate a sigmoid: the start from which Nielsen's first network learns.
    """
    return rng.standard_normal(shape)


def lecun_normal(shape: tuple[int, ...], rng: Generator) -> NDArray[np.float64]:
    """Draw from a normal distribution of standard deviation 1/√fan_in, so that a neuron's sum has variance 1.

    LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998, section 4.6.
    """
    return rng.standard_normal(shape) * sqrt(1 / _fan_in(shape))


def he_normal(shape: tuple[int, ...], rng: Generator) -> NDArray[np.float64]:
    """Draw from a normal distribution of standard deviation √(2/fan_in), to make up for the half that relu cuts off.

    He, Zhang, Ren and Sun, "Delving deep into rectifiers", 2015, section 2.2.
    """
    return rng.standard_normal(shape) * sqrt(2 / _fan_in(shape))


def glorot_uniform(shape: tuple[int, ...], rng: Generator) -> NDArray[np.float64]:
    """Draw evenly between ±√(6/(fan_in + fan_out)), a compromise between values going forward and gradients backward.

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010, equation 16.
    """
    bound = sqrt(6 / (_fan_in(shape) + prod(shape[:-2]) * shape[-1]))
    return rng.uniform(-bound, bound, shape)


def orthogonal(shape: tuple[int, ...], rng: Generator) -> NDArray[np.float64]:
    """Draw evenly from the matrices whose columns (or rows, if there are fewer) are orthogonal and of length 1.

    What is multiplied by it many times over, as in a recurrent net, neither vanishes nor explodes. All axes but the
    last make the rows. Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks", 2014.
    """
    m, n = prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(rng.standard_normal((max(m, n), min(m, n))))
    q = q * np.sign(np.diagonal(r))  # without it, some matrices are drawn more often than others
    return (q if m >= n else q.T).reshape(shape)


def _fan_in(shape: tuple[int, ...]) -> int:
    return max(prod(shape[:-1]), 1)
