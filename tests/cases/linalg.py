"""Functions of numpy.linalg, at matrices that are far from singular, and values that are far from each other."""

from functools import partial

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tinygrad_digits.ops import linalg
from tinygrad_digits.testing import strategies as draw

from .common import AWAY, axis_and_keepdims, on

STACKS = st.sampled_from([(), (2,), (), (2, 1), (0,)])
SIZES = st.sampled_from([2, 3, 1, 0])
ORDERS = [None, 2, 1, np.inf, -np.inf, 0, 3, 1.5, 0.5, -1]
OF_MATRICES = [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]


@st.composite
def regular(draw_from, stacks=STACKS, sizes=SIZES):
    """Square matrices in which the diagonal outweighs the rest."""
    n = draw_from(sizes)
    return draw_from(draw.numbers((*draw_from(stacks), n, n), -1, 1)) + (n + 1) * np.eye(n)


@st.composite
def spread(draw_from, m=None, n=None, **options):
    """Matrices whose eigenvalues, and singular values, are about 1, 2, 3."""
    m, n = (draw_from(SIZES) if k is None else k for k in (m, n))
    values = np.zeros((m, n))
    values[np.arange(min(m, n)), np.arange(min(m, n))] = draw_from(st.permutations(range(1, min(m, n) + 1)))
    return draw_from(draw.numbers((*draw_from(STACKS), m, n), -0.15, 0.15, **options)) + values


def square(**options):
    return SIZES.flatmap(lambda n: spread(n, n, **options))


def each(arrays, *calls):
    """One of some functions of one array."""
    return st.tuples(st.sampled_from(calls), arrays).map(lambda drawn: (drawn[0], (drawn[1],), None))


@st.composite
def equations(draw_from):
    a = draw_from(regular())
    n = a.shape[-1]
    b = draw_from(st.sampled_from([(n,), (n, 2), (n,), (n, 0), (*a.shape[:-2], n, 1)]).flatmap(draw.numbers))
    return np.linalg.solve, (a, b), None


@st.composite
def low_ranks(draw_from):
    """Matrices that stay of rank 1, whatever is added to their factors."""
    m, n = draw_from(SIZES.filter(bool)), draw_from(SIZES.filter(bool))
    stack = draw_from(STACKS)
    x, y = (draw_from(draw.numbers((*stack, *shape), 0.5, 2)) for shape in ((m, 1), (1, n)))
    return (lambda x, y: np.linalg.pinv(x @ y, 1e-5)), (x, y), None


def any_rank():
    """Square matrices of whole numbers, many of them singular."""
    return SIZES.flatmap(lambda n: draw.arrays(STACKS.map(lambda stack: (*stack, n, n)), -1, 1)).map(np.round)


@st.composite
def with_orders(draw_from, norm, orders, count):
    """A norm over some axes, at numbers away from its kinks."""
    x = draw_from(draw.shapes(min_dims=count, min_side=1).flatmap(draw.separated)) + 0.025
    ord = draw_from(st.sampled_from(orders))
    axis = tuple(draw_from(st.permutations(range(-x.ndim, 0)))[:count])
    if ord in (1, -1, np.inf, -np.inf) and count == 2:
        sums = np.sum(np.abs(x), axis=axis[abs(ord) != 1])
        assume(np.all(np.diff(np.sort(np.ravel(sums))) > 0.01))
    if ord in (2, -2, "nuc") and count == 2:
        values = np.linalg.svdvals(np.moveaxis(x, axis, (-2, -1)))
        assume(np.all(values > 0.1) and np.all(np.diff(values) < -0.1))
    keepdims = draw_from(st.booleans())
    return norm(ord, axis if count == 2 else axis[0], keepdims, axis == tuple(range(-x.ndim, 0))), (x,), None


def norms(ord, axis, keepdims, whole):
    if whole:
        return lambda x: np.linalg.norm(x, ord, keepdims=keepdims)
    return lambda x: np.linalg.norm(x, ord, axis, keepdims)


def vector_norms(ord, axis, keepdims, whole):
    return lambda x: np.linalg.vector_norm(
        x, axis=None if whole else axis, keepdims=keepdims, ord=2 if ord is None else ord
    )


def matrix_norms(ord, axis, keepdims, whole):
    return lambda x: np.linalg.matrix_norm(np.moveaxis(x, axis, (-2, -1)), keepdims=keepdims, ord=ord or "fro")


@st.composite
def divisions(draw_from):
    x, d = draw_from(draw.broadcastable((-2, 2), (0.5, 2)))
    return linalg.divided, (x, d), np.divide


def minors(x):
    """The cofactors of a stack of matrices, one by one."""
    result = np.ones_like(x)
    for i in np.ndindex(x.shape):
        minor = np.delete(np.delete(x[i[:-2]], i[-2], 0), i[-1], 1)
        result[i] = (-1) ** (i[-2] + i[-1]) * np.linalg.det(minor)
    return result


@st.composite
def slopes_of_cofactors(draw_from):
    x = draw_from(regular(sizes=st.sampled_from([1, 2, 3])))
    g = draw_from(draw.numbers(x.shape))

    def plain(g, x):
        inverse = np.linalg.inv(x).mT
        along = np.sum(g * inverse, axis=(-2, -1), keepdims=True)
        return np.linalg.det(x)[..., None, None] * (along * inverse - inverse @ g.mT @ inverse)

    return linalg.cofactor_slopes, (g, x), plain


