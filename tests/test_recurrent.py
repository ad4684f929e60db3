"""Recurrent layers against loops in plain NumPy, finite differences, and bad input."""

import numpy as np
import pytest
from cases import recurrent as by_hand
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_digits as tg
from tinygrad_digits import nn
from tinygrad_digits.testing import check_grads

KINDS = [nn.RNN, nn.GRU, nn.LSTM]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def made(kind, f=2, h=3, dtype=float):
    """A layer none of whose parameters is zero."""
    layer = kind(f, h, rng=0, dtype=dtype)
    layer.load_state_dict({name: array + numbers(*array.shape) / 4 for name, array in layer.state_dict().items()})
    return layer


def state_for(kind, n, h=3):
    return (numbers(n, h, seed=1), numbers(n, h, seed=2)) if kind is nn.LSTM else numbers(n, h, seed=1)


def expected(layer, x, state):
    """The states after each step (with the cells, for an LSTM) by a loop in NumPy."""
    p = layer.state_dict()
    inputs = np.einsum("ntf,fh->nth", x, p["weight"]) + p["bias"]
    if isinstance(layer, nn.LSTM):
        return by_hand.lstm(inputs, *state, p["hidden_weight"])
    if isinstance(layer, nn.GRU):
        return by_hand.gru(inputs, state, p["hidden_weight"], p["hidden_bias"])
    return by_hand.elman(inputs, state, p["hidden_weight"])


@every_kind
@given(n=st.integers(0, 3), steps=st.integers(1, 4), begun=st.booleans())
def test_states_after_each_step(kind, n, steps, begun):
    layer, x = made(kind), numbers(n, steps, 2)
    state = state_for(kind, n) if begun else None
    zeros = np.zeros((n, 3))
    wanted = expected(layer, x, state if begun else (zeros, zeros) if kind is nn.LSTM else zeros)
    states, last = layer.unroll(x, state)
    if kind is nn.LSTM:
        np.testing.assert_allclose(last[1].numpy(), wanted[1, :, -1], rtol=1e-12, atol=1e-14)
        wanted, last = wanted[0], last[0]
    np.testing.assert_allclose(states.numpy(), wanted, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(last.numpy(), states.numpy()[:, -1])
    np.testing.assert_array_equal(layer(x, state).numpy(), states.numpy())


@every_kind
@settings(max_examples=6)
@given(sizes=st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2)), begun=st.booleans())
def test_derivatives_to_second_order(kind, sizes, begun):
    n, steps, f, h = sizes
    layer, x = made(kind, f, h), numbers(n, steps, f)
    check_grads(layer, x, *([state_for(kind, n, h)] if begun else []), order=2)
    check_grads(lambda x: layer.unroll(x)[1], x, order=1, invariants=False)


@every_kind
def test_a_sequence_in_two_parts_is_the_sequence(kind):
    layer, x = made(kind), numbers(2, 5, 2)
    first, last = layer.unroll(tg.tensor(x[:, :2]).numpy())
    second = layer(x[:, 2:], last)
    np.testing.assert_allclose(np.concatenate([first.numpy(), second.numpy()], axis=1), layer(x).numpy(), rtol=1e-12)
    np.sum(second * second).backward()
    gradients = [p.grad for p in layer.parameters()]
    for p in layer.parameters():
        p.grad = None
    np.sum(layer(x)[:, 2:] ** 2).backward()
    for p, g in zip(layer.parameters(), gradients, strict=True):
        np.testing.assert_allclose(p.grad, g, rtol=1e-9, atol=1e-12)


@every_kind
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept(kind, dtype):
    layer = made(kind, dtype=dtype)
    out = layer(numbers(2, 4, 2).astype(dtype))
    np.sum(out).backward()
    assert out.dtype == dtype
    assert all(p.grad.dtype == dtype for p in layer.parameters())
    assert layer(np.ones((1, 2, 2), np.uint8)).dtype == dtype


