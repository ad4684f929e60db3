"""Functions that join arrays, and those that split them."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_digits.ops import joins
from tinygrad_digits.testing import strategies as draw


@st.composite
def concatenations(draw_from, join, primitive):
    shape = draw_from(draw.shapes(min_dims=1, max_dims=2))
    count = draw_from(st.integers(1, 3))
    joins_along = primitive is joins.concatenated
    axis = draw_from(st.integers(-len(shape), len(shape) - joins_along) | st.just(None) if joins_along
                     else st.integers(-len(shape) - 1, len(shape)))  # fmt: skip
    if joins_along and axis is None:
        parts = [draw_from(draw.arrays(draw.shapes(max_dims=2))) for _ in range(count)]
    else:
        sides = [[*shape] for _ in range(count)]
        if joins_along:
            for side in sides:
                side[axis] = draw_from(st.integers(0, 3))
        parts = [draw_from(draw.numbers(tuple(side))) for side in sides]
    if draw_from(st.booleans()):
        return (lambda *xs: join(xs, axis)), tuple(parts), None
    return (lambda *xs: primitive(*xs, axis=axis)), tuple(parts), lambda *xs: join(xs, axis)


@st.composite
def rows_of(draw_from, join, shapes):
    """Two or three arrays of one of the shapes, joined."""
    shape = draw_from(st.sampled_from(shapes))
    xs = draw_from(st.tuples(*[draw.numbers(shape)] * draw_from(st.integers(1, 3))))
    return (lambda *xs: join(xs)), xs, None


@st.composite
def blocks(draw_from):
    m, n = draw_from(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    a, b, c = draw_from(st.tuples(draw.numbers((m, n)), draw.numbers((m, 1)), draw.numbers((1,))))
    layout = draw_from(
        st.sampled_from(
            [
                lambda a, b, c: np.block([[a, b], [np.ones((1, n), c.dtype), c]]),
                lambda a, b, c: np.block([c, c[0], 2 * c]) * np.sum(a) * np.sum(b),
                lambda a, b, c: np.block(a) * np.block([[b]]) * c,
            ]
        )
    )
    return layout, (a, b, c), None


@st.composite
def appendings(draw_from):
    axis, *shapes = draw_from(st.sampled_from([(None, (2, 3), (1, 3)), (0, (2, 3), (1, 3)), (-1, (2, 3), (2, 1))]))
    x, y = draw_from(st.tuples(*map(draw.numbers, shapes)))
    return (lambda x, y: np.append(x, y, axis)), (x, y), None


@st.composite
def splits(draw_from, op, min_dims, axis=None):
    """The parts, each times a number of its own, joined again."""
    x = draw_from(draw.arrays(draw.shapes(min_dims=min_dims, max_side=4)))
    given = () if axis is not None else (draw_from(st.integers(-x.ndim, x.ndim - 1)),)
    axis = min(axis, x.ndim - 1) if axis is not None else given[0]
    if op is np.unstack:
        return (lambda x: sum(np.sin(i + y) for i, y in enumerate(np.unstack(x, axis=axis)))), (
            x if x.shape[axis] else np.ones((2,) * x.ndim),), None  # fmt: skip
    counts = [n for n in range(1, 5) if op is np.array_split or x.shape[axis] % n == 0]
    where = draw_from(st.sampled_from(counts) | st.lists(st.integers(-4, 5), max_size=3))

    def weighted(x):
        parts = op(x, where, *given)
        return np.concatenate([(len(parts) - i) * y for i, y in enumerate(parts)], axis)

    return weighted, (x,), None


cases = {
    joins.concatenated: concatenations(np.concatenate, joins.concatenated),
    joins.stacked: concatenations(np.stack, joins.stacked),
    np.hstack: rows_of(np.hstack, [(), (2,), (2, 3), (2, 0, 1)]),
    np.vstack: rows_of(np.vstack, [(), (2,), (2, 3), (2, 0, 1)]),
    np.dstack: rows_of(np.dstack, [(), (2,), (2, 3), (2, 1, 2)]),
    np.column_stack: rows_of(np.column_stack, [(), (2,), (2, 3), (2, 1, 2)]),
    np.block: blocks(),
    np.append: appendings(),
    np.unstack: splits(np.unstack, 1),
    np.array_split: splits(np.array_split, 1),
    np.split: splits(np.split, 1),
    np.hsplit: splits(np.hsplit, 1, axis=1),
    np.vsplit: splits(np.vsplit, 2, axis=0),
    np.dsplit: splits(np.dsplit, 3, axis=2),
}
