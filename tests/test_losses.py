"""Losses against plain NumPy and finite differences, far out, and in every reduction."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_digits as tg
from tinygrad_digits import nn
from tinygrad_digits.testing import check_grads


def plain_cross_entropy(logits, labels):
    """By the definition, in the longest floats there are."""
    p = np.exp(logits.astype(np.longdouble))
    p /= p.sum(axis=1, keepdims=True)
    return float(np.mean([-np.log(row[label]) for row, label in zip(p, labels, strict=True)]))


@given(data=st.data(), n=st.integers(1, 5), classes=st.integers(1, 4))
def test_cross_entropy(data, n, classes):
    logits = data.draw(hnp.arrays(np.float64, (n, classes), elements=st.floats(-20, 20)))
    labels = data.draw(hnp.arrays(np.int64, n, elements=st.integers(0, classes - 1)))
    np.testing.assert_allclose(nn.cross_entropy(logits, labels).item(), plain_cross_entropy(logits, labels), atol=1e-12)
    check_grads(lambda x: nn.cross_entropy(x, labels), logits)


@given(
    x=hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, max_dims=3), elements=st.floats(-5, 5)),
    y=st.floats(0.1, 0.9),
)
def test_mse_and_binary_cross_entropy(x, y):
    target = np.full_like(x, y)
    np.testing.assert_allclose(nn.mse_loss(x, target).item(), np.mean((x - y) ** 2), atol=1e-12)
    check_grads(nn.mse_loss, x, target)
    p = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(
        nn.binary_cross_entropy_with_logits(x, target).item(),
        np.mean(-y * np.log(p) - (1 - y) * np.log1p(-p)),
        atol=1e-10,
    )
    apart = np.where(np.abs(x) < 0.1, 0.5, x)  # the formula has a kink at 0 that cancels out
    check_grads(nn.binary_cross_entropy_with_logits, apart, target)


def test_losses_are_finite_at_logits_of_ten_thousand():
    x = tg.tensor([[1e4, -1e4], [1e4, -1e4]], requires_grad=True, dtype=np.float32)
    loss = nn.cross_entropy(x, [0, 1])
    loss.backward()
    assert loss.item() == 1e4
    np.testing.assert_array_equal(x.grad, [[0, 0], [0.5, -0.5]])
    x = tg.tensor([1e4, -1e4], requires_grad=True)
    loss = nn.binary_cross_entropy_with_logits(x, [1.0, 1.0])
    loss.backward()
    assert loss.item() == 5e3
    np.testing.assert_array_equal(x.grad, [0, -0.5])


def test_an_impossible_class_that_is_not_the_label_has_no_gradient():
    x = tg.tensor([[0.0, -np.inf, 0.0]], requires_grad=True)
    nn.cross_entropy(x, [0]).backward()
    np.testing.assert_allclose(x.grad, [[-0.5, 0, 0.5]])


def test_losses_take_tensors_arrays_and_lists_and_keep_float32():
    for given_as in (tg.tensor, np.asarray, np.ndarray.tolist):
        assert nn.cross_entropy(given_as(np.zeros((2, 2))), given_as(np.array([0, 1]))).shape == ()
    x = np.zeros((2, 2), np.float32)
    assert nn.cross_entropy(x, [0, 1]).dtype == np.float32
    assert nn.mse_loss(x, x).dtype == np.float32
    assert nn.binary_cross_entropy_with_logits(x, x).dtype == np.float32


def test_labels_changed_after_the_loss_do_not_matter():
    labels = np.array([0])
    x = tg.tensor([[0.0, 0.0]], requires_grad=True)
    loss = nn.cross_entropy(x, labels)
    labels[0] = 1
    loss.backward()
    np.testing.assert_array_equal(x.grad, [[-0.5, 0.5]])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: nn.mse_loss(np.zeros((2, 1)), np.zeros(2)),
            ValueError,
            r"mse_loss needs equal shapes.*\(2, 1\).*\(2,\)",
        ),
        (lambda: nn.mse_loss(np.zeros((0, 1)), np.zeros((0, 1))), ValueError, "of nothing"),
        (lambda: nn.binary_cross_entropy_with_logits([0.0], [[0.0]]), ValueError, "equal shapes"),
        (
            lambda: nn.binary_cross_entropy_with_logits([1.0, 2.0], [3.0, 4.0]),
            ValueError,
            "between 0 and 1.*3.0 to 4.0",
        ),
        (lambda: nn.binary_cross_entropy_with_logits([1.0], [np.nan]), ValueError, "between 0 and 1"),
        (
            lambda: nn.cross_entropy(np.zeros((1, 3)), [3]),
            ValueError,
            "label 3 at position 0 .* 3 classes: they are 0 to 2",
        ),
        (lambda: nn.cross_entropy(np.zeros((2, 3)), [0, -1]), ValueError, "label -1 at position 1"),
        (
            lambda: nn.cross_entropy(np.zeros((1, 3)), [[0, 0, 1]]),
            ValueError,
            r"one row for each image: \(1, 3\).*np.argmax",
        ),
        (lambda: nn.cross_entropy(np.zeros((1, 3)), [0.0]), TypeError, r"integer labels.*float64.*np.argmax"),
        (lambda: nn.cross_entropy(np.zeros((2, 3)), [0]), ValueError, r"\(2, 3\) and \(1,\)"),
        (lambda: nn.cross_entropy(np.zeros(3), [0]), ValueError, r"outputs \(N, classes\)"),
        (lambda: nn.cross_entropy(np.zeros((0, 3)), np.zeros(0, int)), ValueError, "of nothing"),
    ],
)
def test_what_losses_refuse(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, bool])
def test_losses_of_whole_numbers_do_not_wrap_around(dtype):
    a, b = np.array([1, 0], dtype), np.array([3, 1], dtype)
    expected = np.mean((a.astype(float) - b.astype(float)) ** 2)
    np.testing.assert_array_equal(tg.nn.mse_loss(a, b).numpy(), expected)
    logits, target = np.array([100, 200], np.uint8).astype(dtype), np.array([0, 1], dtype)
    found = tg.nn.binary_cross_entropy_with_logits(logits, target)
    right = tg.nn.binary_cross_entropy_with_logits(logits.astype(float), target.astype(float))
    np.testing.assert_array_equal(found.numpy(), right.numpy())


# --------------------------------------------------------------------------------------- the others, and their settings

ROWS = st.tuples(st.integers(1, 4), st.integers(1, 4))
REDUCTIONS = {"mean": np.mean, "sum": np.sum, "none": lambda losses: losses}
every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)


def numbers(shape, low=-3, high=3):
    return hnp.arrays(np.float64, shape, elements=st.floats(low, high).map(lambda x: round(x, 2)))


def huber(d, delta):
    return d**2 / 2 if abs(d) <= delta else delta * (abs(d) - delta / 2)


BY_ELEMENT = {
    nn.mse_loss: lambda x, y: (x - y) ** 2,
    nn.l1_loss: lambda x, y: np.where(x > y, x - y, y - x),
    nn.huber_loss: lambda x, y: np.vectorize(huber, otypes=[float])(x - y, 1.0),
    partial(nn.huber_loss, delta=0.25): lambda x, y: np.vectorize(huber, otypes=[float])(x - y, 0.25),
}


@pytest.mark.parametrize(("loss", "oracle"), BY_ELEMENT.items())
@every_reduction
@settings(max_examples=10)
@given(data=st.data(), shape=hnp.array_shapes(min_dims=0, max_dims=3, max_side=3))
def test_losses_of_each_element(loss, oracle, reduction, data, shape):
    x, y = data.draw(numbers(shape)), data.draw(numbers(shape)) + 0.005
    y = np.where(np.abs(np.abs(x - y) - 0.25) < 0.02, y + 0.1, y)  # away from the kinks
    y = np.where(np.abs(np.abs(x - y) - 1) < 0.02, y + 0.1, y)
    found = loss(x, y, reduction=reduction)
    np.testing.assert_allclose(found.numpy(), REDUCTIONS[reduction](oracle(x, y)), rtol=1e-12, atol=1e-13)
    assert found.shape == (shape if reduction == "none" else ())
    check_grads(lambda x, y: loss(x, y, reduction=reduction), x, y)


@every_reduction
@settings(max_examples=10)
@given(data=st.data(), shape=hnp.array_shapes(min_dims=0, max_dims=3, max_side=3))
def test_binary_cross_entropy_in_every_reduction(reduction, data, shape):
    x, y = data.draw(numbers(shape)), data.draw(numbers(shape, 0, 1))
    x = np.where(np.abs(x) < 0.1, 0.5, x)
    p = 1 / (1 + np.exp(-x))
    expected = REDUCTIONS[reduction](-y * np.log(p) - (1 - y) * np.log1p(-p))
    found = nn.binary_cross_entropy_with_logits(x, y, reduction=reduction)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-12)
    check_grads(lambda x: nn.binary_cross_entropy_with_logits(x, y, reduction=reduction), x)


@every_reduction
@settings(max_examples=10)
@given(data=st.data(), shape=ROWS, smoothing=st.sampled_from([0.0, 0.1, 1.0]), weighted=st.booleans())
def test_cross_entropy_with_weights_and_smoothed_labels(reduction, data, shape, smoothing, weighted):
    x = data.draw(numbers(shape))
    labels = data.draw(hnp.arrays(np.uint8, shape[0], elements=st.integers(0, shape[1] - 1)))
    w = np.array([0.5, 2.0, 0.25, 3.0])[: shape[1]] if weighted else np.ones(shape[1])
    logp = np.log(np.exp(x) / np.exp(x).sum(axis=1, keepdims=True))
    losses = np.array(
        [
            -(1 - smoothing) * w[c] * row[c] - smoothing * sum(w[k] * row[k] for k in range(shape[1])) / shape[1]
            for row, c in zip(logp, labels, strict=True)
        ]
    )
    expected = losses.sum() / w[labels].sum() if reduction == "mean" else REDUCTIONS[reduction](losses)
    settings = {"reduction": reduction, "weight": w if weighted else None}
    found = nn.cross_entropy(x, labels, label_smoothing=smoothing, **settings)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)
    check_grads(lambda x: nn.cross_entropy(x, labels, label_smoothing=smoothing, **settings), x)
    if not smoothing:
        np.testing.assert_allclose(nn.nll_loss(logp, labels, **settings).numpy(), expected, rtol=1e-12, atol=1e-12)
        check_grads(lambda x: nn.nll_loss(x, labels, **settings), logp)


@every_reduction
@settings(max_examples=10)
@given(data=st.data(), shape=ROWS, margin=st.sampled_from([1.0, 0.125]))
def test_hinge_loss(reduction, data, shape, margin):
    x = data.draw(numbers(shape)) + np.arange(shape[1]) * 0.003  # away from the kinks
    labels = data.draw(hnp.arrays(np.int64, shape[0], elements=st.integers(0, shape[1] - 1)))
    losses = [
        sum(max(0, margin - row[c] + row[k]) for k in range(shape[1]) if k != c)
        for row, c in zip(x, labels, strict=True)
    ]
    found = nn.hinge_loss(x, labels, margin=margin, reduction=reduction)
    np.testing.assert_allclose(found.numpy(), REDUCTIONS[reduction](losses), rtol=1e-12, atol=1e-13)
    check_grads(lambda x: nn.hinge_loss(x, labels, margin=margin, reduction=reduction), x)


@every_reduction
@settings(max_examples=10)
@given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=3, max_side=3))
def test_kullback_leibler_divergence(reduction, data, shape):
    x, p = data.draw(numbers(shape)), data.draw(numbers(shape, 0.1, 1))
    expected = REDUCTIONS[reduction](np.sum(p * np.log(p / np.exp(x)), axis=-1))
    found = nn.kl_div(x, p, reduction=reduction)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-12)
    check_grads(lambda x, p: nn.kl_div(x, p, reduction=reduction), x, np.clip(p, 0.15, 0.95))


def test_the_divergence_of_impossible_classes():
    x = tg.tensor([[-np.inf, 0.0, -1.0]], requires_grad=True)
    loss = nn.kl_div(x, [[0, 1, 0]])
    loss.backward()
    assert loss.item() == 0
    np.testing.assert_array_equal(x.grad, [[0, -1, 0]])


@pytest.mark.parametrize("settings", [{"weight": [1, 1, 2]}, {"reduction": "sum"}, {"reduction": "none"}])
def test_impossible_classes_and_large_logits_in_the_general_case(settings):
    x = tg.tensor([[0.0, -np.inf, 0.0], [1e4, 0.0, -1e4]], requires_grad=True)
    loss = nn.cross_entropy(x, [0, 0], **settings)
    np.sum(loss).backward()
    share = 0.5 if "weight" in settings else 1
    np.testing.assert_allclose(loss.numpy(), {"none": [np.log(2), 0]}.get(settings.get("reduction"), share * np.log(2)))
    np.testing.assert_allclose(x.grad, share * np.array([[-0.5, 0, 0.5], [0, 0, 0]]))


def test_a_class_of_weight_0_counts_for_nothing():
    x = tg.tensor([[3.0, -np.inf], [1.0, 2.0]], requires_grad=True)
    loss = nn.cross_entropy(x, [1, 0], weight=[1.0, 0.0])
    loss.backward()
    np.testing.assert_allclose(loss.item(), np.log(1 + np.e))
    np.testing.assert_array_equal(x.grad[0], [0, 0])
    assert nn.cross_entropy(x, [1, 1], weight=[1.0, 0.0], reduction="sum").item() == 0


LOSSES = [
    *(nn.mse_loss, nn.l1_loss, nn.huber_loss, nn.binary_cross_entropy_with_logits, nn.kl_div),
    *(nn.cross_entropy, nn.nll_loss, nn.hinge_loss),
]


def operands(loss, dtype):
    x = np.array([[0.5, -0.25], [0.0, 1.0]], dtype)
    return (x, np.array([0, 1])) if loss in LOSSES[5:] else (x, np.array([[0.5, 0.5], [1, 0]], dtype))


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
@every_reduction
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_loss_keeps_the_dtype_and_takes_tensors_arrays_and_lists(loss, reduction, dtype):
    x, y = operands(loss, dtype)
    scalars = {nn.huber_loss: {"delta": np.float64(1)}, nn.hinge_loss: {"margin": np.float64(1)}}
    smooth = {nn.cross_entropy: {"weight": np.ones(2), "label_smoothing": np.float64(0.1)}}
    settings = {"reduction": reduction, **scalars.get(loss, {}), **smooth.get(loss, {})}
    expected = loss(x, y, **settings)
    assert expected.dtype == dtype
    leaf = tg.tensor(x, requires_grad=True)
    np.sum(loss(leaf, y, **settings)).backward()
    assert leaf.grad.dtype == dtype
    for given_as in tg.tensor, np.ndarray.tolist:
        np.testing.assert_allclose(loss(given_as(x), given_as(y), **settings).numpy(), expected.numpy(), rtol=1e-2)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_what_every_loss_refuses(loss):
    x, y = operands(loss, float)
    with pytest.raises(ValueError, match=rf'{loss.__name__}\(reduction=\'avg\'\): it must be "mean", "sum" or "none"'):
        loss(x, y, reduction="avg")
    with pytest.raises(ValueError, match=rf"{loss.__name__} .*shape.*\(1, 2\).*\(2|outputs.*\(1, 2\) and \(2,\)"):
        loss(x[:1], y)
    with pytest.raises(ValueError, match=rf"{loss.__name__} of nothing: .* \(0, 2\)"):
        loss(x[:0], y[:0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.huber_loss([1.0], [1.0], delta=0), r"huber_loss\(delta=0\): it must be more than 0"),
        (lambda: nn.hinge_loss([[1.0]], [0], margin=-1), r"hinge_loss\(margin=-1\)"),
        (lambda: nn.cross_entropy([[1.0]], [0], label_smoothing=1.5), r"label_smoothing=1.5\): it is a share"),
        (lambda: nn.cross_entropy([[1.0]], [0], weight=[1, 1]), "a weight of 0 or more for each of the 1 classes"),
        (lambda: nn.cross_entropy([[1.0]], [0], weight=[-1.0]), "of 0 or more"),
        (lambda: nn.nll_loss([[1.0]], [0], weight=[np.inf]), "nll_loss needs a weight"),
        (lambda: nn.nll_loss([[1.0, 1.0]], [0], weight=[0, 1]), "nll_loss: all labels have weight 0"),
        (lambda: nn.nll_loss([[1.0]], [1]), "label 1 at position 0"),
        (lambda: nn.hinge_loss([[1.0]], [-1]), "label -1 at position 0"),
        (lambda: nn.kl_div([0.0], [1.5]), "kl_div needs targets between 0 and 1, and got some from 1.5 to 1.5"),
        (lambda: nn.kl_div(0.0, 0.5), "all classes"),
    ],
)
def test_what_settings_of_losses_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_weights_of_classes_do_not_leave_the_graph_unnoticed():
    with pytest.raises(TypeError, match="no derivative for the weights of classes"):
        nn.cross_entropy([[1.0]], [0], weight=tg.tensor([1.0], requires_grad=True))
    assert nn.cross_entropy([[1.0]], [0], weight=tg.tensor([1.0])).item() == 0