@every_kind
def test_a_new_layer(kind):
    layer = kind(5, 4, rng=3, dtype=float)
    gates = kind.gates
    assert layer.weight.shape == (5, 4 * gates)
    assert layer.hidden_weight.shape == (4, 4 * gates)
    for block in np.split(layer.hidden_weight.numpy(), gates, axis=1):
        np.testing.assert_allclose(block.T @ block, np.eye(4), atol=1e-12)
    bias = np.zeros(4 * gates)
    if kind is nn.LSTM:
        bias[4:8] = 1
    np.testing.assert_array_equal(layer.bias.numpy(), bias)
    again = kind(5, 4, rng=np.random.default_rng(3), dtype=float)
    for a, b in zip(layer.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert np.any(kind(5, 4).weight.numpy() != kind(5, 4).weight.numpy())
    assert kind(5, 4).weight.dtype == np.float32
    drawn = kind(5, 4, weight_init=nn.init.zeros, hidden_init=nn.init.zeros)
    assert not drawn.weight.numpy().any()
    assert not drawn.hidden_weight.numpy().any()
    assert repr(layer).startswith(f"{kind.__name__}(5, 4)  # ")


@every_kind
def test_layers_stack(kind):
    model = nn.Sequential(made(kind, 2, 3), made(kind, 3, 2))
    assert model(numbers(4, 5, 2)).shape == (4, 5, 2)


@every_kind
def test_saturated_states_have_gradients_of_0_and_no_nan(kind):
    layer = made(kind)
    x = tg.tensor(numbers(2, 3, 2) * 1e4, requires_grad=True)
    out = layer(x)
    np.sum(out).backward()
    assert np.all(np.abs(out.numpy()) <= 1)
    assert all(np.all(np.isfinite(p.grad)) for p in (x, *layer.parameters()))


def test_a_net_learns_the_parity_so_far():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (64, 6, 1)).astype(np.float32)
    parity = np.cumsum(bits, axis=1) % 2
    model = nn.Sequential(nn.LSTM(1, 8, rng=0), nn.Linear(8, 1, rng=1))
    optimizer = tg.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(150):
        loss = nn.binary_cross_entropy_with_logits(model(bits), parity)
        optimizer.zero_grad()
        loss.backward()
        tg.optim.clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()
    with tg.no_grad():
        assert np.mean((model(bits).numpy() > 0) == parity) > 0.99


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.RNN(2, 3)(np.ones((4, 2))), r"RNN\(2, 3\) takes sequences \(N, T, 2\) .* given shape \(4, 2\)"),
        (lambda: nn.GRU(2, 3)(np.ones((4, 5, 3))), r"GRU\(2, 3\) takes sequences .* given shape \(4, 5, 3\)"),
        (lambda: nn.LSTM(2, 3)(np.ones((4, 0, 2))), r"least one step, and was given shape \(4, 0, 2\)"),
        (lambda: nn.RNN(2, 3)(1.0), r"was given shape \(\)"),
        (lambda: nn.RNN(0, 3), r"RNN\(0, 3\): both sizes must be at least 1"),
        (lambda: nn.GRU(2, 3)(np.ones((4, 5, 2)), np.ones(3)), r"needs a state of shape \(4, 3\) for 4 seq.* \(3,\)"),
        (lambda: nn.RNN(2, 3)(np.ones((4, 5, 2)), np.ones((1, 3))), r"\(4, 3\) for 4 sequences, .* \(1, 3\)"),
        (lambda: nn.LSTM(2, 3)(np.ones((4, 5, 2)), np.ones((4, 3))), "needs a pair as its state"),
        (lambda: nn.LSTM(2, 3)(np.ones((4, 5, 2)), [np.ones((4, 3))] * 3), "needs a pair as its state"),
        (lambda: nn.LSTM(2, 3)(np.ones((4, 5, 2)), (np.ones((4, 3)), np.ones(3))), r"a cell of shape \(4, 3\)"),
        (lambda: nn.LSTM(2, 3)(np.ones((4, 5, 2)), (np.ones(3), np.ones((4, 3)))), r"a hidden state of shape \(4, 3\)"),
    ],
)
def test_what_recurrent_layers_refuse(call, words):
    with pytest.raises(ValueError, match=words):
        call()
