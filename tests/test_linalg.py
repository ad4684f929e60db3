"""Linear algebra where the rules of tests/cases do not go: kinks, singular matrices, equal eigenvalues, errors."""

import numpy as np
import pytest

import tinygrad_digits as tg
from tinygrad_digits.ops import linalg, products
from tinygrad_digits.testing import check_grads

INF = np.inf
ONE = np.ones((2, 2))


def track(x):
    return tg.tensor(x, requires_grad=True)


# -------------------------------------------------------------------------------------------------------------- norms


@pytest.mark.parametrize("ord", [None, 2, 1, INF, -INF, 0, 3, 1.5, 0.5])
@pytest.mark.parametrize("keywords", [{}, {"axis": 0}, {"axis": -1, "keepdims": True}])
def test_a_norm_of_zeros_has_gradient_zero_to_second_order(ord, keywords):
    for norm in np.linalg.norm, np.linalg.vector_norm:
        if norm is np.linalg.vector_norm and ord is None:
            continue

        def f(x, norm=norm):
            return np.sum(norm(x, ord=ord, **keywords))

        np.testing.assert_array_equal(tg.grad(f)(np.zeros(3)), np.zeros(3))
        np.testing.assert_array_equal(tg.hessian(f)(np.zeros(3)), np.zeros((3, 3)))


@pytest.mark.parametrize("ord", [None, "fro", "nuc", 1, -1, 2, -2, INF, -INF])
def test_a_norm_of_a_matrix_of_zeros_has_gradient_zero(ord):
    np.testing.assert_array_equal(tg.grad(lambda x: np.linalg.norm(x, ord))(np.zeros((2, 3))), np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("ord", "x", "expected"),
    [
        (None, [0.0, 3.0, 4.0], [0, 0.6, 0.8]),
        (1, [0.0, -3.0], [0, -1]),
        (INF, [2.0, -2.0, 1.0], [0.5, -0.5, 0]),
        (-INF, [2.0, -1.0, 1.0], [0, -0.5, 0.5]),
        (0, [0.0, 5.0], [0, 0]),
        (3, [0.0, -2.0], [0, -1]),
        (1.5, [0.0, -2.0], [0, -1]),
        (0.5, [0.0, 2.0], [0, 1]),
        (1, [[1.0, 0.0], [0.0, 1.0]], [[0.5, 0], [0, 0.5]]),
        (INF, [[1.0, -1.0], [0.0, -2.0]], [[0.5, -0.5], [0, -0.5]]),
        (2, [[1.0, 0.0], [0.0, 1.0]], [[0.5, 0], [0, 0.5]]),
        ("nuc", [[2.0, 0.0], [0.0, 0.0]], [[1, 0], [0, 0]]),
        ("nuc", [[1.0, 1.0], [1.0, 1.0]], [[0.5, 0.5], [0.5, 0.5]]),
    ],
)
def test_the_kinks_of_a_norm(ord, x, expected):
    np.testing.assert_allclose(tg.grad(lambda x: np.linalg.norm(x, ord))(np.array(x)), expected, atol=1e-15)


@pytest.mark.filterwarnings("ignore:divide by zero")  # in NumPy's own sum of reciprocals
def test_a_norm_of_negative_order_is_0_for_any_zero():
    np.testing.assert_array_equal(tg.grad(lambda x: np.linalg.norm(x, -1))(np.array([0.0, 2.0])), [0, 0])


def test_a_norm_with_a_zero_among_its_elements_to_second_order():
    check_grads(np.linalg.norm, np.array([0.0, 3.0, 4.0]))
    check_grads(lambda x: np.linalg.norm(x, 3), np.array([0.0, 3.0, 4.0]), atol=1e-5)


def test_norms_of_integers_and_complex_numbers_are_numpys():
    whole = np.array([[3, 4], [1, -2]])
    for ord in None, 1, 2, "nuc", -INF:
        for x in whole, whole * 1j + 1:
            found, expected = np.linalg.norm(tg.tensor(x), ord), np.linalg.norm(x, ord)
            np.testing.assert_allclose(found.numpy(), expected)
            assert found.dtype == expected.dtype
    assert np.linalg.vector_norm(tg.tensor(np.array([100, 100], np.int8))).item() == np.sqrt(20000)


