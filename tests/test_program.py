"""Compiled steps: the same results as the step's own, in programs that people can read."""

import numpy as np
import pytest

import tinygrad_digits as tg
from tinygrad_digits.digits import RECIPES
from tinygrad_digits.digits.recipes import LOSSES

PICTURES = np.random.default_rng(0).random((64, 28, 28, 1))
LABELS = np.random.default_rng(1).integers(0, 10, 64).astype(np.uint8)


def in_double_precision(model):
    """The model, with parameters of float64."""
    for module in model.modules():
        for name, value in vars(module).items():
            if isinstance(value, tg.Tensor):
                setattr(module, name, tg.tensor(value.numpy(), dtype=float, requires_grad=value.requires_grad))
    return model


def losses(recipe, *, compiled, dtype, steps):
    """What a recipe's training gives on some images that are none."""
    model = recipe.build(np.random.default_rng(0))
    if dtype == np.float64:
        in_double_precision(model)
    optimizer = tg.optim.SGD(model.parameters(), lr=recipe.lr, momentum=recipe.momentum)

    def step(x, y):
        loss = LOSSES[recipe.loss](model(x), y)
        optimizer.zero_grad()
        loss.backward()
        if recipe.max_norm:
            tg.optim.clip_grad_norm(optimizer.params, recipe.max_norm)
        optimizer.step()
        return loss

    run = tg.compile(step) if compiled else step
    found = []
    for i in range(steps):
        optimizer.lr *= 0.99
        batch = slice(i % 4 * 16, i % 4 * 16 + 16)
        found.append(run(PICTURES[batch].astype(dtype), LABELS[batch]).item())
    return found


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 1e-4)])
def test_a_compiled_recipe_agrees_with_eager(name, dtype, tolerance):
    eager, compiled = (losses(RECIPES[name], compiled=c, dtype=dtype, steps=12) for c in (False, True))
    np.testing.assert_allclose(compiled, eager, rtol=tolerance)
