"""Compiled steps: the same results as the step's own, for all recipes, layers, losses and schedules."""

import numpy as np
import pytest

import tinygrad_digits as tg
from tinygrad_digits.digits import RECIPES
from tinygrad_digits.digits.recipes import LOSSES, OPTIMIZERS, SCHEDULES

# Ten patterns with noise, as sparse as digits: a net learns them. In noise alone rounding would grow without bounds.
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 10, 64).astype(np.uint8)
PICTURES = 0.8 * (RNG.random((10, 28, 28, 1)) < 0.15)[LABELS] + 0.2 * RNG.random((64, 28, 28, 1))


def in_double_precision(model):
    """The model, with parameters of float64."""
    for module in model.modules():
        for name, value in vars(module).items():
            if isinstance(value, tg.Tensor):
                setattr(module, name, tg.tensor(value.numpy(), dtype=float, requires_grad=value.requires_grad))
    return model


def programs(step):
    """All the programs that a compiled step keeps."""
    return [one for kept in step._programs.values() for one in kept]


# --------------------------------------------------------------------------------------------------------- the recipes

SMALL = {"perceptron", "nielsen", "sigmoid", "deep"}


def losses(recipe, *, compiled, dtype, steps):
    """What a recipe's training gives on some images that are none, and its parameters then."""
    model = recipe.build(np.random.default_rng(0))
    if dtype == np.float64:
        in_double_precision(model)
    optimizer = OPTIMIZERS[recipe.optimizer](model.parameters(), recipe)
    schedule = SCHEDULES[recipe.schedule](recipe.lr, steps)

    def step(x, y):
        loss = LOSSES[recipe.loss](model(x), y)
        optimizer.zero_grad()
        loss.backward()
        if recipe.max_norm:
            tg.optim.clip_grad_norm(optimizer.params, recipe.max_norm)
        optimizer.step()
        return loss

    run = tg.compile(step) if compiled else step
    batches = [slice(i, i + 16) for i in range(0, 64, 16)]
    data = [(PICTURES[batch].astype(dtype), LABELS[batch]) for batch in batches]
    found = []
    for i in range(steps):
        optimizer.lr = schedule(i)
        found.append(run(*data[i % 4]).item())
    if compiled:
        assert len(programs(run)) == 1
    return np.array(found), model.state_dict()


@pytest.mark.parametrize("name", RECIPES)
def test_a_compiled_recipe_agrees_with_eager_in_double_precision(name):
    steps = 1000 if name in SMALL else 6
    (eager, kept), (compiled, other) = (
        losses(RECIPES[name], compiled=c, dtype=np.float64, steps=steps) for c in (False, True)
    )
    np.testing.assert_allclose(compiled, eager, rtol=1e-9)
    for place, array in kept.items():
        np.testing.assert_allclose(other[place], array, rtol=1e-9, atol=1e-9 * np.max(np.abs(array)), err_msg=place)


@pytest.mark.parametrize("name", RECIPES)
def test_a_compiled_recipe_agrees_with_eager_in_single_precision(name):
    steps = 50 if name in SMALL else 6
    (eager, _), (compiled, _) = (
        losses(RECIPES[name], compiled=c, dtype=np.float32, steps=steps) for c in (False, True)
    )
    np.testing.assert_allclose(compiled, eager, rtol=1e-5)


# ---------------------------------------------------------------------------------------------------------- the layers

nn = tg.nn
RECURRENT = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}

