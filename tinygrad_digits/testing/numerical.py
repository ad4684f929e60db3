"""Derivatives by numbers alone: along a line, by differences of values, with an estimate of their own error.

A *line* is a function of one number t that gives a vector, whose sum is what is differentiated at t = 0: by an element
or along a direction. The vector's elements tell how much of the sum is rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Line = Callable[[float], Array]

EPSILON = float(np.finfo(np.float64).eps)
STEP = EPSILON ** (1 / 5)  # where rounding errors (ε / h) and the error of the formula (h⁴) are about equal
COARSEST, FINEST = 2.0**-3, 2.0**-30
RUN = 6  # so many steps, each half the one before, must tell the same of a kink


@dataclass(frozen=True)
class Slope:
    """A derivative along a line, its estimated error, and what is wrong with the point, if anything is."""

    value: float
    noise: float
    fault: str = ""


def quick_slope(line: Line, start: Array) -> tuple[Slope, bool]:
    """The slope by two central differences, combined so that their errors in h² cancel (Richardson's extrapolation).

    Its estimated error is that of rounding, ten times over; agreement with something else shows that the rest is small.
    Also says whether the slopes to the left and to the right seem to differ: on a smooth line their difference,
    extrapolated in the same way, is of third order.
    """
    h = STEP
    ahead, behind, near_ahead, near_behind = line(h), line(-h), line(h / 2), line(-h / 2)
    far, near = (ahead - behind).sum() / (2 * h), (near_ahead - near_behind).sum() / h
    rounding = EPSILON / h * float(np.abs(ahead)[(ahead != start) | (behind != start)].sum())
    jump = float((4 * (near_ahead + near_behind) - (ahead + behind) - 6 * start).sum()) / h
    value = float(4 * near - far) / 3
    return Slope(value, 10 * rounding), not abs(jump) <= 100 * rounding + 1e-6 * abs(value)


def careful_slope(line: Line, start: Array, finest: float = FINEST) -> Slope:
    """The slope by central differences of many steps, extrapolated twice: the one whose neighbours agree with it best.

    Steps too coarse for the curvature, or that reach over a kink near by, disagree with finer ones; steps too fine
    disagree with each other by rounding, whatever its size. So the disagreement is the estimated error. As rounding
    may agree with itself by chance, its size is also looked at where the line should hardly move.
    """
    steps = COARSEST * 0.5 ** np.arange(np.ceil(np.log2(COARSEST / finest)) + 1)
    ahead, behind = np.array([line(h) - start for h in steps]), np.array([line(-h) - start for h in steps])
    still = np.array([line(t) - start for h in finest * 0.5 ** np.arange(7, 14) for t in (h, -h)])
    rights, lefts = ahead.sum(axis=1), behind.sum(axis=1)
    central = (rights - lefts) / (2 * steps)
    once = (4 * central[1:] - central[:-1]) / 3
    twice = (16 * once[1:] - once[:-1]) / 15
    size = np.abs(start)[(ahead != 0).any(axis=0)].sum() + np.abs(twice)
    rounding = (EPSILON * size + _grain(still, np.concatenate([still, ahead, behind]))) / steps[1:-1]
    noise = np.maximum(np.abs(twice - once[1:]), rounding)
    near = np.abs(np.diff(twice))
    noise[1:], noise[:-1] = np.maximum(noise[1:], near), np.maximum(noise[:-1], near)
    noise = np.where(np.isfinite(noise), noise, np.inf)
    fault = _fault(rights, lefts, steps)
    if np.all(noise == np.inf):
        return Slope(np.nan, np.inf, fault or "no step gives a finite result")
    # What coarse steps agree on is refuted by a finer one that is sure of something else: they look at another scale.
    unlike = np.abs(twice[:, None] - twice) > 10 * (noise[:, None] + noise)
    best = int(np.argmin(np.where(np.any(np.triu(unlike), axis=1), np.inf, noise)))
    return Slope(float(twice[best]), float(noise[best]), fault)


def _grain(still: Array, values: Array) -> float:
    """How coarsely the elements of a line are rounded: the smallest difference each shows, or how it jitters."""
    apart = np.diff(np.sort(values, axis=0), axis=0)
    smallest = np.min(np.where(apart > 0, apart, np.inf), axis=0, initial=np.inf)
    return float(np.sum(np.maximum(np.where(smallest == np.inf, 0, smallest), np.ptp(still, axis=0))))


def _fault(ahead: Array, behind: Array, steps: Array) -> str:
    """What the finest steps say of the point: that it is a kink, a jump or the edge of the domain; or nothing."""
    fine = slice(-RUN - 9, -8)  # not the finest: what is nearer to a kink than these cannot be told from it
    for side, values in ("left", behind), ("right", ahead):
        if not np.any(np.isfinite(values[fine])):
            return f"the function has no finite value to the {side} of it"
    left, right = -behind / steps, ahead / steps
    # To first order a one-sided slope is off by its curvature times the step; extrapolation removes that.
    lefts, rights = 2 * left[1:] - left[:-1], 2 * right[1:] - right[:-1]
    differences = (rights - lefts)[fine]
    scale = max(np.max(np.abs(lefts[fine])), np.max(np.abs(rights[fine])))
    middle = float(np.median(differences))
    if abs(middle) > 1e-4 * scale and np.all(np.abs(differences - middle) <= 0.05 * abs(middle)):
        return f"its slope is {float(lefts[-1]):.6g} to the left and {float(rights[-1]):.6g} to the right"
    reach = steps < 2.0**-6
    gaps = (ahead - behind)[reach]
    if np.all(np.abs(gaps - gaps[-1]) <= 0.05 * abs(gaps[-1])) and gaps[-1] != 0:
        return f"its value jumps by {float(gaps[-1]):.6g}"
    return ""


def finest_step(x: Any) -> float:
    """How fine a step may have to be next to x, in units of max(1, |x|): much finer for tiny numbers."""
    size = np.abs(np.asarray(x, np.float64))
    tiny = size[(size > 1e-30) & (size < 1)]
    return FINEST * float(np.min(tiny, initial=1.0))


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
    start = np.array([float(f(x.copy()))])
    for i in np.ndindex(x.shape):
        unit = max(1.0, abs(float(x[i])))

        def line(t: float, i: tuple[int, ...] = i, unit: float = unit) -> Array:
            moved = x.copy()
            moved[i] += t * unit
            return np.array([float(f(moved))])

        gradient[i] = quick_slope(line, start)[0].value / unit
    return gradient
