"""Every rule in the table against NumPy and finite differences; and what a gradient is where calculus is silent."""

from math import erf

import numpy as np
import pytest
from cases import cases, kinks
from cases.convolution import small_blocks
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_digits as tg
from tinygrad_digits import autodiff
from tinygrad_digits.ops import activations
from tinygrad_digits.ops.draws import uniform, uniform_into
from tinygrad_digits.ops.neural import softmax_cross_entropy
from tinygrad_digits.ops.ordering import PLACES
from tinygrad_digits.testing import check_grads, check_invariants
from tinygrad_digits.testing import strategies as draw


@pytest.fixture(autouse=True, scope="module")
def tiny_images_are_cut_into_blocks():
    with small_blocks():
        yield


A = np.arange(6.0).reshape(2, 3)

each_op = pytest.mark.parametrize("op", list(cases), ids=autodiff.name)


def test_every_rule_has_a_case():
    keys = {autodiff.key(op) for op in cases}
    assert keys >= set(autodiff.rules)
    assert keys <= set(autodiff.rules) | set(autodiff.composites)


@each_op
@given(data=st.data())
def test_value_is_numpys(op, data):
    function, xs, reference = data.draw(cases[op])
    expected = (reference or function)(*xs)
    assert not isinstance(expected, tg.Tensor)
    out = function(*[tg.tensor(x, requires_grad=True) for x in xs])
    assert isinstance(out, tg.Tensor)
    assert out.requires_grad
    assert out.shape == np.shape(expected)
    assert out.dtype == expected.dtype
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12, atol=1e-13)


@each_op
@given(data=st.data())
def test_derivatives_to_second_order(op, data):
    function, xs, _ = data.draw(cases[op])
    check_grads(function, *xs, order=2, invariants=False)


@each_op
@settings(max_examples=5)
@given(data=st.data())
def test_invariants(op, data):
    function, xs, _ = data.draw(cases[op])
    check_invariants(function, *xs)


@pytest.mark.parametrize(
    "op", [np.power, np.tanh, np.logaddexp, np.matmul, np.std, tg.sigmoid, tg.logsumexp], ids=autodiff.name
)
@given(data=st.data())
def test_derivatives_to_third_order(op, data):
    function, xs, _ = data.draw(cases[op])
    if sum(x.size for x in xs) <= 6:
        check_grads(function, *xs, order=3, atol=1e-6, rtol=1e-5, invariants=False)


@each_op
@given(data=st.data())
def test_single_precision_stays_single(op, data):
    function, xs, _ = data.draw(cases[op])
    wide = [tg.tensor(x, requires_grad=True) for x in xs]
    narrow = [tg.tensor(x, requires_grad=True, dtype=np.float32) for x in xs]
    out = function(*narrow)
    assert out.dtype == np.float32
    out.backward(np.ones(out.shape))
    function(*wide).backward(np.ones(out.shape))
    for x, y in zip(narrow, wide, strict=True):
        assert type(x.grad) is np.ndarray
        assert x.grad.dtype == np.float32
        assert x.grad.shape == x.shape
        np.testing.assert_allclose(x.grad, y.grad, rtol=1e-3, atol=1e-3)


@each_op
@given(data=st.data())
def test_layout_in_memory_does_not_matter(op, data):
    function, xs, _ = data.draw(cases[op])
    layout = data.draw(draw.layouts())
    plain = [tg.tensor(x, requires_grad=True) for x in xs]
    odd = [tg.asarray(layout(x), requires_grad=True) for x in xs]
    out, other = function(*plain), function(*odd)
    np.testing.assert_allclose(other.numpy(), out.numpy(), rtol=1e-14, atol=1e-14)
    seed = np.random.default_rng(0).normal(size=out.shape)
    out.backward(seed)
    other.backward(layout(np.asarray(seed)))
    for x, y in zip(plain, odd, strict=True):
        np.testing.assert_allclose(y.grad, x.grad, rtol=1e-12, atol=1e-13)


# ------------------------------------------------------------------------------------------------------ kinks and ties

INF, NAN = np.inf, np.nan

KINKS = [
    # name, function, where, the gradient there
    ("max: a tie is shared", np.max, [[3.0, 1.0, 3.0]], [[0.5, 0, 0.5]]),
    ("max: by rows", lambda x: np.sum(np.max(x, axis=1)), [[[2.0, 2.0], [1.0, 5.0]]], [[[0.5, 0.5], [0, 1]]]),
    ("max: infinite ties", np.max, [[INF, INF, 0.0]], [[0.5, 0.5, 0]]),
    ("min: a tie is shared", np.min, [[1.0, 1.0, 3.0, 1.0]], [[1 / 3, 1 / 3, 0, 1 / 3]]),
    ("maximum: a tie gives ½ each", np.maximum, [2.0, 2.0], [0.5, 0.5]),
    ("maximum: of itself", lambda x: np.maximum(x, x), [2.0], [1]),
    ("minimum: a tie gives ½ each", np.minimum, [2.0, 2.0], [0.5, 0.5]),
    ("minimum: infinities tie", np.minimum, [INF, INF], [0.5, 0.5]),
    ("relu at 0", tg.relu, [0.0], [0]),
    ("relu at -0", tg.relu, [-0.0], [0]),
    ("relu at -inf", tg.relu, [-INF], [0]),
    ("relu at inf", tg.relu, [INF], [1]),
    ("relu: an infinite slope behind it is not let through", lambda x: np.sqrt(tg.relu(x)), [-1.0], [0]),
    ("clip: an infinite slope behind it is not let through", lambda x: np.sqrt(np.clip(x, 0, 1)), [-1.0], [0]),
    ("abs at 0", np.abs, [0.0], [0]),
    ("abs at infinities", lambda x: np.sum(np.abs(x)), [[-INF, INF]], [[-1, 1]]),
    ("sqrt at 0", np.sqrt, [0.0], [INF]),
    ("x**3 at 0", lambda x: x**3, [0.0], [0]),
    ("x**2 at 0", lambda x: x**2, [0.0], [0]),
    ("x**1.5 at 0", lambda x: x**1.5, [0.0], [0]),
    ("x**1 at 0", lambda x: x**1, [0.0], [1]),
    ("x**0.5 at 0", lambda x: x**0.5, [0.0], [INF]),
    ("x**0 at 0", lambda x: x**0, [0.0], [0]),
    ("x**0 at 2", lambda x: x**0, [2.0], [0]),
    ("x**y at 0, 2", np.power, [0.0, 2.0], [0, 0]),
    ("x**y at 0, 1", np.power, [0.0, 1.0], [1, 0]),
    ("x**y at 0, ½", np.power, [0.0, 0.5], [INF, 0]),
    ("x**y at 0, 0", np.power, [0.0, 0.0], [0, 0]),
    ("(-2)**3", lambda x: x**3, [-2.0], [12]),
    ("0**y", lambda y: 0**y, [2.0], [0]),
    ("clip at its bounds", lambda x: np.sum(np.clip(x, 0, 1)), [[0.0, 1.0]], [[1, 1]]),
    ("clip outside", lambda x: np.sum(np.clip(x, 0, 1)), [[-0.1, 1.1]], [[0, 0]]),
    ("clip at infinities", lambda x: np.sum(np.clip(x, 0, 1)), [[-INF, INF]], [[0, 0]]),
    ("where: the other branch is inf", lambda x, y: np.where(x > 0, x, y), [1.0, INF], [1, 0]),
    ("where: the other branch is NaN", lambda x, y: np.where(x > 0, x, y), [1.0, NAN], [1, 0]),
    ("repeated indices add up", lambda x: np.sum(x[[0, 0, 1]]), [[5.0, 6.0, 7.0]], [[2, 1, 0]]),
    (
        "update: the last of repeated indices",
        lambda x, v: np.sum(tg.index_update(x, [0, 0], v)),
        [[5.0, 6.0], [7.0, 8.0]],
        [[0, 1], [0, 1]],
    ),
    ("update: none of the rest", lambda x, v: tg.index_update(x, 0, v)[0], [[NAN, INF], 3.0], [[0, 0], 1]),
    ("wrapped more than once around", lambda x: np.sum(np.pad(x, 3, "wrap")), [[1.0, 2.0]], [[4, 4]]),
    ("an edge repeated", lambda x: np.sum(np.pad(x, 2, "edge")), [[1.0, 2.0, 3.0]], [[3, 1, 3]]),
    (
        "overlapping windows add up",
        lambda x: np.sum(np.lib.stride_tricks.sliding_window_view(x, 2)),
        [[1.0, 2.0, 3.0]],
        [[1, 2, 1]],
    ),
    ("repeated no times", lambda x: np.sum(np.repeat(x, [0, 2])), [[1.0, 2.0]], [[0, 2]]),
    ("broadcast to nothing", lambda x: np.sum(np.tile(x, 0)), [[1.0, 2.0]], [[0, 0]]),
    ("sign", lambda x: np.sum(np.sign(x)), [[-1.0, 0.0, 2.0]], [[0, 0, 0]]),
    ("floor at a step", np.floor, [1.0], [0]),
    ("round at a step", np.round, [0.5], [0]),
    ("std of equal numbers", np.std, [[3.0, 3.0, 3.0]], [[0, 0, 0]]),
    ("std of one number", np.std, [[3.0]], [[0]]),
    ("var of equal numbers", np.var, [[3.0, 3.0]], [[0, 0]]),
    ("sigmoid far out", lambda x: np.sum(tg.sigmoid(x)), [[-1e4, 1e4, -INF, INF]], [[0, 0, 0, 0]]),
    ("logsumexp of -inf alone", tg.logsumexp, [[-INF, -INF]], [[0, 0]]),
    ("logsumexp with some -inf", tg.logsumexp, [[-INF, 2.0]], [[0, 1]]),
    ("logsumexp far out", tg.logsumexp, [[1e4, -1e4]], [[1, 0]]),
    ("logaddexp of -inf alone", np.logaddexp, [-INF, -INF], [0, 0]),
    ("logaddexp far out", np.logaddexp, [1e4, -1e4], [1, 0]),
    ("softmax far out", lambda x: tg.softmax(x)[0], [[1e4, -1e4, -INF]], [[0, 0, 0]]),
    ("log_softmax far out", lambda x: tg.log_softmax(x)[1], [[1e4, -1e4, -INF]], [[-1, 1, 0]]),
    *kinks,
]


