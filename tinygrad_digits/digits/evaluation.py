"""How well a net reads: accuracy, and the digits it takes for others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..nn import Module
from ..program import compile
from ..tensor import no_grad
from .data import Examples, as_floats, batches

Array = NDArray[Any]


@dataclass(frozen=True)
class Confusion:
    """Images of one digit that were read as another, and how many there are."""

    digit: int
    read_as: int
    count: int


@dataclass(frozen=True)
class Report:
    """How well a net reads a set of images.

    Attributes
    ----------
    accuracy : float
        The fraction classified correctly, 0 to 1.
    first_half, second_half : float
        The same for each half: MNIST's test images were written by two groups of people.
    confusions : tuple of Confusion
        All pairs that were confused, the most frequent first.
    """

    accuracy: float
    first_half: float
    second_half: float
    confusions: tuple[Confusion, ...]


def reader(model: Module, *, compiled: bool = True) -> Callable[[Array], Any]:
    """Make the function that gives a net's outputs, unrecorded, for one batch after another of inputs."""

    def read(inputs: Any) -> Any:
        with no_grad():
            return model(inputs)

    return compile(read) if compiled else read


def outputs(model: Callable[[Array], Any], inputs: Array, *, batch_size: int = 1_000) -> Array:
    """Give a net's outputs (N, classes) for inputs (N, 28, 28, 1), unrecorded, in batches to save memory."""
    with no_grad():
        return np.concatenate([np.asarray(model(x)) for (x,) in batches(inputs, size=batch_size)])


def accuracy(model: Callable[[Array], Any], inputs: Array, labels: Array) -> float:
    """Give the fraction of inputs (N, 28, 28, 1) whose greatest output is that of their label, 0 to 1."""
    return float(np.mean(outputs(model, inputs).argmax(axis=1) == labels))


def evaluate(model: Module, examples: Examples, *, compiled: bool = True) -> Report:
    """Have a net read all the images of a set, by a compiled program or as it is."""
    digits = outputs(reader(model, compiled=compiled), as_floats(examples.images)).argmax(axis=1)
    right = digits == examples.labels
    half = len(right) // 2
    table = np.zeros((10, 10), int)
    np.add.at(table, (examples.labels, digits), 1)
    np.fill_diagonal(table, 0)
    most = np.argsort(table, axis=None, kind="stable")[::-1][: np.count_nonzero(table)]
    confusions = tuple(Confusion(int(i // 10), int(i % 10), int(table.flat[i])) for i in most)
    return Report(float(right.mean()), float(right[:half].mean()), float(right[half:].mean()), confusions)
