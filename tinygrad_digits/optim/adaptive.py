"""Optimizers that measure each number's steps by the size of its own gradients: Adam, AdamW, RMSprop, Adagrad.

The formulas are in the docstrings. In the code x is a parameter's array, g its gradient, t how many steps it has taken;
the last argument of a call of NumPy's says where the result is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..tensor import Tensor
from .optimizer import Array, Optimizer, Setting, zeros


class Adam(Optimizer):
    """Adam: steps along the average gradient, each number's measured by the average size of its own gradients.

    Each step computes, for a parameter p with gradient g, at its t-th step::

        g = g + weight_decay · p
        m = β₁ · m + (1 - β₁) · g       (m and v are 0 before the first step)
        v = β₂ · v + (1 - β₂) · g²
        p = p - lr · m / (1 - β₁ᵗ) / (√(v / (1 - β₂ᵗ)) + eps)

    Kingma and Ba, "Adam: A method for stochastic optimization", 2015, algorithm 1.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to update, or groups of it with settings of their own; see `SGD`.
    lr : float
        The learning rate: about how far a number moves in a step.
    betas : tuple of two floats
        β₁ and β₂: how much of the averages is kept, 0 to 1.
    eps : float
        What keeps the divisor from 0.
    weight_decay : float
        The factor λ of an added cost ½ λ Σp². See `AdamW`, where the decay is not measured by the gradients' size.

    Raises
    ------
    TypeError, ValueError
        If a parameter cannot be trained, or a setting is out of range.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> x = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = tg.optim.Adam([x], lr=0.1)
    >>> np.sum(x * x).backward()
    >>> optimizer.step()
    >>> x
    Tensor([ 0.9, -1.9], requires_grad=True)
    """

    betas = Setting(below=1, count=2)
    eps = Setting(positive=True)
    weight_decay = Setting()
    scratch_arrays = 2
    kept = ("step", "mean", "mean_square")

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Mapping[str, Any]],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def step(self) -> None:
        """Update each parameter that has a gradient, in place."""
        for group, slots in zip(self.param_groups, self.slots, strict=True):
            lr, (beta1, beta2) = group["lr"], group["betas"]
            for x, g, (scratch, divisor), state in self.ready(slots):
                g = self._decayed(x, g, group, scratch)
                t = state["step"] = state.get("step", 0) + 1
                m, v = zeros(state, "mean", x), zeros(state, "mean_square", x)
                _move(m, g, beta1, divisor)
                _move(v, np.multiply(g, g, divisor), beta2, divisor)
                _root(v, 1 / (1 - beta2**t), group["eps"], divisor)
                np.subtract(x, np.multiply(np.divide(m, divisor, divisor), lr / (1 - beta1**t), divisor), x)

    def _decayed(self, x: Array, g: Array, group: dict[str, Any], scratch: Array) -> Array:
        """Decay the weights: through the gradient."""
        return _with_decay(g, x, group["weight_decay"], scratch)


class AdamW(Adam):
    """Adam with weights that decay by a share in each step, whatever the size of their gradients.

    As `Adam`, but with ``p = p - lr · weight_decay · p`` in place of its first line.

    Loshchilov and Hutter, "Decoupled weight decay regularization", 2019, algorithm 2 (with lr as PyTorch takes it, in
    the decay too).

    Parameters
    ----------
    params, lr, betas, eps
        As of `Adam`.
    weight_decay : float
        How large a share of it, times the learning rate, a parameter loses in a step.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> x = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = tg.optim.AdamW([x], lr=0.1, weight_decay=0.5)
    >>> np.sum(x * x).backward()
    >>> optimizer.step()
    >>> x
    Tensor([ 0.85, -1.8 ], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Mapping[str, Any]],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def _decayed(self, x: Array, g: Array, group: dict[str, Any], scratch: Array) -> Array:
        """Decay the weights themselves."""
        np.multiply(x, 1 - group["lr"] * group["weight_decay"], x)
        return g