@pytest.mark.parametrize(("f", "xs", "expected"), [kink[1:] for kink in KINKS], ids=[kink[0] for kink in KINKS])
@pytest.mark.parametrize("create_graph", [False, True])
def test_gradient_where_calculus_is_silent(f, xs, expected, create_graph):
    leaves = [tg.tensor(x, requires_grad=True) for x in xs]
    f(*leaves).backward(create_graph=create_graph)
    for x, g in zip(leaves, expected, strict=True):
        found = x.grad.numpy() if create_graph else x.grad
        np.testing.assert_array_equal(found, np.array(g, float))
        x.grad = None


@pytest.mark.parametrize(
    ("f", "x", "second"),
    [
        (lambda x: x**2, 0.0, 2),
        (lambda x: x**3, 0.0, 0),
        (lambda x: x**1, 0.0, 0),
        (lambda x: x**0, 0.0, 0),
        (lambda x: x**2.0, -3.0, 2),
        (np.abs, 0.0, 0),
        (tg.relu, 0.0, 0),
        (lambda x: np.maximum(x, 0.0), 0.0, 0),
        (lambda x: np.clip(x, 0, 1), 1.0, 0),
        (np.square, 0.0, 2),
        (np.sinc, 0.0, -(np.pi**2) / 3),
        (lambda x: np.hypot(x, 0.0), 0.0, 1),
        (lambda x: np.prod(x * np.array([1.0, 1.0, 0.0])), 2.0, 0),
        (lambda x: np.prod(np.stack([x, x, 3.0])), 0.0, 6),
        (lambda x: np.cumprod(np.stack([x, x, 3.0]))[2], 0.0, 6),
        (tg.sigmoid, 1e4, 0),
    ],
)
def test_second_derivative_where_calculus_is_silent(f, x, second):
    np.testing.assert_allclose(tg.grad(tg.grad(f))(x), second, rtol=1e-15)


@pytest.mark.parametrize(
    ("f", "x"),
    [
        *[(np.sqrt, 2.0), (np.cbrt, -2.0), (np.arcsin, 0.5), (np.arccos, 0.5), (np.arccosh, 2.0), (np.arctanh, 0.5)],
        *[(lambda x: x**0.5, 2.0), (lambda x: 2.0**x, 2.0)],
    ],
)
def test_a_slope_times_nothing_has_a_slope(f, x):
    check_grads(lambda x, y: f(x) * y, x, 0.0, order=2)


def test_std_of_equal_numbers_whose_mean_is_inexact():
    x = np.full(3, 0.1)
    assert np.std(x) != 0  # the premise: 0.1 + 0.1 + 0.1 is not 0.3
    np.testing.assert_allclose(tg.grad(np.std)(x), 0, atol=1e-12)
    x = np.stack([x, np.full(3, 7.0)])
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(np.std(x, axis=1)))(x), 0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:Degrees of freedom", "ignore:invalid value", "ignore:divide by zero")  # NumPy's own
@pytest.mark.parametrize("f", [np.var, np.std, np.nanvar, np.nanstd])
@pytest.mark.parametrize("ddof", [2, 3])
def test_a_variance_of_too_few_numbers_is_nan_and_so_is_its_gradient(f, ddof):
    gradient = tg.grad(lambda x: np.sum(f(x, axis=1, ddof=ddof)))(np.array([[1.0, 2.0]]))
    assert np.isnan(gradient).all()


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("weights", [None, A + 1])
def test_an_average_comes_with_the_sum_of_its_weights(axis, weights):
    for keepdims in False, True:
        found = np.average(tg.tensor(A, requires_grad=True), axis, weights, returned=True, keepdims=keepdims)
        expected = np.average(A, axis, weights, returned=True, keepdims=keepdims)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a.numpy(), b)
            assert a.shape == np.shape(b)


def test_nan_is_the_median_of_numbers_some_of_which_are_nan():
    x = np.array([[1.0, NAN, 0.0], [1.0, 2.0, 4.0]])
    for f in np.median, lambda x, axis: np.quantile(x, 0.1, axis), lambda x, axis: np.percentile(x, [40], axis):
        np.testing.assert_allclose(f(tg.tensor(x, requires_grad=True), axis=1).numpy(), f(x, axis=1), rtol=1e-15)
    assert np.isnan(np.nanmedian(tg.tensor([NAN])).item())


@pytest.mark.parametrize("method", PLACES)
def test_quantiles_by_every_method(method):
    q = np.linspace(0, 1, 13)
    for x in np.array([3.0, 1.0, 4.0, 1.5, 9.0]), np.array([3.0]):
        found = np.quantile(tg.tensor(x), q, method=method).numpy()
        np.testing.assert_allclose(found, np.quantile(x, q, method=method), rtol=1e-14)


@pytest.mark.parametrize(
    "q",
    [
        *(0.25, np.float32(0.25), np.float64(0.25), np.array(0.25), [0.25, 0.5]),
        *(0, 1, [0, 1], np.array([1, 0]), True, np.array([True, False])),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_quantiles_have_the_dtype_that_numpys_have(q, dtype):
    x = np.array([3, 1, 2, 7], dtype)
    for f, q_of_f in (
        (np.quantile, q),
        (np.nanquantile, q),
        (np.percentile, np.multiply(q, 100) if isinstance(q, list) else q * 100),
    ):
        expected = f(x, q_of_f)
        found = f(tg.tensor(x), q_of_f)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("f", "x"),
    [(f, [3, 1, 4, 1]) for f in (np.median, np.ptp, np.nanstd, np.diff, np.cumprod, np.gradient, np.sort, np.modf)]
    + [(np.diff, [True, False, False])],
)
def test_whole_numbers_and_truths_become_what_numpy_makes_of_them(f, x):
    x = np.array(x)
    found, expected = f(tg.tensor(x)), f(x)
    pairs = zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]
    for a, b in pairs:
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a.numpy(), b)


@pytest.mark.parametrize(
    ("f", "start"), [(np.linspace, np.float32(1)), (np.logspace, np.float32(1)), (np.geomspace, np.float64(1))]
)
@pytest.mark.parametrize("keywords", [{}, {"dtype": np.float32}, {"num": 1}])
def test_numbers_between_have_the_dtype_that_numpys_have(f, keywords, start):
    found, expected = f(tg.tensor(start, requires_grad=True), 2, **keywords), f(start, 2, **keywords)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found.numpy(), expected, rtol=4 * np.finfo(expected.dtype).eps)


def test_the_step_of_evenly_spaced_numbers():
    for num in 3, 2, 1:
        x = tg.tensor(A, requires_grad=True)
        (numbers, step), expected = np.linspace(x, 9.0, num, retstep=True), np.linspace(A, 9.0, num, retstep=True)
        np.testing.assert_allclose(numbers.numpy(), expected[0])
        np.testing.assert_allclose(step.numpy(), expected[1])


