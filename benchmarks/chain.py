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

Chain = Callable[[Any, Any, Any], Any]
"""Operations one after another, from x, with a constant, and with the tanh of the library."""


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

    def chain(x: Any, c: Any, tanh: Any) -> Any:
        y = x
        for _ in range(OPS):
            y = y * c
        return y

    return _contestants(bare, chain)


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

    def chain(x: Any, c: Any, tanh: Any) -> Any:
        y = x
        for _ in range(OPS // 4):
            y = -(tanh(y) * c + x)
        return y

    return _contestants(bare, chain)


def _contestants(bare: Callable[[], object], chain: Chain) -> dict[str, Contestant]:
    eager = _descent(tg.tensor(X, requires_grad=True), tg.tensor(C), np.tanh, chain)
    program = _descent(tg.tensor(X, requires_grad=True), tg.tensor(C), np.tanh, chain, tg.compile)
    found = {"ours compiled": program, "ours eager": eager, "bare NumPy": bare}
    if find_spec("torch"):
        import torch

        found["PyTorch"] = _descent(torch.tensor(X, requires_grad=True), torch.tensor(C), torch.tanh, chain)
    return {name: Contestant(run) for name, run in found.items()}


def _descent(
    x: Any, c: Any, tanh: Any, chain: Chain, form: Callable[[Any], Any] = lambda way: way
) -> Callable[[], object]:
    """A way down a chain, and back to x."""

    @form
    def way() -> None:
        chain(x, c, tanh).sum().backward()

    def run() -> None:
        x.grad = None
        way()

    return run