# -------------------------------------------------------------------------------------------------------- determinants


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((1, 1)),
        np.zeros((3, 3)),
        np.ones((3, 3)),
        np.diag([1.0, 2.0, 0.0, 0.0]),
        np.eye(4),
        np.arange(9.0).reshape(3, 3),
        np.stack([ONE, np.eye(2), 0 * ONE]),
    ],
)
def test_the_determinant_of_a_singular_matrix_has_derivatives(x):
    check_grads(np.linalg.det, x, order=2)


def test_the_gradient_of_a_determinant_is_made_of_cofactors():
    x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    np.testing.assert_allclose(tg.grad(np.linalg.det)(x), [[-3, 6, -3], [6, -12, 6], [-3, 6, -3]], atol=1e-13)


def test_determinants_to_fourth_order():
    x = np.array([[2.0, 0.5], [-0.3, 1.0]])
    check_grads(np.linalg.det, x, order=4, atol=1e-6, rtol=1e-5)
    check_grads(np.linalg.det, np.diag([1.0, 2.0, 3.0]) + 0.1, order=3, atol=1e-6, rtol=1e-5)


def test_third_derivatives_of_determinants_of_which_they_depend_on_the_matrix():
    g, x = np.random.default_rng(0).normal(size=(2, 4, 4))
    check_grads(linalg.cofactor_slopes, g, x)


def test_the_logarithm_of_a_determinant_of_0_has_no_gradient():
    assert np.linalg.slogdet(track(ONE)).logabsdet.item() == -INF
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        tg.grad(lambda x: np.linalg.slogdet(x)[1])(ONE)


# ------------------------------------------------------------------------------------------------------ factorisations


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (np.linalg.slogdet, np.eye(2)),
        (np.linalg.qr, np.eye(3, 2)),
        (np.linalg.qr, np.eye(2, 3)),
        (np.linalg.eigh, np.eye(2)),
        (np.linalg.svd, np.eye(2)),
    ],
)
def test_several_results_come_as_numpys_named_tuples(f, x):
    expected, found = f(x), f(track(x))
    assert type(found) is type(expected)
    for name, a, b in zip(expected._fields, expected, found, strict=True):
        np.testing.assert_allclose(getattr(found, name).numpy(), a)
        assert b.requires_grad


@pytest.mark.parametrize("q", [np.eye(3), np.linalg.qr(np.arange(9.0).reshape(3, 3) ** 2 % 7)[0]])
def test_functions_of_equal_eigenvalues_have_a_gradient_and_their_vectors_have_none(q):
    x = q @ np.diag([1.0, 1.0, 2.0]) @ q.T
    whole = tg.grad(lambda x: np.sum(np.linalg.eigvalsh(x)))(x)
    np.testing.assert_allclose(whole, np.eye(3), atol=1e-14)
    squares = tg.grad(lambda x: np.sum(np.linalg.eigh(x)[0] ** 2))(x)
    np.testing.assert_allclose(np.diag(squares), 2 * np.diag(x))
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(np.linalg.svdvals(x)))(x), np.eye(3), atol=1e-14)
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(np.linalg.svd(x)[1]))(x), np.eye(3), atol=1e-14)

    def exponential(x):
        values, vectors = np.linalg.eigh(x)
        return np.sum((vectors * np.exp(values)) @ vectors.T * np.arange(9.0).reshape(3, 3))

    with pytest.raises(np.linalg.LinAlgError, match="eigenvectors of equal eigenvalues"):
        tg.grad(exponential)(x)
    with pytest.raises(np.linalg.LinAlgError, match="equal singular values"):
        tg.grad(lambda x: np.sum(np.linalg.svd(x)[0] * np.arange(9.0).reshape(3, 3)))(x)
    check_grads(exponential, q @ np.diag([1.0, 1.5, 2.0]) @ q.T)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (3, 3)])
