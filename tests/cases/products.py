"""Products of vectors and matrices."""

import string

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_digits.ops import products
from tinygrad_digits.testing import strategies as draw


def generalized(op, signature):
    """Operations on stacks of vectors and matrices, which broadcast."""
    drawn = hnp.mutually_broadcastable_shapes(signature=signature, max_dims=1, min_side=0, max_side=3)
    return drawn.flatmap(lambda f: st.tuples(*map(draw.numbers, f.input_shapes))).map(lambda xs: (op, xs, None))


def of_shapes(*calls):
    """Operations at shapes: a case for each (function, shape, …)."""
    return st.sampled_from(calls).flatmap(
        lambda call: st.tuples(*map(draw.numbers, call[1:])).map(lambda xs: (call[0], xs, None))
    )


@st.composite
def sums(draw_from):
    """`numpy.einsum` with subscripts of any kind."""
    lengths = dict(zip("ijk", draw_from(st.permutations([1, 2, 3])), strict=True)) | {"A": 2}
    lengths |= dict.fromkeys(draw_from(st.sampled_from(["", "i"])), 0)
    stack = draw_from(st.sampled_from([(), (2,), (1, 2)]))
    labels, arrays = [], []
    for _ in range(draw_from(st.integers(1, 3))):
        letters = draw_from(st.text("ijkA", max_size=2 if labels else 3))
        may_stretch = len(set(letters)) == len(letters) and draw_from(st.booleans())
        shape = tuple(1 if may_stretch and draw_from(st.booleans()) else lengths[letter] for letter in letters)
        dots = draw_from(st.booleans())
        where = draw_from(st.integers(0, len(letters)))
        own = stack[draw_from(st.integers(0, len(stack))) :] if dots else ()
        labels.append(letters[:where] + "..." * dots + letters[where:])
        arrays.append(draw_from(draw.numbers(shape[:where] + own + shape[where:])))
    used = sorted(set("".join(labels)) - {"."})
    result = "".join(draw_from(st.permutations(used))[: draw_from(st.integers(0, len(used)))])
    where = draw_from(st.integers(0, len(result)))
    result = result[:where] + "..." * ("..." in ",".join(labels)) + result[where:]
    keywords = draw_from(st.sampled_from([{}, {"optimize": True}, {"optimize": "optimal"}]))
    kind = draw_from(st.sampled_from(["explicit", "implicit", "lists"]))
    if kind == "lists":
        numbered = [numbers(text) for text in labels]
        return (
            (lambda *xs: np.einsum(*alternating(xs, numbered), numbers(result), **keywords)),
            tuple(arrays),
            None,
        )
    text = ", ".join(labels) + (" -> " + result if kind == "explicit" else "")
    return (lambda *xs: np.einsum(text, *xs, **keywords)), tuple(arrays), None


def numbers(text):
    return [... if i == "." else string.ascii_letters.index(i) for i in text.replace("...", ".")]


def alternating(xs, ys):
    return [part for pair in zip(xs, ys, strict=True) for part in pair]


def space(axis, *shapes):
    return lambda a, b: np.linalg.cross(a, b, axis=axis), *shapes


cases = {
    np.matmul: generalized(np.matmul, np.matmul.signature)
    | of_shapes((np.matmul, (2, 2, 3), (3,)), (np.matmul, (3,), (2, 3, 2))),
    products.summed_product: sums(),
    np.vecdot: generalized(np.vecdot, np.vecdot.signature)
    | of_shapes(
        (lambda x, y: np.vecdot(x, y, axis=0), (3, 2), (3, 1)),
        (lambda x, y: np.linalg.vecdot(x, y, axis=-2), (3, 2), (3, 2)),
    ),
    np.matvec: generalized(np.matvec, np.matvec.signature),
    np.vecmat: generalized(np.vecmat, np.vecmat.signature),
    np.dot: of_shapes(
        *[(np.dot, *shapes) for shapes in [((), (2,)), ((3,), (3,)), ((2, 3), (3,)), ((3,), (2, 3, 2)), ((0,), (0,))]],
        *[(np.dot, *shapes) for shapes in [((2, 1, 3), (3, 2)), ((1, 3), (2, 3, 2)), ((0, 3), (3, 2)), ((2, 0), (0,))]],
        (lambda x, y: x.dot(y), (2, 2), (2, 2, 2)),
        (lambda x: np.dot(x, x), (2, 2)),
    ),
    np.inner: of_shapes(
        *[(np.inner, *shapes) for shapes in [((), (2,)), ((3,), (3,)), ((2, 3), (1, 2, 3)), ((2, 0), (3, 0))]]
    ),
    np.outer: of_shapes((np.outer, (2, 1), (3,)), (np.outer, (), (0, 2)), (np.linalg.outer, (2,), (3,))),
    np.vdot: of_shapes((np.vdot, (2, 3), (3, 2)), (np.vdot, (), ()), (np.vdot, (0,), (0,))),
    np.tensordot: of_shapes(
        (np.tensordot, (2, 3, 1), (3, 1, 2)),
        (lambda x, y: np.tensordot(x, y, 0), (2,), (1, 2)),
        (lambda x, y: np.tensordot(x, y, axes=1), (2, 3), (3,)),
        (lambda x, y: np.tensordot(x, y, (0, -1)), (2, 3), (2, 2)),
        (lambda x, y: np.tensordot(x, y, ([0, -1], (1, 0))), (2, 3, 2), (2, 2)),
        (lambda x, y: np.tensordot(x, y, ([], [])), (2,), (2,)),
        (lambda x, y: np.tensordot(x, y, 1), (2, 0), (0, 3)),
        (lambda x: np.linalg.tensordot(x, x, axes=2), (2, 2)),
    ),
    np.kron: of_shapes(
        *[(np.kron, *shapes) for shapes in [((2, 3), (2,)), ((2,), (1, 2, 2)), ((), (2,)), ((0, 2), (2, 2))]]
    ),
    np.cross: of_shapes(
        (np.cross, (2, 3), (3,)),
        (np.cross, (1, 3), (2, 1, 3)),
        (np.cross, (0, 3), (3,)),
        (lambda x, y: np.cross(x, y, axisa=0, axisc=0), (3, 1), (2, 3)),
        (lambda x, y: np.cross(x, y, -1, 0, -1), (1, 3), (3, 2)),
        (lambda x, y: np.cross(x, y, axis=0), (3, 2), (3, 1)),
        (lambda x: np.cross(x, x[::-1]), (2, 3)),
        space(-1, (1, 3), (2, 3)),
        space(0, (3, 1), (3, 1)),
    ),
    np.linalg.multi_dot: of_shapes(
        *[
            (lambda *xs: np.linalg.multi_dot(xs), *shapes)
            for shapes in [
                ((2,), (2,)),
                ((2, 3), (3, 1)),
                ((2,), (2, 3), (3,)),
                ((1, 2), (2, 0), (0, 2)),
                ((1, 2), (2, 3), (3, 1), (1, 2)),
            ]
        ]
    ),
    np.linalg.matmul: of_shapes((np.linalg.matmul, (2, 2, 3), (3, 2))),
}
