"""Recurrences."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_digits.ops import recurrent
from tinygrad_digits.testing import strategies as draw


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def elman(x, h, weight):
    states = []
    for step in np.moveaxis(x, 1, 0):
        states.append(h := np.tanh(step + h @ weight))
    return np.stack(states, axis=1)


def gru(x, h, weight, bias):
    states = []
    for step in np.moveaxis(x, 1, 0):
        (xr, xu, xc), (hr, hu, hc) = np.split(step, 3, 1), np.split(h @ weight, 3, 1)
        u = sigmoid(xu + hu)
        states.append(h := u * h + (1 - u) * np.tanh(xc + sigmoid(xr + hr) * (hc + bias)))
    return np.stack(states, axis=1)


def lstm(x, h, c, weight):
    states = []
    for step in np.moveaxis(x, 1, 0):
        i, f, o, a = np.split(step + h @ weight, 4, 1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(a)
        h = sigmoid(o) * np.tanh(c)
        states.append(np.stack([h, c]))
    return np.stack(states, axis=2)


def runs(op, reference, count, *shapes):
    """A recurrence of a number of gates, and the shapes of what it takes beside inputs."""

    @st.composite
    def draw_one(draw_from):
        n, steps, h = draw_from(st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(1, 2)))
        every = [(n, steps, count * h), *(shape(n, h) for shape in shapes)]
        arrays = draw_from(st.tuples(*[draw.numbers(shape) for shape in every]))

        def through_time(*arrays):
            packed, shapes = recurrent.joined(*arrays)
            return op(packed, shapes=shapes)

        return through_time, arrays, reference

    return draw_one()


def state(n, h):
    return n, h


cases = {
    recurrent.elman: runs(recurrent.elman, elman, 1, state, lambda n, h: (h, h)),
    recurrent.gru: runs(recurrent.gru, gru, 3, state, lambda n, h: (h, 3 * h), lambda n, h: (h,)),
    recurrent.lstm: runs(recurrent.lstm, lstm, 4, state, state, lambda n, h: (h, 4 * h)),
}