@pytest.mark.parametrize("f", [np.convolve, np.correlate])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_convolutions_of_every_length(f, mode):
    rng = np.random.default_rng(0)
    for m in range(1, 6):
        for n in range(1, 6):
            a, v = rng.normal(size=m), rng.normal(size=n)
            expected = f(a, v, mode)
            g = rng.normal(size=expected.shape)
            out, pull = tg.vjp(lambda a, v: f(a, v, mode), a, v)
            np.testing.assert_allclose(out, expected, atol=1e-12)
            for x, slope in zip((a, v), pull(g), strict=True):  # it is linear in each
                np.testing.assert_allclose(slope @ x, g @ expected, atol=1e-12)


def test_a_broken_line_is_known_at_its_ends():
    x = tg.tensor([0.0, 1.0, 3.0, 4.0], requires_grad=True)
    np.testing.assert_array_equal(np.interp(x, [1, 3], [5, 6], left=-1, right=-2).numpy(), [-1, 5, 6, -2])


def test_a_branch_not_taken_adds_nothing_to_gradients_shared_with_it():
    x = tg.tensor([0.0, 4.0], requires_grad=True)
    safe = np.where(x > 0, x, 1.0)  # where selects; what is made inside a branch must be kept finite
    np.sum(np.where(x > 0, np.log(safe), 0.0)).backward()
    np.testing.assert_array_equal(x.grad, [0, 0.25])


# -------------------------------------------------------------------------------------- lists, integers, extreme values


ACTIVATIONS = [tg.softplus, tg.log_sigmoid, tg.leaky_relu, tg.elu, tg.selu, tg.silu, tg.gelu]


@pytest.mark.parametrize(
    "op", [tg.sigmoid, tg.relu, tg.softmax, tg.log_softmax, tg.logsumexp, *ACTIVATIONS], ids=autodiff.name
)
@pytest.mark.parametrize(
    "x",
    [
        [1.0, 2.0],
        [1, 2],
        (1, 2),
        1,
        1.5,
        np.array([3, 4], np.uint8),
        np.array([200, 1], np.int16),
        np.array([True, False]),
    ],
)
def test_lists_numbers_and_integers_are_taken_as_numpy_takes_them(op, x):
    if op in (tg.softmax, tg.log_softmax) and not np.ndim(x):
        x = [x]
    expected = op(np.array(x, float))
    found = op(x)
    np.testing.assert_allclose(found, expected)
    assert not isinstance(found, tg.Tensor)
    np.testing.assert_allclose(op(tg.tensor(x)).numpy(), expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_sigmoid_in_every_dtype_and_at_every_size(dtype):
    x = np.array([-INF, -1e4, -20, -1, 0, 1, 20, 1e4, INF], dtype)
    wide = x.astype(np.longdouble)
    expected = np.where(wide < 0, np.exp(-np.abs(wide)), 1) / (1 + np.exp(-np.abs(wide)))
    found = tg.sigmoid(x)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected.astype(float), rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny)
    assert np.isnan(tg.sigmoid(dtype(NAN)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_relu_keeps_dtype(dtype):
    assert tg.relu(np.ones(2, dtype)).dtype == dtype
    assert tg.relu(tg.tensor(np.ones(2, dtype))).dtype == dtype


@pytest.mark.parametrize("op", ACTIVATIONS, ids=autodiff.name)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_activations_far_out_in_every_dtype(op, dtype):
    x = np.array([-INF, -6e4, -50, 50, 6e4, INF], dtype)
    below, above = {
        tg.log_sigmoid: (x[:3], [0, 0, 0]),
        tg.leaky_relu: (x[:3] * 0.01, x[3:]),
        tg.elu: ([-1, -1, -1], x[3:]),
        tg.selu: ([-1.7580993408473766] * 3, x[3:] * dtype(1.0507009873554805)),
    }.get(op, ([0, 0, 0], x[3:]))
    found = op(x)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, np.array([*below, *above], dtype), rtol=4 * np.finfo(dtype).eps, atol=1e-20)
    assert op(tg.tensor(x)).dtype == dtype
    assert np.isnan(op(dtype(NAN)))


def test_gelu_is_about_the_exact_one():
    x = np.linspace(-6, 6, 1201)
    exact = x * [(1 + erf(v / 2**0.5)) / 2 for v in x]
    np.testing.assert_allclose(tg.gelu(x), exact, atol=5e-4)


@pytest.mark.parametrize(
    ("f", "reference"),
    [
        (tg.selu, lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * (np.exp(x) - 1))),
        (activations.hard_tanh, lambda x: np.minimum(np.maximum(x, -1), 1)),
        (activations.soft_sign, lambda x: x / (1 + np.sqrt(x * x))),
        (activations.glu, lambda x: x[..., :1] / (1 + np.exp(-x[..., 1:]))),
        (lambda x: activations.glu(x, axis=0), lambda x: x[:1] / (1 + np.exp(-x[1:]))),
    ],
)
def test_activations_made_of_others(f, reference):
    draw.gradcheck_test(draw.numbers((2, 2), away_from=(0.0, -1.0, 1.0)), oracle=reference)(f)()


def test_logsumexp_of_nothing_and_of_nothing_but_minus_infinity():
    assert tg.logsumexp(np.full(3, -INF)) == -INF
    assert tg.logsumexp(np.zeros(0)) == -INF
    assert tg.logsumexp([1e4, 1e4]) == 1e4 + np.log(2)
    assert tg.logsumexp([INF, 0.0]) == INF
    np.testing.assert_array_equal(tg.logsumexp(np.full((2, 2), -INF), axis=0, keepdims=True), [[-INF, -INF]])


def test_a_label_of_an_impossible_class_costs_infinitely_but_others_may_be_minus_infinity():
    x = tg.tensor([[-INF, 0.0, 0.0]], requires_grad=True)
    loss = softmax_cross_entropy(x, labels=np.array([1]))
    loss.backward()
    np.testing.assert_allclose(loss.item(), np.log(2))
    np.testing.assert_allclose(x.grad, [[0, -0.5, 0.5]])


# ------------------------------------------------------------------------------------------------------------ indexing


@pytest.mark.parametrize(
    "index",
    [
        [0, 0],
        ((0, 0),),
        range(2),
        (range(2),),
        ([0, 0], [1, 1]),
        ((0, 0), (1, 1)),
        (0, [1, 1]),
        (None, [0, -2], ...),
        [[0, 1], [1, 0]],
        np.array([1, -1]),
        np.array(1),
        np.int64(1),
        True,
        (np.array([True, False]), [0, 0]),
        [True, False],
        [],
        (slice(None), []),
        (np.array([], int),),
        slice(np.int64(0), None, np.array(1)),
        tg.tensor([0, 0]),
        tg.tensor(1),
        tg.tensor([True, False]),
        (tg.tensor([0, 0]), slice(0, tg.tensor(2))),
    ],
    ids=repr,
)
def test_every_kind_of_index(index):
    a = np.arange(6.0).reshape(2, 3)
    plain = index.numpy() if isinstance(index, tg.Tensor) else index
    plain = tuple(i.numpy() if isinstance(i, tg.Tensor) else i for i in plain) if isinstance(plain, tuple) else plain
    expected = a[plain]
    x = tg.tensor(a, requires_grad=True)
    y = x[index]
    np.testing.assert_array_equal(y.numpy(), expected)
    weights = np.arange(1.0, 1 + expected.size).reshape(expected.shape)
    y.backward(weights)
    by_hand = np.zeros(6)
    for element, weight in zip(expected.ravel(), weights.ravel(), strict=True):
        by_hand[int(element)] += weight
    np.testing.assert_array_equal(x.grad, by_hand.reshape(2, 3))


@pytest.mark.parametrize(
    "index", [1, -1, slice(None, 2), ([0, 1], [2, 0]), [True, False], tg.tensor([1, 1]), (..., None)]
)
def test_an_update_is_an_assignment_to_a_copy(index):
    x, value = np.arange(6.0).reshape(2, 3), 7.0
    expected = x.copy()
    expected[index] = value
    np.testing.assert_array_equal(tg.index_update(x, index, value), expected)
    np.testing.assert_array_equal(tg.index_update(x.tolist(), index, value), expected)
    np.testing.assert_array_equal(tg.index_update(tg.tensor(x), index, value).numpy(), expected)
    np.testing.assert_array_equal(x, np.arange(6.0).reshape(2, 3))


