"""Derivatives by finite differences, and a check of the engine's derivatives against them.

All is done in double precision. Finite differences know nothing of kinks: check where a function is smooth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..autodiff import name
from ..tensor import Tensor, no_grad, tensor
from ..transforms import _leaves, _nest, vjp

Array = NDArray[np.float64]

EPSILON = float(np.finfo(np.float64).eps)
STEP = EPSILON ** (1 / 5)  # where rounding errors (ε / h) and the error of the formula (h⁴) are about equal


def numerical_grad(f: Callable[[Array], Any], x: ArrayLike) -> Array:
    """Approximate the gradient of a scalar function by central differences of fourth order, element by element.

    Two central differences, with steps h and h / 2, are combined so that their errors in h² cancel (Richardson's
    extrapolation). The step is 7e-4, times the element where that is larger than 1.

    Parameters
    ----------
    f : callable
        Takes an array of the shape of `x`, in double precision, and returns one number.
    x : array_like
        Where.

    Returns
    -------
    ndarray
        The gradient, of the shape of `x`.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits.testing as testing
    >>> testing.numerical_grad(lambda x: x[0] * x[1], [3.0, 5.0]).round(6)
    array([5., 3.])
    """
    x = np.array(x, np.float64)
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        h = STEP * max(1.0, abs(float(x[i])))

        def slope(h: float, i: tuple[int, ...] = i) -> float:
            ahead, behind = x.copy(), x.copy()
            ahead[i] += h
            behind[i] -= h
            return float(f(ahead) - f(behind)) / float(ahead[i] - behind[i])

        gradient[i] = (4 * slope(h / 2) - slope(h)) / 3
    return gradient


def check_grads(
    f: Callable[..., Any], *args: ArrayLike, order: int = 2, atol: float = 1e-7, rtol: float = 1e-6, seed: int = 0
) -> None:
    """Check the derivatives of a function against finite differences.

    The result is multiplied by random numbers and summed, and the derivative of that sum by each element of each
    argument is compared. For the next order the same is done with the function that computes this derivative, of the
    arguments and the random numbers.

    Parameters
    ----------
    f : callable
        A function of arrays, written with what Tensors can pass through. Its result may be nested.
    *args : array_like
        Where to check; floating-point arguments are differentiated, others are passed on as they are.
    order : int
        1 for first derivatives, 2 for second derivatives too, and so on.
    atol, rtol : float
        The error allowed, absolute and relative.
    seed : int
        Of the random numbers.

    Raises
    ------
    AssertionError
        If a derivative is wrong, or the function changed an argument. The message says which, and how to do it again.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg, tinygrad_digits.testing as testing
    >>> testing.check_grads(np.multiply, [1.0, 2.0], 3.0)
    >>> @tg.primitive
    ... def cube(x):
    ...     return x**3
    >>> tg.defvjp(cube, lambda g, out, x: g * 2 * x**2)
    >>> testing.check_grads(cube, 2.0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    AssertionError: cube, order 1: the derivative by argument 0, element (), is wrong
      analytic  1.005841...
      numeric   1.508762...
      error     0.502920... where 1.608...e-06 is allowed
    check_grads(cube, np.array(2.0), order=1, seed=0)
    """
    arrays = [np.asarray(a) for a in args]
    moving = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"]

    def checked(*xs: Any) -> Any:
        given = list(arrays)
        for i, x in zip(moving, xs, strict=True):
            given[i] = x
        return f(*given)

    again = ", ".join(["check_grads(" + name(f), *map(_code, arrays)])
    rng = np.random.default_rng(seed)
    points = [arrays[i].astype(np.float64) for i in moving]
    for k in range(1, order + 1):
        try:
            checked, points = _check(checked, points, [f"argument {i}" for i in moving], atol, rtol, rng)
        except AssertionError as wrong:
            raise AssertionError(f"{name(f)}, order {k}: {wrong}\n{again}, order={k}, seed={seed})") from None


def _check(
    f: Callable[..., Any], points: list[Array], names: list[str], atol: float, rtol: float, rng: np.random.Generator
) -> tuple[Callable[..., Any], list[Array]]:
    """Check first derivatives of ``f``; return the function that gives them, and where to check that."""
    value, pull = vjp(f, *points)
    weights = [np.asarray(rng.standard_normal(np.shape(y))) for y in _leaves(value)]
    gradients = pull(_nest(value, weights))

    def terms(*xs: Array) -> list[Array]:
        given = [tensor(x) for x in xs]
        with no_grad():
            results = _leaves(f(*given))
        if any(t.numpy().tobytes() != x.tobytes() for t, x in zip(given, xs, strict=True)):
            raise AssertionError("the function changed an argument")
        return [
            np.asarray(w * (y.numpy() if isinstance(y, Tensor) else y)) for w, y in zip(weights, results, strict=True)
        ]

    rounding = EPSILON / STEP * sum(float(np.sum(np.abs(term))) for term in terms(*points))
    for position, (x, analytic) in enumerate(zip(points, gradients, strict=True)):

        def weighted(x: Array, position: int = position) -> float:
            return float(sum(np.sum(term) for term in terms(*points[:position], x, *points[position + 1 :])))

        numeric = numerical_grad(weighted, x)
        allowed = atol + 100 * rounding + rtol * np.abs(numeric)
        error = np.abs(analytic - numeric)
        if np.all(error <= allowed):
            continue
        excess = np.where(np.isnan(error), np.inf, error - allowed)
        worst = tuple(map(int, np.unravel_index(np.argmax(excess), excess.shape)))
        which = names[position] if position < len(names) else f"weight {position - len(names)} of the result"
        raise AssertionError(
            f"the derivative by {which}, element {worst}, is wrong\n"
            f"  analytic  {float(analytic[worst])!r}\n  numeric   {float(numeric[worst])!r}\n"
            f"  error     {float(error[worst])!r} where {float(allowed[worst])!r} is allowed"
        )

    def derivative(*xs_and_weights: Any) -> Any:
        xs, ws = xs_and_weights[: len(points)], xs_and_weights[len(points) :]
        value, pull = vjp(f, *xs)
        return pull(_nest(value, ws))

    return derivative, points + weights


def _code(x: NDArray[Any]) -> str:
    """An array as Python code, unless it is too long to read."""
    dtype = "" if x.dtype in (np.float64, np.int64, np.bool_) else f", dtype='{x.dtype}'"
    return f"np.array({x.tolist()!r}{dtype})" if x.size <= 200 else f"<array of shape {x.shape}>"