def test_singular_values_of_a_matrix_of_less_than_full_rank(shape):
    x = np.outer(*[np.arange(1.0, n + 1) for n in shape])
    expected = x / np.linalg.norm(x)
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(np.linalg.svdvals(x)))(x), expected)
    side = 0 if shape[0] > shape[1] else 2
    with pytest.raises(np.linalg.LinAlgError, match="of 0"):
        tg.grad(lambda x: np.sum(np.linalg.svd(x, full_matrices=False)[side][-1, -1]))(x)


def test_singular_vectors_of_a_square_matrix_of_which_one_value_is_0():
    u, _, vh = np.linalg.svd(np.random.default_rng(0).normal(size=(3, 3)))
    x = u @ np.diag([2.0, 1.0, 0.0]) @ vh
    for side in 0, 2:
        check_grads(lambda x, side=side: np.linalg.svd(x)[side] ** 2, x, order=1)


def test_of_a_symmetric_argument_the_triangle_that_is_read_gets_the_gradient():
    x = np.array([[3.0, 1.0], [1.0, 2.0]])
    for f in np.linalg.cholesky, np.linalg.eigvalsh, lambda x: np.linalg.eigh(x)[1] ** 2:
        assert tg.grad(lambda x, f=f: f(x)[0, 0] if f(x).ndim == 2 else f(x)[0])(x)[0, 1] == 0
    assert tg.grad(lambda x: np.linalg.cholesky(x, upper=True)[0, 1])(x)[1, 0] == 0
    assert tg.grad(lambda x: np.linalg.eigvalsh(x, "U")[0])(x)[1, 0] == 0


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.linalg.norm(x, keepdims=True),
        lambda x: np.linalg.norm(x, axis=1),
        lambda x: np.linalg.norm(x, axis=(-1, 0)),
        lambda x: np.linalg.vector_norm(x, axis=(0, 2), ord=3),
        lambda x: np.linalg.matrix_power(x, 0),
        lambda x: np.linalg.matrix_power(x[:, None], 0),
        lambda x: np.linalg.solve(x, x[:, 0, 0]),
        lambda x: np.linalg.solve(x[:, None], x[0]),
        lambda x: np.linalg.vector_norm(x, axis=(0, 2), ord=1, keepdims=True),
        lambda x: np.linalg.matrix_norm(x, ord="nuc", keepdims=True),
        lambda x: np.linalg.svd(x, compute_uv=False),
        lambda x: np.linalg.qr(x, "r"),
        lambda x: np.dot(x[0, 0], x),
        lambda x: np.matmul(x[0, 0], x),
        lambda x: np.tensordot(x, x, axes=np.int64(1)),
        lambda x: np.linalg.cross(np.pad(x[0], (0, 1)), np.ones((3, 1)), axis=0),
        *[lambda x, p=p: np.linalg.cond(np.vstack([np.reshape(x, (2, 4)), np.eye(1, 4)]), p) for p in (None, 2, -2)],
    ],
)
def test_forms_of_call(f):
    x = np.random.default_rng(0).normal(size=(2, 2, 2))
    np.testing.assert_allclose(f(track(x)).numpy(), f(x), rtol=1e-13)
    assert f(track(x.astype(np.float32))).dtype == f(x.astype(np.float32)).dtype
    check_grads(f, x)


def test_singular_values_are_compared_with_those_of_the_same_matrix():
    x = np.stack([np.diag([1.0, 2.0]), np.diag([1e20, 2e20])])
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(np.linalg.svdvals(x)))(x), [np.eye(2)] * 2, atol=1e-15)
    np.testing.assert_allclose(tg.grad(lambda x: np.linalg.eigh(x)[1][0, 0, 1])(x)[0], [[0, 0], [1, 0]], atol=1e-15)


