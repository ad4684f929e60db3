"""Recipes, the training loop, evaluation and run folders."""

import json
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tinygrad_digits import nn, optim
from tinygrad_digits.digits import (
    RECIPES,
    Distortion,
    Diverged,
    Examples,
    Run,
    RunError,
    Shift,
    accuracy,
    as_floats,
    batches,
    evaluate,
    fit,
    load_mnist,
    outputs,
)


@pytest.fixture(scope="module")
def few():
    """A thousand training images, and two hundred each of the others."""
    train, validation, test = load_mnist()
    cut = lambda part, n: Examples(part.images[:n], part.labels[:n])
    return type(load_mnist())(cut(train, 1000), cut(validation, 200), cut(test, 200))


def quick(name="sigmoid", **settings):
    return replace(RECIPES[name], **{"epochs": 2, **settings})


# ------------------------------------------------------------------------------------------------------------- recipes


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_recipe_learns(recipe, few):
    epochs = {"deep": 120, "recurrent": 10}.get(recipe.name, 5)  # deep begins with a long time of learning nothing
    trained = fit(replace(recipe, epochs=epochs), few)
    assert trained.history[-1].loss < trained.history[0].loss
    assert trained.history[-1].validation_accuracy > 0.6
    assert outputs(trained.model, as_floats(few.test.images)).shape == (200, 10)
    assert not trained.model.training


def test_the_nets_are_those_the_recipes_promise():
    sizes = {
        name: [p.shape for p in recipe.build(np.random.default_rng(0)).parameters()] for name, recipe in RECIPES.items()
    }
    assert sizes["sigmoid"] == [(784, 100), (100,), (100, 10), (10,)]
    assert sizes["nielsen"] == [(784, 30), (30,), (30, 10), (10,)]
    assert sizes["mlp"] == [(784, 512), (512,), (512, 256), (256,), (256, 10), (10,)]
    assert sizes["lenet"] == [(5, 5, 1, 20), (20,), (5, 5, 20, 40), (40,), (640, 100), (100,), (100, 10), (10,)]


# ------------------------------------------------------------------------------------------------------------ training


def noisy(**settings):
    """A recipe with all that is random: dropout, distortions, shuffling; and with momentum."""
    net = lambda rng: nn.Sequential(
        nn.Flatten(), nn.Linear(784, 20, rng=rng), nn.Dropout(rng=rng), nn.Linear(20, 10, rng=rng)
    )
    return quick(build=net, augment=Distortion(shift=1, rotation=10, elastic=0.5), schedule="one_cycle", **settings)


def interrupting(epoch, images):
    """Something to call on each batch that interrupts the training."""

    def on_batch(number, done):
        if (number, done) >= (epoch, images):
            raise KeyboardInterrupt

    return on_batch


@pytest.mark.parametrize(
    ("when", "settings"),
    [
        ((3, 0), {}),
        ((3, 500), {}),
        ((4, 1000), {}),
        ((1, 300), {}),
        ((3, 500), {"optimizer": "adam", "lr": 1e-3}),
    ],
)
def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(few, tmp_path, when, settings):
    recipe = noisy(epochs=4, batch_size=100, **settings)
    whole = fit(recipe, few, seed=3)
    run = Run.create(tmp_path / "run", recipe)
    stopped = fit(recipe, few, seed=3, run=run, on_batch=interrupting(*when))
    assert stopped.interrupted
    resumed = fit(recipe, few, seed=3, run=run, resume=True)
    for name, weights in whole.model.state_dict().items():
        assert weights.tobytes() == resumed.model.state_dict()[name].tobytes()
    timeless = lambda epochs: [replace(e, seconds=0, images_per_second=0) for e in epochs]
    assert timeless(resumed.history) == timeless(whole.history)
    assert run.metrics() == resumed.history
    seconds = [epoch.seconds for epoch in resumed.history]
    assert seconds == sorted(seconds)


