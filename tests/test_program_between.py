"""What is done between the calls of a compiled step, or in unusual order within: it does what the step itself does."""

import numpy as np
import pytest

import tinygrad_digits as tg

X = np.linspace(-1, 1, 12)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def weights(*shape, seed=0):
    return tg.tensor(normal(*shape, seed=seed), requires_grad=True)


def trained(compiled, cost, params, **settings):
    """A step that makes a cost small, and its optimizer."""
    optimizer = tg.optim.SGD(params, lr=0.01, momentum=0.9, **settings)

    def step(x):
        loss = np.sum(np.square(cost(x)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return compiled(step), optimizer


def data_that_lies_otherwise(compiled):
    w = weights(3, 4)
    step, _ = trained(compiled, lambda x: np.reshape(w, (12,)) * x, [w])
    yield step(X), step(X)
    w.data = np.asfortranarray(normal(3, 4, seed=1))
    yield step(X), step(X), step(X)
    w.data = normal(3, 4, seed=2)
    yield step(X), step(X), w


def data_that_lies_transposed_at_first(compiled):
    w = tg.asarray(np.asfortranarray(normal(3, 4)), requires_grad=True)
    step, _ = trained(compiled, lambda x: np.reshape(w.T, (12,)) * x, [w])
    yield step(X), step(X)
    w.data = np.ascontiguousarray(w.numpy())
    yield step(X), step(X), w


def data_that_lies_backwards(compiled):
    memory = normal(3, 4)
    w = tg.asarray(memory[::-1], requires_grad=True)
    step, _ = trained(compiled, lambda x: np.reshape(w, (12,)) * x, [w])
    yield step(X), step(X), step(X), w, memory


def weights_that_another_step_transposes(compiled):
    w, v = weights(300, 4), normal(1200, seed=1)
    flat, _ = trained(compiled, lambda x: np.reshape(w, (1200,)) * x, [w])
    few, _ = trained(compiled, lambda x: x @ w, [w])
    for i in range(3):
        yield flat(v), few(normal(2, 300, seed=i) / 100), flat(v), flat(v), w


def gradients_forgotten_in_between(compiled):
    w = weights(12)

    def step(x):
        np.sum(w * w * x).backward()
        w.grad = None
        np.sum(w * x).backward()

    run = compiled(step)
    for _ in range(3):
        run(X)
        yield (w.grad,)


def gradients_that_the_step_sets(compiled):
    w = weights(12)
    optimizer = tg.optim.SGD([w], lr=0.1)

    def step(x):
        w.grad = x * 2
        optimizer.step()

    run = compiled(step)
    for i in range(3):
        run(tg.tensor(X * i))
        yield (w,)


def gradients_that_the_step_sets_and_leaves(compiled):
    w = weights(12)

    def step(x):
        w.grad = x * 2

    run = compiled(step)
    for i in range(3):
        run(tg.tensor(X * i))
        yield (np.array(w.grad),)
    w.grad = None


def gradients_of_one_number(compiled):
    w = weights()
    run = compiled(lambda x: np.sum(w * x).backward())
    for _ in range(3):
        run(X)
        assert type(w.grad) is np.ndarray
        yield (w.grad,)


def results_of_one_number(compiled):
    v = tg.tensor(X)
    run = compiled(lambda: [np.median(v), np.argmax(v), np.count_nonzero(v), np.trace(np.outer(v, v))])
    yield [t.data for t in run()]


def parameters_given_to_the_optimizer_later(compiled):
    w, v = weights(12), weights(12, seed=1)
    step, optimizer = trained(compiled, lambda x: w * v * x, [w])
    yield step(X), step(X)
    v.grad = None
    optimizer.add_param_group({"params": [v], "lr": 0.05})
    yield step(X), step(X), w, v


def indices_from_outside(compiled):
    w, rows, mask, every = weights(4, 3), np.array([0, 2]), np.array([True, False, True, False]), np.arange(4)
    run = compiled(lambda i: (np.sum(w[rows]), np.sum(w[mask]), np.sum(w[every, i])))
    columns = np.array([0, 1, 2, 0])
    yield run(columns)
    rows[0], mask[:2], every[0] = 1, [False, True], 3
    yield run(columns)


def a_copy_of_an_array_from_outside(compiled):
    w, x = weights(12), X.copy()
    run = compiled(lambda: w * tg.tensor(x, dtype=np.float32))
    yield (run(),)
    x[:] = 2
    yield (run(),)


def labels_from_outside(compiled):
    w, labels = weights(4, 3), np.array([0, 1, 2, 0])
    losses = tg.nn.cross_entropy, lambda x, y: tg.nn.cross_entropy(x, y, label_smoothing=0.1), tg.nn.hinge_loss
    runs = [compiled(lambda loss=loss: loss(w * 1, labels)) for loss in losses]
    yield [run() for run in runs]
    labels[:] = 2
    yield [run() for run in runs]


def indices_of_few_bits(compiled):
    w = weights(200, 3)
    run = compiled(lambda i: np.sum(w[i]))
    yield run(np.array([1, 2], np.int8)), run(np.array([-1, -128], np.int8))


def data_that_is_only_written(compiled):
    w = weights(12)

    def step(x):
        w.data = np.tanh(x)

    run = compiled(step)
    for i in range(3):
        run(tg.tensor(X * i))
        yield (w,)


def data_lent_and_then_assigned(compiled):
    w = weights(12)

    def step(x):
        w.data = np.tanh(w.detach() + x)

    run, held = compiled(step), []
    for _ in range(4):
        run(X)
        held.append(w.data)
        yield held


DONE = [data_that_lies_otherwise, data_that_lies_transposed_at_first, data_that_lies_backwards]
DONE += [weights_that_another_step_transposes, gradients_forgotten_in_between, gradients_that_the_step_sets]
DONE += [gradients_that_the_step_sets_and_leaves, gradients_of_one_number, results_of_one_number]
DONE += [parameters_given_to_the_optimizer_later, indices_from_outside, a_copy_of_an_array_from_outside]
DONE += [labels_from_outside, indices_of_few_bits, data_that_is_only_written, data_lent_and_then_assigned]


@pytest.mark.parametrize("done", DONE, ids=lambda done: done.__name__)
def test_a_program_does_as_the_step(done):
    found = []
    for compiled in (tg.compile, lambda step: step):
        found.append([[tg.asarray(a).numpy().copy() for a in some] for some in done(compiled)])
    for some, expected in zip(*found, strict=True):
        for a, b in zip(some, expected, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


def test_a_gradient_that_was_not_there_at_first_is_refused():
    w, v = weights(12), weights(12, seed=1)
    optimizer = tg.optim.SGD([w, v], lr=0.1)

    @tg.compile
    def step(x):
        w.grad = None
        np.sum(w * x).backward()
        optimizer.step()

    step(X)
    np.sum(v * v).backward()
    with pytest.raises(tg.CompileError, match="a gradient that was computed outside of it"):
        step(X)
    v.grad = None
    step(X)


def test_a_gradient_is_set_to_what_the_step_computes():
    w = weights(12)

    @tg.compile
    def step(x):
        w.grad = np.ones(12)

    with pytest.raises(tg.CompileError, match="sets a gradient to a ndarray that it has not computed"):
        step(X)
    assert w.grad is None


def test_an_argument_that_requires_a_gradient_later_is_refused():
    w = weights(12)
    step = tg.compile(lambda x: np.sum(w * x).backward())
    step(X)
    with pytest.raises(tg.CompileError, match="requires a gradient, as x"):
        step(weights(12))


def test_an_argument_in_the_memory_of_what_the_step_changes_is_refused():
    w, memory = weights(12), normal(24)
    v = tg.asarray(memory[::2], requires_grad=True)
    step, _ = trained(tg.compile, lambda x: w * v * x, [w, v])
    held = w.data
    step(X)
    for x in (held, held[::-1], memory[::2], memory[6:18]):
        before = w.numpy(), v.numpy()
        with pytest.raises(RuntimeError, match="changes, as x: give it a copy"):
            step(x)
        np.testing.assert_array_equal([w.numpy(), v.numpy()], before)
    step(memory[1::2])
    step(held.copy())


def test_tensors_that_share_memory_are_refused_if_one_is_changed():
    memory = normal(12)
    w, v = tg.asarray(memory, requires_grad=True), tg.asarray(memory)
    step, _ = trained(tg.compile, lambda x: w * v * x, [w])
    before = memory.copy()
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"shares its memory: make one of them with tg\.tensor"):
            step(X)
        np.testing.assert_array_equal(memory, before)
    assert tg.compile(lambda: np.sum(w * v))().item() == np.sum(memory**2)
    w.data = memory.copy()
    step(X)