# -------------------------------------------------------------------------------------------------------------- einsum


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x: np.einsum("ij,jk", x), "1 operands, and subscripts for 2"),
        (lambda x: np.einsum("ijk", x), r"shape \(2, 2\) by the subscripts 'ijk'"),
        (lambda x: np.einsum("i", x), r"shape \(2, 2\) by the subscripts 'i'"),
        (lambda x: np.einsum("i...->i", x), "no '...' in the result"),
        (lambda x: np.einsum("ij->ii", x), "multiple times"),
        (lambda x: np.einsum("ij->k", x), "output subscript 'k'"),
        (lambda x: np.einsum("ij,ij", x, np.ones((3, 2))), "broadcast"),
        (lambda x: np.tensordot(x, np.ones((3, 2)), 1), r"lengths \(2,\) with axes of lengths \(3,\)"),
        (lambda x: np.linalg.outer(x, x), "takes two vectors"),
        (lambda x: np.linalg.cross(x, x), r"length 3, and got lengths \[2, 2\]"),
        (lambda x: np.cross(x[:, :1], x), "lengths 1 and 2"),
        (lambda x: np.linalg.multi_dot([x]), "at least two"),
        (lambda x: np.linalg.norm(x, 3), "no matrix norm of order 3"),
        (lambda x: np.linalg.norm(x[0], "fro"), "order 'fro' does not take 1 axes"),
        (lambda x: np.linalg.norm(x[None], 2), "does not take 3 axes"),
        (lambda x: np.linalg.matrix_norm(x[0]), "at least two axes"),
    ],
)
def test_what_cannot_be_computed_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call(track(ONE))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x: np.einsum("ij", x, out=np.zeros((2, 2))), "np.einsum with a Tensor cannot write to an array"),
        (lambda x: np.einsum("ij", x, dtype=np.float32), "np.einsum of a Tensor does not take dtype="),
        (lambda x: np.trace(x, dtype=np.float32), "np.trace of a Tensor does not take dtype="),
        (lambda x: np.dot(x, x, out=np.zeros((2, 2))), "np.dot with a Tensor cannot write to an array"),
        (lambda x: np.linalg.pinv(x, hermitian=True), "np.linalg.pinv of a Tensor does not take hermitian="),
        (lambda x: np.linalg.svd(x, hermitian=True), "np.linalg.svd of a Tensor does not take hermitian="),
        (lambda x: np.linalg.svd(x[:1]), "full matrices.* full_matrices=False, or compute_uv=False"),
        (lambda x: np.linalg.qr(x, "raw"), "does not take mode='raw'"),
        (lambda x: np.linalg.qr(x[:, :1], "complete"), "does not take mode='complete'"),
        (np.linalg.eig, "np.linalg.eig has no derivative rule: .* complex.* use np.linalg.eigh"),
        (np.linalg.eigvals, "np.linalg.eigvals has no derivative rule: .* use np.linalg.eigvalsh"),
        (lambda x: np.linalg.lstsq(x, x), r"np.linalg.lstsq has no derivative rule: use np.linalg.pinv\(a\) @ b"),
        (lambda x: np.vdot(x, x + 0 * track(1.0)) + np.vdot(tg.tensor([1j]), [1j]), "np.vdot of Tensors is for real"),
        (lambda x: np.vecdot(x, ONE * 1j), "np.vecdot of Tensors is for real numbers"),
        (lambda x: np.vecmat(x[0], ONE * 1j), "np.vecmat of Tensors is for real numbers"),
        (lambda x: np.linalg.eigh(tg.tensor(ONE * 1j)), "np.linalg.eigh of Tensors is for real numbers"),
        (lambda x: np.linalg.svd(tg.tensor(ONE * 1j)), "np.linalg.svd of Tensors is for real numbers"),
        (lambda x: np.linalg.slogdet(tg.tensor(ONE * 1j)), "np.linalg.slogdet of Tensors is for real numbers"),
        (lambda x: np.linalg.matrix_power(x, 0.5), "integer"),
    ],
)
def test_what_the_rules_do_not_know_is_refused(call, says):
    with pytest.raises(TypeError, match=says):
        call(track(ONE))


