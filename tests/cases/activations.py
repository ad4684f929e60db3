"""Activation functions of neural networks."""

import numpy as np
from hypothesis import strategies as st

import tinygrad_digits as tg
from tinygrad_digits.ops import activations
from tinygrad_digits.testing import strategies as draw

from .common import AWAY, on


def parameter(name):
    return lambda x: st.fixed_dictionaries({}, optional={name: st.sampled_from([0.01, 0.3, 1.0, 1.5])})


def distribution(x):
    """The normal distribution function as gelu approximates it."""
    return (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2


cases = {
    tg.softplus: draw.arrays(low=-5, high=5).map(lambda x: (tg.softplus, (x,), lambda x: np.log(1 + np.exp(x)))),
    tg.log_sigmoid: draw.arrays(low=-5, high=5).map(
        lambda x: (tg.log_sigmoid, (x,), lambda x: -np.log(1 + np.exp(-x)))
    ),
    tg.leaky_relu: on(
        draw.arrays(**AWAY), parameter("slope"), tg.leaky_relu, lambda x, slope=0.01: x * ((x > 0) + slope * (x < 0))
    ),
    tg.elu: on(
        draw.arrays(**AWAY),
        parameter("alpha"),
        tg.elu,
        lambda x, alpha=1.0: x * (x > 0) + alpha * (np.exp(x) - 1) * (x < 0),
    ),
    tg.silu: draw.arrays(low=-5, high=5).map(lambda x: (tg.silu, (x,), lambda x: x / (1 + np.exp(-x)))),
    tg.gelu: draw.arrays(low=-5, high=5).map(lambda x: (tg.gelu, (x,), lambda x: x * distribution(x))),
}

INF = np.inf

kinks = [
    ("softplus far out", lambda x: np.sum(tg.softplus(x)), [[-1e4, 1e4, -INF, INF]], [[0, 1, 0, 1]]),
    ("log_sigmoid far out", lambda x: np.sum(tg.log_sigmoid(x)), [[-1e4, 1e4, -INF, INF]], [[1, 0, 1, 0]]),
    ("leaky_relu at 0", tg.leaky_relu, [0.0], [0.01]),
    ("leaky_relu at 0, if it is steeper below", lambda x: tg.leaky_relu(x, slope=2.0), [0.0], [1]),
    ("leaky_relu at 0, if it turns", lambda x: tg.leaky_relu(x, slope=-1.0), [0.0], [0]),
    ("leaky_relu far out", lambda x: np.sum(tg.leaky_relu(x, slope=0.5)), [[-INF, -1e4]], [[0.5, 0.5]]),
    ("elu at 0", tg.elu, [0.0], [1]),
    ("elu at 0, if it is flatter below", lambda x: tg.elu(x, alpha=0.5), [0.0], [0.5]),
    ("selu at 0", tg.selu, [0.0], [1.0507009873554805]),
    ("elu far out", lambda x: np.sum(tg.elu(x)), [[-1e4, 1e4, -INF, INF]], [[0, 1, 0, 1]]),
    ("silu far out", lambda x: np.sum(tg.silu(x)), [[-1e4, 1e4, -INF, INF]], [[0, 1, 0, 1]]),
    ("gelu far out", lambda x: np.sum(tg.gelu(x)), [[-1e4, 1e4, -INF, INF]], [[0, 1, 0, 1]]),
    ("hard_tanh at its bounds", lambda x: np.sum(activations.hard_tanh(x)), [[-1.0, 1.0, 2.0]], [[1, 1, 0]]),
    ("silu at 0", tg.silu, [0.0], [0.5]),
    ("gelu at 0", tg.gelu, [0.0], [0.5]),
]