# fmt: off
LAYERS = {  # the shape of an input, and layers that take it
    "Linear":          ((6, 4),        lambda rng: [nn.Linear(4, 3, rng=rng)]),
    "Sigmoid":         ((6, 4),        lambda rng: [nn.Linear(4, 5, rng=rng), nn.Sigmoid()]),
    "Tanh":            ((6, 4),        lambda rng: [nn.Linear(4, 5, rng=rng), nn.Tanh()]),
    "ReLU":            ((6, 4),        lambda rng: [nn.Linear(4, 5, rng=rng), nn.ReLU()]),
    "LeakyReLU":       ((6, 4),        lambda rng: [nn.Linear(4, 5, rng=rng), nn.LeakyReLU(0.1)]),
    "ELU":             ((6, 4),        lambda rng: [nn.Linear(4, 5, rng=rng), nn.Lambda(tg.elu)]),
    "Softplus":        ((6, 4),        lambda rng: [nn.Linear(4, 5, rng=rng), nn.Softplus()]),
    "SiLU":            ((6, 4),        lambda rng: [nn.Linear(4, 5, rng=rng), nn.SiLU()]),
    "GELU":            ((6, 4),        lambda rng: [nn.Linear(4, 5, rng=rng), nn.GELU()]),
    "Softmax":         ((6, 4),        lambda rng: [nn.Linear(4, 5, rng=rng), nn.Softmax()]),
    "Dropout":         ((6, 4),        lambda rng: [nn.Linear(4, 5, rng=rng), nn.Dropout(0.4, rng=3)]),
    "two Dropouts":    ((6, 4),        lambda rng: [nn.Dropout(0.2, rng=rng), nn.Linear(4, 5, rng=rng),
                                                    nn.Dropout(0.5, rng=rng)]),
    "BatchNorm1d":     ((6, 4),        lambda rng: [nn.Linear(4, 5, rng=rng), nn.BatchNorm1d(5), nn.Tanh()]),
    "BatchNorm1d, 3d": ((3, 2, 4),     lambda rng: [nn.BatchNorm1d(4, momentum=0.5)]),
    "BatchNorm2d":     ((3, 5, 5, 2),  lambda rng: [nn.Conv2d(2, 3, 3, rng=rng), nn.BatchNorm2d(3), nn.ReLU()]),
    "LayerNorm":       ((6, 4),        lambda rng: [nn.LayerNorm(4), nn.Linear(4, 5, rng=rng)]),
    "Residual":        ((6, 4),        lambda rng: [nn.Residual(nn.Linear(4, 4, rng=rng), nn.Tanh())]),
    "Conv2d":          ((3, 6, 5, 2),  lambda rng: [nn.Conv2d(2, 3, 3, padding=1, stride=2, rng=rng), nn.ReLU()]),
    "MaxPool2d":       ((3, 6, 5, 2),  lambda rng: [nn.Conv2d(2, 3, (2, 1), rng=rng), nn.MaxPool2d(2)]),
    "MaxPool2d, apart": ((3, 6, 6, 1), lambda rng: [nn.Conv2d(1, 2, 1, rng=rng), nn.MaxPool2d(3, stride=2, padding=1)]),
    "AvgPool2d":       ((3, 6, 6, 1),  lambda rng: [nn.Conv2d(1, 2, 1, rng=rng), nn.AvgPool2d(3, stride=3)]),
    **{name: ((3, 4, 2), lambda rng, cell=cell: [cell(2, 3, rng=rng), nn.Lambda(lambda states: states[:, -1])])
       for name, cell in RECURRENT.items()},
    **{f"two {name}s": ((3, 4, 2), lambda rng, cell=cell: [cell(2, 3, rng=rng), cell(3, 2, rng=rng)])
       for name, cell in RECURRENT.items()},
}
# fmt: on


def trained(layers, shape, *, compiled, dtype=float):
    """What a net with some layers gives in training and in evaluation, and what it has left then."""
    rng = np.random.default_rng(0)
    model = in_double_precision(tg.nn.Sequential(*layers(rng)))
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step(x):
        out = model(x)
        loss = tg.nn.mse_loss(out, np.full(out.shape, 0.25))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, out

    evaluate = model
    if compiled:
        step, evaluate = tg.compile(step), tg.compile(lambda x: model(x))
    found = []
    for _ in range(4):
        x = rng.normal(size=shape)
        found += [t.numpy() for t in step(x)]
        model.eval()
        found.append(np.array(evaluate(x).numpy()))
        model.train()
    if compiled:
        assert len(programs(step)) == len(programs(evaluate)) == 1
    return [*found, *model.state_dict().values(), *(g.bit_generator.random_raw() for g in model.generators().values())]