def test_an_update_remembers_its_index_as_it_was():
    index = np.array([0, 1])
    v = tg.tensor([1.0, 2.0], requires_grad=True)
    out = tg.index_update(np.zeros(3), index, v)
    index[:] = 2
    np.sum(out * [1.0, 10.0, 100.0]).backward()
    np.testing.assert_array_equal(v.grad, [1, 10])


def test_an_update_outside_the_array_is_refused():
    x = tg.tensor(np.zeros((2, 3)), requires_grad=True)
    with pytest.raises(IndexError, match="out of bounds"):
        tg.index_update(x, 2, 0.0)
    with pytest.raises(ValueError, match="shape"):
        tg.index_update(x, 0, np.zeros(2))


@pytest.mark.parametrize("index", [5, (0, 0, 0), "a", 0.5, [0.5], slice(0.5), (tg.tensor(0.5),)], ids=repr)
def test_what_is_no_index_is_refused_as_by_numpy(index):
    x = tg.tensor(np.zeros((2, 3)), requires_grad=True)
    with pytest.raises((IndexError, TypeError)):
        x[index]


# ------------------------------------------------------------------------------------------ what NumPy's functions take


FORMS = [
    (lambda x: np.sum(x, 0), lambda x: np.sum(x, axis=0)),
    (lambda x: np.sum(x, 0, None, None, True), lambda x: np.sum(x, axis=0, keepdims=True)),
    (lambda x: np.sum(a=x, axis=-1), lambda x: np.sum(x, axis=1)),
    (lambda x: np.sum(x, axis=()), lambda x: x),
    (lambda x: np.sum(x, axis=(0, -1)), lambda x: np.sum(x)),
    (lambda x: np.sum(x, axis=np.int64(0)), lambda x: np.sum(x, axis=0)),
    (lambda x: np.sum(x, where=True), lambda x: np.sum(x)),
    (lambda x: np.sum(x, keepdims=np._NoValue), lambda x: np.sum(x)),
    (lambda x: np.sum(x, dtype=None, out=None), lambda x: np.sum(x)),
    (lambda x: np.add.reduce(x), lambda x: np.sum(x, axis=0)),
    (lambda x: np.add.reduce(x, None), lambda x: np.sum(x)),
    (lambda x: np.add.reduce(x, 1, None, None, True), lambda x: np.sum(x, axis=1, keepdims=True)),
    (lambda x: np.maximum.reduce(x, axis=1), lambda x: np.max(x, axis=1)),
    (lambda x: np.minimum.reduce(x), lambda x: np.min(x, axis=0)),
    (lambda x: x.sum(0), lambda x: np.sum(x, axis=0)),
    (lambda x: x.sum(axis=0, keepdims=True), lambda x: np.sum(x, axis=0, keepdims=True)),
    (lambda x: x.mean(1), lambda x: np.mean(x, axis=1)),
    (lambda x: np.mean(x, 1), lambda x: np.mean(x, axis=1)),
    (lambda x: np.mean(x, 1, None, None, True), lambda x: np.mean(x, axis=1, keepdims=True)),
    (lambda x: x.max(axis=1), lambda x: np.max(x, axis=1)),
    (lambda x: x.min(axis=-1, keepdims=True), lambda x: np.min(x, axis=-1, keepdims=True)),
    (lambda x: np.amax(x, 1), lambda x: np.max(x, axis=1)),
    (lambda x: np.amin(x, axis=1, keepdims=True), lambda x: np.min(x, axis=1, keepdims=True)),
    (lambda x: np.max(x, 1, None, True), lambda x: np.max(x, axis=1, keepdims=True)),
    (lambda x: x.std(0), lambda x: np.std(x, axis=0)),
    (lambda x: x.var(ddof=1), lambda x: np.var(x, ddof=1)),
    (lambda x: np.std(x, 0, None, None, 1), lambda x: np.std(x, axis=0, ddof=1)),
    (lambda x: np.round(x, 0), lambda x: np.round(x)),
    (lambda x: np.around(x, decimals=0), lambda x: np.round(x)),
    (lambda x: np.reshape(x, (3, 2), "C"), lambda x: np.reshape(x, (3, 2))),
    (lambda x: x.reshape(3, 2), lambda x: np.reshape(x, (3, 2))),
    (lambda x: x.reshape((3, -1)), lambda x: np.reshape(x, (3, 2))),
    (lambda x: x.reshape([3, 2]), lambda x: np.reshape(x, (3, 2))),
    (lambda x: x.reshape(-1), lambda x: np.ravel(x)),
    (lambda x: x.flatten(), lambda x: np.ravel(x)),
    (lambda x: np.reshape(x[0, 0], ()), lambda x: x[0, 0]),
    (lambda x: x.transpose(), lambda x: np.transpose(x)),
    (lambda x: x.transpose(None), lambda x: np.transpose(x)),
    (lambda x: x.transpose((1, 0)), lambda x: np.transpose(x)),
    (lambda x: x.T, lambda x: np.transpose(x)),
    (lambda x: x.mT, lambda x: np.transpose(x)),
    (lambda x: np.matrix_transpose(x), lambda x: np.transpose(x)),
    (lambda x: np.permute_dims(x, (1, 0)), lambda x: np.transpose(x)),
    (lambda x: x.swapaxes(0, -1), lambda x: np.swapaxes(x, 0, 1)),
    (lambda x: x[None].squeeze(0), lambda x: x),
    (lambda x: np.concat([x, x]), lambda x: np.concatenate([x, x], axis=0)),
    (lambda x: np.concatenate(x), lambda x: np.ravel(x)),
    (lambda x: np.concatenate((x, A), axis=None), lambda x: np.concatenate([np.ravel(x), A.ravel()])),
    (lambda x: np.concatenate([x, [[1.0, 2.0, 3.0]]], 0), lambda x: np.concatenate([x, A[:1] + 1])),
    (lambda x: np.stack((x, A), -1), lambda x: np.stack([x, A], axis=2)),
    (lambda x: np.hstack([x, x]), lambda x: np.concatenate([x, x], axis=1)),
    (lambda x: np.hstack([x[0], x[1, 1]]), lambda x: np.concatenate([x[0], x[1, 1:2]])),
    (lambda x: np.vstack([x, x[0]]), lambda x: np.concatenate([x, x[:1]])),
    (lambda x: np.vstack([x[0, 0], 2.0]), lambda x: np.reshape(np.stack([x[0, 0], 2.0]), (2, 1))),
    (lambda x: np.where(A > 2, x, 0), lambda x: x * (A > 2)),
    (lambda x: np.dot(x, A.T), lambda x: x @ A.T),
    (lambda x: np.dot(x, 2.0), lambda x: 2 * x),
    (lambda x: np.dot(x, [1.0, 2.0, 3.0]), lambda x: x @ np.array([1.0, 2.0, 3.0])),
    (lambda x: x.clip(1, 3), lambda x: np.clip(x, 1, 3)),
    (lambda x: np.clip(x, np.ones(3), None), lambda x: np.clip(x, 1, None)),
    (
        lambda x: np.clip(x, tg.tensor(1.0), 3) if isinstance(x, tg.Tensor) else np.clip(x, 1, 3),
        lambda x: np.clip(x, 1, 3),
    ),
    (lambda x: abs(-x), lambda x: np.abs(x)),
    (lambda x: +x, lambda x: x),
    (lambda x: 2 - x, lambda x: -x + 2),
    (lambda x: 2 / (x + 1), lambda x: np.divide(2, x + 1)),
    (lambda x: 2**x, lambda x: np.power(2, x)),
    (lambda x: A.T @ x, lambda x: np.matmul(A.T, x)),
    (lambda x: A * x, lambda x: np.multiply(x, A)),
    (lambda x: A - x, lambda x: np.negative(x - A)),
    (lambda x: np.float64(2) * x, lambda x: x * 2),
    (lambda x: [1.0, 2.0, 3.0] * x, lambda x: x * np.array([1.0, 2.0, 3.0])),
    (lambda x: x * (1.0, 2.0, 3.0), lambda x: x * np.array([1.0, 2.0, 3.0])),
    (lambda x: np.multiply(x, 2, casting="same_kind", order="K"), lambda x: 2 * x),
    (lambda x: np.flip(x, (0, 1)), lambda x: np.flip(x)),
    (lambda x: np.reshape(x, (3, 2), order="F"), lambda x: np.reshape(x.T, (2, 3)).T),
    (lambda x: np.reshape(x, (3, 2), order="A"), lambda x: np.reshape(x, (3, 2))),
    (lambda x: np.reshape(x.T, (2, 3), order="A"), lambda x: np.reshape(x, (3, 2)).T),
    (lambda x: x.reshape(3, 2, order="F"), lambda x: np.reshape(x, (3, 2), order="F")),
    (lambda x: x.reshape(3, 2, copy=True), lambda x: np.reshape(x, (3, 2))),
    (lambda x: np.ravel(x, "F"), lambda x: np.ravel(x.T)),
    (lambda x: x.ravel("F"), lambda x: np.ravel(x.T)),
    (lambda x: np.ravel(x.T, "A"), lambda x: np.ravel(x)),
    (lambda x: np.ravel(x.T, order="K"), lambda x: np.ravel(x)),
    (lambda x: x[:, ::-1].T.flatten("K"), lambda x: np.ravel(x[:, ::-1])),
    (lambda x: x.flatten(order="F"), lambda x: np.ravel(x.T)),
    (lambda x: x.repeat(2, axis=1), lambda x: x[:, [0, 0, 1, 1, 2, 2]]),
    (lambda x: np.repeat(x, [2, 0], 0), lambda x: x[[0, 0]]),
    (lambda x: np.repeat(x, np.array([2]), 0), lambda x: x[[0, 0, 1, 1]]),
    (lambda x: np.roll(x, 1), lambda x: np.ravel(x)[[5, 0, 1, 2, 3, 4]].reshape(2, 3)),
    (lambda x: np.roll(x, (1, -1), axis=(0, 1)), lambda x: x[::-1][:, [1, 2, 0]]),
    (lambda x: np.roll(x, shift=2, axis=(0, 1)), lambda x: x[:, [1, 2, 0]]),
    (lambda x: np.rot90(x), lambda x: x.T[::-1]),
    (lambda x: np.rot90(x, k=1, axes=(1, 0)), lambda x: x[::-1].T),
    (lambda x: np.linalg.matrix_transpose(x), lambda x: x.T),
    (lambda x: np.block([[x, A], [A, x]]), lambda x: np.vstack([np.hstack([x, A]), np.hstack([A, x])])),
    (lambda x: np.append(x, [7.0, 8.0]), lambda x: np.concatenate([np.ravel(x), [7.0, 8.0]])),
    (lambda x: np.append(A, x, axis=0), lambda x: np.concatenate([A, x])),
    (lambda x: np.insert(A, 1, x[:, 0], axis=1), lambda x: np.stack([A[:, 0], x[:, 0], A[:, 1], A[:, 2]], 1)),
    (lambda x: np.insert(x, [0, 2], [[8.0], [9.0]], axis=1).T[0], lambda x: x[:, 0] * 0 + [8.0, 9.0]),
    (lambda x: np.delete(x, 1, 0), lambda x: x[:1]),
    (lambda x: np.delete(x, obj=[-1, 0], axis=1), lambda x: x[:, 1:2]),
    (lambda x: np.split(x, [1], axis=1)[1], lambda x: x[:, 1:]),
    (lambda x: np.array_split(x, 2, -1)[0], lambda x: x[:, :2]),
    (lambda x: np.hsplit(x[0], 3)[2], lambda x: x[0, 2:]),
    (lambda x: np.diagonal(x.reshape(6, 1), -2), lambda x: x.ravel()[2:3]),
    (lambda x: np.rot90(x), lambda x: x[:, ::-1].T),
    (lambda x: np.transpose(x, (-1, 0)), lambda x: x.T),
    (lambda x: np.unstack(x, axis=1)[1], lambda x: x[:, 1]),
    (
        lambda x: np.pad(x, [(0, 1), (1, 0)], constant_values=3),
        lambda x: np.vstack([np.hstack([[[3.0], [3.0]], x]), [[3.0] * 4]]),
    ),
    (lambda x: np.pad(x, 1, "symmetric"), lambda x: x[[0, 0, 1, 1]][:, [0, 0, 1, 2, 2]]),
    (lambda x: np.pad(x, {1: (0, 1)}, mode="edge"), lambda x: x[:, [0, 1, 2, 2]]),
    (lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, axis=1), lambda x: np.stack([x[:, :2], x[:, 1:]], 1)),
    (lambda x: np.lib.stride_tricks.sliding_window_view(x, (1, 3)), lambda x: x[:, None, None]),
    (lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 2), (1, 1)), lambda x: x[:, [[[0, 1], [1, 2]]]]),
    (lambda x: 3 * np.matmul(x[0], x[1]), lambda x: 3 * np.sum(x[0] * x[1])),
    (lambda x: np.linalg.qr(x[:, 1:], "complete")[1], lambda x: np.linalg.qr(x[:, 1:])[1]),
    (lambda x: np.linalg.outer(x[0], x[1]), lambda x: x[0][:, None] * x[1]),
    (lambda x: np.linalg.matrix_power(x[:, 1:], 4), lambda x: x[:, 1:] @ x[:, 1:] @ x[:, 1:] @ x[:, 1:]),
    (lambda x: np.linalg.diagonal(x[None], offset=1), lambda x: x[None, [0, 1], [1, 2]]),
    (lambda x: np.linalg.trace(x[None], offset=1), lambda x: x[None, 0, 1] + x[None, 1, 2]),
    (lambda x: np.einsum(x, [30, 1], [1, 30]), lambda x: x.T),
    (lambda x: np.einsum(x, [..., 0], [0, ...]), lambda x: x.T),
    (lambda x: np.einsum(x, [1, 0]), lambda x: x.T),
    (lambda x: np.einsum(x, [0, 1], x, [0, 1], [0]), lambda x: np.sum(x * x, axis=1)),
    (lambda x: np.convolve([1.0, 2.0], x[0], mode="valid"), lambda x: x[0, 1:] + 2 * x[0, :-1]),
    (lambda x: np.linspace(x[0], 1.0, 3, axis=1), lambda x: np.stack([x[0], (x[0] + 1) / 2, x[0] * 0 + 1], 1)),
    (lambda x: np.linspace([0.0, 1.0, 2.0], x, num=1), lambda x: np.zeros((1, 2, 3)) + [0.0, 1.0, 2.0] + 0 * x),
    (lambda x: np.linspace(x, x + 1, 2, True, False, np.float32, 1)[:, 0], lambda x: x.astype(np.float32)),
    (lambda x: np.linspace(0, x, 5, retstep=True)[1], lambda x: x / 4),
    (lambda x: np.meshgrid(x[0], [1.0, 2.0])[0], lambda x: np.stack([x[0], x[0]])),
    (lambda x: np.meshgrid(x[0], [1.0, 2.0], sparse=True)[0], lambda x: x[:1]),
    (lambda x: np.full_like(x, x[0], shape=(2, 3)), lambda x: x[[0, 0]]),
    (lambda x: np.full_like(A, 1.0, subok=True) * x, lambda x: x),
    (lambda x: np.resize(x, (2, 4)), lambda x: np.ravel(x)[[0, 1, 2, 3, 4, 5, 0, 1]].reshape(2, 4)),
    (lambda x: np.multiply.reduce(x), lambda x: np.prod(x, axis=0)),
    (lambda x: np.multiply.reduce(x, axis=None, keepdims=True), lambda x: np.prod(x, keepdims=True)),
    (lambda x: np.maximum.reduce(x, axis=None), lambda x: np.max(x)),
    (lambda x: np.fmax.reduce(x, axis=None), lambda x: np.max(x)),
    (lambda x: np.fmin.reduce(x), lambda x: np.min(x, axis=0)),
    (lambda x: np.add.accumulate(x), lambda x: np.cumsum(x, axis=0)),
    (lambda x: np.add.accumulate(x, 1), lambda x: np.cumsum(x, axis=1)),
    (lambda x: np.multiply.accumulate(x, axis=1), lambda x: np.cumprod(x, axis=1)),
    (lambda x: x.prod(0), lambda x: np.prod(x, axis=0)),
    (lambda x: x.prod(axis=1, keepdims=True), lambda x: np.prod(x, axis=1, keepdims=True)),
    (lambda x: x.cumsum(), lambda x: np.cumsum(x)),
    (lambda x: x.cumsum(1), lambda x: np.cumsum(x, axis=1)),
    (lambda x: x.cumprod(axis=0), lambda x: np.cumprod(x, 0)),
    (lambda x: x.round(1), lambda x: np.round(x, 1)),
    (lambda x: x.conj(), lambda x: x),
    (lambda x: x.conjugate(), lambda x: np.conj(x)),
    (lambda x: x.real, lambda x: np.real(x)),
    (lambda x: x.imag, lambda x: np.imag(x)),
    (lambda x: x.take([0, 5]), lambda x: x.ravel()[[0, 5]]),
    (lambda x: x.take(1, 0), lambda x: x[1]),
    (lambda x: x.take([3, 4], axis=1, mode="wrap"), lambda x: x[:, :2]),
    (lambda x: x.compress([False, True]), lambda x: x.ravel()[1:2]),
    (lambda x: x.compress([True, False, True], axis=1), lambda x: x[:, [0, 2]]),
    (lambda x: np.abs(x), lambda x: np.fabs(x)),
    (lambda x: np.true_divide(x, 2), lambda x: x / 2),
    (lambda x: np.mod(x, 4.0), lambda x: np.remainder(x, 4.0)),
    (lambda x: np.sort(x, 0, None, None), lambda x: np.sort(x, axis=0)),
    (lambda x: np.median(x, 0, None, False, True), lambda x: np.median(x, axis=0, keepdims=True)),
    (lambda x: np.percentile(x, [25, 50], 0), lambda x: np.quantile(x, [0.25, 0.5], axis=0)),
    (lambda x: np.quantile(x, 0.3, None, None, False, "hazen"), lambda x: np.quantile(x, 0.3, method="hazen")),
    (lambda x: np.nansum(x, 0, None, None, True), lambda x: np.nansum(x, axis=0, keepdims=True)),
    (lambda x: np.nanvar(x, 0, None, None, 1), lambda x: np.var(x, axis=0, ddof=1)),
    (lambda x: np.average(x, 1, [1.0, 2.0, 3.0]), lambda x: x @ np.array([1.0, 2.0, 3.0]) / 6),
    (lambda x: np.average(x, (1, 0), A.T + 1), lambda x: np.sum(x * (A + 1)) / 21),
    (lambda x: np.average(x, 1, [1.0, 2.0, 3.0], keepdims=True), lambda x: x @ np.array([[1.0], [2.0], [3.0]]) / 6),
    (lambda x: np.prod(x + 1, axis=1), lambda x: (x[:, 0] + 1) * (x[:, 1] + 1) * (x[:, 2] + 1)),
    (
        lambda x: np.cumulative_sum(x, axis=-1, include_initial=True),
        lambda x: np.stack([0 * x[:, 0], x[:, 0], x[:, 0] + x[:, 1], np.sum(x, axis=1)], 1),
    ),
    (lambda x: np.nanvar(x, 1, keepdims=True), lambda x: np.var(x, axis=1, keepdims=True)),
    (lambda x: np.nanstd(x, 1, keepdims=True), lambda x: np.std(x, axis=1, keepdims=True)),
    (lambda x: np.delete(x, tg.tensor([0]), 1), lambda x: x[:, 1:]),
    (lambda x: np.insert(x, tg.tensor([0]), 7.0, 1), lambda x: np.hstack([[[7.0], [7.0]], x])),
    (lambda x: np.ptp(x, 1, keepdims=True), lambda x: x[:, 2:] - x[:, :1]),
    (lambda x: np.diff(x, 0), lambda x: x),
    (lambda x: np.diff(x, 1, 0), lambda x: x[1:] - x[:-1]),
    (lambda x: np.diff(x, prepend=0, axis=0), lambda x: np.stack([x[0], x[1] - x[0]])),
    (lambda x: np.trapezoid(x, [0.0, 1.0, 3.0]), lambda x: x @ np.array([0.5, 1.5, 1.0])),
    (lambda x: np.gradient(x, 2.0)[0], lambda x: np.gradient(x, axis=0) / 2),
    (lambda x: np.gradient(x, [0.0, 2.0, 4.0], axis=1), lambda x: np.gradient(x, 2.0, axis=1)),
    (lambda x: np.take_along_axis(x, np.argsort(-A, axis=1), axis=1), lambda x: x[:, ::-1]),
    (lambda x: np.choose(1, (x, x + 1)), lambda x: x + 1),
    (lambda x: np.choose([[2, 0, 3]], (x[0], x[1]), mode="wrap"), lambda x: x[[0, 0, 1], [0, 1, 2]][None]),
    (lambda x: np.choose([[2, 0, 3]], (x[0], x[1]), mode="clip"), lambda x: x[[1, 0, 1], [0, 1, 2]][None]),
    (lambda x: np.choose([[1, 0, 1], [0, 1, 0]], x), lambda x: x[[[1, 0, 1], [0, 1, 0]], [0, 1, 2]]),
    (lambda x: np.interp(x, [0, 4], [0, 8]), lambda x: np.interp(x, np.array([0.0, 4.0]), np.array([0.0, 8.0]))),
    (lambda x: np.interp(x, [2, 3], [5, 8], period=4), lambda x: np.interp(x, [-1, 2, 3, 6], [8, 5, 8, 5])),
    (lambda x: np.select([A > 3, A > 1], (x, -x), 7), lambda x: np.where(A > 3, x, np.where(A > 1, -x, 7))),
]


