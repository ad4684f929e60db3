"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..tensor import Tensor
from .optimizer import Optimizer, Setting, number, zeros


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum and weight decay if wanted.

    Each step computes, for a parameter p with gradient g::

        g = g + weight_decay · p
        v = momentum · v + g            (v is 0 before the first step)
        p = p - lr · v                  (nesterov: p - lr · (g + momentum · v))

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What to update: leaves that require a gradient, as `Module.parameters` gives them; or groups of them with
        settings of their own, ``[{"params": […], "lr": 0.01}, …]``, where the other settings are those given here.
    lr : float
        The learning rate. It can be changed between steps: ``optimizer.lr = 0.01``.
    momentum : float
        How much of the last step's direction is kept, 0 to 1. Polyak, "Some methods of speeding up the convergence of
        iteration methods", 1964.
    nesterov : bool
        Look ahead along the momentum: Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and
        momentum in deep learning", 2013, in the form that applies to the current parameters.
    weight_decay : float
        The factor λ of an added cost ½ λ Σp² (L2 regularisation).

    Raises
    ------
    TypeError, ValueError
        If a parameter cannot be trained, or a setting is out of range.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> x = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = tg.optim.SGD([x], lr=0.1)
    >>> np.sum(x * x).backward()
    >>> optimizer.step()
    >>> x
    Tensor([ 0.8, -1.6], requires_grad=True)
    """

    momentum = Setting(below=1)
    nesterov = Setting()
    weight_decay = Setting()
    kept_at_times = ("velocity",)

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Mapping[str, Any]],
        lr: float,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)

    def _checked(self, settings: dict[str, Any]) -> dict[str, Any]:
        if settings["nesterov"] and not settings["momentum"]:
            raise ValueError("SGD(nesterov=True) needs a momentum to look ahead along: pass momentum=0.9, say")
        return super()._checked(settings)

    def step(self) -> None:
        """Update each parameter that has a gradient, in place."""
        for group, slots in zip(self.param_groups, self.slots, strict=True):
            momentum, decay, dtype = group["momentum"], group["weight_decay"], None
            for p, (scratch,), state in slots:  # as `ready` gives them, but in a tenth less time
                g = p.grad
                if g is None:
                    continue
                if isinstance(g, Tensor):
                    g = g._array
                if scratch.dtype is not dtype:
                    dtype = scratch.dtype
                    lr = number(group["lr"], dtype)
                    if momentum:
                        momentum = number(group["momentum"], dtype)
                    if decay:
                        decay = number(group["weight_decay"], dtype)
                x, rate = p._now(), lr
                if decay:
                    g = np.add(g, np.multiply(x, decay, scratch), scratch)
                if momentum:
                    v = zeros(state, "velocity", x)
                    np.add(np.multiply(v, momentum, v), g, v)
                    if group["nesterov"]:
                        np.subtract(x, np.multiply(g, lr, scratch), x)
                        rate = lr * momentum
                    g = v
                np.subtract(x, np.multiply(g, rate, scratch), x)
                p._updated()
