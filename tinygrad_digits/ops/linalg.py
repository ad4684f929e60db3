"""Rules of `numpy.linalg`: solve, inv, det, cholesky, qr, eigh, svd, norms and their kin, for stacks of matrices.

A function with several results is one operation that packs them in one array, and is unpacked by indexing. Of a
symmetric argument NumPy reads one triangle, and that triangle gets the gradient. Left out: `eig` (its results may be
complex) and `lstsq`.
"""

import operator
from math import prod

import numpy as np

from ..autodiff import advice, composites, defvjp, nondifferentiable, primitive
from .elementwise import nonzero
from .products import of_real_numbers
from .reductions import kept

EighResult, QRResult, SlogdetResult, SVDResult = (
    type(f(np.eye(1))) for f in (np.linalg.eigh, np.linalg.qr, np.linalg.slogdet, np.linalg.svd)
)


@primitive
def divided(x, d):
    """``x / d``, and 0 for 0 / 0: where no gradient asks for a slope, it may be infinite."""
    if np.any((d == 0) & (x != 0)):
        raise np.linalg.LinAlgError(
            "eigenvectors of equal eigenvalues (singular vectors of equal singular values, or of 0) have no "
            "derivative. First derivatives of the values alone exist: np.linalg.eigvalsh, np.linalg.svdvals"
        )
    return x / np.where(d == 0, 1, d)


# fmt: off
defvjp(divided, lambda g, out, x, d: divided(g, d),
                lambda g, out, x, d: -divided(g * out, d))
# fmt: on


def but_rounding(d, values):
    """What is no more than a rounding error beside some values as 0."""
    bound = np.finfo(d.dtype).eps * np.sum(np.abs(values), axis=-1, keepdims=True)
    return np.where(np.abs(d) <= bound, 0, d)


def over_gaps(x, values):
    """``x[i, j] / (values[j] - values[i])``, and 0 on the diagonal."""
    rows = np.expand_dims(values, -2)
    gaps = but_rounding(rows - np.expand_dims(values, -1), rows)
    return divided(x, np.where(np.eye(values.shape[-1]), np.inf, gaps))


def lower(x):
    """The lower triangle, with half the diagonal."""
    return (np.tril(x) + np.tril(x, -1)) / 2


def columns(x, factors):
    """A matrix with its columns multiplied by numbers."""
    return x * np.expand_dims(factors, -2)


# ------------------------------------------------------------------------------------------------------------- solving


def for_right_side(g, a, b):
    """The solution of aᵀ x = g, for right sides that are vectors or matrices as b is."""
    return np.linalg.solve(a.mT, g) if b.ndim > 1 else np.linalg.solve(a.mT, np.expand_dims(g, -1))[..., 0]


def times_transposed(x, y, b):
    """X yᵀ, for matrices, or vectors as b is."""
    return np.matmul(x, y.mT) if b.ndim > 1 else np.expand_dims(x, -1) * np.expand_dims(y, -2)


def through_pinv(g, p, x):
    """The gradient of the pseudoinverse p of x where the rank stays (Golub and Pereyra, 1973)."""
    h = g.mT
    return -p.mT @ g @ p.mT + (h - x @ (p @ h)) @ (p @ p.mT) + (p.mT @ p) @ (h - (h @ p) @ x)


# fmt: off
defvjp(np.linalg.solve, lambda g, out, a, b: -times_transposed(for_right_side(g, a, b), out, b),
                        lambda g, out, a, b: for_right_side(g, a, b))
defvjp(np.linalg.inv,   lambda g, out, x: -out.mT @ g @ out.mT)
defvjp(np.linalg.pinv,  lambda g, out, x, *, rcond=None, rtol=None: through_pinv(g, out, x))
# fmt: on

# -------------------------------------------------------------------------------------------------------- determinants


@primitive
def cofactors(x):
    """The gradient of the determinant, of singular matrices too: that of u s vᵀ is ± u c vᵀ, and c is easy."""
    u, s, vh = np.linalg.svd(x)
    return columns(u, sign(u, vh) * products_without(s)) @ vh


@primitive
def cofactor_slopes(g, x):
    """The gradient of ``sum(g * cofactors(x))`` by x."""
    u, s, vh = np.linalg.svd(x)
    h = u.mT @ g @ vh.mT
    rest = sign(u, vh)[..., None] * products_without_two(s)
    diagonal = np.matmul(rest, np.diagonal(h, axis1=-2, axis2=-1)[..., None])  # too large by what is subtracted next
    return u @ (np.eye(s.shape[-1], dtype=s.dtype) * diagonal - rest * h.mT) @ vh


