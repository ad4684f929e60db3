"""Where a program's values are: in memory that is there before it runs, no more of it than it takes."""

import tracemalloc

import numpy as np
import pytest

import tinygrad_digits as tg
from tinygrad_digits.digits import RECIPES
from tinygrad_digits.digits.recipes import LOSSES

IMAGES = np.random.default_rng(0).random((128, 28, 28, 1), np.float32)
LABELS = np.random.default_rng(1).integers(0, 10, 128).astype(np.uint8)
STORED = tg.tensor(IMAGES), tg.tensor(LABELS)

HARDLY_ANYTHING = 15_000
"""Bytes: for views, numbers, indices of a mini-batch; less than any array of the nets' layers."""


@pytest.fixture(autouse=True)
def short_buffers():
    """Have ufuncs not go through broadcast operands by 8,192 elements at a time, copied to memory of their own."""
    usual = np.setbufsize(256)
    yield
    np.setbufsize(usual)


def of_recipe(name, size, *, gathered=False, optimizer=tg.optim.SGD, **settings):
    """A recipe's compiled step, with what to call it with."""
    recipe = RECIPES[name]
    return compiled(recipe.build(np.random.default_rng(0)), LOSSES[recipe.loss], size, gathered, optimizer, settings)


def compiled(model, loss_of, size, gathered, optimizer, settings):
    optimizer = optimizer(model.parameters(), lr=0.01, **settings)

    def train(x, y):
        loss = loss_of(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    if gathered:
        images, labels = STORED
        step = tg.compile(lambda rows: train(images[rows], labels[rows]))
        return step, (np.random.default_rng(2).permutation(128)[:size],)
    return tg.compile(train), (IMAGES[:size], LABELS[:size])


def of_layers(*layers, **settings):
    rng = np.random.default_rng(0)
    model = tg.nn.Sequential(tg.nn.Flatten(), tg.nn.Linear(784, 64, rng=rng), *layers, tg.nn.Linear(64, 10, rng=rng))
    return compiled(model, tg.nn.cross_entropy, 64, False, **{"optimizer": tg.optim.Adam, "settings": settings})


STEPS = {
    "nielsen": lambda: of_recipe("nielsen", 128),
    "nielsen, gathered": lambda: of_recipe("nielsen", 128, gathered=True),
    "sigmoid, momentum": lambda: of_recipe("sigmoid", 128, momentum=0.9, weight_decay=1e-5),
    "sigmoid, nesterov": lambda: of_recipe("sigmoid", 128, momentum=0.9, nesterov=True),
    "mlp, gathered": lambda: of_recipe("mlp", 32, gathered=True, momentum=0.9, weight_decay=1e-5),
    "mlp, Adam": lambda: of_recipe("mlp", 32, optimizer=tg.optim.Adam),
    "mlp, RMSprop": lambda: of_recipe("mlp", 32, optimizer=tg.optim.RMSprop, momentum=0.9),
    "mlp, Adagrad": lambda: of_recipe("mlp", 32, optimizer=tg.optim.Adagrad),
    "lenet": lambda: of_recipe("lenet", 8, momentum=0.9, weight_decay=1e-4),
    "lenet, gathered": lambda: of_recipe("lenet", 8, gathered=True, momentum=0.9),
    "recurrent": lambda: of_recipe("recurrent", 32, momentum=0.9),
    "dropout": lambda: of_layers(tg.nn.ReLU(), tg.nn.Dropout(0.5, rng=0)),
    "batch norm": lambda: of_layers(tg.nn.BatchNorm1d(64), tg.nn.Tanh()),
    "einsum, clip": lambda: of_layers(tg.nn.Lambda(lambda x: np.clip(np.einsum("ni,nj->ni", x, x), -1, 1))),
    "layer norm": lambda: of_layers(tg.nn.LayerNorm(64), tg.nn.GELU()),
}


@pytest.mark.parametrize("make", STEPS.values(), ids=STEPS)
def test_calls_allocate_no_arrays(make, request):
    step, args = make()
    for _ in range(3):
        step(*args)
    calls = 100 if "nielsen" in request.node.name else 10
    arrays = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    tracemalloc.start()
    try:
        for _ in range(5):  # what Python itself keeps of a call
            step(*args)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(calls):
            step(*args)
        peak = tracemalloc.get_traced_memory()[1]
        left = tracemalloc.take_snapshot().filter_traces([arrays])
    finally:
        tracemalloc.stop()
    assert peak - before < HARDLY_ANYTHING
    assert sum(trace.size for trace in left.traces) < 1000
