"""Functions that reduce axes."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_digits.testing import strategies as draw

from .common import NON_EMPTY, axis_and_keepdims, fixed, on


def spread_out(x):
    """Keywords for std and var, with more elements than ``ddof``."""
    return st.fixed_dictionaries({"ddof": st.sampled_from([0, 0.5])}, optional={"keepdims": st.booleans()})


cases = {
    np.sum: on(draw.arrays(), axis_and_keepdims, np.sum),
    np.mean: on(draw.arrays(NON_EMPTY), axis_and_keepdims, np.mean),
    np.var: on(draw.arrays(NON_EMPTY), spread_out, np.var) | on(draw.arrays(NON_EMPTY), axis_and_keepdims, np.var),
    np.std: on(NON_EMPTY.filter(lambda s: np.prod(s) > 1).flatmap(draw.separated), spread_out, np.std)
    | on(draw.shapes(min_dims=2, min_side=2).flatmap(draw.separated), fixed(axis=(0, -1), keepdims=True), np.std),
    np.max: on(NON_EMPTY.flatmap(draw.separated), axis_and_keepdims, np.max),
    np.min: on(NON_EMPTY.flatmap(draw.separated), axis_and_keepdims, np.min),
}