def sign(u, vh):
    """The determinant of two orthogonal matrices, with an axis of length 1."""
    return np.round(np.linalg.det(u) * np.linalg.det(vh))[..., None]


def products_without(s):
    """For each number: the product of the others."""
    return np.prod(np.where(np.eye(s.shape[-1]), 1, s[..., None, :]), axis=-1)


def products_without_two(s):
    """For each pair of numbers: the product of the others."""
    one = np.eye(s.shape[-1], dtype=bool)
    return np.prod(np.where(one[:, None] | one, 1, s[..., None, None, :]), axis=-1)


def third_slopes(h, g, x):
    """The gradient of ``sum(h * cofactor_slopes(g, x))`` by x, which must not be singular."""
    x_t = np.linalg.inv(x).mT
    a, b = x_t @ g.mT, x_t @ h.mT
    trace_a, trace_b, trace_ab = (np.sum(m, axis=(-2, -1), keepdims=True) for m in (g * x_t, h * x_t, a * b.mT))
    rest = a @ b + b @ a - trace_a * b - trace_b * a
    return np.linalg.det(x)[..., None, None] * ((trace_a * trace_b - trace_ab) * x_t + rest @ x_t)


@primitive
def sign_and_logdet(x):
    """`numpy.linalg.slogdet`, with both results in one array."""
    return np.stack(np.linalg.slogdet(x), axis=-1)


# fmt: off
defvjp(np.linalg.det,   lambda g, out, x: g[..., None, None] * cofactors(x))
defvjp(cofactors,       lambda g, out, x: cofactor_slopes(g, x))
defvjp(cofactor_slopes, lambda h, out, g, x: cofactor_slopes(h, x),
                        lambda h, out, g, x: third_slopes(h, g, x))
defvjp(sign_and_logdet, lambda g, out, x: g[..., 1, None, None] * np.linalg.inv(x).mT)
# fmt: on


def slogdet(a):
    """`numpy.linalg.slogdet`; the sign has gradient 0."""
    of_real_numbers(np.linalg.slogdet, a)
    both = sign_and_logdet(a)
    return SlogdetResult(both[..., 0], both[..., 1])


# ------------------------------------------------------------------------------------------------------ factorisations


def through_cholesky(g, factor):
    """The gradient of a lower Cholesky factor (Murray, 2016)."""
    inverse = np.linalg.inv(factor)
    s = inverse.mT @ lower(factor.mT @ g) @ inverse
    return lower(s + s.mT)


@primitive
def packed_qr(x):
    """The factors of a matrix at least as high as wide: the rows of q, then those of rᵀ."""
    q, r = np.linalg.qr(x)
    return np.concatenate([q, r.mT], axis=-2)


def through_qr(g, out, x):
    """The gradient of both factors, for independent columns (Walter and Lehmann, 2010)."""
    m = x.shape[-2]
    q, r = out[..., :m, :], out[..., m:, :].mT
    g_q, g_r = g[..., :m, :], g[..., m:, :].mT
    s = r @ g_r.mT - g_q.mT @ q
    return np.linalg.solve(r, (g_q + q @ (np.tril(s) + np.tril(s, -1).mT)).mT).mT


@primitive
def packed_eigh(a, *, UPLO="L"):  # noqa: N803 - NumPy's name
    """Eigenvalues as a row, above the eigenvectors."""
    values, vectors = np.linalg.eigh(a, UPLO)
    return np.concatenate([values[..., None, :], vectors], axis=-2)


def through_eigh(g, out, upper):
    """The gradient of eigenvalues and eigenvectors, in the triangle that was read (Giles, 2008)."""
    values, v = out[..., 0, :], out[..., 1:, :]
    s = (columns(v, g[..., 0, :]) + v @ over_gaps(v.mT @ g[..., 1:, :], values)) @ v.mT
    return lower(s + s.mT).mT if upper else lower(s + s.mT)


@primitive
def packed_svd(x):
    """The rows of u, the singular values as a row, the rows of v."""
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    return np.concatenate([u, s[..., None, :], vh.mT], axis=-2)


def through_svd(g, out, x):
    """The gradient of singular values and vectors (Townsend, 2016)."""
    m = x.shape[-2]
    u, s, v = out[..., :m, :], out[..., m, :], out[..., m + 1 :, :]
    g_u, g_s, g_v = g[..., :m, :], g[..., m, :], g[..., m + 1 :, :]
    turn_u, turn_v = over_gaps(u.mT @ g_u, s * s), over_gaps(v.mT @ g_v, s * s)
    core = columns(turn_u + turn_u.mT, s) + columns(turn_v + turn_v.mT, s).mT
    inside = (columns(u, g_s) + u @ core) @ v.mT
    if m > x.shape[-1]:
        return inside + divided(g_u - u @ (u.mT @ g_u), np.expand_dims(but_rounding(s, s), -2)) @ v.mT
    if m < x.shape[-1]:
        return inside + u @ divided(g_v - v @ (v.mT @ g_v), np.expand_dims(but_rounding(s, s), -2)).mT
    return inside


