"""Activations as layers: functions of each element, and Softmax. They give arrays for arrays, Tensors for Tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..ops import activations, neural
from ..tensor import Tensor
from .module import Module


class Sigmoid(Module):
    """The logistic function 1 / (1 + exp(-x)) of each element: a step with its corner rounded off."""

    def __call__(self, x: ArrayLike | Tensor) -> Any:
        """Map each element to between 0 and 1; see `tinygrad_digits.sigmoid`."""
        return neural.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent of each element: a sigmoid stretched to between -1 and 1."""

    def __call__(self, x: ArrayLike | Tensor) -> Any:
        """Map each element to between -1 and 1."""
        return np.tanh(x)


class ReLU(Module):
    """The positive part of each element."""

    def __call__(self, x: ArrayLike | Tensor) -> Any:
        """Map each element to itself, or to 0 if it is negative; see `tinygrad_digits.relu`."""
        return neural.relu(x)


class Step(Module):
    """A perceptron's threshold: 1 where the input is positive, else 0.

    Its slope is 0 wherever it has one, so that gradient descent learns nothing through it: the reason for the sigmoid.

    Rosenblatt, "The perceptron", Psychological Review, 1958.
    """

    def __call__(self, x: ArrayLike | Tensor) -> Any:
        """Map each element to 0 or 1."""
        return np.maximum(np.sign(x), 0)


class LeakyReLU(Module):
    """The positive part of each element, and a small share of the negative one.

    Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.

    Parameters
    ----------
    slope : float
        The share.
    """

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = float(slope)

    def __call__(self, x: ArrayLike | Tensor) -> Any:
        """Map each element to itself, or to ``slope`` times it if it is negative."""
        return activations.leaky_relu(x, slope=self.slope)

    def extra_repr(self) -> str:
        """Say the slope."""
        return str(self.slope)


class Softplus(Module):
    """The smooth relu log(1 + exp(x)) of each element."""

    def __call__(self, x: ArrayLike | Tensor) -> Any:
        """Map each element to a number above 0; see `tinygrad_digits.softplus`."""
        return activations.softplus(x)


class SiLU(Module):
    """Each element times its sigmoid, also called swish.

    Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units", 2018.
    """

    def __call__(self, x: ArrayLike | Tensor) -> Any:
        """Map each element; see `tinygrad_digits.silu`."""
        return activations.silu(x)


class GELU(Module):
    """Each element times the normal distribution function of it, approximated with a tanh.

    Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    """

    def __call__(self, x: ArrayLike | Tensor) -> Any:
        """Map each element; see `tinygrad_digits.gelu`."""
        return activations.gelu(x)


class Softmax(Module):
    """Exponentials, divided by their sum along an axis: probabilities.

    `cross_entropy` wants its inputs without it.

    Parameters
    ----------
    axis : int
        The axis of the classes.
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def __call__(self, x: ArrayLike | Tensor) -> Any:
        """Map numbers to probabilities, of the same shape; see `tinygrad_digits.softmax`."""
        return neural.softmax(x, axis=self.axis)

    def extra_repr(self) -> str:
        """Say the axis, if it is not the last."""
        return "" if self.axis == -1 else f"axis={self.axis}"