class RMSprop(Optimizer):
    """RMSprop: each number's gradient, measured by the running average of its size.

    Each step computes, for a parameter p with gradient g::

        g = g + weight_decay · p
        v = alpha · v + (1 - alpha) · g²        (v and u are 0 before the first step)
        u = momentum · u + g / (√v + eps)
        p = p - lr · u

    Tieleman and Hinton, "Neural networks for machine learning", Coursera, 2012, lecture 6.5.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to update, or groups of it with settings of their own; see `SGD`.
    lr : float
        The learning rate.
    alpha : float
        How much of the average is kept, 0 to 1.
    eps : float
        What keeps the divisor from 0.
    momentum : float
        How much of the last step's direction is kept, 0 to 1.
    weight_decay : float
        The factor λ of an added cost ½ λ Σp².

    Raises
    ------
    TypeError, ValueError
        If a parameter cannot be trained, or a setting is out of range.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> x = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = tg.optim.RMSprop([x], lr=0.1, alpha=0.75)
    >>> np.sum(x * x).backward()
    >>> optimizer.step()
    >>> x
    Tensor([ 0.8, -1.8], requires_grad=True)
    """

    alpha = Setting(below=1)
    eps = Setting(positive=True)
    weight_decay = Setting()
    momentum = Setting(below=1)
    scratch_arrays = 2
    kept = ("mean_square",)
    kept_at_times = ("velocity",)

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Mapping[str, Any]],
        lr: float = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, momentum=momentum, weight_decay=weight_decay)

    def step(self) -> None:
        """Update each parameter that has a gradient, in place."""
        for group, slots in zip(self.param_groups, self.slots, strict=True):
            for x, g, (scratch, divisor), state in self.ready(slots):
                g = _with_decay(g, x, group["weight_decay"], scratch)
                v = zeros(state, "mean_square", x)
                _move(v, np.multiply(g, g, divisor), group["alpha"], divisor)
                u = np.divide(g, _root(v, 1.0, group["eps"], divisor), divisor)
                if group["momentum"]:
                    velocity = zeros(state, "velocity", x)
                    u = np.add(np.multiply(velocity, group["momentum"], velocity), u, velocity)
                np.subtract(x, np.multiply(u, group["lr"], divisor), x)


class Adagrad(Optimizer):
    """Adagrad: each number's gradient, measured by all there have been, so that rare ones count for more.

    Each step computes, for a parameter p with gradient g::

        g = g + weight_decay · p
        v = v + g²                      (v is 0 before the first step)
        p = p - lr · g / (√v + eps)

    Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic optimization", 2011.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to update, or groups of it with settings of their own; see `SGD`.
    lr : float
        The learning rate.
    eps : float
        What keeps the divisor from 0.
    weight_decay : float
        The factor λ of an added cost ½ λ Σp².

    Raises
    ------
    TypeError, ValueError
        If a parameter cannot be trained, or a setting is out of range.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> x = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = tg.optim.Adagrad([x], lr=0.1)
    >>> np.sum(x * x).backward()
    >>> optimizer.step()
    >>> x
    Tensor([ 0.9, -1.9], requires_grad=True)
    """

    eps = Setting(positive=True)
    weight_decay = Setting()
    scratch_arrays = 2
    kept = ("sum_of_squares",)

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Mapping[str, Any]],
        lr: float = 1e-2,
        *,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, eps=eps, weight_decay=weight_decay)

    def step(self) -> None:
        """Update each parameter that has a gradient, in place."""
        for group, slots in zip(self.param_groups, self.slots, strict=True):
            for x, g, (scratch, divisor), state in self.ready(slots):
                g = _with_decay(g, x, group["weight_decay"], scratch)
                v = zeros(state, "sum_of_squares", x)
                np.add(v, np.multiply(g, g, divisor), v)
                np.divide(g, _root(v, 1.0, group["eps"], divisor), divisor)
                np.subtract(x, np.multiply(divisor, group["lr"], divisor), x)


def _with_decay(g: Array, x: Array, weight_decay: float, scratch: Array) -> Array:
    """``g + weight_decay · x``: the gradient with that of an added cost ½ weight_decay Σx²."""
    return np.add(g, np.multiply(x, weight_decay, scratch), scratch) if weight_decay else g


def _move(average: Array, towards: Array, kept: float, scratch: Array) -> None:
    """Move a running average: ``average = kept · average + (1 - kept) · towards``."""
    np.add(np.multiply(average, kept, average), np.multiply(towards, 1 - kept, scratch), average)


def _root(v: Array, factor: float, eps: float, out: Array) -> Array:
    """``√(factor · v) + eps``, and at least the smallest number of the dtype, which is to be divided by."""
    np.sqrt(np.multiply(v, factor, out), out)
    return np.add(out, max(eps, float(np.finfo(v.dtype).tiny)), out)
