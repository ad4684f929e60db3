"""Functions that work element by element."""

from functools import partial

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_digits.ops.elementwise import clipped, sinc_derivative
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


def sinc_slope(x):
    """The first derivative of sinc, at a distance from 0 and as it is at 0."""
    u = np.where(x == 0, 1, np.pi * x)
    return np.where(x == 0, 0, np.pi * (np.cos(u) - np.sin(u) / u) / u)


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
def bounds(draw_from):
    """What is clipped and its bounds, which may be the wrong way round: all different."""
    x, low, high = draw_from(draw.broadcastable(*[(-10, 10)] * 3))
    xs = np.round(x) / 5, np.round(low) / 5 + 0.07, np.round(high) / 5 + 0.13
    missing = draw_from(st.sampled_from([None, 1, 2]))
    if missing is None:
        return draw_from(st.sampled_from([np.clip, lambda x, low, high: np.clip(x, max=high, min=low)])), xs, None
    if missing == 1:
        return (lambda x, high: np.clip(x, None, high)), (xs[0], xs[2]), None
    return (lambda x, low: np.clip(x, min=low)), xs[:2], None


@st.composite
def choices(draw_from):
    """Conditions of which two may hold, and what is chosen."""
    a, b, x, y = draw_from(draw.broadcast_shapes(4, max_dims=2))
    conditions = [draw_from(hnp.arrays(bool, a)), draw_from(hnp.arrays(bool, b))]
    xs = draw_from(st.tuples(draw.numbers(x), draw.numbers(y)))
    default = draw_from(st.sampled_from([0, 2.5]))
    return (lambda x, y: np.select(conditions, [x, y], default)), xs, None


@st.composite
def scalings(draw_from):
    x, n = draw_from(draw.broadcast_shapes(2))
    powers = draw_from(hnp.arrays(np.int64, n, elements=st.integers(-2, 3)))
    return (lambda x: np.ldexp(x, powers)), (draw_from(draw.numbers(x)),), None


