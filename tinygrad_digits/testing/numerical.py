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
    """A derivative along a line, its estimated error, and what is wrong with the point, if anything is.

    The steepest slope seen to a side, over steps that are not small, tells what that error is to be compared with.
    """

    value: float
    noise: float
    fault: str = ""
    steepest: float = 0.0


def quick_slope(line: Line, start: Array) -> tuple[Slope, float]:
    """The slope by two central differences, combined so that their errors in h² cancel (Richardson's extrapolation).

    Its estimated error is that of rounding, ten times over; agreement with something else shows that the rest is small.
    Also says by how much the slopes to the left and to the right seem to differ, where that is more than rounding: on a
    smooth line their difference, extrapolated in the same way, is of third order.
    """
    h = STEP
    ahead, behind, near_ahead, near_behind = line(h), line(-h), line(h / 2), line(-h / 2)
    far, near = (ahead - behind).sum() / (2 * h), (near_ahead - near_behind).sum() / h
    rounding = EPSILON / h * float(np.abs(ahead)[(ahead != start) | (behind != start)].sum())
    bend = abs(float((4 * (near_ahead + near_behind) - (ahead + behind) - 6 * start).sum())) / h
    value = float(4 * near - far) / 3
    return Slope(value, 10 * rounding), 0.0 if bend <= 100 * rounding + 1e-6 * abs(value) else bend


def careful_slope(line: Line, start: Array, finest: float = FINEST) -> Slope:
    """The slope by central differences of many steps, extrapolated twice: the one whose neighbours agree with it best.

    Steps too coarse for the curvature disagree with finer ones, and on those that reach over a kink the left slope
    disagrees with the right one; steps too fine disagree with each other by rounding, whatever its size. So the
    disagreement is the estimated error. As rounding may agree with itself by chance, its size is also looked at where
    the line should hardly move.
    """
    steps = COARSEST * 0.5 ** np.arange(np.ceil(np.log2(COARSEST / finest)) + 1)
    ahead, behind = np.array([line(h) - start for h in steps]), np.array([line(-h) - start for h in steps])
    still = np.array([[line(h) - start, line(-h) - start] for h in finest * 0.5 ** np.arange(12, 19)])
    rights, lefts = ahead.sum(axis=1), behind.sum(axis=1)
    central = (rights - lefts) / (2 * steps)
    once = (4 * central[1:] - central[:-1]) / 3
    twice = (16 * once[1:] - once[:-1]) / 15
    moved = np.maximum(np.abs(ahead), np.abs(behind)).max(axis=0)
    grain = _grain(
        [np.concatenate(side) for side in ((ahead, still[:, 0]), (behind, still[:, 1]))], np.abs(start) + moved
    )
    inputs = finest / FINEST * np.abs(twice)  # what is moved is rounded, too
    grain = np.maximum(grain, _leap((ahead, behind), np.abs(start) + moved))
    jitter = np.maximum(grain, np.ptp(still, axis=(0, 1))).sum()
    rounding = (EPSILON * (np.abs(start)[moved != 0].sum() + inputs) + jitter) / steps[1:-1]
    bend = np.abs(_one_sided(rights, steps) - _one_sided(lefts, -steps))[:-1]
    noise = np.maximum(np.abs(twice - once[1:]), np.maximum(rounding, np.where(bend > 10 * rounding, bend, 0)))
    near = np.abs(np.diff(twice))
    noise[1:], noise[:-1] = np.maximum(noise[1:], near), np.maximum(noise[:-1], near)
    noise = np.where(np.isfinite(noise), noise, np.inf)
    # What coarse steps agree on is refuted by a finer one that is sure of something else: they look at another scale.
    unlike = np.abs(twice[:, None] - twice) > 10 * (noise[:, None] + noise)
    best = int(np.argmin(np.where(np.any(np.triu(unlike), axis=1), np.inf, noise)))
    value, error = float(twice[best]), float(noise[best])
    fault = _fault(rights, lefts, steps, Slope(value, error), float(grain.sum()))
    if error == np.inf:
        return Slope(np.nan, np.inf, fault or "no step gives a finite result")
    sides = np.abs([rights[:RUN], lefts[:RUN]]) / steps[:RUN]
    return Slope(value, error, fault, float(np.max(sides, initial=0, where=np.isfinite(sides))))


def _one_sided(differences: Array, steps: Array) -> Array:
    """Slopes to one side. To first order they are off by the curvature times the step: extrapolation removes that."""
    slopes = differences / steps
    return 2 * slopes[1:] - slopes[:-1]


def _grain(sides: list[Array], size: Array) -> Array:
    """How coarsely the elements of a line are rounded: by the smallest step that they take on both sides.

    Where a side is constant, as that of a kink may be, there is no telling, and no need; and a step that is not small
    beside the numbers is a jump of the function's own.
    """
    step = np.full(size.shape, np.inf)
    for values in sides:
        apart = np.diff(np.sort(values, axis=0), axis=0)
        smallest = np.min(np.where(apart > 0, apart, np.inf), axis=0)
        step = np.minimum(step, np.where(smallest < 1e-3 * size, smallest, 0))
    return step


def _leap(sides: tuple[Array, Array], size: Array) -> Array:
    """How far the elements of a line leap at once, out of stillness, as what has been rounded at a larger size does.

    Of a smooth line, half a step moves an element half as far, or a quarter, not by less than a thousandth; and a leap
    that is not tiny beside the numbers is the function's own.
    """
    leaps = []
    for values in sides:
        moved = np.abs(values)
        leaping = (moved[:-1] > 1000 * moved[1:]) & (moved[:-1] < 1e-5 * size)
        leaps.append(np.max(np.where(leaping, moved[:-1], 0), axis=0))
    return np.minimum(*leaps)


def _fault(ahead: Array, behind: Array, steps: Array, best: Slope, grain: float) -> str:
    """Why no step gives a better slope: the point is a kink, a jump or at the edge of the domain; or nothing is known.

    A kink is told by steps in a row that see the same difference between the slopes, a jump by the same difference
    between the values, an infinite slope by slopes that grow by the same factor.
    """
    for side, values in ("left", behind), ("right", ahead):
        if not np.any(np.isfinite(values)):
            return f"the function has no finite value to the {side} of it"
    gap = (ahead - behind)[steps < 2.0**-6]
    if _agreed(gap) > 10 * grain and best.noise > 1e-4 * abs(gap[-1]):
        return f"its value jumps by {float(gap[-1]):.6g}"
    lefts, rights = _one_sided(behind, -steps), _one_sided(ahead, steps)
    for i in reversed(range(len(lefts) - RUN)):
        left, right = lefts[i : i + RUN + 1], rights[i : i + RUN + 1]
        sizes = np.abs(left) + np.abs(right)
        bend = _agreed(right - left)
        if bend > 1e-4 * np.max(sizes) and best.noise > 1e-4 * bend:
            return f"its slope is {np.median(left):.6g} to the left and {np.median(right):.6g} to the right"
        root = 1.1 < _agreed(sizes[1:] / sizes[:-1]) < 1.9  # 2 is a value that stays, by rounding, say
        if root and best.noise > 0.01 * max(sizes[0], abs(best.value)):
            return f"its slope grows without end, to {float(right[-1]):.3g} over steps of {steps[i + RUN]:.1g}"
    return ""


def _agreed(numbers: Array) -> float:
    """The size of numbers that are about equal, or 0."""
    middle = float(np.median(numbers))
    return abs(middle) if np.all(np.abs(numbers - middle) <= 0.05 * abs(middle)) else 0.0


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
