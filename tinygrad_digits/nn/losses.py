"""Losses: one number for how far a network's outputs are from what they should be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..ops import neural
from ..tensor import Tensor, asarray


def mse_loss(prediction: ArrayLike | Tensor, target: ArrayLike | Tensor) -> Tensor:
    """Mean squared error, the quadratic cost: the mean over all elements of (prediction - target)².

    Parameters
    ----------
    prediction, target : array_like or Tensor
        Of equal shape: nothing is broadcast.

    Returns
    -------
    Tensor
        A scalar.

    Raises
    ------
    ValueError
        If the shapes differ, or are empty.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> tg.nn.mse_loss([1.0, 2.0], [1.0, 4.0])
    Tensor(2.)
    """
    x, y = _operands("mse_loss", prediction, target)
    return neural.mean_squared_error(x, y)


def cross_entropy(logits: ArrayLike | Tensor, labels: ArrayLike | Tensor) -> Tensor:
    """Mean cross-entropy of the softmax of the logits and the true classes: the mean of -log softmax(logits)[label].

    Computed from logits in one piece, so that it is accurate and finite however large they are.

    Parameters
    ----------
    logits : array_like or Tensor of shape (N, classes)
        A network's outputs, before any softmax.
    labels : array_like of int, shape (N,)
        The right class of each row, 0 to classes - 1.

    Returns
    -------
    Tensor
        A scalar.

    Raises
    ------
    TypeError
        If the labels are not integers.
    ValueError
        If the shapes do not fit or are empty, or a label is no class.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> print(f"{tg.nn.cross_entropy([[2.0, 0.0]], [0]):.4f}")
    0.1269
    """
    x = asarray(logits)
    y = labels._now() if isinstance(labels, Tensor) else np.array(labels)
    _check_labels(x, y)
    return neural.softmax_cross_entropy(x, labels=y)


def binary_cross_entropy_with_logits(logits: ArrayLike | Tensor, target: ArrayLike | Tensor) -> Tensor:
    """Mean cross-entropy of independent yes-or-no outputs: of -y log σ(x) - (1 - y) log(1 - σ(x)), over all elements.

    Parameters
    ----------
    logits : array_like or Tensor
        A network's outputs x, before any sigmoid.
    target : array_like or Tensor
        The probabilities y that are wanted, 0 to 1, of the shape of the logits.

    Returns
    -------
    Tensor
        A scalar.

    Raises
    ------
    ValueError
        If the shapes differ or are empty, or a target is not between 0 and 1.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> print(f"{tg.nn.binary_cross_entropy_with_logits([0.0, 1000.0], [1.0, 1.0]):.4f}")
    0.3466
    """
    x, y = _operands("binary_cross_entropy_with_logits", logits, target)
    wanted = np.asarray(y.detach() if isinstance(y, Tensor) else y)
    if not (wanted.min() >= 0 and wanted.max() <= 1):
        raise ValueError(
            "binary_cross_entropy_with_logits needs targets between 0 and 1, and got some from "
            f"{wanted.min()} to {wanted.max()}"
        )
    return neural.sigmoid_cross_entropy(x, y)


def _operands(loss: str, prediction: ArrayLike | Tensor, target: ArrayLike | Tensor) -> tuple[Tensor, Any]:
    """What a loss compares, of equal shapes."""
    x = prediction if isinstance(prediction, Tensor) else asarray(prediction)
    y = target if isinstance(target, Tensor | np.ndarray) else np.asarray(target)
    shape = x.shape
    if shape != y.shape:
        raise ValueError(f"{loss} needs equal shapes, and got a prediction of {shape} for a target of {y.shape}")
    if 0 in shape:
        raise ValueError(f"{loss} of nothing: the arrays have shape {shape}")
    if x.dtype.kind in "iub":  # whose differences would wrap around
        x = x.astype(float)
    return x, y


def _check_labels(x: Tensor, y: NDArray[Any]) -> None:
    if y.dtype.kind not in "iu":
        raise TypeError(
            f"cross_entropy needs integer labels, and got dtype {y.dtype}. "
            "For one-hot rows, give their np.argmax(…, axis=1)"
        )
    if x.ndim == 2 and y.shape == x.shape:
        raise ValueError(
            f"cross_entropy needs labels (N,), and got one row for each image: {y.shape}. For one-hot rows, give their "
            "np.argmax(…, axis=1)"
        )
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(f"cross_entropy needs logits (N, classes) and labels (N,), and got {x.shape} and {y.shape}")
    if not x.size:
        raise ValueError(f"cross_entropy of nothing: the logits have shape {x.shape}")
    if y.max() >= x.shape[1] or y.min() < 0:
        at = int(np.argmax((y < 0) | (y >= x.shape[1])))
        raise ValueError(
            f"label {y[at]} at position {at} is not one of the {x.shape[1]} classes: they are 0 to {x.shape[1] - 1}"
        )
