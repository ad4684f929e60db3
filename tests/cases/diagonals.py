"""Diagonals and triangles."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_digits.testing import strategies as draw

from .common import on

MATRICES = draw.arrays(draw.shapes(min_dims=2))
OFFSETS = st.integers(-3, 3)


def triangles(op):
    return on(draw.arrays(draw.shapes(min_dims=1)), lambda x: st.fixed_dictionaries({}, optional={"k": OFFSETS}), op)


@st.composite
def of_planes(draw_from, op, in_linalg):
    x = draw_from(MATRICES)
    k = draw_from(OFFSETS)
    first, second = draw_from(st.permutations(range(x.ndim)))[:2]
    calls = [
        lambda x: op(x, k, first, second - x.ndim),
        lambda x: op(x, axis1=first, axis2=second, offset=k),
        lambda x: op(x),
        lambda x: in_linalg(x),
        lambda x: in_linalg(x, offset=k),
        lambda x: getattr(x, op.__name__)(k, first, second),
    ]
    return draw_from(st.sampled_from(calls)), (x,), None


def with_offset(op, shapes):
    return on(draw.arrays(shapes), lambda x: st.fixed_dictionaries({}, optional={"k": OFFSETS}), op)


cases = {
    np.tril: triangles(np.tril),
    np.triu: triangles(np.triu),
    np.diagonal: of_planes(np.diagonal, np.linalg.diagonal),
    np.trace: of_planes(np.trace, np.linalg.trace),
    np.diag: with_offset(np.diag, draw.shapes(min_dims=1, max_dims=2)),
    np.diagflat: with_offset(np.diagflat, draw.shapes(max_dims=2, max_side=2)),
}
