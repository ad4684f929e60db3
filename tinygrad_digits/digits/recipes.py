"""Recipes: nets with the settings they are trained with. To add one, add a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .. import optim
from ..nn import Flatten, Linear, Module, Sequential, Sigmoid, cross_entropy, mse_loss
from ..tensor import Tensor
from .augmentation import Shift


@dataclass(frozen=True)
class Recipe:
    """A net with its training settings.

    Attributes
    ----------
    name : str
        What the command line calls it.
    about : str
        What it shows, in a sentence.
    build : callable
        Makes the net, its initial weights drawn from a Generator: from images (N, 28, 28, 1) to ten outputs (N, 10).
    loss : {"cross_entropy", "quadratic"}
        Cross-entropy takes the outputs as logits. The quadratic cost is half the squared distance of the outputs from
        1 for the right digit and 0 for the others, the mean over the images.
    epochs, batch_size : int
        Passes over the training images, and images a step.
    lr, momentum, weight_decay : float
        Settings of `tinygrad_digits.optim.SGD`.
    augment : callable, optional
        What is done to each mini-batch of images first, given them and a Generator: a `tinygrad_digits.digits.Shift` or
        `Distortion`.
    schedule : {"constant", "linear", "cosine", "one_cycle"}
        How the learning rate goes on from `lr`: see `tinygrad_digits.optim`.
    threads : int
        How many threads the matrix products may use. Small ones lose more by waiting for each other than they gain.
    """

    name: str
    about: str
    build: Callable[[Generator], Module]
    loss: str
    epochs: int
    batch_size: int
    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0
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
        if self.loss not in LOSSES or self.schedule not in SCHEDULES:
            raise ValueError(
                f"the recipe {self.name} has the loss {self.loss!r} and the schedule {self.schedule!r}: known are "
                f"{', '.join(LOSSES)}, and {', '.join(SCHEDULES)}"
            )


_LEAST = {"epochs": 1, "batch_size": 1, "lr": 0, "momentum": 0, "weight_decay": 0, "threads": 1}

ONE_HOT = np.eye(10, dtype=np.float32)

LOSSES: dict[str, Callable[[Tensor, NDArray[Any]], Tensor]] = {
    "cross_entropy": cross_entropy,
    # mse_loss is the mean over the outputs too: ten halves make it half the squared distance.
    "quadratic": lambda outputs, labels: 5 * mse_loss(outputs, ONE_HOT.take(labels, axis=0)),
}

SCHEDULES = {
    "constant": optim.constant,
    "linear": optim.linear,
    "cosine": optim.cosine,
    "one_cycle": optim.one_cycle,
}


def _sigmoid(rng: Generator) -> Module:
    return Sequential(Flatten(), Linear(784, 100, rng=rng), Sigmoid(), Linear(100, 10, rng=rng))


def _nielsen(rng: Generator) -> Module:
    # He drew all from the standard normal distribution. An output may then begin so far on the flat of its sigmoid that
    # it never learns its digit: of five seeds one ends at 86 %. From weights of deviation 1/√n all end above 95 %.
    return Sequential(Flatten(), Linear(784, 30, rng=rng), Sigmoid(), Linear(30, 10, rng=rng), Sigmoid())


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "sigmoid",
            "One hidden layer of 100 sigmoid neurons, trained by cross-entropy: the short way to 98 %.",
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
            "nielsen",
            "30 hidden sigmoid neurons, the quadratic cost: the first net of Nielsen's book, from smaller weights.",
            _nielsen,
            loss="quadratic",
            epochs=30,
            batch_size=10,
            lr=3.0,
        ),
    )
}
"""All recipes by name. The first is the default of the command line."""
