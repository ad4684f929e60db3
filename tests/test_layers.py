"""Layers that normalise, drop, look up and join: against plain NumPy, finite differences, and bad input."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_digits as tg
from tinygrad_digits import nn
from tinygrad_digits.testing import check_grads


def numbers(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def vary(layer, seed=1):
    """Give a layer's tensors numbers of their own, so that none of them is 0 or 1."""
    rng = np.random.default_rng(seed)
    layer.load_state_dict({name: rng.uniform(0.5, 2, array.shape) for name, array in layer.state_dict().items()})
    return layer


# ------------------------------------------------------------------------------------------------------- normalisation


def normalised(x, mean, variance, layer):
    return (x - mean) / np.sqrt(variance + layer.eps) * layer.weight.numpy() + layer.bias.numpy()


BATCHES = [
    (nn.BatchNorm1d, st.tuples(st.integers(2, 4), st.integers(1, 3))),
    (nn.BatchNorm1d, st.tuples(st.integers(1, 3), st.integers(2, 3), st.integers(1, 3))),
    (nn.BatchNorm2d, st.tuples(st.integers(1, 2), st.integers(2, 3), st.integers(1, 3), st.integers(1, 2))),
]


@pytest.mark.parametrize(("kind", "shapes"), BATCHES)
@given(data=st.data(), eps=st.sampled_from([1e-5, 0.1]), momentum=st.sampled_from([0.1, 1.0, 0.0]))
def test_batch_normalisation(kind, shapes, data, eps, momentum):
    shape = data.draw(shapes)
    layer = vary(kind(shape[-1], eps=eps, momentum=momentum, dtype=float))
    before = layer.state_dict()
    x = numbers(shape) * 2 + 3
    flat = x.reshape(-1, shape[-1])
    mean, variance = flat.mean(axis=0), flat.var(axis=0)
    np.testing.assert_allclose(layer(x).numpy(), normalised(x, mean, variance, layer), rtol=1e-10)
    after = layer.state_dict()
    for name, new in ("running_mean", mean), ("running_var", flat.var(axis=0, ddof=1)):
        np.testing.assert_allclose(after[name], (1 - momentum) * before[name] + momentum * new, rtol=1e-12)
    layer.eval()
    expected = normalised(x, after["running_mean"], after["running_var"], layer)
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-10)
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, after[name])


@given(shape=hnp.array_shapes(min_dims=1, max_dims=3, max_side=4), eps=st.sampled_from([1e-5, 0.1]))
def test_layer_normalisation(shape, eps):
    layer = vary(nn.LayerNorm(shape[-1], eps=eps, dtype=float))
    x = numbers(shape) * 2 + 3
    expected = normalised(x, x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True), layer)
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-9, atol=1e-12)


def test_running_averages_are_state_but_no_parameters():
    layer = nn.BatchNorm2d(3)
    assert list(layer.named_parameters()) == ["weight", "bias"]
    assert list(layer.state_dict()) == ["weight", "bias", "running_mean", "running_var"]
    other = nn.BatchNorm2d(3)
    layer(numbers((2, 3, 3, 3)))
    other.load_state_dict(layer.state_dict())
    x = numbers((1, 2, 2, 3), seed=5)
    np.testing.assert_array_equal(layer.eval()(x).numpy(), other.eval()(x).numpy())
    assert repr(layer) == "BatchNorm2d(3)  # 6 parameters"


def test_equal_numbers_are_normalised_to_zeros_with_finite_gradients():
    for layer in nn.BatchNorm1d(2), nn.LayerNorm(2):
        x = tg.tensor(np.full((3, 2), 7.0), requires_grad=True)
        out = layer(x)
        np.sum(out * numbers((3, 2))).backward()
        np.testing.assert_array_equal(out.numpy(), np.zeros((3, 2)))
        assert np.all(np.isfinite(x.grad))


def test_a_batch_of_bytes_does_not_wrap_around():
    x = np.array([[250, 1], [251, 200], [252, 255]], np.uint8)
    layer = nn.BatchNorm1d(2, dtype=float)
    np.testing.assert_allclose(layer(x).numpy(), layer(x.astype(float)).numpy())


