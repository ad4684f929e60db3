"""Recurrences: layers whose result at a step is fed back at the next. One operation is a whole run through time.

All that an operation is computed from is joined into one array, so that there is one rule, which goes back through time
once; a rule for each argument would do so once for each. What the gates were is computed anew, for all steps at once.

In the names below N is the number of sequences, T that of steps and H that of features of the state.
"""

from math import prod

import numpy as np

from ..autodiff import defvjp, into, key, primitive
from .neural import rows, sigmoid, summed
from .scratch import filled, scratch


def joined(*arrays):
    """Arrays as one, and their shapes."""
    return np.concatenate([np.ravel(x) for x in arrays]), tuple(x.shape for x in arrays)


def parted(packed, shapes):
    """The arrays that were joined."""
    ends = np.cumsum([prod(shape) for shape in shapes]).tolist()
    return [np.reshape(packed[end - prod(shape) : end], shape) for end, shape in zip(ends, shapes, strict=True)]


def delayed(states, first):
    """The state before each step: (N, T, H)."""
    return np.concatenate([first[:, None], states[:, :-1]], axis=1)


def gates(x, count):
    """(N, T, count · H) as count arrays (N, T, H)."""
    return np.split(x, count, axis=-1)


def slope(p):
    """The slope of a sigmoid whose value is p."""
    return p * (1 - p)


# -------------------------------------------------------------------------------------------------------- Elman's net


@primitive
def elman(packed, *, shapes):
    """``h[t] = tanh(x[t] + h[t-1] @ weight)`` for x (N, T, H), a first state (N, H) and weight (H, H): (N, T, H)."""
    return filled(elman_into, shapes[0], packed.dtype, packed, shapes=shapes)


def elman_into(states, packed, *, shapes):
    """`elman`, in an array that is there."""
    x, h, weight = parted(packed, shapes)
    for t in range(x.shape[1]):
        fed = h.dot(weight, out=scratch(f"fed {t % 2}", h.shape, h.dtype))
        states[:, t] = h = np.tanh(np.add(x[:, t], fed, out=fed), out=fed)


into[key(elman)] = elman_into


def elman_backward(g, states, x, first, weight):
    """The gradients of what `elman` is computed from."""
    slopes = 1 - states * states
    fed_back, deltas = 0, []
    for t in reversed(range(x.shape[1])):
        delta = (g[:, t] + fed_back) * slopes[:, t]
        fed_back = np.matmul(delta, weight.T)
        deltas.append(delta)
    delta = np.stack(deltas[::-1], axis=1)
    return delta, fed_back, np.matmul(rows(delayed(states, first)).T, rows(delta))


# ------------------------------------------------------------------------------------------- the gated recurrent unit


@primitive
def gru(packed, *, shapes):
    """A gated recurrent unit's states (N, T, H).

    With the gates r and u and the candidate c, which are (N, H) each, at a step::

        r, u = sigmoid(x[t]'s first two parts + h[t-1] @ weight's)
        c = tanh(x[t]'s third part + r · (h[t-1] @ weight's + bias))
        h[t] = u · h[t-1] + (1 - u) · c

    for x (N, T, 3 H), a first state (N, H), weight (H, 3 H) and bias (H).
    """
    x, h, weight, bias = parted(packed, shapes)
    n = h.shape[1]
    states = np.empty((*x.shape[:2], n), x.dtype)
    for t in range(x.shape[1]):
        fed = h.dot(weight)
        opened = sigmoid(x[:, t, : 2 * n] + fed[:, : 2 * n])
        candidate = np.tanh(x[:, t, 2 * n :] + opened[:, :n] * (fed[:, 2 * n :] + bias))
        states[:, t] = h = candidate + opened[:, n:] * (h - candidate)
    return states


def gru_backward(g, states, x, first, weight, bias):
    """The gradients of what `gru` is computed from."""
    h = delayed(states, first)
    fed = np.reshape(np.matmul(rows(h), weight), x.shape)
    (xr, xu, xc), (hr, hu, hc) = gates(x, 3), gates(fed, 3)
    r, u, hc = sigmoid(xr + hr), sigmoid(xu + hu), hc + bias
    c = np.tanh(xc + r * hc)
    to_c = (1 - u) * (1 - c * c)
    to_r, to_u = to_c * hc * slope(r), (h - c) * slope(u)
    to_fed = np.concatenate([to_r, to_u, to_c * r], axis=-1)
    fed_back, deltas = 0, []
    for t in reversed(range(x.shape[1])):
        delta = g[:, t] + fed_back
        fed_back = delta * u[:, t] + np.matmul(np.concatenate([delta] * 3, axis=1) * to_fed[:, t], weight.T)
        deltas.append(delta)
    delta = np.stack(deltas[::-1], axis=1)
    threefold = np.concatenate([delta] * 3, axis=-1)
    of_fed = rows(threefold * to_fed)
    of_x = threefold * np.concatenate([to_r, to_u, to_c], axis=-1)
    return of_x, fed_back, np.matmul(rows(h).T, of_fed), summed(rows(delta * to_c * r))


# --------------------------------------------------------------------------------------------- long short-term memory


@primitive
def lstm(packed, *, shapes):
    """A long short-term memory's hidden states and cells, (2, N, T, H).

    With the gates i, f and o and the candidate a, which are (N, H) each, at a step::

        i, f, o = sigmoid(x[t]'s first three parts + h[t-1] @ weight's)
        a = tanh(x[t]'s fourth part + h[t-1] @ weight's)
        c[t] = f · c[t-1] + i · a
        h[t] = o · tanh(c[t])

    for x (N, T, 4 H), a first state and cell (N, H), and weight (H, 4 H).
    """
    x, h, c, weight = parted(packed, shapes)
    n = h.shape[1]
    states = np.empty((2, *x.shape[:2], n), x.dtype)
    for t in range(x.shape[1]):
        z = x[:, t] + h.dot(weight)
        opened = sigmoid(z[:, : 3 * n])
        c = opened[:, n : 2 * n] * c + opened[:, :n] * np.tanh(z[:, 3 * n :])
        h = opened[:, 2 * n :] * np.tanh(c)
        states[0, :, t], states[1, :, t] = h, c
    return states


def lstm_backward(g, states, x, first, first_cell, weight):
    """The gradients of what `lstm` is computed from."""
    h, cells = delayed(states[0], first), delayed(states[1], first_cell)
    i, f, o, a = gates(x + np.reshape(np.matmul(rows(h), weight), x.shape), 4)
    i, f, o, a = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(a)
    out = np.tanh(states[1])
    to_cell = o * (1 - out * out)
    to_z = np.concatenate([a * slope(i), cells * slope(f), out * slope(o), i * (1 - a * a)], axis=-1)
    fed_back, kept, deltas = 0, 0, []
    for t in reversed(range(x.shape[1])):
        of_h = g[0, :, t] + fed_back
        of_c = g[1, :, t] + kept + of_h * to_cell[:, t]
        delta = np.concatenate([of_c, of_c, of_h, of_c], axis=1) * to_z[:, t]
        fed_back, kept = np.matmul(delta, weight.T), of_c * f[:, t]
        deltas.append(delta)
    delta = np.stack(deltas[::-1], axis=1)
    return delta, fed_back, kept, np.matmul(rows(h).T, rows(delta))


# fmt: off
for recurrence, backward in (elman, elman_backward), (gru, gru_backward), (lstm, lstm_backward):
    defvjp(recurrence, lambda g, out, packed, *, shapes, backward=backward:
                           joined(*backward(g, out, *parted(packed, shapes)))[0])
# fmt: on