def test_the_rank_of_a_matrix_carries_no_gradient():
    rank = np.linalg.matrix_rank(track(ONE))
    assert rank.item() == 1
    assert not rank.requires_grad


def test_an_order_of_contractions_may_be_given():
    xs = np.ones((1, 2)), np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(3, 2)
    path, _ = np.einsum_path("ij,jk,kl->", *xs, optimize="optimal")
    check_grads(lambda *xs: np.einsum("ij,jk,kl->", *xs, optimize=path), *xs, order=2)
    assert np.einsum_path("ij,jk,kl->", *map(track, xs), optimize="optimal")[0] == path


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ii->i", [(3, 3)]),
        ("ii", [(3, 3)]),
        ("iii->i", [(2, 2, 2)]),
        ("iij->j", [(2, 2, 3)]),
        ("ii,i->i", [(1, 1), (3,)]),
        ("ij->", [(2, 3)]),
        ("ba", [(2, 3)]),
        ("ij,ij->", [(1, 3), (2, 3)]),
        ("ij,ij->i", [(1, 3), (2, 1)]),
        ("ij,j->ij", [(2, 3), (1,)]),
        (",i", [(), (2,)]),
        ("i,j,k->kji", [(2,), (3,), (2,)]),
        ("...i,...i->...", [(2, 3, 2), (3, 2)]),
        ("...i,...i", [(2, 2), (3, 1, 2)]),
        ("...i,...i", [(2,), (3, 2)]),
        ("...ij,jk...->...ik", [(2, 2, 3), (3, 2, 1)]),
        ("i...->...", [(2, 3)]),
        ("ii...->...i", [(2, 2, 3)]),
        ("i...,i", [(2,), (2,)]),
    ],
)
def test_every_kind_of_sum(subscripts, shapes, optimize):
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=shape) for shape in shapes]
    expected = np.einsum(subscripts, *xs)
    np.testing.assert_allclose(np.einsum(subscripts, *map(track, xs), optimize=optimize).numpy(), expected)
    check_grads(lambda *xs: np.einsum(subscripts, *xs, optimize=optimize), *xs)


# NumPy has deprecated them, and from 2.5 on takes them no more. We deprecate them; until they are gone they are right.
@pytest.mark.filterwarnings("ignore:np.cross of vectors of length 2:DeprecationWarning")
@pytest.mark.parametrize(("m", "n"), [(2, 2), (2, 3), (3, 2)])
def test_cross_products_of_vectors_in_the_plane(m, n):
    a, b = np.arange(2.0 * m).reshape(2, m), np.array([3.0, 1.0, 4.0])[:n]
    in_space = np.cross(*(np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, 3 - x.shape[-1])]) for x in (a, b)))
    np.testing.assert_allclose(np.cross(track(a), b).numpy(), in_space[:, 2] if m == n == 2 else in_space)
    check_grads(products.cross, a, b, order=2)


def test_cross_products_of_vectors_in_the_plane_are_deprecated():
    with pytest.warns(DeprecationWarning, match="append a 0") as warned:
        np.cross(track([1.0, 2.0]), [3.0, 4.0])
    assert warned[0].filename == __file__


def test_a_product_with_lists_and_integers():
    x = track([[1.0, 2.0], [3.0, 4.0]])
    for f in np.dot, np.inner, np.outer, np.kron, np.tensordot, np.vdot, np.matvec, np.linalg.solve:
        for other in ([[2, 1], [1, 3]], np.array([[2, 1], [1, 3]])):
            np.testing.assert_allclose(f(x, other).numpy(), f(x.numpy(), np.array(other)))
            np.testing.assert_allclose(f(other, x).numpy(), f(np.array(other), x.numpy()))


def test_cofactors_of_singular_matrices():
    x = np.array([[1.0, 2.0], [2.0, 4.0]])
    np.testing.assert_allclose(linalg.cofactors(x), [[4, -2], [-2, 1]], atol=1e-15)
    np.testing.assert_allclose(linalg.cofactors(np.stack([x, 0 * x]))[1], 0)