def test_an_average_that_moves_between_forward_and_backward_does_no_harm():
    layer = nn.BatchNorm1d(2, dtype=float)
    x = tg.tensor(numbers((3, 2)), requires_grad=True)
    first, second = np.sum(layer(x) ** 3), np.sum(layer(x) ** 3)
    first.backward()
    once = x.grad.copy()
    second.backward()
    np.testing.assert_allclose(x.grad, 2 * once)


# -------------------------------------------------------------------------------------------------------------- dropout


def test_dropout_keeps_the_mean_and_drops_the_share():
    x = np.ones((200, 200), np.float32)
    for p in (0.1, 0.5, 0.9):
        out = nn.Dropout(p, rng=0)(x)
        assert out.dtype == np.float32
        np.testing.assert_allclose(np.mean(out == 0), p, atol=0.01)
        np.testing.assert_allclose(out[out != 0], 1 / (1 - p), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dropout_passes_gradients_where_it_passes_elements(dtype):
    x = tg.tensor(np.full(100, 3.0), requires_grad=True, dtype=dtype)
    out = nn.Dropout(0.5, rng=0)(x)
    np.sum(out).backward()
    assert out.dtype == x.grad.dtype == dtype
    np.testing.assert_array_equal(x.grad * 3, out.numpy())
    assert 20 < np.count_nonzero(x.grad) < 80


def test_dropout_draws_anew_in_training_only():
    layer = nn.Dropout(0.5, rng=0)
    x = np.ones(100)
    assert np.any(layer(x) != layer(x))
    before = layer.rng.bit_generator.state
    assert layer.eval()(x) is x
    assert nn.Dropout(0.0)(x) is x
    assert layer.rng.bit_generator.state == before
    np.testing.assert_array_equal(nn.Dropout(0.5, rng=3)([1] * 50), nn.Dropout(0.5, rng=3)(np.ones(50)))
    assert np.any(nn.Dropout(0.5)(x) != nn.Dropout(0.5)(x))


def test_dropout_has_a_generator_of_its_own():
    rng = np.random.default_rng(0)
    a, b = nn.Dropout(0.5, rng=rng), nn.Dropout(0.5, rng=rng)
    state = rng.bit_generator.state
    x = np.ones(100)
    assert np.any(a(x) != b(x))
    assert rng.bit_generator.state == state
    np.testing.assert_array_equal(
        nn.Dropout(0.5, rng=np.random.default_rng(0))(x),
        copy.deepcopy(nn.Dropout(0.5, rng=np.random.default_rng(0)))(x),
    )


def test_generators_are_found_once_and_restored():
    model = nn.Sequential(nn.Dropout(0.5, rng=0), np.tanh, nn.Residual(nn.Dropout(0.5, rng=1)))
    model.extra = {"again": model[0].rng, "more": [np.random.default_rng(2)]}
    found = model.generators()
    assert list(found) == ["layers.0.rng", "layers.2.layers.0.rng", "extra.more.0"]
    states = {place: rng.bit_generator.state for place, rng in found.items()}
    x = np.ones((5, 5))
    first = [model(x) for _ in range(3)]
    for place, rng in model.generators().items():
        rng.bit_generator.state = states[place]
    np.testing.assert_array_equal([model(x) for _ in range(3)], first)
    assert model.state_dict() == {}


# ------------------------------------------------------------------------------------ Embedding, Residual, Lambda


@given(indices=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=0, max_dims=2, min_side=0), elements=st.integers(0, 3)))
def test_embedding(indices):
    layer = nn.Embedding(4, 2, dtype=float, rng=0)
    expected = np.eye(4)[indices] @ layer.weight.numpy()
    for given_as in (indices, tg.tensor(indices), indices.tolist() if indices.size else indices):
        np.testing.assert_array_equal(layer(given_as).numpy(), expected)


def test_an_embedding_that_is_looked_up_twice_has_both_gradients():
    layer = nn.Embedding(3, 2)
    np.sum(layer([1, 1, 0])).backward()
    np.testing.assert_array_equal(layer.weight.grad, [[1, 1], [2, 2], [0, 0]])
    assert layer.weight.dtype == np.float32
    assert repr(layer) == "Embedding(3, 2)  # 6 parameters"


