"""Stochastic gradient descent against the formulas, and the schedules."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_digits as tg
from tinygrad_digits import optim


def quadratic(x):
    return np.sum(x * x * np.array([0.5, 2.0]))


@given(
    lr=st.floats(0, 0.4),
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    nesterov=st.booleans(),
    weight_decay=st.sampled_from([0.0, 0.1]),
)
def test_sgd_follows_its_formula(lr, momentum, nesterov, weight_decay):
    nesterov = nesterov and momentum > 0
    x = tg.tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.SGD([x], lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)
    p, v = np.array([1.0, -2.0]), np.zeros(2)
    for _ in range(4):
        optimizer.zero_grad()
        quadratic(x).backward()
        optimizer.step()
        g = np.array([1.0, 4.0]) * p + weight_decay * p
        v = momentum * v + g
        p = p - lr * (g + momentum * v if nesterov else v)
        np.testing.assert_allclose(x.numpy(), p, rtol=1e-12, atol=1e-15)


def test_momentum_can_be_changed_between_steps():
    x = tg.tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.SGD([x], lr=0.1)
    p, v = np.array([1.0, -2.0]), np.zeros(2)
    for momentum in (0.0, 0.9, 0.9, 0.5):
        optimizer.momentum = momentum
        optimizer.zero_grad()
        quadratic(x).backward()
        optimizer.step()
        g = np.array([1.0, 4.0]) * p
        v = momentum * v + g if momentum else v
        p = p - 0.1 * (v if momentum else g)
        np.testing.assert_allclose(x.numpy(), p, rtol=1e-12)


def test_a_step_leaves_the_gradient_as_it_is():
    x = tg.tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.SGD([x], lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        quadratic(x).backward()
        before = x.grad.copy()
        optimizer.step()
        np.testing.assert_array_equal(x.grad, before)


def test_gradients_add_up_until_zero_grad():
    x = tg.tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.SGD([x], lr=0.1)
    quadratic(x).backward()
    quadratic(x).backward()
    np.testing.assert_array_equal(x.grad, [2, -16])
    optimizer.zero_grad()
    assert x.grad is None


def test_a_parameter_without_gradient_stays():
    x, y = (tg.tensor([1.0, 1.0], requires_grad=True) for _ in range(2))
    optimizer = optim.SGD([x, y], lr=0.1, weight_decay=1.0)
    quadratic(x).backward()
    optimizer.step()
    np.testing.assert_array_equal(y.numpy(), [1, 1])
    assert np.all(x.numpy() < 1)


def test_the_dtype_is_kept_whatever_the_learning_rates_is():
    x = tg.tensor([1.0], requires_grad=True, dtype=np.float32)
    optimizer = optim.SGD([x], lr=np.float64(0.1), momentum=0.9, weight_decay=1e-3)
    np.sum(x * x).backward()
    optimizer.step()
    assert x.dtype == np.float32


def test_a_recorded_gradient_will_do():
    x = tg.tensor([1.0, -2.0], requires_grad=True)
    quadratic(x).backward(create_graph=True)
    optim.SGD([x], lr=0.5).step()
    np.testing.assert_array_equal(x.numpy(), [0.5, 2.0])
    x.grad = None


def test_a_step_between_forward_and_backward_is_noticed():
    x = tg.tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.SGD([x], lr=0.1)
    quadratic(x).backward()
    loss = quadratic(x)
    optimizer.step()
    with pytest.raises(RuntimeError, match="was changed after it was used"):
        loss.backward()


def test_steps_go_into_shared_memory():
    array = np.array([1.0, -2.0])
    x = tg.asarray(array, requires_grad=True)
    quadratic(x).backward()
    optim.SGD([x], lr=0.5).step()
    np.testing.assert_array_equal(array, [0.5, 2.0])


def test_updates_allocate_nothing():
    x = tg.tensor(np.ones(100_000), requires_grad=True)
    x.grad = np.ones(100_000)
    optimizer = optim.SGD([x], lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1)
    optimizer.step()
    tracemalloc.start()
    try:
        optimizer.step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda x: optim.SGD([], lr=1), ValueError, "no parameters.*requires_grad=True"),
        (lambda x: optim.SGD(x, lr=1), TypeError, "was given one Tensor: put it in a list"),
        (lambda x: optim.SGD(tg.nn.Flatten(), lr=1), TypeError, "one Flatten: pass model.parameters()"),
        (lambda x: optim.SGD([x], lr="0.1"), ValueError, "lr='0.1'"),
        (lambda x: optim.SGD([np.ones(2)], lr=1), TypeError, "was given ndarray"),
        (lambda x: optim.SGD([x * 2], lr=1), ValueError, "leaves that require a gradient.*made by np.multiply"),
        (lambda x: optim.SGD([tg.tensor([1.0])], lr=1), ValueError, "leaves that require a gradient"),
        (lambda x: optim.SGD([x, x], lr=1), ValueError, "twice"),
        (lambda x: optim.SGD([x], lr=-1), ValueError, r"SGD\(lr=-1\): it must be a number of 0 or more"),
        (lambda x: optim.SGD([x], lr=np.nan), ValueError, "lr=nan"),
        (lambda x: optim.SGD([x], lr=1, momentum=1), ValueError, "momentum=1.*less than 1"),
        (lambda x: optim.SGD([x], lr=1, weight_decay=-1), ValueError, "weight_decay=-1"),
        (lambda x: optim.SGD([x], lr=1, nesterov=True), ValueError, "needs a momentum"),
    ],
)
def test_what_sgd_refuses(make, error, words):
    with pytest.raises(error, match=words):
        make(tg.tensor([1.0], requires_grad=True))


def test_read_only_memory_is_refused():
    array = np.ones(2)
    array.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        optim.SGD([tg.asarray(array, requires_grad=True)], lr=1)


def test_schedules():
    assert [optim.constant(0.5, 10)(step) for step in (0, 5, 20)] == [0.5, 0.5, 0.5]
    assert [optim.linear(0.5, 10)(step) for step in (0, 5, 10, 20)] == [0.5, 0.25, 0.0, 0.0]
