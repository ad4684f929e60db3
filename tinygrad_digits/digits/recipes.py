"""Recipes: nets with the settings they are trained with. To add one, add a net and a row.

The settings were chosen on the validation images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .. import optim
from ..nn import (
    RNN,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
    Sigmoid,
    cross_entropy,
    init,
    mse_loss,
)
from ..tensor import Tensor, tensor
from .augmentation import Distortion, Shift


@dataclass(frozen=True)
class Recipe:
    """A net with its training settings.

    Attributes
    ----------
    name : str
        What the command line calls it.
    about : str
        What it shows, in a sentence.
    expect : str
        The test accuracy to expect, and the time, as measured: on one core or two of a shared server.
    build : callable
        Makes the net, its initial weights drawn from a Generator: from images (N, 28, 28, 1) to ten outputs (N, 10).
    loss : {"cross_entropy", "quadratic"}
        Cross-entropy takes the outputs as logits. The quadratic cost is half the squared distance of the outputs from
        1 for the right digit and 0 for the others, the mean over the images.
    epochs, batch_size : int
        Passes over the training images, and images a step.
    optimizer : {"sgd", "adam"}
        `tinygrad_digits.optim.SGD` or `Adam`.
    lr, momentum, weight_decay : float
        Its settings. The momentum is how much is kept of the last step's direction: β₁ of Adam.
    augment : callable, optional
        What is done to each mini-batch of images first, given them and a Generator: a `tinygrad_digits.digits.Shift` or
        `Distortion`.
    max_norm : float
        What norm all gradients together are clipped to: see `tinygrad_digits.optim.clip_grad_norm`. 0 for no clipping.
    schedule : {"constant", "linear", "cosine", "one_cycle"}
        How the learning rate goes on from `lr`: see `tinygrad_digits.optim`.
    threads : int
        How many threads share the images of a batch, where there are convolutions. All else is done by one: small
        products lose more by waiting for each other than they gain.
    """

    name: str
    about: str
    expect: str
    build: Callable[[Generator], Module]
    loss: str
    epochs: int
    batch_size: int
    lr: float
    optimizer: str = "sgd"
    momentum: float = 0.0
    weight_decay: float = 0.0
    max_norm: float = 0.0
    schedule: str = "constant"
    augment: Callable[[NDArray[Any], Generator], NDArray[Any]] | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        for setting, least in _LEAST.items():
            value = getattr(self, setting)
            if not isinstance(value, int | float) or not value >= least:
                raise ValueError(
                    f"the recipe {self.name} has {setting}={value!r}: it must be a number of at least {least}"
                )
        for setting, known in ("loss", [*LOSSES]), ("optimizer", [*OPTIMIZERS]), ("schedule", [*SCHEDULES]):
            value = getattr(self, setting)
            if value not in known:
                raise ValueError(f"the recipe {self.name} has the {setting} {value!r}: known are {', '.join(known)}")


_LEAST = {"epochs": 1, "batch_size": 1, "lr": 0, "momentum": 0, "weight_decay": 0, "max_norm": 0, "threads": 1}

ONE_HOT = tensor(np.eye(10), dtype=np.float32)

LOSSES: dict[str, Callable[[Tensor, NDArray[Any]], Tensor]] = {
    "cross_entropy": cross_entropy,
    # mse_loss is the mean over the outputs too: ten halves make it half the squared distance.
    "quadratic": lambda outputs, labels: 5 * mse_loss(outputs, ONE_HOT[labels]),
}

OPTIMIZERS: dict[str, Callable[[Iterable[Tensor], Recipe], optim.Optimizer]] = {
    "sgd": lambda params, r: optim.SGD(params, lr=r.lr, momentum=r.momentum, weight_decay=r.weight_decay),
    "adam": lambda params, r: optim.Adam(params, lr=r.lr, betas=(r.momentum, 0.999), weight_decay=r.weight_decay),
}

SCHEDULES = {
    "constant": optim.constant,
    "linear": optim.linear,
    "cosine": optim.cosine,
    "one_cycle": optim.one_cycle,
}


# ------------------------------------------------------------------------------------------------------------ the nets


def _perceptron(rng: Generator) -> Module:
    return Sequential(Flatten(), Linear(784, 10, rng=rng))


def _nielsen(rng: Generator) -> Module:
    # He drew all from the standard normal distribution. An output may then begin so far on the flat of its sigmoid that
    # it never learns its digit: of five seeds one ends at 86 %. From weights of deviation 1/√n all end above 95 %.
    return Sequential(Flatten(), Linear(784, 30, rng=rng), Sigmoid(), Linear(30, 10, rng=rng), Sigmoid())


def _sigmoid(rng: Generator) -> Module:
    return Sequential(Flatten(), Linear(784, 100, rng=rng), Sigmoid(), Linear(100, 10, rng=rng))


def _deep(rng: Generator) -> Module:
    return Sequential(
        Flatten(),
        Linear(784, 30, rng=rng),
        Sigmoid(),
        Linear(30, 30, rng=rng),
        Sigmoid(),
        Linear(30, 30, rng=rng),
        Sigmoid(),
        Linear(30, 30, rng=rng),
        Sigmoid(),
        Linear(30, 10, rng=rng),
    )


def _mlp(rng: Generator) -> Module:
    return Sequential(
        Flatten(),
        Linear(784, 512, weight_init=init.he_normal, rng=rng),
        ReLU(),
        Linear(512, 256, weight_init=init.he_normal, rng=rng),
        ReLU(),
        Linear(256, 10, rng=rng),
    )


def _convolutional(filters: tuple[int, int], hidden: int) -> Callable[[Generator], Module]:
    """Two convolutions, each with pooling (before relu, which gives the same in less time), and a hidden layer."""
    first, second = filters

    def build(rng: Generator) -> Module:
        return Sequential(
            Conv2d(1, first, 5, weight_init=init.he_normal, rng=rng),
            MaxPool2d(2),
            ReLU(),
            Conv2d(first, second, 5, weight_init=init.he_normal, rng=rng),
            MaxPool2d(2),
            ReLU(),
            Flatten(),
            Linear(4 * 4 * second, hidden, weight_init=init.he_normal, rng=rng),
            ReLU(),
            Linear(hidden, 10, rng=rng),
        )

    return build


def _recurrent(rng: Generator) -> Module:
    return Sequential(
        lambda images: images.reshape(-1, 28, 28),  # a sequence of 28 rows
        RNN(28, 128, rng=rng),
        lambda states: states[:, -1],
        Linear(128, 10, rng=rng),
    )


# ----------------------------------------------------------------------------------------------------------- the table


DISTORTION = Distortion(shift=1.5, rotation=10, scale=0.1, shear=0.15, elastic=0.8)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "sigmoid",
            "One hidden layer of 100 sigmoid neurons, trained by cross-entropy: the short way to 98 %.",
            "98.5 % in 10 s",
            _sigmoid,
            loss="cross_entropy",
            epochs=20,
            batch_size=64,
            lr=0.5,
            momentum=0.9,
            weight_decay=1e-5,
            schedule="linear",
            augment=Shift(1),
        ),
        Recipe(
            "perceptron",
            "A single layer, each digit a weighted sum of the pixels: how far one goes without a hidden layer.",
            "92.5 % in 2 s",
            _perceptron,
            loss="cross_entropy",
            epochs=10,
            batch_size=50,
            lr=0.5,
            schedule="linear",
        ),
        Recipe(
            "nielsen",
            "30 hidden sigmoid neurons, the quadratic cost: the first net of Nielsen's book, from smaller weights.",
            "95.7 % in 14 s",
            _nielsen,
            loss="quadratic",
            epochs=30,
            batch_size=10,
            lr=3.0,
        ),
        Recipe(
            "deep",
            "Four hidden layers of 30 sigmoid neurons, which read no better than one: the first ones hardly learn.",
            "96 % in 17 s",
            _deep,
            loss="cross_entropy",
            epochs=30,
            batch_size=10,
            lr=0.1,
            weight_decay=1e-4,
        ),
        Recipe(
            "mlp",
            "Two hidden ReLU layers, 512 and 256, on images distorted anew each time: what dense layers can do.",
            "99.3 % in a minute",
            _mlp,
            loss="cross_entropy",
            epochs=30,
            batch_size=128,
            lr=0.1,
            momentum=0.9,
            weight_decay=1e-5,
            schedule="one_cycle",
            augment=DISTORTION,
        ),
        Recipe(
            "lenet",
            "Two convolutions, 20 and 40 filters: features that are found wherever they are.",
            "99.5 % in 4 minutes",
            _convolutional((20, 40), hidden=100),
            loss="cross_entropy",
            epochs=15,
            batch_size=64,
            lr=0.05,
            momentum=0.9,
            weight_decay=1e-4,
            schedule="one_cycle",
            augment=DISTORTION,
            threads=2,
        ),
        Recipe(
            "convnet",
            "The same with 32 and 64 filters and more patience: the best that trains in ten minutes.",
            "99.7 % in 10 minutes",
            _convolutional((32, 64), hidden=128),
            loss="cross_entropy",
            epochs=24,
            batch_size=64,
            lr=0.05,
            momentum=0.9,
            weight_decay=5e-4,
            schedule="one_cycle",
            augment=DISTORTION,
            threads=2,
        ),
        Recipe(
            "recurrent",
            "Reads a digit row by row: what 128 neurons have come to is fed back to them with the next row.",
            "98.6 % in a minute and a half",
            _recurrent,
            loss="cross_entropy",
            epochs=20,
            batch_size=64,
            lr=0.001,
            optimizer="adam",
            momentum=0.9,
            max_norm=1.0,
            schedule="one_cycle",
            augment=DISTORTION,
        ),
    )
}
"""All recipes by name. The first is the default of the command line."""
