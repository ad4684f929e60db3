"""Recurrent layers, which read sequences step by step and feed back what they have come to: RNN, GRU, LSTM.

Sequences are (N, T, features): N of them, of T steps. A layer returns its states after all steps, (N, T, hidden), so
that layers stack in `Sequential`; ``states[:, -1]`` sums a sequence up. To go on with a sequence where it was left, ask
for the last state too: ``states, last = layer.unroll(x)``, then ``layer(more, last)``; detach it first to cut off the
gradient there (truncated backpropagation through time).
"""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from ..ops import neural, recurrent
from ..ops.indexing import operand
from ..tensor import Tensor, tensor
from . import init
from .init import Initialiser
from .layers import _parameter
from .module import Module

if TYPE_CHECKING:
    from numpy.random import Generator


class _Recurrent(Module):
    """What recurrent layers share: their parameters, one block of columns for each gate, and the checks of inputs."""

    gates: ClassVar[int] = 1

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        weight_init: Initialiser = init.lecun_normal,
        hidden_init: Initialiser = init.orthogonal,
        dtype: DTypeLike = np.float32,
        rng: Generator | int | None = None,
    ) -> None:
        if index(in_features) < 1 or index(hidden_features) < 1:
            raise ValueError(f"{type(self).__name__}({in_features}, {hidden_features}): both sizes must be at least 1")
        rng = np.random.default_rng(rng)

        def blocks(initialiser: Initialiser, shape: tuple[int, int]) -> Tensor:
            drawn = [_parameter(initialiser, shape, rng, dtype).numpy() for _ in range(self.gates)]
            return tensor(np.concatenate(drawn, axis=1), requires_grad=True)

        self.weight = blocks(weight_init, (in_features, hidden_features))
        self.hidden_weight = blocks(hidden_init, (hidden_features, hidden_features))
        self._begin(hidden_features, dtype)

    def _begin(self, hidden_features: int, dtype: DTypeLike) -> None:
        """Make the biases."""
        self.bias = tensor(np.zeros(self.gates * hidden_features), dtype=dtype, requires_grad=True)

    def __call__(self, x: Any, state: Any = None) -> Tensor:
        """Map sequences (N, T, in_features), and the state they begin with, to the states after each step."""
        return self.unroll(x, state)[0]

    def unroll(self, x: Any, state: Any = None) -> tuple[Tensor, Any]:
        """Give the states after each step, (N, T, hidden_features), and the last state, to go on with.

        Parameters
        ----------
        x : array_like or Tensor of shape (N, T, in_features)
            The sequences, of at least one step.
        state : array_like or Tensor of shape (N, hidden_features), optional
            The state they begin with: zeros if not given. For `LSTM`, a pair of them: hidden state and cell.

        Raises
        ------
        ValueError
            If a shape does not fit.
        """
        x = operand(x)
        if np.ndim(x) != 3 or x.shape[2] != self.weight.shape[0] or not x.shape[1]:
            raise ValueError(
                f"{type(self).__name__}({self.extra_repr()}) takes sequences (N, T, {self.weight.shape[0]}) of at "
                f"least one step, and was given shape {np.shape(x)}"
            )
        return self._run(neural.linear(x, self.weight, self.bias), state)

    def _run(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Run through time, from the inputs' products: for each kind of layer to define."""
        raise NotImplementedError

    def _first(self, state: Any, x: Tensor, what: str = "a state") -> Any:
        """The state that sequences begin with."""
        shape = (x.shape[0], self.hidden_weight.shape[0])
        if state is None:
            return np.zeros(shape, x.dtype)
        state = operand(state)
        if np.shape(state) != shape:
            raise ValueError(
                f"{type(self).__name__}({self.extra_repr()}) needs {what} of shape {shape} for {shape[0]} sequences, "
                f"and was given shape {np.shape(state)}"
            )
        return state

    def extra_repr(self) -> str:
        """Say the sizes."""
        return f"{self.weight.shape[0]}, {self.hidden_weight.shape[0]}"


class RNN(_Recurrent):
    """Elman's recurrent net: what neurons have come to is fed back to them at the next step.

    ``h[t] = tanh(x[t] @ weight + h[t-1] @ hidden_weight + bias)``

    Elman, "Finding structure in time", Cognitive Science, 1990.

    Parameters
    ----------
    in_features, hidden_features : int
        Sizes of the inputs of a step and of the state.
    weight_init, hidden_init : callable
        Initialisers of the two weights; see `tinygrad_digits.nn.init`.
    dtype : dtype
        Of the parameters.
    rng : Generator, int or None
        Where the initial weights are drawn from: a Generator, a seed for one, or None for a different start each time.

    Attributes
    ----------
    weight : Tensor of shape (in_features, hidden_features)
    hidden_weight : Tensor of shape (hidden_features, hidden_features)
    bias : Tensor of shape (hidden_features,)

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> layer = tg.nn.RNN(3, 5, rng=0)
    >>> x = np.ones((2, 7, 3), np.float32)
    >>> layer(x).shape
    (2, 7, 5)
    >>> states, last = layer.unroll(x)
    >>> bool(np.all(last == states[:, -1]))
    True
    """

    def _run(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        packed, shapes = recurrent.joined(x, self._first(state, x), self.hidden_weight)
        states = recurrent.elman(packed, shapes=shapes)
        return states, states[:, -1]


class GRU(_Recurrent):
    """Gated recurrent unit: gates decide, number by number, what of the state is kept and what is looked at.

    With ``·`` for products element by element, and the weights' columns in three blocks r, u and c::

        r = sigmoid(x[t] @ weight_r + h[t-1] @ hidden_weight_r + bias_r)
        u = sigmoid(x[t] @ weight_u + h[t-1] @ hidden_weight_u + bias_u)
        c = tanh(x[t] @ weight_c + bias_c
                 + r · (h[t-1] @ hidden_weight_c + hidden_bias))
        h[t] = u · h[t-1] + (1 - u) · c

    Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014; with the reset gate r after the
    product, as in cuDNN and PyTorch.

    Parameters
    ----------
    in_features, hidden_features, weight_init, hidden_init, dtype, rng
        As of `RNN`. An initialiser draws each block by itself.

    Attributes
    ----------
    weight : Tensor of shape (in_features, 3 · hidden_features)
    hidden_weight : Tensor of shape (hidden_features, 3 · hidden_features)
    bias : Tensor of shape (3 · hidden_features,)
    hidden_bias : Tensor of shape (hidden_features,)

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> tg.nn.GRU(3, 5, rng=0)(np.ones((2, 7, 3), np.float32)).shape
    (2, 7, 5)
    """

    gates = 3

    def _begin(self, hidden_features: int, dtype: DTypeLike) -> None:
        super()._begin(hidden_features, dtype)
        self.hidden_bias = tensor(np.zeros(hidden_features), dtype=dtype, requires_grad=True)

    def _run(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        packed, shapes = recurrent.joined(x, self._first(state, x), self.hidden_weight, self.hidden_bias)
        states = recurrent.gru(packed, shapes=shapes)
        return states, states[:, -1]


class LSTM(_Recurrent):
    """Long short-term memory: a cell beside the state, which only gates change, so that it remembers for long.

    With ``·`` for products element by element, and the weights' columns in four blocks i, f, o and a::

        i = sigmoid(x[t] @ weight_i + h[t-1] @ hidden_weight_i + bias_i)
        f = sigmoid(x[t] @ weight_f + h[t-1] @ hidden_weight_f + bias_f)
        o = sigmoid(x[t] @ weight_o + h[t-1] @ hidden_weight_o + bias_o)
        a = tanh(x[t] @ weight_a + h[t-1] @ hidden_weight_a + bias_a)
        c[t] = f · c[t-1] + i · a
        h[t] = o · tanh(c[t])

    Hochreiter and Schmidhuber, "Long short-term memory", 1997; with forget gates, whose bias is 1 at first: Gers,
    Schmidhuber and Cummins, "Learning to forget", 2000. Its state is a pair: hidden state and cell.

    Parameters
    ----------
    in_features, hidden_features, weight_init, hidden_init, dtype, rng
        As of `RNN`. An initialiser draws each block by itself.

    Attributes
    ----------
    weight : Tensor of shape (in_features, 4 · hidden_features)
    hidden_weight : Tensor of shape (hidden_features, 4 · hidden_features)
    bias : Tensor of shape (4 · hidden_features,)

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> layer = tg.nn.LSTM(3, 5, rng=0)
    >>> states, (hidden, cell) = layer.unroll(np.ones((2, 7, 3), np.float32))
    >>> states.shape, hidden.shape, cell.shape
    ((2, 7, 5), (2, 5), (2, 5))
    """

    gates = 4

    def _begin(self, hidden_features: int, dtype: DTypeLike) -> None:
        self.bias = tensor(np.repeat([0, 1, 0, 0], hidden_features), dtype=dtype, requires_grad=True)

    def _run(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        if state is not None and not (isinstance(state, tuple | list) and len(state) == 2):
            raise ValueError(f"LSTM({self.extra_repr()}) needs a pair as its state: hidden state and cell")
        hidden, cell = (None, None) if state is None else state
        packed, shapes = recurrent.joined(
            x, self._first(hidden, x, "a hidden state"), self._first(cell, x, "a cell"), self.hidden_weight
        )
        states = recurrent.lstm(packed, shapes=shapes)
        return states[0], (states[0, :, -1], states[1, :, -1])