def from_singular_values(g, s, x):
    """The gradient of singular values alone, which may be equal; one that is 0 has a kink there, as abs has."""
    u, _, vh = np.linalg.svd(x, full_matrices=False)
    return columns(u, g * np.sign(but_rounding(s, s))) @ vh


# fmt: off
defvjp(np.linalg.cholesky, lambda g, out, x, *, upper=False: through_cholesky(g.mT, out.mT).mT if upper
                                                             else through_cholesky(g, out))
defvjp(packed_qr,          lambda g, out, x: through_qr(g, out, x))
defvjp(packed_eigh,        lambda g, out, x, *, UPLO="L": through_eigh(g, out, UPLO in "Uu"))  # noqa: N803
defvjp(packed_svd,         lambda g, out, x: through_svd(g, out, x))
defvjp(np.linalg.svdvals,  lambda g, out, x: from_singular_values(g, out, x))
# fmt: on


def qr(a, mode="reduced"):
    """`numpy.linalg.qr`, where the first columns are independent."""
    m, n = a.shape[-2:]
    if mode not in ("reduced", "r") and not (mode == "complete" and m <= n):
        raise TypeError(f"np.linalg.qr of a Tensor does not take mode={mode!r}: use 'reduced' or 'r'")
    both = packed_qr(a[..., :m])
    q = both[..., :m, :]
    r = np.concatenate([both[..., m:, :].mT, q.mT @ a[..., m:]], axis=-1)
    return r if mode == "r" else QRResult(q, r)


def eigh(a, UPLO="L"):  # noqa: N803 - NumPy's name
    """`numpy.linalg.eigh`; the eigenvectors have a derivative where the eigenvalues are distinct."""
    of_real_numbers(np.linalg.eigh, a)
    both = packed_eigh(a, UPLO=UPLO)
    return EighResult(both[..., 0, :], both[..., 1:, :])


def svd(a, full_matrices=True, compute_uv=True):
    """`numpy.linalg.svd`; the vectors have a derivative where the values are distinct, and not 0."""
    of_real_numbers(np.linalg.svd, a)
    if not compute_uv:
        return np.linalg.svdvals(a)
    m, n = a.shape[-2:]
    if full_matrices and m != n:
        raise TypeError(
            "np.linalg.svd of a Tensor does not make full matrices, as the vectors that complete a basis have no "
            "derivative: pass full_matrices=False, or compute_uv=False for the singular values alone"
        )
    all_three = packed_svd(a)
    return SVDResult(all_three[..., :m, :], all_three[..., m, :], all_three[..., m + 1 :, :].mT)


# --------------------------------------------------------------------------------------------------------------- norms


@primitive
def p_norm(x, *, p, axis=None, keepdims=False):
    """``sum(abs(x)**p)**(1 / p)``."""
    return np.linalg.vector_norm(x, ord=p, axis=axis, keepdims=keepdims)


def p_slope(out, x, p):
    """The gradient of a p-norm (given with the axes of x): 0 for the norm 0, and for an element 0."""
    x = np.where(out == 0, 0, x)
    return x / nonzero(out) if p == 2 else np.sign(x) * (nonzero(np.abs(x)) / nonzero(out)) ** (p - 1)


# fmt: off
defvjp(p_norm, lambda g, out, x, *, p, axis=None, keepdims=False:
                   kept(g, x, axis, keepdims) * p_slope(kept(out, x, axis, keepdims), x, p))
# fmt: on


def floating(x):
    """Whole numbers as floating-point ones, which norms are of."""
    return x if x.dtype.kind in "fc" else x.astype(float)


def vector_norm(x, *, axis=None, keepdims=False, ord=2):
    """`numpy.linalg.vector_norm`."""
    x = floating(x)
    if ord in (np.inf, -np.inf):
        return (np.max if ord == np.inf else np.min)(np.abs(x), axis=axis, keepdims=keepdims)
    if ord in (0, 1):
        return np.sum(np.abs(x if ord else np.sign(x)), axis=axis, keepdims=keepdims)
    return p_norm(x, p=float(ord), axis=axis, keepdims=keepdims)


