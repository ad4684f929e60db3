"""Rules of the functions that work element by element, and the list of those that carry no gradient.

Where calculus is silent, the gradient is the minimum-norm subgradient: ½ each for a tie of ``maximum``, 0 for ``abs``,
``hypot`` and ``arctan2`` at 0. The one exception is ``clip``, which passes 1 to x at its bounds, so that a value
resting there can still move inside. A bound gets the gradient of what it cut off.
"""

import numpy as np

from ..autodiff import advice, composites, defvjp, into, key, nondifferentiable, primitive

LOG_2, LOG_10, DEGREE = float(np.log(2)), float(np.log(10)), float(np.pi / 180)


def quietly(slope):
    """A rule that gives an infinite slope without a warning."""

    def rule(*args):
        with np.errstate(divide="ignore"):
            return slope(*args)

    return rule


@quietly
def over(g, d):
    """``g / d``, and 0 for 0 / 0: where g is 0, so is what is passed on, though the slope be infinite."""
    return g / np.where((d == 0) & (g == 0), np.inf, d)


def finite(top):
    """The result of a logarithm of sums, but 0 for -inf: an empty sum's share is exp(-inf - 0)."""
    return np.where(top == -np.inf, 0, top)


def nonzero(out):
    """The result, but 1 for 0: what it divides is 0 then."""
    return np.where(out == 0, 1, out)


@primitive
def sinc_derivative(x, *, order):
    """The derivative of `numpy.sinc` of an order from 1 on: 0 at 0 for odd ones.

    With u = πx, the derivatives d of sin(u)/u follow from u d[n] + n d[n-1] = sin(u + nπ/2); near 0, where the division
    by u would lose all digits, from the series of the sine.
    """
    u = np.pi * np.asarray(x)
    near = np.abs(u) < order + 2
    far = np.where(near, 1, u)
    d = np.sin(far) / far
    for n in range(1, order + 1):
        d = (np.sin(far + n * np.pi / 2) - n * d) / far
    small = np.where(near, u, 0)
    start = (order + 1) // 2
    term = (-1) ** start * small ** (2 * start - order)
    series = term / (2 * start + 1)
    for k in range(start + 1, start + 20 + order):
        term = -term * small * small / ((2 * k - order) * (2 * k - order - 1))
        series = series + term / (2 * k + 1)
    return np.pi**order * np.where(near, series, d)


@primitive
def clipped(x, low, high):
    """`numpy.clip`: ``minimum(maximum(x, low), high)``, where None is no bound."""
    return np.clip(x, low, high)


def clipped_into(out, x, low, high):
    """The same, in an array that is there."""
    np.clip(x, low, high, out=out)


into[key(clipped)] = clipped_into


def lowest(low):
    """A lower bound, -inf for None."""
    return -np.inf if low is None else low


def to_low(g, x, low, high):
    """What a clip's gradient says of the lower bound, which shares it with the upper one where they are equal."""
    below = np.where(x < low, g, 0)
    return below if high is None else np.where(low <= high, np.where(low == high, below / 2, below), 0)


def to_high(g, x, low, high):
    """What a clip's gradient says of the upper bound."""
    low = lowest(low)
    at_both = np.where((x < low) & (low == high), g / 2, 0)
    return np.where(np.maximum(x, low) > high, g, at_both)


# fmt: off

# arithmetic
defvjp(np.add,        lambda g, out, x, y: g,
                      lambda g, out, x, y: g)
defvjp(np.subtract,   lambda g, out, x, y: g,
                      lambda g, out, x, y: -g)
defvjp(np.multiply,   lambda g, out, x, y: g * y,
                      lambda g, out, x, y: g * x)
defvjp(np.divide,     lambda g, out, x, y: g / y,
                      lambda g, out, x, y: -g * out / y)
defvjp(np.negative,   lambda g, out, x: -g)
defvjp(np.positive,   lambda g, out, x: g)
defvjp(np.reciprocal, lambda g, out, x: -g * out * out)
defvjp(np.square,     lambda g, out, x: g * (2 * x))
defvjp(np.sqrt,       lambda g, out, x: over(g, 2 * out))
defvjp(np.cbrt,       lambda g, out, x: over(g, 3 * out * out))
defvjp(np.hypot,      lambda g, out, x, y: g * (x / nonzero(out)),
                      lambda g, out, x, y: g * (y / nonzero(out)))
defvjp(np.ldexp,      lambda g, out, x, n: np.ldexp(g, n),
                      None)
# The added truths take care of zeros: for 0**0, and where g is 0, the power is one of 1; and log(0) becomes log(1).
defvjp(np.power,      quietly(lambda g, out, x, y: g * (y * (x + (x == 0) * ((y == 0) | (g == 0))) ** (y - 1))),
                      lambda g, out, x, y: g * (out * np.log(x + (x == 0))))

