"""Clipping: to keep gradients from being too large, between ``backward`` and an optimizer's step. In place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import hypot, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tensor import Tensor, asarray, run, tracing


class InfiniteGradient(ValueError):  # noqa: N818 - what happened is not a mistake in the program
    """A gradient has an infinite number or NaN in it."""


def clip_grad_norm(params: Iterable[Tensor], max_norm: float) -> float:
    """Scale the gradients of all parameters, by one factor, so that their norm together is at most `max_norm`.

    Parameters
    ----------
    params : iterable of Tensor
        Parameters without a gradient are passed over.
    max_norm : float
        The square root of the sum of all squares that is allowed. Infinite to be told the norm only.

    Returns
    -------
    float
        The norm before (in a step that is being compiled, a Tensor). What keeps within bounds is not changed at all.

    Raises
    ------
    ValueError
        If `max_norm` is not positive.
    InfiniteGradient
        If a gradient has an infinite number or NaN in it: no factor makes that right. Nothing is changed then.

    Notes
    -----
    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013, section 3.2.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> x = tg.tensor([3.0, 4.0], requires_grad=True)
    >>> np.sum(x * x).backward()
    >>> tg.optim.clip_grad_norm([x], 1.0)
    10.0
    >>> x.grad
    array([0.6, 0.8])
    """
    if not max_norm > 0:
        raise ValueError(f"clip_grad_norm(max_norm={max_norm}): it must be more than 0")
    found = _with_gradients("clip_grad_norm", params)
    norm = run(_norm_of, *[p.grad for p in found])
    if tracing() is not None:
        for p in found if isfinite(max_norm) else ():
            p.grad = p.grad * (max_norm / np.maximum(norm, max_norm)).astype(p.dtype)
        return norm
    if norm > max_norm:
        for p in found:
            _change(p, lambda g, out: np.multiply(g, float(max_norm / norm), out))
    return float(norm)


def clip_grad_value(params: Iterable[Tensor], limit: float) -> None:
    """Cut off each number in the gradients at `limit`, and at minus that.

    Parameters
    ----------
    params : iterable of Tensor
        Parameters without a gradient are passed over.
    limit : float
        The largest size of a number that is allowed.

    Raises
    ------
    ValueError
        If `limit` is not positive.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> x = tg.tensor([3.0, -0.25], requires_grad=True)
    >>> np.sum(x * x).backward()
    >>> tg.optim.clip_grad_value([x], 1.0)
    >>> x.grad
    array([ 1. , -0.5])
    """
    if not limit > 0:
        raise ValueError(f"clip_grad_value(limit={limit}): it must be more than 0")
    for p in _with_gradients("clip_grad_value", params):
        _change(p, lambda g, out: np.clip(g, -limit, limit, out=out))


def _with_gradients(clip: str, params: Iterable[Tensor]) -> list[Tensor]:
    """The parameters that have a gradient."""
    if isinstance(params, Tensor) or not isinstance(params, Iterable):
        raise TypeError(f"{clip} takes a list of Tensors, as model.parameters() is, and got a {type(params).__name__}")
    params = list(params)
    for p in params:
        if not isinstance(p, Tensor):
            raise TypeError(f"{clip} takes a list of Tensors, and got a list of {type(p).__name__}")
    return [p for p in params if p.grad is not None]


def _change(p: Tensor, function: Callable[[Any, NDArray[Any] | None], Any]) -> None:
    """Write what a function makes of a gradient in its place. A recorded one stays as it is, for its graph's sake."""
    if isinstance(p.grad, Tensor):
        p.grad = asarray(function(p.grad if tracing() is not None else p.grad.numpy(), None))
    else:
        function(p.grad, p.grad)


def _norm_of(*gradients: Any) -> np.float64:
    """The square root of the sum of all gradients' squares."""
    return np.float64(hypot(*map(_norm, gradients)))


def _norm(g: Any) -> float:
    """The square root of the sum of a gradient's squares."""
    flat = np.asarray(g.detach() if isinstance(g, Tensor) else g).reshape(-1)
    bounds = np.finfo(flat.dtype)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        square = float(flat.dot(flat))
    if bounds.tiny / bounds.eps < square < np.inf:
        return square**0.5
    top = float(np.max(np.abs(flat), initial=0))
    if not isfinite(top):
        raise InfiniteGradient(
            f"clip_grad_norm: the gradient of the tensor of shape {g.shape} and dtype {g.dtype} has {top} in it. Try a "
            "lower learning rate"
        )
    return top and top * float(np.linalg.norm(flat.astype(float) / top))  # the squares were out of the dtype's range
