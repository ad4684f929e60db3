"""Products of vectors, matrices and stacks of them: matmul, dot, tensordot, einsum, cross, kron and their kin.

Two have rules, matmul and einsum; the others are made of these.
"""

import operator
import string
import warnings
from math import prod

import numpy as np

from ..autodiff import composites, defvjp, defvjp_each, into, key, name, nondifferentiable, primitive

# ------------------------------------------------------------------------------------------------------------- matmul


def left(g, x, y):
    """∂(x @ y)/∂x applied to g: g @ yᵀ, vectors taken as the matrices they stand for."""
    if x.ndim == 1 and y.ndim == 1:
        return g * y
    if y.ndim == 1:
        return np.expand_dims(g, -1) * y
    if x.ndim == 1:
        return np.matmul(y, np.expand_dims(g, -1))[..., 0]
    return np.matmul(g, y.mT)


def right(g, x, y):
    """∂(x @ y)/∂y applied to g: xᵀ @ g, vectors taken as the matrices they stand for."""
    if x.ndim == 1 and y.ndim == 1:
        return g * x
    if x.ndim == 1:
        return np.expand_dims(x, 1) * np.expand_dims(g, -2)
    if y.ndim == 1:
        return np.matmul(x.mT, np.expand_dims(g, -1))[..., 0]
    return np.matmul(x.mT, g)


# fmt: off
defvjp(np.matmul, lambda g, out, x, y: left(g, x, y),
                  lambda g, out, x, y: right(g, x, y))
# fmt: on


def of_real_numbers(op, *arrays):
    """Refuse complex numbers, where NumPy does more with them than is done here."""
    if any(map(np.iscomplexobj, arrays)):
        raise TypeError(f"{name(op)} of Tensors is for real numbers: give it arrays, as t.numpy() makes them")


def of_matrices(op, x):
    """Refuse a vector where there are to be matrices."""
    if np.ndim(x) < 2:
        raise ValueError(f"{name(op)} takes matrices of at least 2 dimensions, and was given an array of {np.ndim(x)}")


def vecdot(x1, x2, axis=-1):
    """`numpy.vecdot`: stacks of vectors, multiplied pair by pair."""
    of_real_numbers(np.vecdot, x1, x2)
    x1, x2 = np.moveaxis(x1, axis, -1), np.moveaxis(x2, axis, -1)
    if np.shape(x1)[-1] != np.shape(x2)[-1]:
        raise ValueError(f"np.vecdot of vectors of different lengths, {np.shape(x1)[-1]} and {np.shape(x2)[-1]}")
    return np.sum(x1 * x2, axis=-1)


def matvec(x1, x2):
    """`numpy.matvec`: stacks of matrices times stacks of vectors."""
    of_matrices(np.matvec, x1)
    return np.matmul(x1, np.expand_dims(x2, -1))[..., 0]


def vecmat(x1, x2):
    """`numpy.vecmat`: stacks of vectors times stacks of matrices."""
    of_real_numbers(np.vecmat, x1, x2)
    of_matrices(np.vecmat, x2)
    return np.matmul(np.expand_dims(x1, -2), x2)[..., 0, :]


def vdot(a, b):
    """`numpy.vdot`: the sum of all products."""
    of_real_numbers(np.vdot, a, b)
    return np.matmul(np.ravel(a), np.ravel(b))


def dot(a, b):
    """`numpy.dot`: a product of numbers, or over the last axis of a and the last but one of b."""
    of_a, of_b = np.ndim(a), np.ndim(b)
    if 0 in (of_a, of_b):
        return np.multiply(a, b)
    return np.matmul(a, b) if of_b <= 2 else tensordot(a, b, (-1, -2))


def inner(a, b):
    """`numpy.inner`: a product of numbers, or over the last axes."""
    return np.multiply(a, b) if 0 in (np.ndim(a), np.ndim(b)) else tensordot(a, b, (-1, -1))


def outer(a, b):
    """`numpy.outer`: each element times each."""
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