FORMS += [
    (lambda x, end=end: np.trim_zeros(np.concatenate([[0.0], x[1], [0.0, 0.0]]), end), plain)
    for end, plain in (
        ("f", lambda x: np.concatenate([x[1], [0.0, 0.0]])),
        ("b", lambda x: np.concatenate([[0.0], x[1]])),
        ("fb", lambda x: x[1]),
    )
]


@pytest.mark.parametrize(("form", "plain"), FORMS)
def test_forms_of_call(form, plain):
    x = tg.tensor(A, requires_grad=True)
    out = form(x)
    np.testing.assert_array_equal(out.numpy(), form(A))
    np.testing.assert_array_equal(out.numpy(), plain(A))
    weights = np.linspace(1, 2, out.size).reshape(out.shape)
    out.backward(weights)
    y = tg.tensor(A, requires_grad=True)
    plain(y).backward(weights)
    np.testing.assert_allclose(x.grad, y.grad)


def test_where_everywhere_is_no_condition():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    np.sum(np.multiply(x, 2, where=True)).backward()
    np.testing.assert_array_equal(x.grad, [2, 2])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x: np.sum(x, dtype=np.float32), "np.sum of a Tensor does not take dtype=: .* axis=, keepdims="),
        (lambda x: np.sum(x, initial=1.0), "initial="),
        (lambda x: np.max(x, initial=1.0), "np.max of a Tensor does not take initial="),
        (lambda x: np.sum(x, where=A > 1), "where="),
        (lambda x: np.mean(x, where=A > 1), "where="),
        (lambda x: np.sum(x, out=np.zeros(())), "np.sum with a Tensor cannot write to an array"),
        (lambda x: np.sum(x, 0, None, np.zeros(3)), "does not take out="),
        (lambda x: np.add(x, 1, out=np.zeros((2, 3))), "np.add with a Tensor cannot write to an array"),
        (lambda x: np.add(A, 1, out=x), "cannot write to an array"),
        (lambda x: np.add(x, 1, where=A > 1), "np.add of a Tensor does not take where=: .* no keywords"),
        (lambda x: np.exp(x, dtype=np.float32), "dtype="),
        (lambda x: np.exp(x, casting="unsafe"), "casting="),
        (lambda x: np.std(x, mean=0.0), "mean="),
        (lambda x: np.std(x, correction=1), "correction="),
        (lambda x: np.clip(x, 0, 1, where=A > 1), "where="),
        (lambda x: np.concatenate([x, x], dtype=np.float32), "np.concatenate of a Tensor does not take dtype="),
        (lambda x: np.stack([x, x], casting="unsafe"), "casting="),
        (lambda x: np.matmul(x, A.T, axes=[(0, 1)] * 3), "axes="),
        (lambda x: np.broadcast_to(x, (2, 3), subok=True), "subok="),
        (lambda x: np.copy(x, order="F"), "order="),
        (lambda x: np.multiply.outer(x, A), "np.multiply.outer"),
        (lambda x: np.add.at(np.zeros(6), [0], x[0, 0]), "np.add.at"),
        (lambda x: np.full_like(A.astype(int), x[0, 0]), "np.copyto writes to an array"),
        (lambda x: np.subtract.reduce(x), "np.subtract.reduce does not take Tensors"),
        (lambda x: np.maximum.accumulate(x), "np.maximum.accumulate does not take Tensors"),
        (lambda x: np.add.reduceat(x, [0, 1]), "np.add.reduceat does not take Tensors"),
        (lambda x: np.multiply.reduce(x, dtype=np.float32), "dtype="),
        (lambda x: np.cumsum(x, dtype=np.float32), "np.cumsum of a Tensor does not take dtype="),
        (lambda x: np.cumsum(x, 0, np.float32), "np.cumsum of a Tensor does not take dtype="),
        (lambda x: np.prod(x, initial=2.0), "initial="),
        (lambda x: np.nansum(x, 0, np.float32), "np.nansum of a Tensor does not take dtype="),
        (lambda x: np.nanvar(x, where=A > 1), "where="),
        (lambda x: np.nan_to_num(x, False), "np.nan_to_num of a Tensor does not take copy="),
        (lambda x: np.median(x, 0, np.zeros(3)), "out="),
        (lambda x: np.median(x, overwrite_input=True), "overwrite_input="),
        (lambda x: np.quantile(x, 0.5, weights=A, method="inverted_cdf"), "weights="),
        (lambda x: np.quantile(x, 0.5, method="closest_observation"), "no derivative rule for method='closest_obs"),
        (lambda x: np.sort(x, order="a"), "order="),
        (lambda x: np.choose(x, [1.0, 2.0]), "np.choose needs whole numbers"),
        (lambda x: np.select([x], [x]), "np.select needs conditions that are truths"),
        (lambda x: np.compress(x[0], A), "a condition has no derivative"),
        (lambda x: np.average(x, weights=[1.0, 2.0]), "needs axis="),
        (lambda x: np.gradient(x, 1.0, 2.0, 3.0), "as many spacings"),
        (lambda x: np.i0(x), r"np.i0 has no derivative rule: NumPy has not .*i1.* Or write"),
        (lambda x: np.piecewise(x, [A > 1], [1.0]), "np.piecewise has no derivative rule: use np.where, or np.select"),
        (lambda x: np.frexp(x), "np.frexp has no derivative rule: use np.ldexp"),
        (lambda x: np.unique(x), "np.unique has no derivative rule: .*inverse"),
        (lambda x: np.histogram(x), "np.histogram has no derivative rule"),
        (lambda x: np.full(3, x[0, 0]), "leave the graph"),
        (lambda x: np.copyto(x, A), "np.copyto writes to an array.*np.where"),
        (lambda x: np.put(x, [0], 1.0), "np.put writes to an array.*tg.index_update"),
        (lambda x: np.place(x, A > 1, 1.0), "np.place writes to an array.*index_update"),
        (lambda x: np.putmask(x, A > 1, 1.0), "np.putmask writes to an array.*np.where"),
        (lambda x: np.putmask(A, A > 1, x), "np.putmask writes to an array.*np.where"),
        (lambda x: np.put_along_axis(x, np.array([[0]]), 1.0, 0), "np.put_along_axis writes to an array"),
        (lambda x: np.fill_diagonal(x, 1.0), "np.fill_diagonal writes to an array.*diag_indices"),
        (lambda x: np.apply_along_axis(np.sum, 0, x), "np.apply_along_axis has no derivative rule: .* np.stack"),
        (lambda x: np.vectorize(lambda v: v)(x), "leave the graph"),
        (lambda x: np.frompyfunc(lambda v: v, 1, 1)(x), "has no derivative rule"),
        (lambda x: np.lib.stride_tricks.as_strided(x, (2, 2)), "leave the graph"),
        (lambda x: np.array([x, x]), "leave the graph.*np.stack"),
        (lambda x: np.pad(x, 1, "empty"), "mode='empty'"),
        (lambda x: np.pad(x, 1, "reflect", reflect_type="odd"), "mode='reflect' with reflect_type='odd'"),
        (lambda x: np.pad(x, 1, constant_values=x[0, 0]), "no derivative for constant_values="),
        (lambda x: np.linspace(x, 2, dtype=int), "only in floating point"),
        (lambda x: np.insert(A.astype(int), 0, x[0, 0]), "dtype float64 do not go into an array of dtype int64"),
        (lambda x: tg.index_update(A.astype(int), 0, x[0]), "dtype float64 do not go into an array of dtype int64"),
        (lambda x: np.stack([x, x], dtype=np.float32), "dtype="),
        (lambda x: x * 1j, "complex"),
        (lambda x: x * np.ones(3, complex), "complex"),
        (lambda x: x.astype(complex), "complex"),
    ],
)
def test_what_a_rule_does_not_know_is_refused(call, says):
    with pytest.raises(TypeError, match=says):
        call(tg.tensor(A, requires_grad=True))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x: np.clip(x, 0, 1, min=0), "give each bound once"),
        (lambda x: np.clip(x, 0, 1, max=1), "give each bound once"),
        (lambda x: np.split(x, 4), "length 2 into 4 equal parts"),
        (lambda x: np.array_split(x, 0), "into 0 parts"),
        (lambda x: np.vsplit(x[0, 0], 1), "np.vsplit of an array of 0 dimensions"),
        (lambda x: np.hsplit(x[0, 0], 1), "np.hsplit of an array of 0 dimensions"),
        (lambda x: np.dsplit(x, 1), "np.dsplit of an array of 2 dimensions: it splits axis 2"),
        (lambda x: np.block([x, []]), "nested equally deep, none of them empty"),
        (lambda x: np.block([[x], x]), "nested equally deep, none of them empty"),
        (lambda x: np.cumulative_sum(x), r"of shape \(2, 3\) needs axis="),
        (lambda x: np.diff(x, -1), "n of 0 or more"),
        (lambda x: np.diff(x[0, 0]), "1 dimension or more"),
        (lambda x: np.gradient(x[:, :1], axis=1), "needs 2 values along an axis, not 1"),
        (lambda x: np.gradient(x, axis=0, edge_order=2), "needs 3 values along an axis, not 2"),
        (lambda x: np.gradient(x, [1.0, 2.0], axis=1), r"3 values got coordinates of shape \(2,\)"),
        (lambda x: np.choose([-1], [x, x]), "none of its 2 choices"),
        (lambda x: np.choose([2], [x, x]), "none of its 2 choices"),
        (lambda x: np.quantile(x, -0.5), "from 0 to 1"),
        (lambda x: np.quantile(x, 1.5), "from 0 to 1"),
        (lambda x: np.interp(x, [1.0, 2.0], [1.0]), "two vectors of one length"),
        (lambda x: np.interp(x, [[1.0]], [[1.0]]), "two vectors of one length"),
        (lambda x: np.interp(x, [], []), "two vectors of one length"),
        (lambda x: np.geomspace(x[1], 0.0), "neither of them 0"),
    ],
)
def test_what_cannot_be_computed_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call(tg.tensor(A, requires_grad=True))
    with pytest.raises((ValueError, IndexError)):
        call(A)


