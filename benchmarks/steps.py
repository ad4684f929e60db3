"""One training step of a digit net, its mini-batch gathered from the whole data: ours, by hand, and PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import tinygrad_digits as tg
from tinygrad_digits.digits import RECIPES, batches

Array = NDArray[np.float32]
Step = Callable[[], object]

IMAGES = 50_000
PIXELS = 784


def data() -> tuple[Array, NDArray[np.uint8], Array]:
    """Make images, labels, and labels as one-hot rows, as many as MNIST's; what is on them does not matter here."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, IMAGES).astype(np.uint8)
    return rng.random((IMAGES, PIXELS), dtype=np.float32) / 4, labels, np.eye(10, dtype=np.float32)[labels]


def endless(*arrays: NDArray[Any], size: int) -> Iterator[tuple[NDArray[Any], ...]]:
    """Give one mini-batch after another, without end: the way ours is fed."""
    rng = np.random.default_rng(1)
    while True:
        yield from batches(*arrays, size=size, rng=rng, drop_last=True)


def shuffled(size: int) -> Iterator[NDArray[np.int64]]:
    """Give the indices of one mini-batch after another, without end: the way the others are fed."""
    rng = np.random.default_rng(1)
    while True:
        order = rng.permutation(IMAGES)
        for start in range(0, IMAGES - size + 1, size):
            yield order[start : start + size]


# ------------------------------------------------------------------------------------------- 784-30-10, quadratic cost


def nielsen() -> dict[str, Step]:
    """The net of the recipe ``nielsen``: sigmoids, the mean squared error, mini-batches of 10, SGD at 3.0."""
    model = RECIPES["nielsen"].build(np.random.default_rng(0))
    start = [p.numpy() for p in model.parameters()]
    return {"ours": _nielsen_ours(model), "by hand": _nielsen_by_hand(*start), "PyTorch": _nielsen_torch(*start)}


def _nielsen_ours(model: tg.nn.Module) -> Step:
    images, _, targets = data()
    optimizer = tg.optim.SGD(model.parameters(), lr=3.0)
    batch = endless(images, targets, size=10)

    def step() -> None:
        x, y = next(batch)
        loss = tg.nn.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _nielsen_by_hand(w1: Array, b1: Array, w2: Array, b2: Array) -> Step:
    """Do the same by hand.

    Nothing is allocated, the learning rate is multiplied into the smallest array, and the first weights lie transposed,
    the faster way to multiply so few rows.
    """
    images, _, targets = data()
    batch = shuffled(10)
    w1 = np.ascontiguousarray(w1.T)
    x, y = np.empty((10, PIXELS), np.float32), np.empty((10, 10), np.float32)
    h, d1, s1 = (np.empty((10, 30), np.float32) for _ in range(3))
    a, d2, s2 = (np.empty((10, 10), np.float32) for _ in range(3))
    g1, g2, c1, c2 = (np.empty_like(p) for p in (w1, w2, b1, b2))
    scale = np.float32(3.0 * 2 / 100)

    def sigmoid(z: Array) -> None:
        np.negative(z, out=z)
        np.exp(z, out=z)
        np.add(z, 1, out=z)
        np.reciprocal(z, out=z)

    def step() -> None:
        index = next(batch)
        images.take(index, axis=0, out=x, mode="clip")
        targets.take(index, axis=0, out=y, mode="clip")
        np.matmul(x, w1.T, out=h)
        np.add(h, b1, out=h)
        sigmoid(h)
        np.matmul(h, w2, out=a)
        np.add(a, b2, out=a)
        sigmoid(a)
        np.subtract(a, y, out=d2)
        np.multiply(d2, scale, out=d2)
        np.multiply(d2, a, out=d2)
        np.subtract(1, a, out=s2)
        np.multiply(d2, s2, out=d2)
        np.matmul(d2, w2.T, out=d1)
        np.multiply(d1, h, out=d1)
        np.subtract(1, h, out=s1)
        np.multiply(d1, s1, out=d1)
        np.matmul(h.T, d2, out=g2)
        np.matmul(d1.T, x, out=g1)
        np.add.reduce(d2, axis=0, out=c2)
        np.add.reduce(d1, axis=0, out=c1)
        np.subtract(w2, g2, out=w2)
        np.subtract(w1, g1, out=w1)
        np.subtract(b2, c2, out=b2)
        np.subtract(b1, c1, out=b1)

    return step


