"""What an operation costs beside its arithmetic: 2,000 of them in a row on two numbers, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import tinygrad_digits as tg

OPS = 2_000

X = np.array([0.5, 0.6])
C = np.array([0.9999, 1.0001])


def multiply() -> dict[str, Callable[[], object]]:
    """``y = y * c``: the least arithmetic there is."""
    x, c = tg.tensor(X, requires_grad=True), tg.tensor(C)
    x_torch, c_torch = torch.tensor(X, requires_grad=True), torch.tensor(C)

    def bare() -> object:
        y = X
        for _ in range(OPS):
            y = y * C
        g = np.ones(2)
        for _ in range(OPS):
            g = g * C
        return g

    return {
        "ours": lambda: _descend(x, lambda y: y * c),
        "bare NumPy": bare,
        "PyTorch": lambda: _descend(x_torch, lambda y: y * c_torch),
    }


def mixed() -> dict[str, Callable[[], object]]:
    """``y = -(tanh(y) * c + x)``: a result that is kept, a constant, and a leaf that is used again and again."""
    x, c = tg.tensor(X, requires_grad=True), tg.tensor(C)
    x_torch, c_torch = torch.tensor(X, requires_grad=True), torch.tensor(C)

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

    return {
        "ours": lambda: _descend(x, lambda y: -(np.tanh(y) * c + x), OPS // 4),
        "bare NumPy": bare,
        "PyTorch": lambda: _descend(x_torch, lambda y: -(torch.tanh(y) * c_torch + x_torch), OPS // 4),
    }


def _descend(x: Any, op: Callable[[Any], Any], times: int = OPS) -> None:
    x.grad = None
    y = x
    for _ in range(times):
        y = op(y)
    y.sum().backward()