SQUARE = np.array([[4.0, 1.0], [1.0, 3.0]])


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.vecdot(x, x[:, :1]),
        lambda x: np.linalg.vecdot(x[:1], x, axis=0),
        lambda x: np.vecmat(x, x[0]),
        lambda x: np.matvec(x[0], x),
        lambda x: np.matvec(x, x[0, 0]),
        lambda x: np.linalg.matrix_power(x[0], 2),
        lambda x: np.linalg.matrix_power(x[0, 0], 1),
        lambda x: np.linalg.matrix_power(x[:1], 1),
        lambda x: np.linalg.matrix_power(x[:1], 0),
        lambda x: np.linalg.tensorinv(x, ind=0),
        lambda x: np.linalg.tensorinv(x, ind=-1),
        lambda x: np.clip(x, 0),
        lambda x: np.clip(x, a_max=0),
        lambda x: np.clip(x, 0, 1, min=0),
        lambda x: np.clip(x, None, 1, min=0),
        lambda x: np.vander(x),
        lambda x: np.vander(x[0], 1.5),
        lambda x: np.diag(x[None]),
        lambda x: np.diag(x[0, 0]),
        lambda x: np.gradient(x, [0.0, 2.0]),
        lambda x: np.gradient(x, 1.0, 2.0, 3.0),
        lambda x: np.full_like(x[0], x),
        lambda x: np.full_like(x[0, 0], [0.0, 1.0]),
        lambda x: np.trim_zeros(x, "front"),
        lambda x: np.correlate(x[0], 2.0),
        lambda x: np.correlate(x[0, 0], x[0]),
        lambda x: np.correlate(x, x),
        lambda x: np.lib.stride_tricks.sliding_window_view(x[0], 1.5),
        lambda x: np.lib.stride_tricks.sliding_window_view(x, (1.0, 2.0)),
        lambda x: np.split(x, [0.5, 1.5]),
        lambda x: np.split(x, 1.5),
        lambda x: np.split(x, 0.5),
        lambda x: np.array_split(x, 0),
        lambda x: np.vsplit(x[0], 2),
        lambda x: np.hsplit(x[0, 0], 1),
        lambda x: np.dsplit(x, 1),
        lambda x: np.compress(True, x),
        lambda x: np.compress([[True]], x),
    ],
)
def test_what_numpy_refuses_of_arrays_is_refused_of_tensors(call):
    with pytest.raises((TypeError, ValueError)) as expected:
        call(SQUARE)
    for x in tg.tensor(SQUARE), tg.tensor(SQUARE, requires_grad=True):
        with pytest.raises(expected.type):
            call(x)