@pytest.mark.parametrize("name", ["nielsen", "sigmoid"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_resumed_training_comes_to_the_same_weights_compiled_or_not(few, tmp_path, name, compiled):
    """Also in mini-batches of two sizes, each with its program, so small that weights are kept transposed."""
    settings = {"batch_size": 16, "schedule": "constant"}
    run = Run.create(tmp_path / "run", quick(name, epochs=1, **settings))
    fit(quick(name, epochs=1, **settings), few, run=run, compiled=compiled)
    resumed = fit(quick(name, **settings), few, run=run, resume=True, compiled=compiled)
    whole = fit(quick(name, **settings), few, compiled=compiled)
    for one, other in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert one.numpy().tobytes() == other.numpy().tobytes()
    assert [e.loss for e in resumed.history] == [e.loss for e in whole.history]


@pytest.mark.parametrize("name", ["nielsen", "sigmoid", "recurrent"])
def test_a_compiled_training_is_that_of_the_steps_as_they_are(few, name):
    lr = 0.01 if name == "recurrent" else 0.1  # with 0.1 it makes 1e-2 of rounding within 40 steps, in any framework
    settings = {"batch_size": 30, "optimizer": "sgd", "lr": lr, "augment": None if name == "nielsen" else Shift(1)}
    eager, compiled = (fit(quick(name, **settings), few, compiled=c) for c in (False, True))
    for one, other in zip(eager.history, compiled.history, strict=True):
        assert other.loss == pytest.approx(one.loss, rel=1e-4)
        assert other.learning_rate == one.learning_rate
    for one, other in zip(eager.model.parameters(), compiled.model.parameters(), strict=True):
        np.testing.assert_allclose(other.numpy(), one.numpy(), atol=1e-4)


def test_a_training_that_is_over_can_have_more_epochs(few, tmp_path):
    run = Run.create(tmp_path / "run", quick(epochs=1))
    fit(quick(epochs=1), few, run=run)
    with pytest.raises(RunError, match="has had its 1 epochs: to train it for longer, ask for more"):
        fit(quick(epochs=1), few, run=run, resume=True)
    assert [e.epoch for e in fit(quick(epochs=2), few, run=run, resume=True).history] == [1, 2]


def test_a_broken_training_state_is_told(few, tmp_path):
    run = Run.create(tmp_path / "run", quick(epochs=2))
    fit(quick(epochs=1), few, run=run)
    with pytest.raises(RunError, match="does not fit: the state does not fit Sequential"):
        fit(replace(noisy(epochs=2), build=RECIPES["deep"].build), few, run=run, resume=True)
    (tmp_path / "run" / "metrics.jsonl").write_text("")
    with pytest.raises(RunError, match="has 0 epochs, of the 1 that were trained"):
        fit(quick(epochs=2), few, run=run, resume=True)
    (tmp_path / "run" / "training.safetensors").write_bytes(b"nothing")
    with pytest.raises(RunError, match="cannot be read"):
        fit(quick(epochs=2), few, run=run, resume=True)


def test_nielsens_first_steps_are_those_of_his_formulas(few):
    """The whole loop against the update rule of his book, written out for one epoch in float64."""
    recipe = quick("nielsen", epochs=1)
    trained = fit(recipe, few, seed=5)
    weights, rng = np.random.default_rng(5).spawn(2)
    w1, b1, w2, b2 = (p.numpy().astype(float) for p in recipe.build(weights).parameters())
    order = rng.permutation(1000)
    sigmoid = lambda z: 1 / (1 + np.exp(-z))
    losses = []
    for start in range(0, 1000, 10):
        batch = order[start : start + 10]
        x, y = few.train.images[batch].reshape(10, 784) / 255, np.eye(10)[few.train.labels[batch]]
        h = sigmoid(x @ w1 + b1)
        a = sigmoid(h @ w2 + b2)
        losses.append(np.mean(np.sum((y - a) ** 2, axis=1)) / 2)
        delta2 = (a - y) * a * (1 - a)
        delta1 = delta2 @ w2.T * h * (1 - h)
        w2 -= 3 / 10 * h.T @ delta2
        b2 -= 3 / 10 * delta2.sum(axis=0)
        w1 -= 3 / 10 * x.T @ delta1
        b1 -= 3 / 10 * delta1.sum(axis=0)
    for found, expected in zip(trained.model.parameters(), (w1, b1, w2, b2), strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(trained.history[0].loss, np.mean(losses), rtol=1e-4)


def test_a_seed_gives_the_same_weights_bit_for_bit(few):
    first, again, other = (fit(quick(), few, seed=seed).model.state_dict() for seed in (0, 0, 1))
    for name, weights in first.items():
        assert weights.tobytes() == again[name].tobytes()
    assert any(np.any(first[name] != other[name]) for name in first if name.endswith("weight"))


def test_metrics_say_what_was_measured(few):
    seen = []
    trained = fit(quick(batch_size=300), few, on_batch=lambda epoch, done: seen.append((epoch, done)))
    assert seen == [(e, n) for e in (1, 2) for n in (300, 600, 900, 1000)]
    last = trained.history[-1]
    assert [e.epoch for e in trained.history] == [1, 2]
    assert last.training_accuracy == accuracy(trained.model, as_floats(few.train.images), few.train.labels)
    assert last.validation_accuracy == accuracy(trained.model, as_floats(few.validation.images), few.validation.labels)
    assert last.learning_rate == pytest.approx(0.5 * RECIPES["sigmoid"].lr / 4)
    assert last.images_per_second > 0
    assert last.seconds > trained.history[0].seconds > 0


def test_a_run_keeps_settings_metrics_and_model(few, tmp_path):
    recipe = quick(lr=0.25)
    run = Run.create(tmp_path / "run", recipe, seed=3)
    trained = fit(recipe, few, seed=3, run=run)
    opened = Run.open(tmp_path / "run")
    assert opened.settings == {
        "recipe": "sigmoid",
        "augment": "Shift(pixels=1)",
        "loss": "cross_entropy",
        "epochs": 2,
        "batch_size": recipe.batch_size,
        "lr": 0.25,
        "optimizer": "sgd",
        "momentum": recipe.momentum,
        "weight_decay": recipe.weight_decay,
        "schedule": "linear",
        "max_norm": 0.0,
        "threads": 1,
        "seed": 3,
    }
    assert opened.metrics() == trained.history
    assert opened.recipe == recipe
    x = as_floats(few.test.images)
    np.testing.assert_array_equal(outputs(opened.load_model(), x), outputs(trained.model, x))
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "metrics.jsonl",
        "model.safetensors",
        "settings.json",
        "training.safetensors",
    ]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("epochs", "max_norm", "what"), [(1, 0, "the loss became nan"), (2, 0, "the loss became nan"), (2, 1, "a gradient")]
)
def test_what_diverges_stops_and_keeps_what_was_learned(few, tmp_path, epochs, max_norm, what, compiled):
    """The weights become infinite in the last epoch: those of the one before are kept."""
    recipe = quick("sigmoid", epochs=epochs, schedule="constant", max_norm=max_norm)
    run = Run.create(tmp_path / "run", recipe)
    good = (
        fit(replace(recipe, epochs=1), few, compiled=compiled).model
        if epochs == 2
        else recipe.build(np.random.default_rng(0).spawn(2)[0])
    )
    last = []

    def sabotage(epoch, done):
        if epoch == epochs and not last:
            last.append(done)
            for weight in trained_weights:
                weight.data = np.full(weight.shape, np.inf)

    trained_weights = []
    build = recipe.build

    def watched(rng):
        model = build(rng)
        trained_weights.extend(model.parameters())
        return model

    with pytest.raises(Diverged, match=rf"{what}.* at step \d+, with a learning rate of 0\.\d+: try a smaller"):
        fit(replace(recipe, build=watched), few, run=run, compiled=compiled, on_batch=sabotage)
    assert len(run.metrics()) == epochs - 1
    for weight, one in zip(trained_weights, good.parameters(), strict=True):
        np.testing.assert_array_equal(weight.numpy(), one.numpy())
    if epochs == 1:
        with pytest.raises(RunError, match="its training did not get that far"):
            run.load_model()
    else:
        x = as_floats(few.test.images)
        np.testing.assert_array_equal(outputs(run.load_model(), x), outputs(good, x))


def test_an_absurd_learning_rate_is_called_by_its_name(few):
    with pytest.raises(Diverged, match=r"learning rate of 1e\+30: try a smaller one \(--lr 0\.5\)"):
        fit(quick(lr=1e30, schedule="constant"), few)


def test_gradients_are_clipped_and_one_that_is_infinite_is_no_step(few):
    """A step of SGD at rate 1 moves the weights by the norm that is allowed; the square root has slope +inf at 0."""
    start = [p.numpy() for p in RECIPES["perceptron"].build(np.random.default_rng(0).spawn(2)[0]).parameters()]
    recipe = quick("perceptron", lr=1.0, max_norm=1e-3, batch_size=1000, epochs=1, schedule="constant")
    moved = [p.numpy() - s for p, s in zip(fit(recipe, few).model.parameters(), start, strict=True)]
    assert np.sqrt(sum(np.sum(m**2) for m in moved)) == pytest.approx(1e-3, rel=1e-2)

    def steep(rng):
        return nn.Sequential(nn.Flatten(), np.sqrt, nn.Linear(784, 10, weight_init=nn.init.zeros), np.sqrt)

    with pytest.raises(Diverged, match="a gradient became infinite or NaN at step 1,"):
        fit(replace(recipe, build=steep), few)


def test_a_recipe_can_ask_for_adam(few):
    settings = {"lr": 0.01, "weight_decay": 0.1}
    recipe = quick("perceptron", optimizer="adam", momentum=0.7, batch_size=500, epochs=1, **settings)
    weights, rng = np.random.default_rng(0).spawn(2)
    model = recipe.build(weights)
    optimizer = optim.Adam(model.parameters(), betas=(0.7, 0.999), **settings)
    with threadpool_limits(1, user_api="blas"):  # as fit has it: more threads may round otherwise
        for step, (x, y) in enumerate(batches(as_floats(few.train.images), few.train.labels, size=500, rng=rng)):
            optimizer.zero_grad()
            optimizer.lr = 0.01 * (1 - step / 2)
            nn.cross_entropy(model(x), y).backward()
            optimizer.step()
    trained = fit(recipe, few, compiled=False)
    for found, expected in zip(trained.model.parameters(), model.parameters(), strict=True):
        assert found.numpy().tobytes() == expected.numpy().tobytes()


def test_weights_that_diverge_in_the_last_step_are_noticed(few):
    with pytest.raises(Diverged, match="a weight became infinite or NaN at step 1,"):
        fit(quick(lr=1e38, momentum=0, weight_decay=1e10, batch_size=1000, schedule="constant"), few)


@pytest.mark.parametrize("compiled", [False, True])
def test_ctrl_c_ends_training_and_keeps_the_model_so_far(few, tmp_path, compiled):
    run = Run.create(tmp_path / "run", quick())

    def press(epoch, done):
        if epoch == 2 and done >= 500:
            raise KeyboardInterrupt

    trained = fit(quick(), few, run=run, compiled=compiled, on_batch=press)
    assert trained.interrupted
    assert len(trained.history) == 1
    x = as_floats(few.test.images)
    np.testing.assert_array_equal(outputs(run.load_model(), x), outputs(trained.model, x))
    assert np.any(outputs(trained.model, x) != outputs(fit(quick(epochs=1), few).model, x))


# ---------------------------------------------------------------------------------------------------------- evaluation


class Parrot(nn.Module):
    """Says the digits it was given, whatever the images."""

    def __init__(self, digits):
        self.said = list(digits)

    def __call__(self, x):
        digits, self.said = self.said[: len(x)], self.said[len(x) :]
        return np.eye(10)[digits] + np.zeros((len(x), 10)) + nn.Flatten()(x)[:, :1] * 0


def test_a_report_counts_right_and_wrong():
    labels = np.array([3, 3, 3, 5, 5, 1, 2, 2], np.uint8)
    said = [8, 8, 3, 6, 5, 1, 2, 2]
    report = evaluate(Parrot(said), Examples(np.zeros((8, 28, 28), np.uint8), labels), compiled=False)
    assert (report.accuracy, report.first_half, report.second_half) == (5 / 8, 1 / 4, 1)
    assert [(c.digit, c.read_as, c.count) for c in report.confusions] == [(3, 8, 2), (5, 6, 1)]


def test_outputs_do_not_depend_on_the_batch_size():
    model = RECIPES["sigmoid"].build(np.random.default_rng(0))
    x = as_floats(load_mnist().test.images[:25])
    np.testing.assert_allclose(outputs(model, x, batch_size=7), outputs(model, x), rtol=1e-5, atol=1e-6)
    assert not any(p.grad is not None for p in model.parameters())


# --------------------------------------------------------------------------------------------------------- run folders


def test_runs_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = [Run.create(None, quick(name)).folder.as_posix() for name in ("sigmoid", "sigmoid", "nielsen")]
    assert made == ["runs/sigmoid-1", "runs/sigmoid-2", "runs/nielsen-1"]


def test_a_folder_with_something_in_it_is_not_taken(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RunError, match="is there already and not empty: choose another --out"):
        Run.create(tmp_path, quick())
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RunError, match="cannot make the run folder"):
        Run.create(tmp_path / "thesis.tex", quick())
    with pytest.raises(RunError, match="cannot make the run folder"):
        Run.create(tmp_path / "thesis.tex" / "run", quick())