@pytest.mark.parametrize("name", LAYERS)
def test_a_compiled_layer_agrees_with_eager(name):
    shape, layers = LAYERS[name]
    eager, compiled = (trained(layers, shape, compiled=c) for c in (False, True))
    for a, b in zip(compiled, eager, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_an_embedding_is_compiled():
    nets = []
    for compiled in (False, True):
        table = tg.nn.Embedding(7, 3, rng=0, dtype=float)
        optimizer = tg.optim.Adam(table.parameters(), lr=0.1)

        def step(words, table=table, optimizer=optimizer):
            loss = np.sum(table(words) ** 2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        run = tg.compile(step) if compiled else step
        rng = np.random.default_rng(0)
        nets.append(([run(rng.integers(0, 7, (2, 5))).item() for _ in range(5)], table.weight.numpy()))
        with pytest.raises(ValueError, match=r"Embedding\(7, 3\) has rows 0 to 6, not 7"):
            run(np.full((2, 5), 7))
        np.testing.assert_array_equal(table.weight.numpy(), nets[-1][1])
    for a, b in zip(*nets, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)


# ---------------------------------------------------------------------------------------------------------- the losses

HALF = np.random.default_rng(5).random((4, 3))
SHARES = HALF / np.sum(HALF, axis=1, keepdims=True)

COSTS = {
    "mse": lambda z, y: nn.mse_loss(z, SHARES),
    "mse, sum": lambda z, y: nn.mse_loss(z, SHARES, reduction="sum"),
    "l1": lambda z, y: nn.l1_loss(z, SHARES),
    "huber": lambda z, y: nn.huber_loss(z, SHARES, delta=0.3),
    "cross entropy": lambda z, y: nn.cross_entropy(z, y),
    "cross entropy, smoothed": lambda z, y: nn.cross_entropy(z, y, label_smoothing=0.1),
    "cross entropy, weighted": lambda z, y: nn.cross_entropy(z, y, weight=np.array([1.0, 2.0, 0.5])),
    "cross entropy, each": lambda z, y: np.sum(nn.cross_entropy(z, y, reduction="none") ** 2),
    "nll": lambda z, y: nn.nll_loss(tg.log_softmax(z), y),
    "hinge": lambda z, y: nn.hinge_loss(z, y),
    "binary": lambda z, y: nn.binary_cross_entropy_with_logits(z, SHARES),
    "kl": lambda z, y: nn.kl_div(tg.log_softmax(z), SHARES),
}


@pytest.mark.parametrize("cost", COSTS.values(), ids=COSTS)
def test_a_compiled_loss_agrees_with_eager(cost):
    found = []
    for compiled in (False, True):
        w = tg.tensor(np.random.default_rng(0).normal(size=(5, 3)), requires_grad=True)

        def step(x, y, w=w):
            w.grad = None
            loss = cost(x @ w, y)
            loss.backward()
            return loss

        run, rng = tg.compile(step) if compiled else step, np.random.default_rng(1)
        found.append([])
        for _ in range(3):
            found[-1] += [run(rng.normal(size=(4, 5)), rng.integers(0, 3, 4)).item(), w.grad]
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize(
    "transform",
    [
        lambda f, w: tg.grad(f)(w),
        lambda f, w: np.sum(tg.value_and_grad(f)(w)[1]),
        lambda f, w: tg.hvp(f)(w, w * 2),
        lambda f, w: tg.hessian(f)(w),
        lambda f, w: tg.jvp(f, (w,), (w * 0.5,))[1],
    ],
    ids=["grad", "value_and_grad", "hvp", "hessian", "jvp"],
)
def test_a_compiled_transform_agrees_with_eager(transform):
    scale = tg.tensor(np.array([0.5, 2.0]), requires_grad=True)

    def step(w):
        return transform(lambda v: np.sum(np.sin(v * scale.detach()) * v), w)

    run, rng = tg.compile(step), np.random.default_rng(0)
    for _ in range(3):
        w = rng.normal(size=2)
        np.testing.assert_allclose(run(w).numpy(), np.asarray(step(w)), rtol=1e-11)


# ------------------------------------------------------------------------------------------------------- the schedules

TIMES = {
    "constant": tg.optim.constant,
    "linear": tg.optim.linear,
    "step decay": tg.optim.step_decay,
    "exponential": tg.optim.exponential,
    "cosine": tg.optim.cosine,
    "one cycle": tg.optim.one_cycle,
    "warm up": lambda lr, steps: tg.optim.warm_up(tg.optim.cosine(lr, steps), 5),
}
KINDS = {
    "sgd": lambda groups: tg.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda groups: tg.optim.AdamW(groups, lr=0.1),
    "rmsprop": lambda groups: tg.optim.RMSprop(groups, momentum=0.5),
    "adagrad": lambda groups: tg.optim.Adagrad(groups),
}


@pytest.mark.parametrize("schedule", TIMES.values(), ids=TIMES)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_settings_change_at_each_call_in_one_program(schedule, kind):
    found = []
    for compiled in (False, True):
        rng = np.random.default_rng(0)
        v, w = (tg.tensor(rng.normal(size=shape), requires_grad=True) for shape in [(3, 2), (2,)])
        optimizer = kind([{"params": [v]}, {"params": [w], "weight_decay": 0.1}])
        rate, slower = schedule(0.1, 20), schedule(0.01, 20)

        def step(x, v=v, w=w, optimizer=optimizer):
            loss = np.mean(np.tanh(x @ v + w) ** 2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        run = tg.compile(step) if compiled else step
        for i in range(20):
            optimizer.param_groups[0]["lr"] = rate(i)
            optimizer.param_groups[1]["lr"] = slower(i)
            optimizer.param_groups[1]["weight_decay"] = 0.1 + i / 100
            run(rng.normal(size=(4, 3)))
        found.append([v.numpy(), w.numpy(), *(array for _, array in sorted(optimizer.state_dict().items()))])
        if compiled:
            assert len(programs(run)) == 1
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)