def norm_of_matrices(x, ord, axes, keepdims):
    """The matrix norm over two axes."""
    x = floating(x)
    if x.ndim < 2:
        raise ValueError(f"a matrix norm takes at least two axes, and this tensor has shape {x.shape}")
    if ord in (None, "fro", "f"):
        return vector_norm(x, axis=axes, keepdims=keepdims)
    if ord in (1, -1, np.inf, -np.inf):
        sums = np.sum(np.abs(x), axis=axes[abs(ord) != 1], keepdims=True)
        return (np.max if ord in (1, np.inf) else np.min)(sums, axis=axes, keepdims=keepdims)
    if ord not in (2, -2, "nuc"):
        raise ValueError(f"there is no matrix norm of order {ord!r}: take 'fro', 'nuc', 1, -1, 2, -2, inf or -inf")
    values = np.linalg.svdvals(np.moveaxis(x, axes, (-2, -1)))
    out = {2: np.max, -2: np.min, "nuc": np.sum}[ord](values, axis=-1)
    return np.expand_dims(out, axes) if keepdims else out


def matrix_norm(x, *, keepdims=False, ord="fro"):
    """`numpy.linalg.matrix_norm`."""
    return norm_of_matrices(x, ord, (-2, -1), keepdims)


def norm(x, ord=None, axis=None, keepdims=False):
    """`numpy.linalg.norm`."""
    axes = axis if isinstance(axis, tuple) else tuple(range(x.ndim)) if axis is None else (axis,)
    if axis is None and ord is None:
        return vector_norm(x, keepdims=keepdims)
    if len(axes) == 2:
        return norm_of_matrices(x, ord, axes, keepdims)
    if len(axes) != 1 or isinstance(ord, str):
        raise ValueError(f"np.linalg.norm of order {ord!r} does not take {len(axes)} axes")
    return vector_norm(x, axis=axes[0], keepdims=keepdims, ord=2 if ord is None else ord)


# -------------------------------------------------------------------------------------------- what is made of the rest


def matrix_power(a, n):
    """`numpy.linalg.matrix_power`, by repeated squaring."""
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(
            f"np.linalg.matrix_power takes square matrices, and not an array of shape {a.shape}"
        )
    n = operator.index(n)
    if n < 0:
        return matrix_power(np.linalg.inv(a), -n)
    if n == 0:
        return np.where(False, a, np.eye(a.shape[-1], dtype=a.dtype))  # which has gradient 0
    if n == 1:
        return +a
    half = matrix_power(a, n // 2)
    return half @ half @ a if n % 2 else half @ half


def cond(x, p=None):
    """`numpy.linalg.cond`, of matrices that are not singular."""
    if p in (None, 2, -2):
        s = np.linalg.svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return matrix_norm(x, ord=p) * matrix_norm(np.linalg.inv(x), ord=p)


def tensorinv(a, ind=2):
    """`numpy.linalg.tensorinv`."""
    if not 0 < ind <= a.ndim:
        raise ValueError(f"np.linalg.tensorinv with ind={ind}: give how many of the {a.ndim} axes are the rows'")
    rows, columns = a.shape[:ind], a.shape[ind:]
    return np.reshape(np.linalg.inv(np.reshape(a, (prod(rows), prod(columns)))), columns + rows)


def tensorsolve(a, b, axes=None):
    """`numpy.linalg.tensorsolve`."""
    if axes is not None:
        a = np.moveaxis(a, axes, range(-len(axes), 0))
    unknowns = a.shape[np.ndim(b) :]
    return np.reshape(np.linalg.solve(np.reshape(a, (-1, prod(unknowns))), np.ravel(b)), unknowns)


composites |= {
    np.linalg.slogdet: slogdet,
    np.linalg.qr: qr,
    np.linalg.eigh: eigh,
    np.linalg.eigvalsh: lambda a, UPLO="L": eigh(a, UPLO).eigenvalues,  # noqa: N803 - NumPy's name
    np.linalg.svd: svd,
    np.linalg.norm: norm,
    np.linalg.vector_norm: vector_norm,
    np.linalg.matrix_norm: matrix_norm,
    np.linalg.matrix_power: matrix_power,
    np.linalg.cond: cond,
    np.linalg.tensorinv: tensorinv,
    np.linalg.tensorsolve: tensorsolve,
}
nondifferentiable.add(np.linalg.matrix_rank)
advice |= {
    np.linalg.eig: "its results may be complex. For symmetric matrices use np.linalg.eigh",
    np.linalg.eigvals: "its results may be complex. For symmetric matrices use np.linalg.eigvalsh",
    np.linalg.lstsq: "use np.linalg.pinv(a) @ b",
}