cases = {
    linalg.divided: divisions(),
    np.linalg.solve: equations(),
    np.linalg.inv: each(regular(), np.linalg.inv),
    np.linalg.pinv: each(spread(), np.linalg.pinv, lambda x: np.linalg.pinv(x, rtol=1e-5)) | low_ranks(),
    np.linalg.det: each(any_rank() | regular(), np.linalg.det),
    linalg.cofactors: regular().map(lambda x: (linalg.cofactors, (x,), minors)),
    linalg.cofactor_slopes: slopes_of_cofactors(),
    linalg.sign_and_logdet: each(
        regular() | regular().map(np.negative),
        lambda x: np.linalg.slogdet(x).logabsdet,
        lambda x: np.linalg.slogdet(x)[0],
    ),
    np.linalg.cholesky: each(regular(), np.linalg.cholesky, lambda x: np.linalg.cholesky(x, upper=True)),
    # LAPACK's choice of signs jumps where all below a diagonal is 0
    linalg.packed_qr: each(
        spread(**AWAY), lambda x: np.linalg.qr(x)[0], lambda x: np.linalg.qr(x).R, lambda x: np.linalg.qr(x, "r")
    )
    | each(spread(2, 3, **AWAY), lambda x: np.linalg.qr(x, "complete")[1])
    | each(square(**AWAY), lambda x: np.linalg.qr(x, "complete")[0]),
    linalg.packed_eigh: each(
        square(),
        lambda x: np.linalg.eigh(x)[0],
        lambda x: np.linalg.eigh(x).eigenvectors ** 2,  # the sign is LAPACK's choice, and differs between precisions
        lambda x: np.linalg.eigh(x, "U").eigenvalues,
        lambda x: np.linalg.eigh(x, UPLO="u")[1] ** 2,
    ),
    np.linalg.eigvalsh: each(square(), np.linalg.eigvalsh, lambda x: np.linalg.eigvalsh(x, UPLO="U")),
    linalg.packed_svd: each(
        spread(),
        lambda x: np.linalg.svd(x, full_matrices=False)[0] ** 2,
        lambda x: np.linalg.svd(x, False).S,
        lambda x: np.linalg.svd(x, full_matrices=False).Vh ** 2,
    )
    | each(square(), *[lambda x, i=i: np.linalg.svd(x)[i] ** 2 for i in range(3)]),
    np.linalg.svdvals: each(spread(), np.linalg.svdvals, lambda x: np.linalg.svd(x, compute_uv=False)),
    linalg.p_norm: on(
        draw.arrays(draw.shapes(min_side=1), **AWAY),
        lambda x: st.tuples(st.sampled_from([2.0, 3.0, 1.5, 0.5, -1.0]), axis_and_keepdims(x)).map(
            lambda drawn: {"p": drawn[0], **drawn[1]}
        ),
        linalg.p_norm,
        lambda x, p, axis=None, keepdims=False: np.sum(np.abs(x) ** p, axis=axis, keepdims=keepdims) ** (1 / p),
    ),
    np.linalg.norm: with_orders(norms, ORDERS, 1)
    | with_orders(norms, OF_MATRICES, 2)
    | each(draw.arrays(**AWAY), np.linalg.norm, lambda x: np.linalg.norm(x, keepdims=True)),
    np.linalg.vector_norm: with_orders(vector_norms, ORDERS, 1)
    | on(draw.arrays(draw.shapes(min_side=1), **AWAY), axis_and_keepdims, np.linalg.vector_norm),
    np.linalg.matrix_norm: with_orders(matrix_norms, OF_MATRICES, 2),
    np.linalg.cond: each(
        draw.numbers((2, 2), 0, 0.1).map(lambda x: x + np.array([[3, 1], [0.5, 2]])),
        *[partial(np.linalg.cond, p=p) for p in ("fro", "nuc", 1, -1, np.inf, -np.inf)],
    )
    | each(spread(3, 4), np.linalg.cond, *[partial(np.linalg.cond, p=p) for p in (2, -2)]),
    np.linalg.matrix_power: each(regular(), *[lambda x, n=n: np.linalg.matrix_power(x, n) for n in range(-2, 6)]),
    np.linalg.tensorinv: each(
        regular(st.just(()), st.just(4)),
        lambda x: np.linalg.tensorinv(x.reshape(2, 2, 4)),
        lambda x: np.linalg.tensorinv(x.reshape(4, 1, 2, 2), ind=1 + 1),
        lambda x: np.linalg.tensorinv(x.reshape(4, 2, 2), ind=1),
    ),
    np.linalg.tensorsolve: each(
        regular(st.just(()), st.just(4)),
        lambda x: np.linalg.tensorsolve(x.reshape(2, 2, 4), x[:2, :2]),
        lambda x: np.linalg.tensorsolve(x.reshape(4, 2, 2), x[0]),
        lambda x: np.linalg.tensorsolve(x.reshape(4, 2, 2), x[0].reshape(2, 2), axes=(0,)),
    ),
}