def test_residual():
    model = nn.Residual(nn.Linear(2, 3, rng=0, dtype=float), np.tanh, nn.Linear(3, 2, rng=1, dtype=float))
    x = numbers((4, 2))
    np.testing.assert_allclose(model(x).numpy(), x + nn.Sequential(*model)(x).numpy())
    np.testing.assert_array_equal(nn.Residual(np.negative)([1.0]), [0])


def test_lambda():
    layer = nn.Lambda(np.square)
    np.testing.assert_array_equal(layer([3.0]), [9])
    assert repr(layer) == "Lambda(\n  function: np.square\n)"


SIDES = st.integers(1, 3)
EPS = st.sampled_from([0.1, 1.0])


def drawn(kind, *shape, **settings):
    """A layer of so many features, its settings drawn, in one mode or the other; and an input."""

    @st.composite
    def draw(draw_from):
        shape_drawn = draw_from(st.tuples(*shape, SIDES))
        layer = kind(shape_drawn[-1], **draw_from(st.fixed_dictionaries(settings)), dtype=float)
        return vary(layer).train(draw_from(st.booleans())), numbers(shape_drawn)

    return draw()


def linear(m, n, seed):
    return nn.Linear(m, n, rng=seed, dtype=float)


SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, max_side=3)
LAYERS = {
    "BatchNorm1d": drawn(nn.BatchNorm1d, st.integers(2, 4), eps=EPS, momentum=st.sampled_from([0.1, 1.0])),
    "BatchNorm1d, sequences": drawn(nn.BatchNorm1d, st.integers(2, 3), st.integers(1, 2), eps=EPS),
    "BatchNorm2d": drawn(nn.BatchNorm2d, SIDES, st.just(2), SIDES, eps=EPS),
    "LayerNorm": drawn(nn.LayerNorm, SIDES, eps=EPS) | drawn(nn.LayerNorm, SIDES, SIDES) | drawn(nn.LayerNorm, eps=EPS),
    "Dropout": st.builds(
        lambda p, seed, shape, training: (nn.Dropout(p, rng=seed).train(training), numbers(shape)),
        *(st.sampled_from([0.0, 0.3, 0.9]), st.integers(0, 9), SHAPES, st.booleans()),
    ),
    "Embedding": st.builds(
        lambda count, features, indices: (nn.Embedding(count, features, dtype=float, rng=0), indices % count),
        *(SIDES, SIDES, hnp.arrays(np.int64, SHAPES, elements=st.integers(0, 2))),
    ),
    "Residual": st.builds(
        lambda n, m, k: (nn.Residual(linear(n, m, 0), np.tanh, linear(m, n, 1)), numbers((k, n))), SIDES, SIDES, SIDES
    ),
    "Lambda": SHAPES.map(lambda shape: (nn.Lambda(np.sin), numbers(shape))),
    "LeakyReLU": st.builds(lambda a, shape: (nn.LeakyReLU(a), numbers(shape)), st.sampled_from([0.0, 0.3]), SHAPES),
    **{kind.__name__: SHAPES.map(lambda shape, kind=kind: (kind(), numbers(shape))) for kind in (nn.SiLU, nn.GELU)},
    "Softplus": SHAPES.map(lambda shape: (nn.Softplus(), numbers(shape))),
    "Softmax": st.builds(lambda axis, shape: (nn.Softmax(axis), numbers(shape)), st.sampled_from([0, -1]), SHAPES),
}


