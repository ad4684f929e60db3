"""Losses: one number for how far a network's outputs are from what they should be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..ops import neural
from ..ops.activations import softplus
from ..tensor import Tensor, asarray, extent, run, tracing


def mse_loss(prediction: ArrayLike | Tensor, target: ArrayLike | Tensor, *, reduction: str = "mean") -> Tensor:
    """Mean squared error, the quadratic cost: the mean over all elements of (prediction - target)².

    Parameters
    ----------
    prediction, target : array_like or Tensor
        Of equal shape: nothing is broadcast.
    reduction : {"mean", "sum", "none"}
        What to make of the elements' losses.

    Returns
    -------
    Tensor
        A scalar; with the reduction "none", of the shape of the prediction.

    Raises
    ------
    ValueError
        If the shapes differ, or are empty, or the reduction is unknown.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> tg.nn.mse_loss([1.0, 2.0], [1.0, 4.0])
    Tensor(2.)
    """
    x, y = _operands("mse_loss", prediction, target)
    if reduction == "mean":
        return neural.mean_squared_error(x, y)
    return _reduced("mse_loss", np.square(x - y), reduction)


def l1_loss(prediction: ArrayLike | Tensor, target: ArrayLike | Tensor, *, reduction: str = "mean") -> Tensor:
    """Mean absolute error: the mean over all elements of abs(prediction - target); parameters and errors of `mse_loss`.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> tg.nn.l1_loss([1.0, 2.0], [1.0, 4.0])
    Tensor(1.)
    """
    x, y = _operands("l1_loss", prediction, target)
    return _reduced("l1_loss", np.abs(x - y), reduction)


def huber_loss(
    prediction: ArrayLike | Tensor, target: ArrayLike | Tensor, *, delta: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """Huber's loss: half the squared error up to `delta`, and a straight line beyond, so that outliers weigh less.

    It is ½d² for an error d of size up to δ, and δ (abs(d) - ½δ) for a larger one. Huber, "Robust estimation of a
    location parameter", 1964. The other parameters, and the errors, are those of `mse_loss`.

    Parameters
    ----------
    delta : float
        More than 0.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> tg.nn.huber_loss([0.0, 0.0], [1.0, 4.0], reduction="none")
    Tensor([0.5, 3.5])
    """
    if not delta > 0:
        raise ValueError(f"huber_loss(delta={delta}): it must be more than 0")
    x, y = _operands("huber_loss", prediction, target)
    d, delta = x - y, float(delta)
    near = np.clip(d, -delta, delta)
    return _reduced("huber_loss", near * (d - near / 2), reduction)


def cross_entropy(
    logits: ArrayLike | Tensor,
    labels: ArrayLike | Tensor,
    *,
    weight: ArrayLike | Tensor | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Mean cross-entropy of the softmax of the logits and the true classes: the mean of -log softmax(logits)[label].

    Computed from logits in one piece, so that it is accurate and finite however large they are.

    Parameters
    ----------
    logits : array_like or Tensor of shape (N, classes)
        A network's outputs, before any softmax.
    labels : array_like of int, shape (N,)
        The right class of each row, 0 to classes - 1.
    weight : array_like of shape (classes,), optional
        How much each class counts. The mean is a weighted one then: divided by the sum of the weights of the labels.
    label_smoothing : float
        Which share of the target, 0 to 1, is spread evenly over all classes. Szegedy et al., "Rethinking the Inception
        architecture for computer vision", 2016, section 7.
    reduction : {"mean", "sum", "none"}
        What to make of the rows' losses.

    Returns
    -------
    Tensor
        A scalar; with the reduction "none", of shape (N,).

    Raises
    ------
    TypeError
        If the labels are not integers.
    ValueError
        If the shapes do not fit or are empty, a label is no class, all weights of the labels are 0, or a setting is out
        of range.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> print(f"{tg.nn.cross_entropy([[2.0, 0.0]], [0]):.4f}")
    0.1269
    """
    x, y = _with_labels("cross_entropy", logits, labels)
    if weight is None and not label_smoothing and reduction == "mean":
        return neural.softmax_cross_entropy(x, labels=y)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy(label_smoothing={label_smoothing}): it is a share, from 0 to 1")
    return _negative_log("cross_entropy", neural.log_softmax(x), y, weight, label_smoothing, reduction)


