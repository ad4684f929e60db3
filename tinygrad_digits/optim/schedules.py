"""Schedules: how the learning rate goes on. A schedule is a function of the step, counted from 0.

The functions here make one for a number of steps: before them it is as at the first, past them as at the last.
It is used before each training step::

    optimizer.lr = schedule(step)
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi

Schedule = Callable[[int], float]


def constant(lr: float, steps: int) -> Schedule:
    """Make the schedule that stays at one learning rate; `steps` is ignored."""
    return lambda step: lr


def linear(lr: float, steps: int) -> Schedule:
    """Make the schedule that falls in a straight line from a learning rate at step 0 to zero at step `steps`.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> schedule = tg.optim.linear(0.5, steps=10)
    >>> schedule(0), schedule(5)
    (0.5, 0.25)
    """
    done = _progress("linear", steps)
    return lambda step: lr * (1 - done(step))


def step_decay(lr: float, steps: int, *, drops: int = 2, factor: float = 0.1) -> Schedule:
    """Make the schedule that drops to `factor` of itself at `drops` evenly spaced steps.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> schedule = tg.optim.step_decay(1.0, steps=9, drops=2, factor=0.5)
    >>> [schedule(step) for step in range(9)]
    [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    """
    _progress("step_decay", steps)
    if drops < 0 or not factor > 0:
        raise ValueError(f"step_decay(drops={drops}, factor={factor}): drops are 0 or more, by a factor above 0")
    return lambda step: lr * factor ** min(max(step, 0) * (drops + 1) // steps, drops)


def exponential(lr: float, steps: int, *, final: float = 0.01) -> Schedule:
    """Make the schedule that falls by the same factor at each step, to `final` times the learning rate at step `steps`.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> schedule = tg.optim.exponential(8.0, steps=6, final=1 / 64)
    >>> [schedule(step) for step in (0, 1, 2, 6)]
    [8.0, 4.0, 2.0, 0.125]
    """
    done = _progress("exponential", steps)
    if not final > 0:
        raise ValueError(f"exponential(final={final}): it never comes to 0 or below. Use linear or cosine")
    return lambda step: lr * final ** done(step)


def cosine(lr: float, steps: int, *, final: float = 0.0) -> Schedule:
    """Make the schedule that falls along half a wave, to `final` times the learning rate at step `steps`.

    Loshchilov and Hutter, "SGDR: Stochastic gradient descent with warm restarts", 2017, equation 5.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> schedule = tg.optim.cosine(1.0, steps=10)
    >>> [round(schedule(step), 3) for step in (0, 1, 5, 9, 10)]
    [1.0, 0.976, 0.5, 0.024, 0.0]
    """
    done = _progress("cosine", steps)
    return lambda step: lr * _between(1.0, final, done(step))


def one_cycle(
    lr: float, steps: int, *, rise: float = 0.3, initial: float = 1 / 25, final: float = 1 / 250_000
) -> Schedule:
    """Make the schedule that rises to a large learning rate, and falls far below where it began, both along half waves.

    It begins at `initial` times the learning rate, has come to it after the share `rise` of the steps, and ends at
    `final` times the learning rate.

    Smith and Topin, "Super-convergence: Very fast training of neural networks using large learning rates", 2018.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> schedule = tg.optim.one_cycle(1.0, steps=10)
    >>> [round(schedule(step), 3) for step in (0, 1, 2, 3, 5, 10)]
    [0.04, 0.28, 0.76, 1.0, 0.812, 0.0]
    """
    done = _progress("one_cycle", steps)
    if not 0 < rise < 1:
        raise ValueError(f"one_cycle(rise={rise}): it is the share of the steps before the top, between 0 and 1")

    def schedule(step: int) -> float:
        x = done(step)
        if x < rise:
            return lr * _between(initial, 1.0, x / rise)
        return lr * _between(1.0, final, (x - rise) / (1 - rise))

    return schedule


def warm_up(schedule: Schedule, steps: int) -> Schedule:
    """Make a schedule begin gently: its first `steps` learning rates are multiplied by 1/steps, 2/steps, …, 1.

    Goyal et al., "Accurate, large minibatch SGD", 2017, section 2.2.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> schedule = tg.optim.warm_up(tg.optim.constant(0.5, 100), steps=4)
    >>> [schedule(step) for step in range(6)]
    [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]
    """
    done = _progress("warm_up", steps)
    return lambda step: schedule(step) * done(step + 1)


def _progress(name: str, steps: int) -> Callable[[int], float]:
    """How far a number of steps has been taken at a step: from 0 to 1."""
    if not steps >= 1:
        raise ValueError(f"{name}(steps={steps}): a schedule is of 1 step at least")
    return lambda step: min(max(step / steps, 0.0), 1.0)


def _between(start: float, end: float, x: float) -> float:
    """From start to end, as x goes from 0 to 1, along half a wave."""
    return end + (start - end) * (1 + cos(pi * x)) / 2
