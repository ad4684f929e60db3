"""What is raced: four nets, the data they are fed, and what a rival is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from math import prod

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

IMAGES = 50_000
SIDE = 28


@dataclass(frozen=True)
class Data:
    """Images, flat; labels; and the labels as one-hot rows."""

    images: Array
    labels: NDArray[np.uint8]
    targets: Array


@cache
def data(count: int = IMAGES) -> Data:
    """Make as many as MNIST's; what is on them does not matter here."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, count).astype(np.uint8)
    images = rng.random((count, SIDE * SIDE), dtype=np.float32) / 4
    return Data(images, labels, np.eye(10, dtype=np.float32)[labels])


def shuffled(size: int, count: int = IMAGES) -> Iterator[NDArray[np.int64]]:
    """Give the indices of one mini-batch after another, without end."""
    rng = np.random.default_rng(1)
    while True:
        order = rng.permutation(count)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]


@dataclass(frozen=True)
class Net:
    """A net with the settings of its step.

    Attributes
    ----------
    weights : tuple of shapes
        Of a dense layer (inputs, outputs); of a convolution (height, width, channels, filters).
    after : tuple of {"sigmoid", "relu", "pool relu", ""}
        What follows each of them. Pooling comes before relu: it gives what relu before pooling would, from a quarter of
        the numbers.
    loss : {"quadratic", "cross entropy"}
        The mean squared error from one-hot rows, or cross-entropy from labels.
    repeat : int
        How many steps to take in a turn of a race.
    """

    name: str
    about: str
    weights: tuple[tuple[int, ...], ...]
    after: tuple[str, ...]
    loss: str
    batch: int
    lr: float
    momentum: float = 0.0
    repeat: int = 20

    @property
    def convolutional(self) -> bool:
        """Whether it begins with a convolution."""
        return len(self.weights[0]) == 4

    def start(self) -> list[Array]:
        """Draw the parameters to start from: a weight and a bias a layer."""
        rng = np.random.default_rng(0)
        pairs = ((_drawn(rng, shape), np.zeros(shape[-1], np.float32)) for shape in self.weights)
        return [array for pair in pairs for array in pair]


def _drawn(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.normal(scale=(2 / prod(shape[:-1])) ** 0.5, size=shape).astype(np.float32)


@dataclass(frozen=True)
class Rival:
    """Somebody who can take a net's step.

    Attributes
    ----------
    step : callable
        Takes a step on the mini-batch of these indices, and returns when it is done.
    weights : callable
        The parameters as they are now, in the shapes of `Net.start`.
    blas : int, optional
        How many threads BLAS is to have meanwhile; all if not given.
    explain : callable, optional
        Says what each line of the step takes.
    """

    step: Callable[[NDArray[np.int64]], object]
    weights: Callable[[], list[Array]]
    blas: int | None = None
    explain: Callable[[NDArray[np.int64]], str] | None = None


NETS = (
    Net(
        "784-30-10",
        "sigmoids, quadratic cost, batch 10",
        weights=((784, 30), (30, 10)),
        after=("sigmoid", "sigmoid"),
        loss="quadratic",
        batch=10,
        lr=3.0,
        repeat=300,
    ),
    Net(
        "784-100-10",
        "sigmoid, cross-entropy, batch 32",
        weights=((784, 100), (100, 10)),
        after=("sigmoid", ""),
        loss="cross entropy",
        batch=32,
        lr=0.5,
        repeat=50,
    ),
    Net(
        "784-512-256-10",
        "ReLU, momentum, batch 128",
        weights=((784, 512), (512, 256), (256, 10)),
        after=("relu", "relu", ""),
        loss="cross entropy",
        batch=128,
        lr=0.01,
        momentum=0.9,
    ),
    Net(
        "LeNet",  # two convolutions, each pooled, and two dense layers
        "ReLU, momentum, batch 64",
        weights=((5, 5, 1, 20), (5, 5, 20, 40), (640, 100), (100, 10)),
        after=("pool relu", "pool relu", "relu", ""),
        loss="cross entropy",
        batch=64,
        lr=0.01,
        momentum=0.9,
    ),
)
