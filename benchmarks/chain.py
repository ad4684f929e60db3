"""What an operation costs beside its arithmetic: 2,000 of them in a row on two numbers, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

import tinygrad_digits as tg

from .race import Contestant

OPS = 2_000

X = np.array([0.5, 0.6])
C = np.array([0.9999, 1.0001])

Op = Callable[[Any, Any, Any, Any], Any]
"""An operation on y, with a constant, with what the chain began with, and with the tanh of the library."""


def multiply() -> dict[str, Contestant]:
    """``y = y * c``: the least arithmetic there is."""

    def bare() -> object:
        y = X
        for _ in range(OPS):
            y = y * C
        g = np.ones(2)
        for _ in range(OPS):
            g = g * C
        return g

    return _contestants(bare, lambda y, c, x, tanh: y * c, OPS)


def mixed() -> dict[str, Contestant]:
    """``y = -(tanh(y) * c + x)``: a result that is kept, a constant, and a leaf that is used again and again."""

    def bare() -> object:
        y, kept = X, []
        for _ in range(OPS // 4):
            y = np.tanh(y)
            kept.append(y)
            y = -(y * C + X)
        g, total = np.ones(2), np.zeros(2)
        for y in reversed(kept):
            g = -g
            total = total + g
            g = g * C * (1 - y * y)
        return total + g

    return _contestants(bare, lambda y, c, x, tanh: -(tanh(y) * c + x), OPS // 4)


def _contestants(bare: Callable[[], object], op: Op, times: int) -> dict[str, Contestant]:
    eager = _descent(tg.tensor(X, requires_grad=True), tg.tensor(C), np.tanh, op, times)
    program = _descent(tg.tensor(X, requires_grad=True), tg.tensor(C), np.tanh, op, times, tg.compile)
    found = {"ours compiled": program, "ours eager": eager, "bare NumPy": bare}
    if find_spec("torch"):
        import torch

        found["PyTorch"] = _descent(torch.tensor(X, requires_grad=True), torch.tensor(C), torch.tanh, op, times)
    return {name: Contestant(run) for name, run in found.items()}


def _descent(
    x: Any, c: Any, tanh: Any, op: Op, times: int, form: Callable[[Any], Any] = lambda way: way
) -> Callable[[], object]:
    """A way down a chain, and back to x."""

    @form
    def way() -> None:
        y = x
        for _ in range(times):
            y = op(y, c, x, tanh)
        y.sum().backward()

    def run() -> None:
        x.grad = None
        way()

    return run
