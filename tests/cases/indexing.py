"""Subscripts, and their transpose."""

import operator
from functools import partial

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_digits as tg
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


@st.composite
def updates(draw_from):
    x = draw_from(draw.arrays())
    index = draw_from(draw.indices(x.shape))
    value = draw_from(draw.numbers(draw_from(st.sampled_from([(), x[index].shape]))))

    def assigned(x, value):
        x = x.copy()
        x[index] = value
        return x

    if draw_from(st.booleans()):
        places = np.arange(x.size).reshape(x.shape)[index]
        return partial(indexing.overwritten, places=places), (x, value), assigned
    return (lambda x, value: tg.index_update(x, index, value)), (x, value), assigned


@st.composite
def insertions(draw_from):
    x = draw_from(draw.numbers((3, 2)))
    axis = draw_from(st.sampled_from([None, 0, 1, -1]))
    side = x.size if axis is None else x.shape[axis]
    one = st.integers(-side, side)
    at = draw_from(one | st.lists(one, min_size=1, max_size=3) | st.just(slice(0, 2)) | hnp.arrays(bool, side))
    values = draw_from(draw.numbers(draw_from(st.sampled_from([(), (1,)]))))
    return (lambda x, values: np.insert(x, at, values, axis)), (x, values), None


@st.composite
def deletions(draw_from):
    x = draw_from(draw.numbers((3, 2)))
    axis = draw_from(st.sampled_from([None, 0, 1, -1]))
    side = x.size if axis is None else x.shape[axis]
    one = st.integers(-side, side - 1)
    at = draw_from(one | st.lists(one, max_size=3) | st.just(slice(0, None, 2)) | hnp.arrays(bool, side))
    return (lambda x: np.delete(x, at, axis)), (x,), None


@st.composite
def sizes(draw_from):
    x = draw_from(draw.arrays(draw.shapes(min_side=1)))
    return partial(np.resize, new_shape=draw_from(draw.shapes() | st.integers(0, 5))), (x,), None


@st.composite
def trimmings(draw_from):
    kept = draw_from(hnp.arrays(bool, draw.shapes(min_dims=1, max_dims=2)))
    x = draw_from(draw.numbers(kept.shape, 0.5, 2))
    trim = draw_from(st.sampled_from(["f", "b", "fb", "FB"]))
    axis = draw_from(st.sampled_from([None, 0, -1]))
    return (lambda x: np.trim_zeros(x * kept, trim, axis)), (x,), None


cases = {
    operator.getitem: subscripts(),
    indexing.scatter: scatters(),
    indexing.overwritten: updates(),
    np.insert: insertions(),
    np.delete: deletions(),
    np.resize: sizes(),
    np.trim_zeros: trimmings(),
}
