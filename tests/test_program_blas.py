"""The two routines of BLAS that programs add with, and where they do."""

import ctypes
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_digits as tg
from tinygrad_digits.program import PASSES, blas

DTYPES = np.float32, np.float64
SIZES = st.integers(1, 9)


@pytest.fixture
def without_blas():
    """As where NumPy's BLAS has no such routines."""
    names = blas.NAMES
    forget = blas._routine.cache_clear, blas.found.cache_clear, blas._has_small_way.cache_clear
    blas.NAMES = ("no_{}_here",)
    for one in forget:
        one()
    yield
    blas.NAMES = names
    for one in forget:
        one()


@st.composite
def matrices(draw, rows, columns, dtype):
    """A matrix, laid out in one of the ways that there are."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    whole = rng.normal(size=(2 * rows, 2 * columns)).astype(dtype)
    layouts = {
        "by rows": lambda: whole[:rows, :columns].copy(),
        "by columns": lambda: np.asfortranarray(whole[:rows, :columns]),
        "a part": lambda: whole[:rows, :columns],
        "a part, transposed": lambda: whole.T.copy().T[:rows, :columns],
        "every second": lambda: whole[::2, ::2],
        "every second row": lambda: whole[::2, :columns],
        "backwards": lambda: whole[rows - 1 :: -1, columns - 1 :: -1][:rows, :columns],
        "out of line": lambda: _out_of_line(whole[:rows, :columns]),
    }
    return layouts[draw(st.sampled_from(sorted(layouts)))]()


def _out_of_line(x):
    moved = np.empty(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    moved[...] = x
    return moved


NUMBERS = st.sampled_from([1.0, -1.0, 0.5, -0.25, 3.0, 0.0])


def small(monkeypatch, product, *, way=True):
    """As if products of more multiplications were cut into pieces, on any machine."""
    monkeypatch.setattr(blas, "SMALL_PRODUCT", product)
    monkeypatch.setattr(blas, "LONG_SUM", 2)
    monkeypatch.setattr(blas, "MOST_PIECES", 9)
    monkeypatch.setattr(blas, "_has_small_way", lambda dtype: way)


@given(st.data(), SIZES, SIZES, SIZES, st.sampled_from(DTYPES), NUMBERS, NUMBERS)
def test_gemm_adds_a_product_however_the_matrices_lie(data, m, k, n, dtype, alpha, beta):
    with pytest.MonkeyPatch.context() as patch:
        small(patch, data.draw(st.sampled_from([1_000, 50, 10])))
        gemm_adds_a_product(data, m, k, n, dtype, alpha, beta)


def gemm_adds_a_product(data, m, k, n, dtype, alpha, beta):
    a, b, c = (data.draw(matrices(*shape, dtype)) for shape in ((m, k), (k, n), (m, n)))
    wide = [x.astype(np.float64) for x in (a, b, c)]
    expected = beta * wide[2] + alpha * wide[0] @ wide[1]
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-13, "atol": 1e-13}
    np.testing.assert_allclose(blas.gemm(c, a, b, alpha, beta), expected, **tolerance)
    assert blas.gemm(c, a, b, alpha, beta).dtype == dtype
    before = a.copy(), b.copy()
    which = data.draw(st.sampled_from(["none move", "a moves", "b moves", "both move"]))
    if which == "none move":
        blas.bound_gemm(c, a, b)(alpha, beta)
    elif which == "a moves":
        blas.bound_gemm(c, None, b)(alpha, beta, a)
    elif which == "b moves":
        blas.bound_gemm(c, a, None)(alpha, beta, b)
    else:
        blas.bound_gemm(c, None, None)(alpha, beta, a, b)
    np.testing.assert_allclose(c, expected, **tolerance)
    assert all(np.array_equal(x, y) for x, y in zip(before, (a, b), strict=True))


def test_a_long_sum_of_products_is_cut_into_pieces_that_are_small(monkeypatch):
    dtype = np.dtype(np.float32)
    small(monkeypatch, 1000)
    assert [blas.pieces_of(10, 10, k, dtype) for k in (10, 11, 20, 21, 90, 91)] == [1, 2, 2, 3, 9, 1]
    assert blas.pieces_of(1000, 2, 1, dtype) == 1
    seen = []
    bound = blas._bound
    monkeypatch.setattr(blas, "_bound", lambda c, a, b: seen.append((a.shape, b.shape)) or bound(c, a, b))
    c, a, b = np.zeros((10, 10)), np.ones((10, 25)), np.ones((25, 10))
    blas.bound_gemm(c, a, b)(2.0, 1.0)
    np.testing.assert_array_equal(c, 50)
    assert seen == [((10, 8), (8, 10)), ((10, 8), (8, 10)), ((10, 9), (9, 10))]
    seen.clear()
    for matrices in (c.T, a, b), (c, a, np.asfortranarray(b)):  # read line by line, they are as fast in one
        blas.bound_gemm(*matrices)(2.0, 0.0)
    small(monkeypatch, 1000, way=False)
    blas.bound_gemm(c, a, b)(2.0, 0.0)
    assert seen == [((10, 25), (25, 10))] * 3


def test_only_openblas_with_avx_512_is_known_to_have_a_way_for_small_products(monkeypatch):
    core = blas.import_module("numpy._core._multiarray_umath")
    has = core.__cpu_features__["AVX512_SKX"] and hasattr(ctypes.CDLL(core.__file__), "scipy_cblas_sgemm64_")
    blas._has_small_way.cache_clear()
    assert blas._has_small_way(np.dtype(np.float32)) == bool(has)
    assert not blas._has_small_way(np.dtype(np.float16))
    monkeypatch.setitem(core.__cpu_features__, "AVX512_SKX", False)
    blas._has_small_way.cache_clear()
    assert not blas._has_small_way(np.dtype(np.float32))
    blas._has_small_way.cache_clear()


def test_a_bias_is_added_with_a_small_product_where_that_is_cut(monkeypatch):
    sources = []
    for product in 1_000_000, 10_000:
        small(monkeypatch, product)
        layer = tg.nn.Linear(300, 6, rng=0)
        x = tg.tensor(np.random.default_rng(0).normal(size=(20, 300)).astype(np.float32))
        forward = tg.compile(lambda: layer(x))  # noqa: B023 - it is called at once
        np.testing.assert_allclose(forward().numpy(), layer(x).numpy(), rtol=1e-5, atol=1e-6)
        sources.append("add_to_linear(" in forward.source)
    assert sources == [False, True]


@given(st.data(), SIZES, SIZES, st.sampled_from(DTYPES), NUMBERS)
def test_axpy_adds_a_multiple_however_the_arrays_lie(data, m, n, dtype, alpha):
    x, y = (data.draw(matrices(m, n, dtype)) for _ in range(2))
    expected = y.astype(np.float64) + alpha * x.astype(np.float64)
    tolerance = {"rtol": 1e-6, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-15, "atol": 1e-15}
    np.testing.assert_allclose(blas.axpy(y, x, alpha), expected, **tolerance)
    assert blas.axpy(y, x, alpha).dtype == dtype
    if data.draw(st.booleans()):
        blas.bound_axpy(y, x)(alpha)
    else:
        blas.bound_axpy(y, None)(alpha, x)
    np.testing.assert_allclose(y, expected, **tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("inner", [0, 3])
def test_nothing_and_what_is_not_finite(dtype, inner):
    c, a, b = np.ones((2, 4), dtype), np.ones((2, inner), dtype), np.ones((inner, 4), dtype)
    blas.bound_gemm(c, a, b)(2.0, 0.5)
    np.testing.assert_array_equal(c, 0.5 + 2 * inner)
    blas.bound_gemm(c[:0], a[:0], b)(2.0, 0.5)
    if inner:
        c[0, 0], a[1, 0] = np.inf, np.nan
        with np.errstate(invalid="ignore"):  # BLAS itself makes 0 of it, without a word
            blas.bound_gemm(c, a, b)(0.0, 0.0)
        np.testing.assert_array_equal(np.isnan(c), [[True, False, False, False], [True] * 4])
    y, x = np.zeros(3, dtype), np.array([1, np.inf, np.nan], dtype)
    with np.errstate(invalid="ignore"):
        blas.bound_axpy(y, x)(0.0)
    np.testing.assert_array_equal(np.isnan(y), [False, True, True])
    number = np.zeros((), dtype)
    blas.bound_axpy(number, None)(1.5, np.asarray(2.0, dtype)[()])
    assert number == 3


def test_numpy_s_own_build_has_the_routines():
    """As from PyPI on Linux, where it is tested; elsewhere programs may do without."""
    core = blas.import_module("numpy._core._multiarray_umath")
    has = hasattr(ctypes.CDLL(core.__file__), "scipy_cblas_sgemm64_")
    if has:
        assert blas.found(np.dtype(np.float32))
        assert blas.found(np.dtype(np.float64))
    assert not blas.found(np.dtype(np.float16))
    assert not blas.found(np.dtype(complex))


# ------------------------------------------------------------------------------------------------------ where they are


def step_of(optimizer, rows=20, sizes=(400, 90, 10), **settings):
    """A step whose first weights are large enough, and what it trains."""
    rng = np.random.default_rng(0)
    layers = [tg.nn.Linear(n, m, rng=rng, dtype=float) for n, m in pairwise(sizes)]
    model = tg.nn.Sequential(layers[0], tg.nn.Tanh(), layers[1])
    update = optimizer(model.parameters(), **settings)

    def step(x, y):
        loss = tg.nn.cross_entropy(model(x), y)
        update.zero_grad()
        loss.backward()
        update.step()
        return loss

    x, y = rng.normal(size=(rows, sizes[0])), rng.integers(0, sizes[-1], rows)
    return step, model, x, y


KINDS = {
    "plain": ({"lr": 0.1}, ["(-1.0, 1.0, x_T)  # = layers_0_weight - x_T @ product"]),
    "momentum": (
        {"lr": 0.1, "momentum": 0.9},
        [
            "(1.0, settings['momentum'], x_T)  # = momentum * layers_0_weight_velocity + x_T @ product",
            "add_to_layers_0_weight(-settings['lr'])  # = layers_0_weight - lr * layers_0_weight_velocity",
            "np.subtract(layers_2_bias, product",
        ],
    ),
    "decay": (
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-3},
        ["(1.0, 1.0, x_T)  # = product_4 + x_T @ product", "add_to_layers_0_weight(-settings['lr'])"],
    ),
    "Nesterov": (
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        [
            "(-settings['lr'])  # = layers_0_weight - lr * d_layers_0_weight",
            " - (lr * momentum) * layers_0_weight_velocity",
        ],
    ),
}


@pytest.mark.parametrize(("settings", "lines"), KINDS.values(), ids=KINDS)
def test_an_update_is_added_at_once(settings, lines):
    step, model, x, y = step_of(tg.optim.SGD, **settings)
    other, expected, *_ = step_of(tg.optim.SGD, **settings)
    compiled = tg.compile(step)
    for _ in range(20):
        np.testing.assert_allclose(compiled(x, y).item(), other(x, y).item(), rtol=1e-12)
    for p, q in zip(model.parameters(), expected.parameters(), strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=1e-10, atol=1e-12)
    for text in lines:
        assert text in compiled.source
    assert "np.copyto" not in compiled.source.split("# update")[1]


def test_without_the_routines_numpy_does_it(without_blas):
    assert not blas.found(np.dtype(np.float64))
    step, _, x, y = step_of(tg.optim.SGD, lr=0.1, momentum=0.9)
    compiled = tg.compile(step)
    compiled(x, y)
    assert "add_to_" not in compiled.source
    c = np.ones((2, 2))
    blas.bound_gemm(c, c.copy(), c.copy())(1.0, 3.0)
    assert (c == 5).all()
    blas.bound_axpy(c, c.copy())(2.0)
    assert (c == 15).all()


def test_a_routine_that_does_something_else_is_not_taken(monkeypatch):
    blas.found.cache_clear()
    monkeypatch.setattr(blas, "_routine", lambda name, dtype: lambda *arguments: None)
    assert not blas.found(np.dtype(np.float32))
    blas.found.cache_clear()


def test_small_products_stay_products():
    step, _, x, y = step_of(tg.optim.SGD, sizes=(20, 30, 10), lr=0.1, momentum=0.9)
    compiled = tg.compile(step)
    compiled(x, y)
    assert "add_to_" not in compiled.source


def test_what_is_read_afterwards_is_not_added_to():
    """The old weights, handed out, and a product that somebody else needs, too."""
    w = tg.tensor(np.random.default_rng(0).normal(size=(100, 100)), requires_grad=True)
    x = np.random.default_rng(1).normal(size=(3, 100))
    plain = {name: one for name, one in PASSES.items() if name != "fuse"}

    def step(x):
        old = w * 1.0
        gradient = x.T @ x
        w.data = w.detach() - gradient
        return old, gradient, w.detach() * 2

    for passes in (PASSES, plain):
        w.data = np.eye(100)
        found = [np.array(a) for a in tg.compile(step, passes=passes)(tg.tensor(x))]
        np.testing.assert_allclose(found[0], np.eye(100))
        np.testing.assert_allclose(found[1], x.T @ x)
        np.testing.assert_allclose(w.numpy(), np.eye(100) - x.T @ x)
        np.testing.assert_allclose(found[2], 2 * w.numpy())


def test_a_product_with_the_weights_that_it_changes():
    w = tg.tensor(np.eye(100) * 0.5, requires_grad=True)
    optimizer = tg.optim.SGD([w], lr=1.0)

    def step():
        loss = np.sum(w @ w) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    compiled, expected = tg.compile(step), np.eye(100) * 0.5
    for _ in range(3):
        compiled()
        ones = np.ones((100, 100))
        expected = expected - (ones @ expected.T + expected.T @ ones) / 2
    np.testing.assert_allclose(w.numpy(), expected, rtol=1e-10)
