"""The step as our users write it, eager and compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tinygrad_digits as tg

from .nets import SIDE, Array, Data, Net, Rival

AFTER: dict[str, Callable[[], list[tg.nn.Module]]] = {
    "sigmoid": lambda: [tg.nn.Sigmoid()],
    "relu": lambda: [tg.nn.ReLU()],
    "pool relu": lambda: [tg.nn.MaxPool2d(2), tg.nn.ReLU()],
    "": list,
}


def eager(net: Net, data: Data, start: list[Array]) -> Rival:
    """The step as it is."""
    return _rival(net, data, start, lambda step: step)


def compiled(net: Net, data: Data, start: list[Array]) -> Rival:
    """The step as a program."""
    return _rival(net, data, start, tg.compile)


def _rival(net: Net, data: Data, start: list[Array], form: Callable[[Any], Any]) -> Rival:
    model = _model(net, start)
    optimizer = tg.optim.SGD(model.parameters(), lr=net.lr, momentum=net.momentum)
    images = data.images.reshape(-1, SIDE, SIDE, 1) if net.convolutional else data.images
    labels, criterion = {
        "quadratic": (data.targets, tg.nn.mse_loss),
        "cross entropy": (data.labels, tg.nn.cross_entropy),
    }[net.loss]

    @form
    def step(images: Any, labels: Any, index: Any) -> None:
        x, y = images[index], labels[index]
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return Rival(
        lambda index: step(images, labels, index),
        lambda: [p.numpy() for p in model.parameters()],
        blas=1 if net.convolutional else None,
        explain=getattr(step, "explain", None) and (lambda index: step.explain(images, labels, index)),
    )


def _model(net: Net, start: list[Array]) -> tg.nn.Module:
    layers: list[Any] = []
    for shape, after in zip(net.weights, net.after, strict=True):
        if len(shape) == 4:
            layers.append(tg.nn.Conv2d(*shape[2:], shape[:2]))
        elif net.convolutional and not any(isinstance(layer, tg.nn.Flatten) for layer in layers):
            layers += [tg.nn.Flatten(), tg.nn.Linear(*shape)]
        else:
            layers.append(tg.nn.Linear(*shape))
        layers += AFTER[after]()
    model = tg.nn.Sequential(*layers)
    model.load_state_dict(dict(zip(model.state_dict(), start, strict=True)))
    return model