def test_filling_drops_leading_axes_of_length_1_as_numpy_does():
    x = tg.tensor(SQUARE, requires_grad=True)
    np.testing.assert_array_equal(np.full_like(x[0], x[None, :1]).numpy(), SQUARE[0])
    check_grads(lambda x: np.full_like(x[0], x[None, :1]), SQUARE)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.gradient(x, np.float64(2), axis=0),
        lambda x: np.gradient(x[0], np.array([0.0, 2.0])),
        lambda x: np.ediff1d(x, [0.0], 2.5),
        lambda x: np.ediff1d(x, np.array(1.0), np.ones((2, 2))),
    ],
)
def test_what_numpy_leaves_in_single_precision_stays_there(call):
    array = SQUARE.astype(np.float32)
    found, expected = call(tg.tensor(array, requires_grad=True)), call(array)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    assert found.dtype == expected.dtype == np.float32
    check_grads(call, SQUARE)


def test_the_sum_of_the_weights_has_the_dtype_of_the_mean():
    for found, expected in zip(*(np.average(x, 0, [1, 2], True) for x in (tg.tensor(SQUARE), SQUARE)), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found.numpy(), expected)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.take(x, True),
        lambda x: np.take(x, [True, False, True], axis=1),
        lambda x: np.take(x, 1.7),
        lambda x: np.take(x, [0.0, 1.7], axis=0),
        lambda x: np.take(x[0, 0], [0, 0], axis=0),
        lambda x: np.transpose(x[0], -1),
        lambda x: np.transpose(x, np.array([-1, 0])),
        lambda x: np.rot90(x, np.int64(3)),
        lambda x: np.rot90(x, True),
        lambda x: np.roll(x, True),
        lambda x: np.roll(x, np.uint8(1)),
        lambda x: np.roll(x, np.array([1, 2], np.uint8), (0, 1)),
        lambda x: np.roll(x, (True, False), (0, 1)),
        lambda x: np.convolve(x[0], [1.0, 2.0, 3.0], 0),
        lambda x: np.convolve(x[0], [1.0, 2.0, 3.0], 1),
        lambda x: np.convolve([1.0, 2.0, 3.0, 4.0], x[0], 1),
        lambda x: np.convolve(x[0], x[1], 2),
        lambda x: np.correlate(x[0], [1.0, 2.0, 3.0], 1),
    ],
)
def test_arguments_that_numpy_makes_numbers_of_are_those_numbers_on_the_way_back_too(call):
    np.testing.assert_array_equal(call(tg.tensor(SQUARE, requires_grad=True)).numpy(), call(SQUARE))
    check_grads(call, SQUARE)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [0, -1, (0,), ()])
