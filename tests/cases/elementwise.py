"""Functions that work element by element."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_digits.testing import strategies as draw

from .common import ALL, AWAY, POSITIVE, elementwise, fixed, on


@st.composite
def comparable(draw_from, op):
    """Two arrays without ties."""
    x, y = draw_from(draw.broadcastable((-10, 10), (-10, 10)))
    return op, (np.round(x) / 5, np.round(y) / 5 + 0.1), None


@st.composite
def divisions(draw_from, op):
    """Two arrays no element of which goes into the other without rest."""
    x, y = draw_from(draw.broadcastable((-10, 10), (1, 5)))
    sign = draw_from(st.sampled_from([1, -1]))
    return op, (np.round(x) / 5 + 0.1, sign * np.round(y) / 5), None


@st.composite
def powers(draw_from):
    """Positive bases with any exponent, or any base but 0 with a whole number for exponent."""
    kind = draw_from(st.sampled_from(["any", "special", "constant"]))
    if kind == "any":
        return draw_from(elementwise(np.power, (0.3, 2), (-2, 3)))
    if kind == "special":
        x, y = draw_from(draw.broadcastable((0.3, 2), (-2, 3)))
        return np.power, (x, np.round(y)), None
    exponent = draw_from(st.sampled_from([0, 1, 2, 3, -1, -2, 2.0]))
    x = draw_from(st.sampled_from([1, -1])) * draw_from(draw.arrays(low=0.3, high=2))
    return (lambda x: x**exponent), (x,), None


@st.composite
def clips(draw_from):
    x = draw_from(draw.arrays(away_from=(-1.0, 0.5)))
    call = draw_from(
        st.sampled_from(
            [
                lambda x: np.clip(x, -1, 0.5),
                lambda x: np.clip(x, a_min=-1, a_max=None),
                lambda x: np.clip(x, None, 0.5),
                lambda x: np.clip(x, min=-1),
                lambda x: np.clip(x, max=0.5),
                lambda x: np.clip(x, min=-1, max=0.5),
                lambda x: x.clip(-1, 0.5),
                lambda x: x.clip(max=0.5),
            ]
        )
    )
    return call, (x,), None


@st.composite
def selections(draw_from):
    c, x, y = draw_from(draw.broadcast_shapes(3))
    condition = draw_from(hnp.arrays(bool, c))
    return (lambda x, y: np.where(condition, x, y)), draw_from(st.tuples(draw.numbers(x), draw.numbers(y))), None


cases = {
    # arithmetic
    np.add: elementwise(np.add, ALL, ALL),
    np.subtract: elementwise(np.subtract, ALL, ALL),
    np.multiply: elementwise(np.multiply, ALL, ALL),
    np.divide: elementwise(np.divide, ALL, (0.3, 3)) | elementwise(np.divide, ALL, (-3, -0.3)),
    np.negative: elementwise(np.negative, ALL),
    np.positive: elementwise(np.positive, ALL),
    np.reciprocal: elementwise(np.reciprocal, POSITIVE) | elementwise(np.reciprocal, (-3, -0.3)),
    np.square: elementwise(np.square, ALL),
    np.sqrt: elementwise(np.sqrt, POSITIVE),
    np.power: powers(),
    # exponentials and logarithms
    np.exp: elementwise(np.exp, ALL),
    np.expm1: elementwise(np.expm1, ALL),
    np.exp2: elementwise(np.exp2, ALL),
    np.log: elementwise(np.log, POSITIVE),
    np.log1p: elementwise(np.log1p, (-0.7, 3)),
    np.log2: elementwise(np.log2, POSITIVE),
    np.log10: elementwise(np.log10, POSITIVE),
    np.logaddexp: elementwise(np.logaddexp, ALL, ALL),
    # circles and hyperbolas
    np.sin: elementwise(np.sin, (-5, 5)),
    np.cos: elementwise(np.cos, (-5, 5)),
    np.tan: elementwise(np.tan, (-1.2, 1.2)),
    np.arctan: elementwise(np.arctan, ALL),
    np.sinh: elementwise(np.sinh, ALL),
    np.cosh: elementwise(np.cosh, ALL),
    np.tanh: elementwise(np.tanh, ALL),
    # kinks, ties and selections
    np.absolute: elementwise(np.absolute, ALL, **AWAY),
    np.maximum: comparable(np.maximum),
    np.minimum: comparable(np.minimum),
    np.clip: clips(),
    np.where: selections(),
    # copies
    np.copy: elementwise(np.copy, ALL) | elementwise(lambda x: x.copy(), ALL),
    np.astype: elementwise(lambda x: np.astype(x, x.dtype), ALL) | elementwise(lambda x: x.astype(x.dtype), ALL),
    # steps
    np.sign: elementwise(np.sign, ALL, **AWAY),
    np.floor: elementwise(np.floor, (0.1, 0.9)),
    np.ceil: elementwise(np.ceil, (0.1, 0.9)),
    np.trunc: elementwise(np.trunc, (-0.9, 0.9)),
    np.rint: elementwise(np.rint, (-0.4, 0.4)),
    np.round: on(draw.arrays(low=-0.04, high=0.04), fixed(decimals=1), np.round),
    np.floor_divide: divisions(np.floor_divide),
    np.remainder: divisions(np.remainder),
}