@st.composite
def unwraps(draw_from):
    x = draw_from(draw.arrays(draw.shapes(min_dims=1), low=-9, high=9))
    x = np.round(x) + 0.03 * np.arange(x.size).reshape(x.shape)  # no jump is nearly half a turn, or the limit
    keywords = draw_from(
        st.fixed_dictionaries(
            {}, optional={"axis": st.integers(-x.ndim, x.ndim - 1), "period": st.just(4.5), "discont": st.just(3.4)}
        )
    )
    return partial(np.unwrap, **keywords), (x,), None


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
    np.float_power: elementwise(lambda x, y: np.float_power(x, y).astype(x.dtype), (0.3, 2), (-2, 3)),
    np.cbrt: elementwise(np.cbrt, POSITIVE) | elementwise(np.cbrt, (-3, -0.3)),
    np.hypot: elementwise(np.hypot, (-3, 3), POSITIVE) | elementwise(np.hypot, (-3, -0.3), ALL),
    np.ldexp: scalings(),
    # exponentials and logarithms
    np.exp: elementwise(np.exp, ALL),
    np.expm1: elementwise(np.expm1, ALL),
    np.exp2: elementwise(np.exp2, ALL),
    np.log: elementwise(np.log, POSITIVE),
    np.log1p: elementwise(np.log1p, (-0.7, 3)),
    np.log2: elementwise(np.log2, POSITIVE),
    np.log10: elementwise(np.log10, POSITIVE),
    np.logaddexp: elementwise(np.logaddexp, ALL, ALL),
    np.logaddexp2: elementwise(np.logaddexp2, ALL, ALL),
    # circles and hyperbolas
    np.sin: elementwise(np.sin, (-5, 5)),
    np.cos: elementwise(np.cos, (-5, 5)),
    np.tan: elementwise(np.tan, (-1.2, 1.2)),
    np.arcsin: elementwise(np.arcsin, (-0.8, 0.8)),
    np.arccos: elementwise(np.arccos, (-0.8, 0.8)),
    np.arctan: elementwise(np.arctan, ALL),
    np.arctan2: elementwise(np.arctan2, (-3, 3), POSITIVE) | elementwise(np.arctan2, (-3, -0.3), ALL),
    np.sinc: elementwise(np.sinc, (-5, 5)) | elementwise(np.sinc, (-0.01, 0.01)) | elementwise(np.sinc, (0, 0)),
    sinc_derivative: elementwise(partial(sinc_derivative, order=1), (-5, 5)).map(lambda case: (*case[:2], sinc_slope)),
    np.radians: elementwise(np.radians, (-200, 200)),
    np.deg2rad: elementwise(np.deg2rad, (-200, 200)),
    np.degrees: elementwise(np.degrees, (-5, 5)),
    np.rad2deg: elementwise(np.rad2deg, (-5, 5)),
    np.unwrap: unwraps(),
    np.sinh: elementwise(np.sinh, ALL),
    np.cosh: elementwise(np.cosh, ALL),
    np.tanh: elementwise(np.tanh, ALL),
    np.arcsinh: elementwise(np.arcsinh, ALL),
    np.arccosh: elementwise(np.arccosh, (1.2, 4)),
    np.arctanh: elementwise(np.arctanh, (-0.8, 0.8)),
    # kinks, ties and selections
    np.absolute: elementwise(np.absolute, ALL, **AWAY),
    np.fabs: elementwise(np.fabs, ALL, **AWAY),
    np.copysign: elementwise(np.copysign, ALL, ALL, **AWAY),
    np.fmax: comparable(np.fmax),
    np.fmin: comparable(np.fmin),
    np.maximum: comparable(np.maximum),
    np.minimum: comparable(np.minimum),
    np.clip: clips(),
    clipped: bounds(),
    np.where: selections(),
    np.select: choices(),
    np.nan_to_num: elementwise(np.nan_to_num, ALL) | elementwise(lambda x: np.nan_to_num(x, nan=1.0), ALL),
    # copies
    np.copy: elementwise(np.copy, ALL) | elementwise(lambda x: x.copy(), ALL),
    np.astype: elementwise(lambda x: np.astype(x, x.dtype), ALL) | elementwise(lambda x: x.astype(x.dtype), ALL),
    np.conjugate: elementwise(np.conjugate, ALL),
    np.real: elementwise(np.real, ALL),
    np.real_if_close: elementwise(np.real_if_close, ALL),
    np.nextafter: elementwise(np.nextafter, ALL, (3, 4)),
    # steps
    np.imag: elementwise(np.imag, ALL),
    np.angle: elementwise(np.angle, ALL, **AWAY) | elementwise(lambda x: np.angle(x, deg=True), ALL, **AWAY),
    np.spacing: elementwise(np.spacing, (1.1, 1.9)),
    np.heaviside: elementwise(np.heaviside, ALL, ALL, **AWAY) | elementwise(lambda y: np.heaviside(0, y), ALL),
    np.fix: elementwise(np.fix, (0.1, 0.9)),
    np.modf: elementwise(lambda x: np.modf(x)[0], (0.1, 0.9)) | elementwise(lambda x: np.modf(x)[1], (-1.9, -1.1)),
    np.divmod: divisions(lambda x, y: np.divmod(x, y)[0]) | divisions(lambda x, y: np.divmod(x, y)[1]),
    np.sign: elementwise(np.sign, ALL, **AWAY),
    np.floor: elementwise(np.floor, (0.1, 0.9)),
    np.ceil: elementwise(np.ceil, (0.1, 0.9)),
    np.trunc: elementwise(np.trunc, (-0.9, 0.9)),
    np.rint: elementwise(np.rint, (-0.4, 0.4)),
    np.round: on(draw.arrays(low=-0.04, high=0.04), fixed(decimals=1), np.round),
    np.floor_divide: divisions(np.floor_divide),
    np.remainder: divisions(np.remainder),
    np.fmod: divisions(np.fmod),
}

INF, NAN = np.inf, np.nan