def outer_of_vectors(x1, x2):
    """`numpy.linalg.outer`."""
    if not np.ndim(x1) == np.ndim(x2) == 1:
        raise ValueError(
            f"np.linalg.outer takes two vectors, and got shapes {np.shape(x1)} and {np.shape(x2)}: np.outer takes any"
        )
    return outer(x1, x2)


def tensordot(a, b, axes=2):
    """`numpy.tensordot`: a product of matrices, whose columns and rows run over the axes to be summed."""
    if isinstance(axes, int | np.integer):
        axes = range(-axes, 0), range(axes)
    a, kept_a, summed_a = as_matrix(a, axes[0])
    b, kept_b, summed_b = as_matrix(b, axes[1])
    if summed_a != summed_b:
        raise ValueError(f"np.tensordot cannot sum axes of lengths {summed_a} with axes of lengths {summed_b}")
    return np.reshape(np.matmul(a, b.mT), kept_a + kept_b)


def as_matrix(x, axes):
    """An array as a matrix whose columns run over some axes; the lengths of the other axes, and of these."""
    last = [axis + np.ndim(x) if axis < 0 else axis for axis in np.ravel(axes).tolist()]
    first = [axis for axis in range(np.ndim(x)) if axis not in last]
    x = np.transpose(x, first + last)
    kept, summed = x.shape[: len(first)], x.shape[len(first) :]
    return np.reshape(x, (prod(kept), prod(summed))), kept, summed


def kron(a, b):
    """`numpy.kron`: a matrix of multiples of b."""
    ndim = max(np.ndim(a), np.ndim(b))
    m, n = ((1,) * (ndim - np.ndim(x)) + np.shape(x) for x in (a, b))
    a, b = np.reshape(a, [k for i in m for k in (i, 1)]), np.reshape(b, [k for j in n for k in (1, j)])
    return np.reshape(a * b, [*map(operator.mul, m, n)])


