"""Arrays made by rule of a few numbers."""

from functools import partial

import numpy as np
from hypothesis import strategies as st

from tinygrad_digits.testing import strategies as draw

from .common import ALL, on


@st.composite
def between(draw_from, op, low, high, **options):
    xs = draw_from(draw.broadcastable((low, high), (low, high)))
    xs = draw_from(st.sampled_from([xs, xs[1:]]))
    most = max(x.ndim for x in xs)
    options = draw_from(
        st.fixed_dictionaries(
            {"num": st.integers(0, 4)},
            optional={"endpoint": st.booleans(), "axis": st.integers(-most - 1, most), **options},
        )
    )
    return partial(op, *[0.5] * (2 - len(xs)), **options), xs, None


@st.composite
def meshes(draw_from):
    xs = draw_from(st.lists(draw.arrays(draw.shapes(max_dims=1)), min_size=1, max_size=3))
    options = draw_from(
        st.fixed_dictionaries({}, optional={"sparse": st.booleans(), "indexing": st.sampled_from(["xy", "ij"])})
    )

    def multiplied(*xs):
        out = 1.0
        for i, x in enumerate(np.meshgrid(*xs, **options)):
            out = out * np.sin(x + i)
        return out

    return multiplied, tuple(xs), None


def powers(x):
    return st.fixed_dictionaries({}, optional={"N": st.integers(0, 4), "increasing": st.booleans()})


@st.composite
def fills(draw_from):
    shape, value = draw_from(draw.broadcast_shapes(2))
    shape = np.broadcast_shapes(shape, value)
    template = np.zeros(shape)
    x = draw_from(draw.numbers(value))
    if draw_from(st.booleans()):
        return (lambda x: np.full_like(np.zeros_like(x, shape=shape), x)), (x,), None
    return (lambda x: np.full_like(x, x, shape=shape)), (x,), lambda x: x + template


@st.composite
def polynomials(draw_from):
    p = draw_from(draw.arrays(draw.shapes(min_dims=1, max_dims=1, min_side=1, max_side=4)))
    return np.polyval, (p, draw_from(draw.arrays())), None


cases = {
    np.linspace: between(np.linspace, *ALL),
    np.logspace: between(np.logspace, -1, 1, base=st.sampled_from([2, 2.5])),
    np.geomspace: between(np.geomspace, 0.5, 3),
    np.meshgrid: meshes(),
    np.vander: on(draw.arrays(draw.shapes(min_dims=1, max_dims=1), away_from=(0.0,)), powers, np.vander),
    np.polyval: polynomials(),
    np.full_like: fills(),
}