def _nielsen_torch(w1: Array, b1: Array, w2: Array, b2: Array) -> Step:
    images, _, targets = (torch.from_numpy(a) for a in data())
    hidden, output = _linear_torch(w1, b1), _linear_torch(w2, b2)
    model = torch.nn.Sequential(hidden, torch.nn.Sigmoid(), output, torch.nn.Sigmoid())
    optimizer = torch.optim.SGD(model.parameters(), lr=3.0)
    batch = shuffled(10)

    def step() -> None:
        index = torch.from_numpy(next(batch))
        loss = torch.nn.functional.mse_loss(model(images[index]), targets[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


# --------------------------------------------------------------------------------- 784-512-256-10, ReLU, cross-entropy


def mlp() -> dict[str, Step]:
    """A larger net: two hidden ReLU layers, cross-entropy, mini-batches of 128, SGD with momentum."""
    rng = np.random.default_rng(0)
    sizes = (PIXELS, 512), (512, 256), (256, 10)
    layers = [tg.nn.Linear(*size, weight_init=tg.nn.init.he_normal, rng=rng) for size in sizes]
    start = [p.numpy() for layer in layers for p in layer.parameters()]
    return {"ours": _mlp_ours(layers), "PyTorch": _mlp_torch(*start)}


def _mlp_ours(layers: list[tg.nn.Linear]) -> Step:
    images, labels, _ = data()
    model = tg.nn.Sequential(layers[0], tg.nn.ReLU(), layers[1], tg.nn.ReLU(), layers[2])
    optimizer = tg.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    batch = endless(images, labels, size=128)

    def step() -> None:
        x, y = next(batch)
        loss = tg.nn.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _mlp_torch(*start: Array) -> Step:
    images, labels, _ = (torch.from_numpy(a) for a in data())
    labels = labels.long()
    first, second, third = (_linear_torch(*start[i : i + 2]) for i in (0, 2, 4))
    model = torch.nn.Sequential(first, torch.nn.ReLU(), second, torch.nn.ReLU(), third)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    batch = shuffled(128)

    def step() -> None:
        index = torch.from_numpy(next(batch))
        loss = torch.nn.functional.cross_entropy(model(images[index]), labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


# ------------------------------------------------------------------ LeNet: two convolutions, pooling, two dense layers


def lenet() -> dict[str, Step]:
    """A net like LeNet-5: two convolutions of 5×5 pixels, each pooled, and two dense layers; mini-batches of 64.

    Both pool before relu, which gives what relu before pooling would, from a quarter of the numbers.
    """
    rng = np.random.default_rng(0)
    he = {"weight_init": tg.nn.init.he_normal, "rng": rng}
    convolutions = [tg.nn.Conv2d(1, 20, 5, **he), tg.nn.Conv2d(20, 40, 5, **he)]
    dense = [tg.nn.Linear(640, 100, **he), tg.nn.Linear(100, 10, **he)]
    start = [p.numpy() for layer in (*convolutions, *dense) for p in layer.parameters()]
    return {"ours": _lenet_ours(convolutions, dense), "PyTorch": _lenet_torch(*start)}


def _lenet_ours(convolutions: list[tg.nn.Conv2d], dense: list[tg.nn.Linear]) -> Step:
    images, labels, _ = data()
    images = images.reshape(-1, 28, 28, 1)
    nn = tg.nn
    model = nn.Sequential(
        *(layer for conv in convolutions for layer in (conv, nn.MaxPool2d(2), nn.ReLU())),
        *(nn.Flatten(), dense[0], nn.ReLU(), dense[1]),
    )
    optimizer = tg.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    batch = endless(images, labels, size=64)

    def step() -> None:
        x, y = next(batch)
        loss = tg.nn.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _lenet_torch(*start: Array) -> Step:
    images, labels, _ = (torch.from_numpy(a) for a in data())
    images, labels = images.reshape(-1, 1, 28, 28), labels.long()
    nn = torch.nn
    convolutions = [_conv_torch(*start[i : i + 2]) for i in (0, 2)]
    dense = [_linear_torch(*start[i : i + 2]) for i in (4, 6)]
    model = nn.Sequential(
        *(layer for conv in convolutions for layer in (conv, nn.MaxPool2d(2), nn.ReLU())),
        *(nn.Flatten(), dense[0], nn.ReLU(), dense[1]),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    batch = shuffled(64)

    def step() -> None:
        index = torch.from_numpy(next(batch))
        loss = torch.nn.functional.cross_entropy(model(images[index]), labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _conv_torch(weight: Array, bias: Array) -> torch.nn.Conv2d:
    layer = torch.nn.Conv2d(*weight.shape[2:], weight.shape[:2])
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.transpose(3, 2, 0, 1).copy()))
        layer.bias.copy_(torch.from_numpy(bias))
    return layer


def _linear_torch(weight: Array, bias: Array) -> torch.nn.Linear:
    layer = torch.nn.Linear(*weight.shape)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.T.copy()))
        layer.bias.copy_(torch.from_numpy(bias))
    return layer
