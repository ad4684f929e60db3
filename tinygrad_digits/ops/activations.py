"""The activation functions of neural networks beside `sigmoid` and `relu`, safe far out, with their rules."""

import numpy as np

from ..autodiff import defvjp, expanded, key, primitive
from .neural import floats, sigmoid

BEND, STEEPNESS = 0.044715, float(np.sqrt(8 / np.pi))
GELU_END, SILU_END = 30, 1000  # beyond, slopes are 0 or 1 to the last bit; infinity times 0 would be NaN
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@primitive
def softplus(x):
    """log(1 + exp(x)), element by element: a smooth `relu`."""
    x = floats(x)
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@primitive
def log_sigmoid(x):
    """The logarithm of `sigmoid`, accurate where that is near 0."""
    return -softplus(-floats(x))


@primitive
def leaky_relu(x, *, slope=0.01):
    """The input where it is positive, and ``slope`` times it elsewhere."""
    x = floats(x)
    return np.where(x > 0, x, slope * x)


@primitive
def elu(x, *, alpha=1.0):
    """The input x where it is positive, and ``alpha * (exp(x) - 1)`` elsewhere (Clevert et al., 2015)."""
    x = floats(x)
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def selu(x):
    """`elu` with the scale and alpha that keep mean 0 and variance 1 through layers (Klambauer et al., 2017)."""
    return SELU_SCALE * elu(x, alpha=SELU_ALPHA)


@primitive
def silu(x):
    """The input times its `sigmoid`, also called swish."""
    x = floats(x)
    return np.maximum(x, -SILU_END) * sigmoid(x)


@primitive
def gelu(x):
    """The input times its normal distribution function, as Hendrycks and Gimpel (2016) approximate it with a tanh.

    The error is below 0.0005.
    """
    x = floats(x)  # and ½ (1 + tanh(u)) is sigmoid(2u)
    return np.maximum(x, -GELU_END) * normal(np.clip(x, -GELU_END, GELU_END))


def normal(x):
    """About the normal distribution function, for x up to `GELU_END` in size."""
    return sigmoid(STEEPNESS * x * (1 + BEND * x * x))


def gelu_slope(x):
    """The derivative of `gelu`, for x up to `GELU_END` in size."""
    p = normal(x)
    return p + x * p * (1 - p) * (STEEPNESS * (1 + 3 * BEND * x * x))


def silu_slope(x):
    """The derivative of `silu`, for x up to `SILU_END` in size."""
    p = sigmoid(x)
    return p + x * p * (1 - p)


def hard_tanh(x):
    """X, but -1 below and 1 above."""
    return np.clip(x, -1, 1)


def soft_sign(x):
    """The number x / (1 + |x|), between -1 and 1."""
    return np.divide(x, 1 + np.abs(x))


def glu(x, axis=-1):
    """The first half of x along an axis, times `sigmoid` of the second (Dauphin et al., 2017)."""
    values, gates = np.split(x, 2, axis=axis)
    return values * sigmoid(gates)


def flattest(slope):
    """The smallest slope, in size, between one and 1: what a kink between them takes."""
    return min(max(slope, 0.0), 1.0)


expanded |= {key(op) for op in (softplus, log_sigmoid, leaky_relu, elu, silu, gelu)}

# fmt: off
defvjp(softplus,    lambda g, out, x: g * sigmoid(x))
defvjp(log_sigmoid, lambda g, out, x: g * sigmoid(-x))
defvjp(leaky_relu,  lambda g, out, x, *, slope=0.01:
                        np.where(x > 0, g, g * np.where(x == 0, flattest(slope), np.full_like(x, slope))))
defvjp(elu,         lambda g, out, x, *, alpha=1.0:
                        np.where(x > 0, g, g * np.where(x == 0, flattest(alpha), out + alpha)))
defvjp(silu,        lambda g, out, x: g * silu_slope(np.clip(x, -SILU_END, SILU_END)))
defvjp(gelu,        lambda g, out, x: g * gelu_slope(np.clip(x, -GELU_END, GELU_END)))
# fmt: on