# exponentials and logarithms
defvjp(np.exp,        lambda g, out, x: g * out)
defvjp(np.expm1,      lambda g, out, x: g * (out + 1))
defvjp(np.exp2,       lambda g, out, x: g * (out * LOG_2))
defvjp(np.log,        lambda g, out, x: g / x)
defvjp(np.log1p,      lambda g, out, x: g / (1 + x))
defvjp(np.log2,       lambda g, out, x: g / (x * LOG_2))
defvjp(np.log10,      lambda g, out, x: g / (x * LOG_10))
defvjp(np.logaddexp,  lambda g, out, x, y: g * np.exp(x - finite(out)),
                      lambda g, out, x, y: g * np.exp(y - finite(out)))
defvjp(np.logaddexp2, lambda g, out, x, y: g * np.exp2(x - finite(out)),
                      lambda g, out, x, y: g * np.exp2(y - finite(out)))

# circles and hyperbolas
defvjp(np.sin,        lambda g, out, x: g * np.cos(x))
defvjp(np.cos,        lambda g, out, x: -g * np.sin(x))
defvjp(np.tan,        lambda g, out, x: g * (1 + out * out))
defvjp(np.arctan,     lambda g, out, x: g / (1 + x * x))
defvjp(np.arcsin,     lambda g, out, x: over(g, np.sqrt((1 - x) * (1 + x))))
defvjp(np.arccos,     lambda g, out, x: -over(g, np.sqrt((1 - x) * (1 + x))))
defvjp(np.arctan2,    lambda g, out, y, x: g * (x / nonzero(np.hypot(x, y)) / nonzero(np.hypot(x, y))),
                      lambda g, out, y, x: -g * (y / nonzero(np.hypot(x, y)) / nonzero(np.hypot(x, y))))
defvjp(np.sinc,       lambda g, out, x: g * sinc_derivative(x, order=1))
defvjp(sinc_derivative,
                      lambda g, out, x, *, order: g * sinc_derivative(x, order=order + 1))
for to_radians in np.radians, np.deg2rad:
    defvjp(to_radians, lambda g, out, x: g * DEGREE)
for to_degrees in np.degrees, np.rad2deg:
    defvjp(to_degrees, lambda g, out, x: g / DEGREE)
defvjp(np.unwrap,     lambda g, out, x, *, discont=None, axis=-1, period=None: g)  # it adds whole turns
defvjp(np.sinh,       lambda g, out, x: g * np.cosh(x))
defvjp(np.cosh,       lambda g, out, x: g * np.sinh(x))
defvjp(np.tanh,       lambda g, out, x: g * (1 - out * out))
defvjp(np.arcsinh,    lambda g, out, x: g / np.hypot(x, 1))
defvjp(np.arccosh,    lambda g, out, x: over(g, np.sqrt((x - 1) * (x + 1))))
defvjp(np.arctanh,    lambda g, out, x: over(g, (1 - x) * (1 + x)))

# kinks, ties and selections
defvjp(np.absolute,   lambda g, out, x: g * np.sign(x))
defvjp(np.fabs,       lambda g, out, x: g * np.sign(x))
defvjp(np.copysign,   lambda g, out, x, y: g * (np.sign(x) * np.sign(out)),
                      lambda g, out, x, y: np.zeros_like(g))
defvjp(np.maximum,    lambda g, out, x, y: np.where(x >= y, np.where(x == y, g / 2, g), 0),
                      lambda g, out, x, y: np.where(y >= x, np.where(x == y, g / 2, g), 0))
defvjp(np.minimum,    lambda g, out, x, y: np.where(x <= y, np.where(x == y, g / 2, g), 0),
                      lambda g, out, x, y: np.where(y <= x, np.where(x == y, g / 2, g), 0))
defvjp(np.fmax,       lambda g, out, x, y: np.where((x >= y) | np.isnan(y), np.where(x == y, g / 2, g), 0),
                      lambda g, out, x, y: np.where((y >= x) | np.isnan(x), np.where(x == y, g / 2, g), 0))
defvjp(np.fmin,       lambda g, out, x, y: np.where((x <= y) | np.isnan(y), np.where(x == y, g / 2, g), 0),
                      lambda g, out, x, y: np.where((y <= x) | np.isnan(x), np.where(x == y, g / 2, g), 0))
defvjp(clipped,       lambda g, out, x, low, high: np.where(x == out, g, 0),
                      lambda g, out, x, low, high: to_low(g, x, low, high),
                      lambda g, out, x, low, high: to_high(g, x, low, high))
