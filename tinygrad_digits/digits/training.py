"""The training loop: mini-batch gradient descent on a recipe's net, measured after every epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from .. import optim
from ..nn import Module
from ..ops.threads import image_threads
from ..program import compile
from .augmentation import Distortion
from .data import Digits, as_floats, batches
from .evaluation import accuracy, reader
from .recipes import LOSSES, OPTIMIZERS, RECIPES, SCHEDULES, Recipe
from .runs import Epoch, Run, RunError

SAMPLE = 10_000
"""How many training images the training accuracy is measured on: as many as there are validation images in MNIST."""


class Diverged(Exception):  # noqa: N818 - what happened is not a mistake in the program
    """The loss became infinite or not a number."""


@dataclass
class Trained:
    """What `fit` returns: the model, what each epoch gave, and whether it was stopped early."""

    model: Module
    history: list[Epoch] = field(default_factory=list)
    interrupted: bool = False


def fit(
    recipe: Recipe,
    digits: Digits,
    *,
    seed: int = 0,
    run: Run | None = None,
    resume: bool = False,
    compiled: bool = True,
    on_batch: Callable[[int, int], None] = lambda epoch, images: None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Trained:
    """Train a recipe's net.

    Ctrl-C ends it early; the model is as it was then.

    Parameters
    ----------
    recipe : Recipe
        The net and its settings.
    digits : Digits
        What to learn from; the test images are not looked at.
    seed : int
        Of the one Generator that draws the initial weights and shuffles the images: the same seed gives the same
        weights, bit for bit, on one machine.
    run : Run, optional
        Where to keep the metrics, the model, and what it takes to go on. All are written at each epoch's end.
    resume : bool
        Go on from the last epoch's end that the run has kept: to the same weights, bit for bit, as without a break.
    compiled : bool
        Run each step as a program (see `tinygrad_digits.compile`), which gives the same but for rounding, sooner.
    on_batch : callable, optional
        Called with the epoch's number and how many of its images are done.
    on_epoch : callable, optional
        Called with each epoch's `Epoch`.

    Raises
    ------
    Diverged
        If the loss or a weight becomes infinite or not a number. The run keeps the model of the last good epoch.
    RunError
        If the run to be resumed has had all its epochs, or what it has kept cannot be read.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from tinygrad_digits.digits import RECIPES, fit, load_mnist
    >>> trained = fit(replace(RECIPES["sigmoid"], epochs=1), load_mnist())
    >>> trained.history[0].validation_accuracy > 0.9
    True
    """
    training = _Training(recipe, digits, seed, compiled)
    model = training.model
    trained = Trained(model)
    if run and resume:
        trained.history = _resumed(training, run)
    kept = model.state_dict()
    try:
        with threadpool_limits(1, user_api="blas"), image_threads(recipe.threads):
            for number in range(len(trained.history) + 1, recipe.epochs + 1):
                epoch = training.epoch(number, on_batch)
                kept = model.state_dict()
                trained.history.append(epoch)
                if run:
                    run.add(epoch, kept, training.state_dict())
                on_epoch(epoch)
    except KeyboardInterrupt:
        trained.interrupted = True
    except Diverged:
        model.load_state_dict(kept)
        raise
    finally:
        model.eval()
    if run and trained.interrupted:
        run.save_model(model.state_dict())
    return trained


def _resumed(training: _Training, run: Run) -> list[Epoch]:
    """Put a training where its run has left off; give the epochs it has had. Without any, it is as it was."""
    state = run.load_state()
    if state is None:
        return run.cut(0)
    try:
        done = training.load_state_dict(state)
    except (KeyError, ValueError) as error:
        raise RunError(
            f"{run.folder} cannot be resumed, as its training state does not fit: {error.args[0]}"
        ) from error
    if done >= training.recipe.epochs:
        raise RunError(f"{run.folder} has had its {done} epochs: to train it for longer, ask for more")
    return run.cut(done)


Item = TypeVar("Item")


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Give what an iterator gives; the next item is made in another thread while the last one is used."""
    with ThreadPoolExecutor(1) as worker:
        following = worker.submit(next, items, None)
        while (item := following.result()) is not None:
            following = worker.submit(next, items, None)
            yield item


