"""Operations of neural networks."""

from functools import partial

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_digits as tg
from tinygrad_digits.ops import neural
from tinygrad_digits.testing import strategies as draw

from .common import AWAY, NON_EMPTY, axis_and_keepdims, on


@st.composite
def dense_layers(draw_from):
    batch = draw_from(draw.shapes(max_dims=2, max_side=2))
    m, n = draw_from(st.tuples(st.integers(0, 3), st.integers(1, 3)))
    xs = draw_from(st.tuples(draw.numbers((*batch, m)), draw.numbers((m, n)), draw.numbers((n,))))
    return neural.linear, xs, lambda x, w, b: np.einsum("...m,mn->...n", x, w) + b


def exponential_sum(x, axis=None, keepdims=False):
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def normalised(x, axis=-1):
    return np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)


def softmax_axes(x):
    return st.fixed_dictionaries({}, optional={"axis": draw.axes(x.ndim)})


def squared_errors(shape):
    xs = st.tuples(draw.numbers(shape), draw.numbers(shape))
    return xs.map(lambda xs: (neural.mean_squared_error, xs, lambda x, y: np.mean((x - y) ** 2)))


@st.composite
def classifications(draw_from):
    x = draw_from(draw.arrays(draw.shapes(min_dims=2, max_dims=2, min_side=1, max_side=4)))
    labels = draw_from(hnp.arrays(np.int64, x.shape[:1], elements=st.integers(0, x.shape[1] - 1)))
    picked = np.arange(len(labels)), labels
    return (
        partial(neural.softmax_cross_entropy, labels=labels),
        (x,),
        lambda x: -np.mean(np.log(normalised(x)[picked])),
    )


@st.composite
def yes_or_no(draw_from):
    a, b = draw_from(
        hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, min_side=1, max_side=3).map(
            lambda f: f.input_shapes
        )
    )
    xs = draw_from(st.tuples(draw.numbers(a, away_from=(0.0,)), draw.numbers(b, 0, 1)))

    def reference(x, y):
        p = 1 / (1 + np.exp(-x))
        return np.mean(-y * np.log(p) - (1 - y) * np.log(1 - p))

    return neural.sigmoid_cross_entropy, xs, reference


cases = {
    neural.linear: dense_layers(),
    tg.sigmoid: draw.arrays().map(lambda x: (tg.sigmoid, (x,), lambda x: 1 / (1 + np.exp(-x)))),
    tg.relu: draw.arrays(**AWAY).map(lambda x: (tg.relu, (x,), lambda x: np.where(x > 0, x, 0))),
    tg.logsumexp: on(draw.arrays(NON_EMPTY), axis_and_keepdims, tg.logsumexp, exponential_sum),
    tg.softmax: on(draw.arrays(draw.shapes(min_dims=1)), softmax_axes, tg.softmax, normalised),
    tg.log_softmax: on(
        draw.arrays(draw.shapes(min_dims=1)),
        softmax_axes,
        tg.log_softmax,
        lambda x, axis=-1: np.log(normalised(x, axis)),
    ),
    neural.mean_squared_error: NON_EMPTY.flatmap(squared_errors),
    neural.softmax_cross_entropy: classifications(),
    neural.sigmoid_cross_entropy: yes_or_no(),
    neural.relative_entropy: draw.broadcastable((0.3, 3), (-2, 2)).map(
        lambda xs: (neural.relative_entropy, xs, lambda p, log_q: p * np.log(p / np.exp(log_q)))
    ),
}

kinks = [
    ("relative entropy of nothing", neural.relative_entropy, [0.0, -1.0], [-np.inf, 0]),
    ("relative entropy of nothing, to nothing", lambda q: neural.relative_entropy(0.0, q), [-np.inf], [0]),
    ("relative entropy, to nothing", lambda q: neural.relative_entropy(0.5, q), [-np.inf], [-0.5]),
    (
        "relative entropy of nothing that nobody asks for",
        lambda p: np.sum(np.where([True, False], neural.relative_entropy(p, 0.0), 0)),
        [[1.0, 0.0]],
        [[1, 0]],
    ),
]