@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
@settings(max_examples=15)
@given(data=st.data())
def test_derivatives_to_second_order(case, data):
    layer, x = data.draw(case)
    check_grads(layer, x, order=2)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda dtype: nn.BatchNorm1d(2, dtype=dtype), (3, 2)),
        (lambda dtype: nn.BatchNorm1d(2, dtype=dtype).eval(), (3, 2)),
        (lambda dtype: nn.BatchNorm2d(2, dtype=dtype), (2, 2, 2, 2)),
        (lambda dtype: nn.LayerNorm(2, dtype=dtype), (3, 2)),
        (lambda dtype: nn.Residual(nn.Dropout(0.1)), (3, 2)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layers_keep_the_dtype_and_give_finite_numbers(layer, shape, dtype):
    layer = layer(dtype)
    x = tg.tensor(numbers(shape), dtype=dtype, requires_grad=True)
    out = layer(x)
    assert out.dtype == dtype
    assert out.shape == shape
    np.sum(out * out).backward()
    for p in (x, *layer.parameters()):
        assert p.grad.dtype == dtype
    assert all(array.dtype == dtype for array in layer.state_dict().values())


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm1d(3).eval(), nn.LayerNorm(3), nn.Dropout(0.5), nn.Residual(nn.Linear(3, 3))]
)
def test_an_empty_batch_gives_an_empty_batch(layer):
    x = tg.tensor(np.zeros((0, 3), np.float32), requires_grad=True)
    out = layer(x)
    assert out.shape == (0, 3)
    np.sum(out).backward()
    assert x.grad.shape == (0, 3)
    assert all(np.array_equal(p.grad, np.zeros(p.shape)) for p in layer.parameters())


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.BatchNorm1d(3)(np.ones((1, 3))), ValueError, r"in training needs at least 2 .* 1: .*eval"),
        (lambda: nn.BatchNorm1d(3)(np.ones((0, 3))), ValueError, "was given 0"),
        (lambda: nn.BatchNorm2d(3)(np.ones((1, 1, 1, 3))), ValueError, "needs at least 2 values"),
        (lambda: nn.BatchNorm1d(3)(np.ones((2, 4))), ValueError, r"takes batches of shape \(N, 3\) or \(N, T, 3\)"),
        (lambda: nn.BatchNorm1d(3)(np.ones(3)), ValueError, r"was given shape \(3,\)"),
        (lambda: nn.BatchNorm2d(3)(np.ones((2, 3, 5, 5))), ValueError, r"images of shape \(N, H, W, 3\)"),
        (lambda: nn.BatchNorm2d(3)(np.ones((2, 3))), ValueError, r"was given shape \(2, 3\)"),
        (lambda: nn.LayerNorm(3)(np.ones((2, 1))), ValueError, r"LayerNorm\(3\) takes inputs of shape \(…, 3\)"),
        (lambda: nn.LayerNorm(3)(1.0), ValueError, r"was given shape \(\)"),
        (lambda: nn.LayerNorm(1)(np.ones((2, 1), complex)), TypeError, "real numbers, and was given dtype complex128"),
        (lambda: nn.LayerNorm(0), ValueError, "at least 1 feature"),
        (lambda: nn.LayerNorm(1, eps=0), ValueError, "eps above 0"),
        (lambda: nn.BatchNorm1d(1, momentum=2), ValueError, r"BatchNorm1d\(momentum=2\): it is a share"),
        (lambda: nn.Dropout(1.0), ValueError, r"Dropout\(1.0\): the probability must be 0 or more, and less than 1"),
        (lambda: nn.Dropout(-0.1), ValueError, "probability"),
        (lambda: nn.Embedding(3, 0), ValueError, r"Embedding\(3, 0\): both sizes"),
        (lambda: nn.Embedding(3, 1)([0, 3]), ValueError, r"Embedding\(3, 1\) has rows 0 to 2, not 3"),
        (lambda: nn.Embedding(3, 1)([0, -1]), ValueError, "not -1"),
        (lambda: nn.Embedding(3, 1)([0.0]), TypeError, "whole numbers, and was given dtype float64"),
        (lambda: nn.Residual(nn.Linear(2, 1))(np.ones((3, 2))), ValueError, r"\(3, 2\), and they made \(3, 1\)"),
        (lambda: nn.Residual([nn.Flatten()]), TypeError, "one by one"),
        (lambda: nn.Lambda(3), TypeError, "Lambda takes a function, and was given 3"),
    ],
)  # fmt: skip
def test_what_layers_refuse(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_what_is_refused_changes_no_average():
    layer = nn.BatchNorm1d(3)
    for bad in np.ones((1, 3)), np.ones((2, 4)):
        with pytest.raises(ValueError, match="BatchNorm1d"):
            layer(bad)
    np.testing.assert_array_equal(layer.running_mean.numpy(), np.zeros(3))
    np.testing.assert_array_equal(layer.running_var.numpy(), np.ones(3))