@pytest.mark.parametrize(
    "f", [np.sum, np.mean, np.prod, np.max, np.nansum, np.nanmean, np.nanprod, np.nanmin, np.ptp, np.median], ids=str
)
def test_a_single_number_has_the_axes_that_numpy_lets_it_have(f, axis, keepdims):
    def call(x):
        return f(x, axis=axis, keepdims=keepdims) * 2

    try:
        expected = call(np.array(3.0))
    except ValueError as error:
        with pytest.raises(type(error)):
            call(tg.tensor(3.0, requires_grad=True))
        return
    found = call(tg.tensor(3.0, requires_grad=True))
    assert found.shape == np.shape(expected)
    np.testing.assert_array_equal(found.numpy(), expected)
    check_grads(call, 3.0)


def test_a_broken_number_of_quarter_turns_has_no_gradient():
    turned = np.rot90(tg.tensor(SQUARE, requires_grad=True), 3.7)  # which NumPy takes for 3
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        turned.sum().backward()


@pytest.mark.parametrize("sections", [0, -1])
def test_no_sections_are_an_error_that_says_so(sections):
    with pytest.raises(ValueError, match=f"np.array_split into {sections} parts: give a number larger than 0"):
        np.split(tg.tensor(SQUARE, requires_grad=True), sections)


def test_weights_that_sum_to_zero_make_no_average():
    for x in A, tg.tensor(A):
        with pytest.raises(ZeroDivisionError, match="sum to zero"):
            np.average(x, 1, [1.0, -1.0, 0.0])


def test_an_array_is_not_added_to_in_place():
    array = np.zeros(3)
    for t in tg.tensor(np.ones(3), requires_grad=True), tg.tensor(np.ones(3)):
        with pytest.raises(TypeError, match=r"np.add with a Tensor cannot write .* x = x \+ y"):
            array += t
    np.testing.assert_array_equal(array, 0)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_empty_arrays(shape):
    x = tg.tensor(np.zeros(shape), requires_grad=True)
    (
        np.sum(x) + np.sum(np.max(x, axis=0, keepdims=True) if shape[0] else 0) + np.sum(x @ np.zeros((shape[-1], 2)))
    ).backward()
    assert x.grad.shape == shape
    with pytest.raises(ValueError, match="zero-size"):
        np.max(x)


@pytest.mark.parametrize("f", [np.mean, np.var, np.std, lambda x: np.mean(tg.sigmoid(x))])
def test_gradients_in_half_precision_survive_large_counts(f):
    x = np.linspace(-1, 1, 70_000)
    half = tg.grad(f)(x.astype(np.float16))
    assert np.count_nonzero(half) > 60_000
    np.testing.assert_allclose(half, tg.grad(f)(x), atol=1e-6)


def test_labels_of_a_dtype_too_small_for_the_classes():
    logits = tg.tensor(np.zeros((2, 300)), requires_grad=True)
    softmax_cross_entropy(logits, labels=np.array([0, 44], np.uint8)).backward()
    expected = np.full((2, 300), 1 / 600)
    expected[[0, 1], [0, 44]] -= 1 / 2
    np.testing.assert_allclose(logits.grad, expected, atol=1e-15)


@pytest.mark.parametrize(("mode", "rows"), [("clip", [4, 0, 2, 3]), ("wrap", [2, 2, 2, 3])])
def test_rows_taken_beyond_the_ends(mode, rows):
    x = tg.tensor(np.arange(10.0).reshape(5, 2), requires_grad=True)
    taken = np.take(x, [7, -3, 2, 3], axis=0, mode=mode)
    np.testing.assert_array_equal(taken.numpy(), x.numpy()[rows])
    taken.backward(np.arange(8.0).reshape(4, 2))
    expected = np.zeros((5, 2))
    np.add.at(expected, rows, np.arange(8.0).reshape(4, 2))
    np.testing.assert_array_equal(x.grad, expected)


def test_numbers_are_drawn_alike_wherever_they_are_written():
    new, kept = uniform(np.random.default_rng(0), shape=(2, 3)), np.empty((2, 3), np.float32)
    uniform_into(kept, np.random.default_rng(0), shape=(2, 3))
    np.testing.assert_array_equal(new, kept)
    assert new.dtype == np.float32


def test_cross_entropies_in_half_precision_survive_large_counts():
    x, labels = np.zeros((70_000, 2)), np.zeros(70_000, int)
    for f in (
        lambda x: tg.nn.cross_entropy(x, labels),
        lambda x: tg.nn.binary_cross_entropy_with_logits(x, np.ones_like(labels)[:, None] * np.ones(2, np.float16)),
    ):
        np.testing.assert_allclose(tg.grad(f)(x.astype(np.float16)), tg.grad(f)(x), atol=1e-6)
        assert tg.grad(f)(x.astype(np.float16))[0, 0] != 0


@pytest.mark.parametrize("root", [np.sqrt, lambda x: x**0.5, lambda x: x ** np.array([0.5, 0.25, 0.5])])
def test_the_branch_not_taken_gets_exactly_0_though_its_slope_be_infinite(root):
    f = lambda x: np.sum(np.where(x > 0, root(x), 0))
    x = np.array([0.0, 0.0, 4.0])
    np.testing.assert_array_equal(tg.grad(f)(x), [0, 0, 0.25])
    np.testing.assert_allclose(tg.hvp(f)(x, np.ones(3)), [0, 0, -1 / 32])
    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(root(x)))(x), [np.inf, np.inf, 0.25])