kinks = [
    ("cbrt at 0", np.cbrt, [0.0], [INF]),
    ("hypot at 0, 0", np.hypot, [0.0, 0.0], [0, 0]),
    ("hypot: no overflow", np.hypot, [2.0**600, 0.0], [1, 0]),
    ("arctan2 at 0, 0", np.arctan2, [0.0, 0.0], [0, 0]),
    ("arctan2 on the negative axis", np.arctan2, [0.0, -2.0], [-0.5, 0]),
    ("arctan2: no underflow", np.arctan2, [0.0, 2.0**-600], [2.0**600, 0]),
    ("arcsin at its ends", lambda x: np.sum(np.arcsin(x)), [[-1.0, 1.0]], [[INF, INF]]),
    ("arccos at its ends", lambda x: np.sum(np.arccos(x)), [[-1.0, 1.0]], [[-INF, -INF]]),
    ("arcsin: an infinite slope times nothing", lambda x: np.sum(np.arcsin(x) * 0), [[1.0]], [[0]]),
    ("arccos: an infinite slope times nothing", lambda x: np.sum(np.arccos(x) * 0), [[-1.0, 1.0]], [[0, 0]]),
    ("arccosh: an infinite slope times nothing", lambda x: np.sum(np.arccosh(x) * 0), [[1.0]], [[0]]),
    ("cbrt: an infinite slope times nothing", lambda x: np.sum(np.cbrt(x) * 0), [[0.0]], [[0]]),
    ("arccosh at 1", np.arccosh, [1.0], [INF]),
    ("arcsinh far out", np.arcsinh, [-(2.0**600)], [2.0**-600]),
    ("sinc at 0", np.sinc, [0.0], [0]),
    ("logaddexp2 of -inf alone", np.logaddexp2, [-INF, -INF], [0, 0]),
    ("logaddexp2 far out", np.logaddexp2, [1e4, -1e4], [1, 0]),
    ("fabs at 0", np.fabs, [0.0], [0]),
    ("copysign at 0", np.copysign, [0.0, -1.0], [0, 0]),
    ("copysign by a negative zero", np.copysign, [2.0, -0.0], [-1, 0]),
    ("copysign of both negative", np.copysign, [-2.0, -3.0], [1, 0]),
    ("fmax: a tie gives ½ each", np.fmax, [2.0, 2.0], [0.5, 0.5]),
    ("fmin: a tie gives ½ each", np.fmin, [2.0, 2.0], [0.5, 0.5]),
    ("fmax: NaN loses", np.fmax, [2.0, NAN], [1, 0]),
    ("fmax: NaN loses on the left", np.fmax, [NAN, 2.0], [0, 1]),
    ("fmin: NaN loses", np.fmin, [2.0, NAN], [1, 0]),
    ("fmin: NaN loses on the left", np.fmin, [NAN, 2.0], [0, 1]),
    ("nan_to_num", lambda x: np.sum(np.nan_to_num(x)), [[NAN, 2.0, INF, -INF]], [[0, 1, 0, 0]]),
    ("heaviside at 0", np.heaviside, [0.0, 0.5], [0, 1]),
    ("heaviside elsewhere", np.heaviside, [-1.0, 0.5], [0, 0]),
    ("spacing", np.spacing, [1.0], [0]),
    ("modf of infinity", lambda x: np.modf(x)[0], [INF], [0]),
    ("modf at a whole number", lambda x: np.modf(x)[0], [-2.0], [1]),
    ("fmod at a whole multiple", np.fmod, [-6.0, 2.0], [1, 3]),
    ("clip: a bound that cuts gets the gradient", np.clip, [5.0, 0.0, 1.0], [0, 0, 1]),
    ("clip: a lower bound that cuts", np.clip, [-5.0, 0.0, 1.0], [0, 1, 0]),
    ("clip at the lower bound, x gets it", np.clip, [0.0, 0.0, 1.0], [1, 0, 0]),
    ("clip at the upper bound, x gets it", np.clip, [1.0, 0.0, 1.0], [1, 0, 0]),
    ("clip: bounds the wrong way round", np.clip, [1.5, 2.0, 1.0], [0, 0, 1]),
    ("clip: equal bounds above x share", np.clip, [0.0, 2.0, 2.0], [0, 0.5, 0.5]),
    ("clip: equal bounds below x", np.clip, [3.0, 2.0, 2.0], [0, 0, 1]),
    ("clip: all equal", np.clip, [2.0, 2.0, 2.0], [1, 0, 0]),
    ("clip at a tie with a single bound", lambda x, y: np.clip(x, y, None), [2.0, 2.0], [1, 0]),
    ("select: what is not chosen is NaN", lambda x, y: np.select([x > 0], [x], y), [1.0, NAN], [1, 0]),
    ("float_power at 0", lambda x: np.float_power(x, 0.5), [0.0], [INF]),
]
