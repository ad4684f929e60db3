"""Subscripts, and their transpose."""

import operator
from functools import partial

import numpy as np
from hypothesis import strategies as st

from tinygrad_digits.ops import indexing
from tinygrad_digits.testing import strategies as draw


@st.composite
def subscripts(draw_from):
    x = draw_from(draw.arrays(draw.shapes(min_side=0)))
    index = draw_from(draw.indices(x.shape))
    return (lambda x: x[index]), (x,), None


@st.composite
def scatters(draw_from):
    shape = draw_from(draw.shapes(min_dims=1))
    index = draw_from(draw.indices(shape))
    index = index if isinstance(index, tuple) else (index,)
    index = tuple(np.array(i, np.intp) if isinstance(i, list | tuple) else i for i in index)
    g = draw_from(draw.numbers(np.zeros(shape)[index].shape))

    def one_by_one(g):
        x = np.zeros(shape, g.dtype)
        targets = np.arange(x.size).reshape(shape)[index]
        for target, number in zip(np.ravel(targets), np.ravel(g), strict=True):
            x.flat[target] += number
        return x

    return partial(indexing.scatter, index=index, shape=shape), (g,), one_by_one


cases = {
    operator.getitem: subscripts(),
    indexing.scatter: scatters(),
}