defvjp(np.nan_to_num, lambda g, out, x, *, nan=0.0, posinf=None, neginf=None: np.where(np.isfinite(x), g, 0))
defvjp(np.where,      None,
                      lambda g, out, condition, x, y: np.where(condition, g, 0),
                      lambda g, out, condition, x, y: np.where(condition, 0, g))

# copies
for same in np.copy, np.conjugate, np.real, np.real_if_close:  # the last three: of real numbers, no others have rules
    defvjp(same,      lambda g, out, x: g)
defvjp(np.nextafter,  lambda g, out, x, y: g,
                      lambda g, out, x, y: np.zeros_like(g))
defvjp(np.astype,     lambda g, out, x, dtype: g,  # the sweep gives g the argument's dtype
                      None)

# steps: flat everywhere but at their jumps
for step in np.sign, np.floor, np.ceil, np.trunc, np.rint, np.spacing, np.imag:
    defvjp(step,      lambda g, out, x: np.zeros_like(g))
defvjp(np.angle,      lambda g, out, x, *, deg=False: np.zeros_like(g))
defvjp(np.heaviside,  lambda g, out, x, y: np.zeros_like(g),
                      lambda g, out, x, y: np.where(x == 0, g, 0))
defvjp(np.floor_divide, lambda g, out, x, y: np.zeros_like(g),
                        lambda g, out, x, y: np.zeros_like(g))
defvjp(np.remainder,  lambda g, out, x, y: g,
                      lambda g, out, x, y: -g * np.floor_divide(x, y))
defvjp(np.fmod,       lambda g, out, x, y: g,
                      lambda g, out, x, y: -g * np.rint((x - out) / y))  # x / y may round to a whole number
defvjp(np.round,      lambda g, out, x, *, decimals=0: np.zeros_like(g))

# fmt: on


def clip(a, a_min=np._NoValue, a_max=np._NoValue, *, min=np._NoValue, max=np._NoValue):
    """`numpy.clip`, by bounds under either of their names."""
    old, new = [[bound for bound in pair if bound is not np._NoValue] for pair in ((a_min, a_max), (min, max))]
    if old and new:
        raise ValueError("np.clip of a Tensor: give each bound once, both as a_min and a_max or both as min and max")
    if len(old) == 1:
        raise TypeError("np.clip of a Tensor was given one bound: give both, of which one may be None, or min= or max=")
    low, high = old or [None if bound is np._NoValue else bound for bound in (min, max)]
    return clipped(a, low, high)


def float_power(x, y):
    """`numpy.float_power`: a power in double precision at least."""
    return np.power(np.multiply(x, np.float64(1)), y)


def modf(x):
    """`numpy.modf`: the fraction and the whole number, both with the sign of x; infinities have no fraction."""
    x = np.divide(x, 1)  # whole numbers give floating-point ones
    bounded = np.where(np.isinf(x), 0, x)
    return bounded - np.trunc(bounded), np.trunc(x)


def select(condlist, choicelist, default=0):
    """`numpy.select`: at each place the choice of the first condition that holds."""
    out = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        if np.result_type(condition) != np.bool:
            raise TypeError(f"np.select needs conditions that are truths, and one is of {np.result_type(condition)}")
        out = np.where(condition, choice, out)
    return out


composites |= {np.clip: clip, np.around: np.round, np.fix: np.trunc, np.float_power: float_power, np.select: select}
composites |= {np.modf: modf, np.divmod: lambda x, y: (np.floor_divide(x, y), np.remainder(x, y))}
composites[np.astype] = lambda x, dtype, copy=True: x.astype(dtype)

advice |= {
    np.piecewise: "use np.where, or np.select for many pieces",
    np.frexp: "use np.ldexp(x, -exponent), with the exponent of np.frexp(x.detach())",
    np.i0: "NumPy has not the function that is its derivative (i1)",
}

nondifferentiable |= {
    *(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal),
    *(np.isnan, np.isinf, np.isfinite, np.signbit, np.isclose, np.allclose, np.array_equal, np.array_equiv),
    *(np.isposinf, np.isneginf, np.isreal, np.iscomplex, np.isin),
    *(np.logical_and, np.logical_or, np.logical_xor, np.logical_not, np.all, np.any),
    *(np.argmax, np.argmin, np.argsort, np.nonzero, np.flatnonzero, np.argwhere, np.count_nonzero, np.searchsorted),
    *(np.nanargmax, np.nanargmin, np.argpartition, np.lexsort, np.digitize),
    *(np.zeros_like, np.ones_like, np.empty_like, np.shape, np.ndim, np.size, np.result_type),
    *(
        np.array_repr,
        np.array_str,
        np.array2string,
        np.may_share_memory,
        np.shares_memory,
        np.iscomplexobj,
        np.isrealobj,
    ),
}
