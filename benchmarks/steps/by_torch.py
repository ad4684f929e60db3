"""The step by PyTorch, eager."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .nets import SIDE, Array, Data, Net, Rival

AFTER: dict[str, Any] = {
    "sigmoid": lambda: [nn.Sigmoid()],
    "relu": lambda: [nn.ReLU()],
    "pool relu": lambda: [nn.MaxPool2d(2), nn.ReLU()],
    "": list,
}


def rival(net: Net, data: Data, start: list[Array]) -> Rival:
    """As its users write it, with the channels first."""
    layers: list[nn.Module] = []
    for shape, after in zip(net.weights, net.after, strict=True):
        flatten = [nn.Flatten()] if net.convolutional else []
        layers += [nn.Conv2d(*shape[2:], shape[:2])] if len(shape) == 4 else [*flatten, nn.Linear(*shape)]
        layers += AFTER[after]()
    model = nn.Sequential(*layers)
    parameters = list(zip(model.parameters(), _channels(net), strict=True))
    with torch.no_grad():
        for (p, channels), array in zip(parameters, start, strict=True):
            p.copy_(torch.from_numpy(_there(array, channels).copy()))
    optimizer = torch.optim.SGD(model.parameters(), lr=net.lr, momentum=net.momentum)
    images = torch.from_numpy(data.images)
    if net.convolutional:
        images = images.reshape(-1, 1, SIDE, SIDE)
    if net.loss == "quadratic":
        labels, criterion = torch.from_numpy(data.targets), nn.functional.mse_loss
    else:
        labels, criterion = torch.from_numpy(data.labels).long(), nn.functional.cross_entropy

    def step(index: NDArray[np.int64]) -> None:
        chosen = torch.from_numpy(index)
        loss = criterion(model(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return Rival(step, lambda: [_back(p.detach().numpy(), channels) for p, channels in parameters])


def _channels(net: Net) -> list[int]:
    """For each parameter, how many channels the images have that its layer flattens; 1 if it flattens none."""
    before = [1, *(shape[-1] if len(shape) == 4 else 1 for shape in net.weights[:-1])]
    return [
        channels if len(shape) == 2 else 1 for channels, shape in zip(before, net.weights, strict=True) for _ in "wb"
    ]


def _there(array: Array, channels: int) -> Array:
    """A parameter laid out as PyTorch has it."""
    if array.ndim == 2:
        array = array.reshape(-1, channels, array.shape[1]).swapaxes(0, 1).reshape(array.shape).T
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array


def _back(array: Array, channels: int) -> Array:
    """A parameter of PyTorch's, laid out as ours are."""
    if array.ndim == 2:
        array = array.T.reshape(channels, -1, array.shape[0]).swapaxes(0, 1).reshape(array.shape[::-1])
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