def cross(a, b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    """`numpy.cross`: the product of vectors in space (or, deprecated as in NumPy, in the plane)."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    m, n = a.shape[-1], b.shape[-1]
    if not {m, n} <= {2, 3}:
        raise ValueError(f"np.cross takes vectors of length 3 (or 2), and got lengths {m} and {n}")
    if 2 in (m, n):
        warnings.warn("np.cross of vectors of length 2 is deprecated: append a 0", DeprecationWarning, stacklevel=5)
    a0, a1, *a2 = (a[..., i] for i in range(m))
    b0, b1, *b2 = (b[..., i] for i in range(n))
    c2 = a0 * b1 - a1 * b0
    if m == n == 2:
        return c2
    a2, b2 = (a2 or [0.0])[0], (b2 or [0.0])[0]
    return np.moveaxis(np.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, c2], axis=-1), -1, axisc)


def cross_in_space(x1, x2, *, axis=-1):
    """`numpy.linalg.cross`."""
    lengths = [np.shape(x)[axis] for x in (x1, x2)]
    if lengths != [3, 3]:
        raise ValueError(f"np.linalg.cross takes vectors of length 3, and got lengths {lengths}")
    return cross(x1, x2, axis=axis)


def multi_dot(arrays):
    """`numpy.linalg.multi_dot`: a chain of products, in a cheap order."""
    if len(arrays) < 2:
        raise ValueError("np.linalg.multi_dot takes at least two arrays")
    labels = [[i, i + 1][-np.ndim(x) :] for i, x in enumerate(arrays)]
    if np.ndim(arrays[-1]) == 1:
        labels[-1] = [len(arrays) - 1]
    ends = ([0] if np.ndim(arrays[0]) == 2 else []) + ([len(arrays)] if np.ndim(arrays[-1]) == 2 else [])
    pairs = [part for pair in zip(arrays, labels, strict=True) for part in pair]
    return einsum(*pairs, ends, optimize=True)


composites |= {
    np.dot: dot,
    np.inner: inner,
    np.outer: outer,
    np.linalg.outer: outer_of_vectors,
    np.vdot: vdot,
    np.vecdot: vecdot,
    np.matvec: matvec,
    np.vecmat: vecmat,
    np.linalg.vecdot: vecdot,
    np.linalg.matmul: np.matmul,
    np.tensordot: tensordot,
    np.linalg.tensordot: tensordot,
    np.kron: kron,
    np.cross: cross,
    np.linalg.cross: cross_in_space,
    np.linalg.multi_dot: multi_dot,
}

# ------------------------------------------------------------------------------------------------------------- einsum


@primitive
def summed_product(*operands, subscripts, optimize=False):
    """`numpy.einsum` with the subscripts of the operands and of the result written out: a letter for each axis."""
    return np.einsum(subscripts, *operands, optimize=optimize)


def summed_product_into(out, *operands, subscripts, optimize=False):
    """The same, in an array that is there."""
    np.einsum(subscripts, *operands, optimize=optimize, out=out)


into[key(summed_product)] = summed_product_into


def others(g, out, position, *operands, subscripts, optimize=False):
    """The gradient by one operand: its place in the sum is taken by g, that of the result by its own subscripts."""
    labels, result = subscripts.split("->")
    factors = list(zip(labels.split(","), operands, strict=True))
    own, x = factors[position]
    factors[position] = result, g
    lengths = {pair for letters, factor in factors for pair in zip(letters, np.shape(factor), strict=True)}
    unused = (letter for letter in string.ascii_letters if letter not in subscripts)
    wanted = ""
    for letter, n in zip(own, np.shape(x), strict=True):
        if letter in wanted:  # a diagonal was taken: an identity matrix lays it back
            wanted += (twin := next(unused))
            factors.append((letter + twin, np.eye(n, dtype=x.dtype)))
        else:
            wanted += letter
            if (letter, n) not in lengths:  # x was summed over it alone
                factors.append((letter, np.ones(n, x.dtype)))
    return summed_product(
        *(factor for _, factor in factors),
        subscripts=",".join(letters for letters, _ in factors) + "->" + wanted,
        optimize=bool(optimize),  # an order given for the operands is none for these
    )


defvjp_each(summed_product, others)


def einsum(*given, optimize=False):
    """`numpy.einsum` in all its forms."""
    subscripts, *operands = given if isinstance(given[0], str) else as_text(given)
    subscripts = written_out(subscripts.replace(" ", ""), operands)
    return summed_product(*operands, subscripts=subscripts, optimize=optimize)


def as_text(operands):
    """The form einsum(x, [0, 1], y, [1, 2], [0, 2]): its subscripts as text, and its operands."""
    arrays, lists = operands[: len(operands) // 2 * 2 : 2], [*operands[1::2], *operands[len(operands) // 2 * 2 :]]
    letters = string.ascii_uppercase + string.ascii_lowercase  # in the order that the result's axes take
    texts = ["".join("..." if i is ... else letters[i] for i in numbers) for numbers in lists]
    return ",".join(texts[: len(arrays)]) + "".join("->" + text for text in texts[len(arrays) :]), *arrays


def written_out(subscripts, operands):
    """Subscripts with letters in place of an ellipsis, and with those of the result."""
    labels, arrow, result = subscripts.partition("->")
    labels = labels.split(",")
    if len(labels) != len(operands):
        raise ValueError(f"np.einsum got {len(operands)} operands, and subscripts for {len(labels)}: {subscripts!r}")
    counts = [np.ndim(x) - len(text.replace("...", "")) for text, x in zip(labels, operands, strict=True)]
    for text, count, x in zip(labels, counts, operands, strict=True):
        if count < 0 or (count and "..." not in text):
            raise ValueError(f"np.einsum cannot read an operand of shape {np.shape(x)} by the subscripts {text!r}")
    most = max(counts)
    if arrow and most and "..." not in result:
        raise ValueError(f"np.einsum has no '...' in the result for the axes that it stands for in {subscripts!r}")
    more = "".join(letter for letter in string.ascii_letters if letter not in subscripts)[:most]
    if not arrow:
        result = "..." + "".join(sorted(letter for letter in "".join(labels) if "".join(labels).count(letter) == 1))
    full = [text.replace("...", more[most - count :]) for text, count in zip(labels, counts, strict=True)]
    return ",".join(full) + "->" + result.replace("...", more)


composites[np.einsum] = einsum
nondifferentiable.add(np.einsum_path)
