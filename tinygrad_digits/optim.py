"""Optimizers: how parameters follow their gradients downhill. Updates are made in place and allocate nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .autodiff import describe
from .tensor import Tensor


class SGD:
    """Stochastic gradient descent, with momentum and weight decay if wanted.

    Each step computes, for a parameter p with gradient g::

        g = g + weight_decay · p
        v = momentum · v + g            (v is 0 before the first step)
        p = p - lr · v                  (nesterov: p - lr · (g + momentum · v))

    Parameters
    ----------
    params : iterable of Tensor
        What to update: leaves that require a gradient, as `Module.parameters` gives them.
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

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self.params = _trainable(params)
        for name, value, bound in (
            ("lr", lr, np.inf),
            ("momentum", momentum, 1),
            ("weight_decay", weight_decay, np.inf),
        ):
            if not isinstance(value, Real) or not 0 <= value < bound:
                raise ValueError(
                    f"SGD({name}={value!r}): it must be a number of 0 or more{', and less than 1' * (bound == 1)}"
                )
        if nesterov and not momentum:
            raise ValueError("SGD(nesterov=True) needs a momentum to look ahead along: pass momentum=0.9, say")
        self.lr = lr
        self.momentum = momentum
        self.nesterov = nesterov
        self.weight_decay = weight_decay
        self._buffers = [np.empty_like(p._array) for p in self.params]
        self._velocities: list[NDArray[Any] | None] = [None] * len(self.params)

    def zero_grad(self) -> None:
        """Forget the gradients, before `backward` adds new ones."""
        for p in self.params:
            p.grad = None

    def step(self) -> None:
        """Update each parameter that has a gradient, in place."""
        dtype = None
        momentum, decay = self.momentum, self.weight_decay
        for i, (p, buffer) in enumerate(zip(self.params, self._buffers, strict=True)):
            g = p.grad
            if g is None:
                continue
            if isinstance(g, Tensor):
                g = g._array
            if buffer.dtype is not dtype:
                dtype = buffer.dtype
                lr = np.array(self.lr, dtype)  # NumPy takes twice as long with a Python number
            x = p._now()
            rate = lr
            if decay:
                g = np.add(g, np.multiply(x, decay, buffer), buffer)
            if momentum:
                v = self._velocities[i]
                if v is None:
                    v = self._velocities[i] = np.zeros_like(buffer)
                np.add(np.multiply(v, momentum, v), g, v)
                if self.nesterov:
                    np.subtract(x, np.multiply(g, lr, buffer), x)
                    rate = lr * momentum
                g = v
            np.subtract(x, np.multiply(g, rate, buffer), x)
            p._updated()


def _trainable(params: Iterable[Tensor]) -> list[Tensor]:
    if isinstance(params, Tensor) or not isinstance(params, Iterable):
        advice = "put it in a list" if isinstance(params, Tensor) else "pass model.parameters()"
        raise TypeError(f"an optimizer takes a list of Tensors, and was given one {type(params).__name__}: {advice}")
    found = list(params)
    if not found:
        raise ValueError(
            "the optimizer was given no parameters: pass model.parameters(). If that is what you did, none of the "
            "model's tensors requires a gradient: make them with tg.tensor(…, requires_grad=True)"
        )
    for p in found:
        if not isinstance(p, Tensor):
            raise TypeError(f"an optimizer updates Tensors, and was given {type(p).__name__}: pass model.parameters()")
        if not (p.requires_grad and p.is_leaf):
            raise ValueError(f"an optimizer updates leaves that require a gradient, and was given {describe(p)}")
        if not p._array.flags.writeable:
            raise ValueError(
                f"an optimizer updates in place, and the memory of {describe(p)} is read-only: use tg.tensor"
            )
    if len({id(p) for p in found}) < len(found):
        raise ValueError("the optimizer was given a parameter twice, and would update it twice: list it once")
    return found


# -------------------------------------------------------------------------------------------- learning-rate schedules


def constant(lr: float, steps: int) -> Callable[[int], float]:
    """Make the schedule that stays at one learning rate; `steps` is ignored."""
    return lambda step: lr


def linear(lr: float, steps: int) -> Callable[[int], float]:
    """Make the schedule that falls in a straight line from a learning rate at step 0 to zero at step `steps`.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> schedule = tg.optim.linear(0.5, steps=10)
    >>> schedule(0), schedule(5)
    (0.5, 0.25)
    """
    return lambda step: lr * max(0.0, 1 - step / steps)
