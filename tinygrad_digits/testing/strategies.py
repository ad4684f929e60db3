"""Hypothesis strategies for the arrays, axes and indices that array functions take.

Numbers are drawn from a grid, so that they are of ordinary size and as far from each other, and from the points at
which a function has a kink, as finite differences need. Shapes include (), sizes 0 and 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from .layouts import LAYOUTS

Array = NDArray[Any]
Shape = tuple[int, ...]
Strategy = st.SearchStrategy[Any]

GAP = 0.05


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 3) -> Strategy:
    """Shapes of arrays."""
    return hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side)


def broadcast_shapes(count: int, max_dims: int = 3) -> Strategy:
    """Tuples of shapes that broadcast with one another."""
    drawn = hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=max_dims, min_side=0, max_side=3)
    return drawn.map(lambda found: found.input_shapes)


def numbers(
    shape: Shape, low: float = -2.0, high: float = 2.0, *, away_from: tuple[float, ...] = (), dtype: Any = np.float64
) -> Strategy:
    """Arrays of numbers between two, none within 0.05 of the points to stay away from."""

    def scaled(grid: Array) -> Array:
        x = low + (high - low) * grid / 1000
        for point in away_from:
            x = np.where(np.abs(x - point) < GAP, point + GAP, x)
        return np.asarray(x, dtype)

    return hnp.arrays(np.int64, shape, elements=st.integers(0, 1000)).map(scaled)


def separated(shape: Shape, *, dtype: Any = np.float64) -> Strategy:
    """Arrays of numbers no two of which are equal: they are 0.1 apart at least."""
    size = int(np.prod(shape))
    return st.permutations(range(size)).map(lambda order: np.array(order, dtype).reshape(shape) / 10 - size / 20)


def arrays(shape: Strategy | None = None, low: float = -2.0, high: float = 2.0, **kwargs: Any) -> Strategy:
    """Arrays of any shape; see `numbers`."""
    return (shapes() if shape is None else shape).flatmap(lambda s: numbers(s, low, high, **kwargs))


def broadcastable(*ranges: tuple[float, float], **kwargs: Any) -> Strategy:
    """Tuples of arrays that broadcast with one another, one for each range of numbers."""
    return broadcast_shapes(len(ranges)).flatmap(
        lambda found: st.tuples(*[numbers(s, *r, **kwargs) for s, r in zip(found, ranges, strict=True)])
    )


def axes(ndim: int, *, several: bool = True) -> Strategy:
    """What can be given as ``axis``: None, a number counted from either end, a tuple of numbers, ()."""
    one = st.integers(-ndim, ndim - 1) if ndim else st.nothing()
    some = hnp.valid_tuple_axes(ndim, min_size=0) if several else st.nothing()
    return st.none() | one | some


def indices(shape: Shape) -> Strategy:
    """Whatever can stand in ``x[…]``: numbers, slices, None, …, arrays of integers or truths, lists, and mixtures."""
    basic = hnp.basic_indices(shape, allow_newaxis=True)
    if not shape:
        return basic | st.just((np.array(True),))
    mask = hnp.arrays(bool, shape)
    rows = hnp.arrays(bool, shape[:1])
    if 0 in shape:
        return basic | mask | rows
    integers = hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2, max_side=4))
    first = st.lists(st.integers(-shape[0], shape[0] - 1), max_size=4)
    nested = st.tuples(first, st.just(...)) | first.map(lambda i: (tuple(i),)) | first
    return basic | integers | mask | rows | nested | st.tuples(st.none(), first)


def layouts() -> Strategy:
    """Functions that give an array another layout in memory."""
    return st.sampled_from(list(LAYOUTS)).map(LAYOUTS.__getitem__)