def test_an_empty_folder_is_taken(tmp_path):
    assert Run.create(tmp_path, quick()).folder == tmp_path


def changed(**settings):
    """Make a function that changes a run's settings."""

    def apply(run):
        path = run / "settings.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))

    return apply


def reported(**values):
    """Make a function that gives a run a report with such values."""
    report = {"accuracy": 1, "first_half": 1, "second_half": 1, "confusions": [], **values}
    return lambda run: (run / "test.json").write_text(json.dumps(report))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda run: (run / "settings.json").unlink(), "is not a run folder: it has no settings.json"),
        (lambda run: (run / "settings.json").write_text("{"), "settings.json cannot be read"),
        (lambda run: (run / "settings.json").write_text('{"recipe": "x"}'), "names no recipe of this version"),
        (lambda run: (run / "settings.json").write_text("[]"), "names no recipe of this version"),
        (lambda run: (run / "model.safetensors").unlink(), "has no model.safetensors"),
        (lambda run: (run / "model.safetensors").write_bytes(b"?"), "not a whole safetensors file"),
        (changed(recipe="nielsen"), r"recipe nielsen: layers.1.weight has"),
        (changed(recipe=["sigmoid"]), "names no recipe of this version"),
        (changed(data_dir=5), "a data_dir that is no path: 5"),
        (changed(lr="fast"), "has lr='fast': it must be a number of at least 0"),
        (changed(loss="hinge"), "has the loss 'hinge': known are cross_entropy, quadratic"),
        (changed(optimizer="newton"), "has the optimizer 'newton': known are sgd, adam"),
        (changed(schedule="none"), "has the schedule 'none': known are constant, linear"),
        (lambda run: (run / "settings.json").write_text('{"recipe": "sigmoid"}'), "is not complete.*loss"),
        (
            lambda run: (run / "metrics.jsonl").write_text('{"epoch": 1}'),
            "metrics.jsonl has a line that cannot be read",
        ),
        (lambda run: (run / "metrics.jsonl").write_text("[1]"), "metrics.jsonl has a line that cannot be read"),
        (reported(accuracy="high"), "test.json cannot be read .accuracy should be a number"),
        (lambda run: (run / "test.json").write_text("[]"), "test.json cannot be read"),
        (lambda run: (run / "metrics.jsonl").write_text("?"), "metrics.jsonl has a line that cannot be read"),
        (lambda run: (run / "test.json").write_text("{}"), "test.json cannot be read"),
    ],
)
def test_what_is_wrong_with_a_run_is_said(few, tmp_path, spoil, words):
    folder = tmp_path / "run"
    recipe = quick(epochs=1)
    fit(recipe, few, run=Run.create(folder, recipe))
    spoil(folder)

    def read():
        run = Run.open(folder)
        return run.load_model(), run.metrics(), run.report()

    with pytest.raises(RunError, match=words):
        read()


def test_a_report_is_kept(tmp_path):
    run = Run.create(tmp_path, quick())
    assert run.report() is None
    report = evaluate(
        Parrot([1, 2]), Examples(np.zeros((2, 28, 28), np.uint8), np.array([1, 3], np.uint8)), compiled=False
    )
    run.save_report(report)
    assert Run.open(tmp_path).report() == report
    assert json.loads((tmp_path / "test.json").read_text())["confusions"] == [{"digit": 3, "read_as": 2, "count": 1}]