def _descent(model: Module, optimizer: optim.Optimizer, recipe: Recipe) -> Callable[[Any, Any], Any]:
    """Make the step downhill: it returns the loss before it."""
    loss_of, max_norm = LOSSES[recipe.loss], recipe.max_norm

    def descend(images: Any, labels: Any) -> Any:
        loss = loss_of(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        if max_norm:
            optim.clip_grad_norm(optimizer.params, max_norm)
        optimizer.step()
        return loss

    return descend


class _Training:
    """A net in training, and all that changes while it is."""

    def __init__(self, recipe: Recipe, digits: Digits, seed: int, compiled: bool) -> None:
        self.recipe, self.compiled = recipe, compiled
        weights, self.rng = np.random.default_rng(seed).spawn(2)
        self.model = recipe.build(weights)
        self.inputs, self.labels = as_floats(digits.train.images), digits.train.labels
        self.validation = as_floats(digits.validation.images), digits.validation.labels
        self.optimizer = OPTIMIZERS[recipe.optimizer](self.model.parameters(), recipe)
        descend = _descent(self.model, self.optimizer, recipe)
        self.descend = compile(descend) if compiled else descend
        self.gather_and_descend = compile(lambda x, y, places: descend(x[places], y[places]))
        self.forward = reader(self.model, compiled=compiled)
        self.steps_per_epoch = math.ceil(len(self.inputs) / recipe.batch_size)
        self.schedule = SCHEDULES[recipe.schedule](recipe.lr, recipe.epochs * self.steps_per_epoch)
        self.step = 0
        self.epochs = 0
        self.start = perf_counter()

    def epoch(self, number: int, on_batch: Callable[[int, int], None]) -> Epoch:
        """Pass over the training images once, and measure."""
        model = self.model.train()
        began = perf_counter()
        total, done = 0.0, 0
        with np.errstate(over="ignore", invalid="ignore"):  # numbers out of bounds are dealt with, not warned of
            for loss in self._losses():
                total += loss
                done = min(done + self.recipe.batch_size, len(self.inputs))
                on_batch(number, done)
        took = perf_counter() - began
        if not all(np.isfinite(weights).all() for weights in model.state_dict().values()):
            raise self._diverged("a weight became infinite or NaN")
        model.eval()
        self.epochs = number
        return Epoch(
            number,
            total / self.steps_per_epoch,
            accuracy(self.forward, self.inputs[:SAMPLE], self.labels[:SAMPLE]),
            accuracy(self.forward, *self.validation),
            self.optimizer.lr,
            done / took,
            perf_counter() - self.start,
        )

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Give all that it takes to go on from an epoch's end as if there had been no break."""
        generators = {place: rng.bit_generator.state for place, rng in self._generators().items()}
        return {
            **{f"model.{name}": array for name, array in self.model.state_dict().items()},
            **{f"optimizer.{name}": array for name, array in self.optimizer.state_dict().items()},
            "generators": np.frombuffer(json.dumps(generators).encode(), np.uint8),
            "epochs": np.array(self.epochs),
            "seconds": np.array(perf_counter() - self.start),
        }

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> int:
        """Take over what `state_dict` gave; return how many epochs that is from the start."""
        for name, target in ("model.", self.model), ("optimizer.", self.optimizer):
            part = {key.removeprefix(name): array for key, array in state.items() if key.startswith(name)}
            target.load_state_dict(part)
        generators = json.loads(state["generators"].tobytes())
        for place, rng in self._generators().items():
            rng.bit_generator.state = generators[place]
        self.epochs = int(state["epochs"])
        self.step = self.epochs * self.steps_per_epoch
        self.start = perf_counter() - float(state["seconds"])
        return self.epochs

    def _generators(self) -> dict[str, Generator]:
        """All that anything random is drawn from."""
        return {"data": self.rng, **{f"model.{place}": rng for place, rng in self.model.generators().items()}}

    def _losses(self) -> Iterator[float]:
        """Take an epoch's steps downhill, and give the loss before each."""
        optimizer = self.optimizer
        for run, *batch in self._batches():
            optimizer.lr = self.schedule(self.step)
            self.step += 1
            try:
                value = run(*batch).item()
            except optim.InfiniteGradient:
                raise self._diverged("a gradient became infinite or NaN") from None
            if not math.isfinite(value):
                raise self._diverged(f"the loss became {value}")
            yield value

    def _batches(self) -> Iterator[tuple[Any, ...]]:
        """Give an epoch's mini-batches, each after what is to be run on it.

        To distort one takes up to half a step: that is done while the one before runs. A program gathers those that
        stay as they are by itself.
        """
        rng, augment, size = self.rng, self.recipe.augment, self.recipe.batch_size
        if augment is None and self.compiled:
            for (places,) in batches(np.arange(len(self.inputs)), size=size, rng=rng):
                yield self.gather_and_descend, self.inputs, self.labels, places
            return
        pieces = batches(self.inputs, self.labels, size=size, rng=rng)
        if augment is not None:
            pieces = ((augment(images, rng), labels) for images, labels in pieces)
        for piece in ahead(pieces) if isinstance(augment, Distortion) else pieces:
            yield self.descend, *piece

    def _diverged(self, what: str) -> Diverged:
        lr, usual = self.optimizer.lr, RECIPES.get(self.recipe.name, self.recipe).lr
        return Diverged(
            f"{what} at step {self.step:,}, with a learning rate of {lr:g}: try a smaller one "
            f"(--lr {usual if usual < lr else lr / 10:.1g})"
        )