def nll_loss(
    log_probabilities: ArrayLike | Tensor,
    labels: ArrayLike | Tensor,
    *,
    weight: ArrayLike | Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood: the mean of minus the logarithm of the probability that each row gives to its label.

    `cross_entropy` is this loss of a `tinygrad_digits.log_softmax`. The other parameters, and the errors, are its.

    Parameters
    ----------
    log_probabilities : array_like or Tensor of shape (N, classes)
        The logarithms of a network's probabilities.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> print(f"{tg.nn.nll_loss(np.log([[0.5, 0.5]]), [0]):.4f}")
    0.6931
    """
    x, y = _with_labels("nll_loss", log_probabilities, labels)
    return _negative_log("nll_loss", x, y, weight, 0.0, reduction)


def hinge_loss(
    scores: ArrayLike | Tensor, labels: ArrayLike | Tensor, *, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """Multi-class hinge loss of a support vector machine: what wrong scores lack of lying a margin below the right one.

    For a row of scores s with label y it is the sum of max(0, margin - s[y] + s[c]) over all other classes c.
    Weston and Watkins, "Support vector machines for multi-class pattern recognition", 1999.

    Parameters
    ----------
    scores : array_like or Tensor of shape (N, classes)
        A network's outputs.
    labels : array_like of int, shape (N,)
        The right class of each row.
    margin : float
        More than 0.
    reduction : {"mean", "sum", "none"}
        What to make of the rows' losses.

    Returns
    -------
    Tensor
        A scalar; with the reduction "none", of shape (N,).

    Raises
    ------
    TypeError, ValueError
        As of `cross_entropy`.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> tg.nn.hinge_loss([[2.0, 1.5, 0.0]], [0])
    Tensor(0.5)
    """
    if not margin > 0:
        raise ValueError(f"hinge_loss(margin={margin}): it must be more than 0")
    x, y = _with_labels("hinge_loss", scores, labels)
    right = x[np.arange(len(y)), y][:, None]
    lacking = np.where(y[:, None] == np.arange(x.shape[1]), 0, neural.relu(x - right + float(margin)))
    return _reduced("hinge_loss", np.sum(lacking, axis=1), reduction)


def binary_cross_entropy_with_logits(
    logits: ArrayLike | Tensor, target: ArrayLike | Tensor, *, reduction: str = "mean"
) -> Tensor:
    """Mean cross-entropy of independent yes-or-no outputs: of -y log σ(x) - (1 - y) log(1 - σ(x)), over all elements.

    Parameters
    ----------
    logits : array_like or Tensor
        A network's outputs x, before any sigmoid.
    target : array_like or Tensor
        The probabilities y that are wanted, 0 to 1, of the shape of the logits.
    reduction : {"mean", "sum", "none"}
        What to make of the elements' losses.

    Returns
    -------
    Tensor
        A scalar; with the reduction "none", of the shape of the logits.

    Raises
    ------
    ValueError
        If the shapes differ or are empty, a target is not between 0 and 1, or the reduction is unknown.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> loss = tg.nn.binary_cross_entropy_with_logits([0.0, 1000.0], [1.0, 1.0])
    >>> print(f"{loss:.4f}")
    0.3466
    """
    loss = "binary_cross_entropy_with_logits"
    x, y = _operands(loss, logits, target)
    run(_check_probabilities, loss, y)
    if reduction == "mean":
        return neural.sigmoid_cross_entropy(x, y)
    return _reduced(loss, softplus(x) - x * y, reduction)


def kl_div(log_probabilities: ArrayLike | Tensor, target: ArrayLike | Tensor, *, reduction: str = "mean") -> Tensor:
    """Kullback-Leibler divergence of a network's probabilities q from those that are wanted, p: Σ p (log p - log q).

    The sum is over the classes, and the mean over all rows (what PyTorch calls "batchmean"). Where p is 0, nothing is
    added. Kullback and Leibler, "On information and sufficiency", 1951.

    Parameters
    ----------
    log_probabilities : array_like or Tensor of shape (…, classes)
        log q: such as `tinygrad_digits.log_softmax` gives.
    target : array_like or Tensor of the same shape
        p, 0 to 1.
    reduction : {"mean", "sum", "none"}
        What to make of the rows' divergences.

    Returns
    -------
    Tensor
        A scalar; with the reduction "none", of shape (…).

    Raises
    ------
    ValueError
        If the shapes differ or are empty, a target is not between 0 and 1, or the reduction is unknown.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> print(f"{tg.nn.kl_div(np.log([[0.5, 0.5]]), [[1.0, 0.0]]):.4f}")
    0.6931
    """
    x, y = _operands("kl_div", log_probabilities, target)
    run(_check_probabilities, "kl_div", y)
    if x.ndim < 1:
        raise ValueError("kl_div needs probabilities of all classes (…, classes), and got one number")
    return _reduced("kl_div", np.sum(neural.relative_entropy(y, x), axis=-1), reduction)


# ----------------------------------------------------------------------------------------------------- what they share


def _reduced(loss: str, losses: Any, reduction: str, share: Any = None) -> Tensor:
    """What a reduction makes of losses; by what a mean is multiplied, if not by one over their number."""
    if reduction == "none":
        return losses
    if reduction == "sum":
        return np.sum(losses)
    if reduction == "mean":
        return np.mean(losses) if share is None else np.sum(losses) * share
    raise ValueError(f'{loss}(reduction={reduction!r}): it must be "mean", "sum" or "none"')


def _negative_log(loss: str, x: Any, y: NDArray[Any], weight: Any, smoothing: float, reduction: str) -> Tensor:
    """The loss of log-probabilities x for labels y."""
    classes = x.shape[1]
    wanted = (1 - smoothing) * (y[:, None] == np.arange(classes)) + smoothing / classes
    share = None
    if weight is not None:
        if isinstance(weight, Tensor) and weight.requires_grad:
            raise TypeError(f"{loss} has no derivative for the weights of classes: detach() them")
        weight = np.asarray(weight)
        if weight.shape != (classes,) or not (np.min(weight) >= 0 and np.max(weight) < np.inf):
            raise ValueError(
                f"{loss} needs a weight of 0 or more for each of the {classes} classes, and got {weight!r:.100}"
            )
        wanted = wanted * weight
        if reduction == "mean":
            share = run(_share, loss, weight, y, x.dtype)
    wanted = wanted.astype(x.dtype)
    # Where nothing is wanted, an infinite logarithm does no harm.
    return _reduced(loss, -np.sum(np.where(wanted == 0, 0, x) * wanted, axis=1), reduction, share)


def _share(loss: str, weight: NDArray[Any], labels: NDArray[Any], dtype: np.dtype[Any]) -> Any:
    """One over the sum of the weights of all labels, as a number of a dtype."""
    whole = float(np.sum(weight[labels], dtype=float))
    if not whole:
        raise ValueError(f"{loss}: all labels have weight 0, so that there is nothing to take the mean of")
    return np.asarray(1 / whole, dtype)


def _operands(loss: str, prediction: ArrayLike | Tensor, target: ArrayLike | Tensor) -> tuple[Tensor, Any]:
    """What a loss compares, of equal shapes."""
    x = prediction if isinstance(prediction, Tensor) else asarray(prediction)
    y = target if type(target) is np.ndarray or isinstance(target, Tensor | np.ndarray) else np.asarray(target)
    shape = x.shape
    if shape != y.shape:
        raise ValueError(f"{loss} needs equal shapes, and got a prediction of {shape} for a target of {y.shape}")
    if 0 in shape:
        raise ValueError(f"{loss} of nothing: the arrays have shape {shape}")
    if x.dtype.kind in "iub":  # whose differences would wrap around
        x = x.astype(float)
    return x, y


def _check_probabilities(loss: str, y: Any) -> None:
    wanted = _plain(y)
    if not (wanted.min() >= 0 and wanted.max() <= 1):
        raise ValueError(f"{loss} needs targets between 0 and 1, and got some from {wanted.min()} to {wanted.max()}")


def _with_labels(loss: str, outputs: ArrayLike | Tensor, labels: ArrayLike | Tensor) -> tuple[Tensor, NDArray[Any]]:
    """A network's outputs for each class, and the labels as they are now, out of reach of later changes."""
    x = asarray(outputs)
    y: Any
    y = asarray(labels) if tracing() is not None else np.array(_plain(labels))
    if y.dtype.kind not in "iu":
        raise TypeError(
            f"{loss} needs integer labels, and got dtype {y.dtype}. For one-hot rows, give their np.argmax(…, axis=1)"
        )
    if x.ndim == 2 and y.shape == x.shape:
        raise ValueError(
            f"{loss} needs labels (N,), and got one row for each image: {y.shape}. For one-hot rows, give their "
            "np.argmax(…, axis=1)"
        )
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(f"{loss} needs outputs (N, classes) and labels (N,), and got {x.shape} and {y.shape}")
    if not x.size:
        raise ValueError(f"{loss} of nothing: the outputs have shape {x.shape}")
    run(_check_labels, y, x.shape[1])
    if x.dtype.kind in "iub":
        x = x.astype(float)
    return x, y


def _plain(a: Any) -> Any:
    return a._now() if isinstance(a, Tensor) else a


def _check_labels(y: NDArray[Any], classes: int) -> None:
    """Complain of labels that are no classes."""
    least, most = extent(y)
    if most >= classes or least < 0:
        at = int(np.argmax((y < 0) | (y >= classes)))
        raise ValueError(
            f"label {y[at]} at position {at} is not one of the {classes} classes: they are 0 to {classes - 1}"
        )
