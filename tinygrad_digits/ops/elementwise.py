"""Rules of the functions that work element by element, and the list of those that carry no gradient.

Where calculus is silent, the gradient is the minimum-norm subgradient: ½ each for a tie of ``maximum``, 0 for ``abs``
at 0. The one exception is ``clip``, which passes 1 at its bounds so that a value resting there can still move inside.
"""

import numpy as np

from ..autodiff import composites, defvjp, nondifferentiable

LOG_2, LOG_10 = float(np.log(2)), float(np.log(10))


def quietly(slope):
    """A rule that gives an infinite slope without a warning."""

    def rule(*args):
        with np.errstate(divide="ignore"):
            return slope(*args)

    return rule


def finite(top):
    """The result of a logarithm of sums, but 0 for -inf: an empty sum's share is exp(-inf - 0)."""
    return np.where(top == -np.inf, 0, top)


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
# The added truths take care of zeros: where g is 0, so is what is passed on, though the slope be infinite; for 0**0 the
# slope becomes 0 * 1**-1, and log(0) becomes log(1).
defvjp(np.sqrt,       quietly(lambda g, out, x: g / (2 * out + (out == 0) * (g == 0))))
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

# circles and hyperbolas
defvjp(np.sin,        lambda g, out, x: g * np.cos(x))
defvjp(np.cos,        lambda g, out, x: -g * np.sin(x))
defvjp(np.tan,        lambda g, out, x: g * (1 + out * out))
defvjp(np.arctan,     lambda g, out, x: g / (1 + x * x))
defvjp(np.sinh,       lambda g, out, x: g * np.cosh(x))
defvjp(np.cosh,       lambda g, out, x: g * np.sinh(x))
defvjp(np.tanh,       lambda g, out, x: g * (1 - out * out))

# kinks, ties and selections
defvjp(np.absolute,   lambda g, out, x: g * np.sign(x))
defvjp(np.maximum,    lambda g, out, x, y: np.where(x == y, g / 2, np.where(x > y, g, 0)),
                      lambda g, out, x, y: np.where(x == y, g / 2, np.where(y > x, g, 0)))
defvjp(np.minimum,    lambda g, out, x, y: np.where(x == y, g / 2, np.where(x < y, g, 0)),
                      lambda g, out, x, y: np.where(x == y, g / 2, np.where(y < x, g, 0)))
defvjp(np.clip,       lambda g, out, x, *, a_min=None, a_max=None, min=None, max=None:  # noqa: A006 - NumPy's names
                          np.where(x == out, g, 0))
defvjp(np.where,      None,
                      lambda g, out, condition, x, y: np.where(condition, g, 0),
                      lambda g, out, condition, x, y: np.where(condition, 0, g))

# copies
defvjp(np.copy,       lambda g, out, x: g)
defvjp(np.astype,     lambda g, out, x, dtype: g,  # the sweep gives g the argument's dtype
                      None)

# steps: flat everywhere but at their jumps
for step in np.sign, np.floor, np.ceil, np.trunc, np.rint:
    defvjp(step,      lambda g, out, x: np.zeros_like(g))
defvjp(np.floor_divide, lambda g, out, x, y: np.zeros_like(g),
                        lambda g, out, x, y: np.zeros_like(g))
defvjp(np.remainder,  lambda g, out, x, y: g,
                      lambda g, out, x, y: -g * np.floor_divide(x, y))
defvjp(np.round,      lambda g, out, x, *, decimals=0: np.zeros_like(g))

# fmt: on

composites[np.around] = np.round
composites[np.astype] = lambda x, dtype, copy=True: x.astype(dtype)

nondifferentiable |= {
    *(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal),
    *(np.isnan, np.isinf, np.isfinite, np.signbit, np.isclose, np.allclose, np.array_equal),
    *(np.logical_and, np.logical_or, np.logical_xor, np.logical_not, np.all, np.any),
    *(np.argmax, np.argmin, np.argsort, np.nonzero, np.flatnonzero, np.argwhere, np.count_nonzero, np.searchsorted),
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
