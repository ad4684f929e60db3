"""Random numbers: what draws them, each time it is called."""

import numpy as np

from ..autodiff import into


def uniform(rng, *, shape):
    """Numbers from 0 to 1 in single precision, drawn from a Generator."""
    return rng.random(shape, np.float32)


def uniform_into(out, rng, *, shape):
    """The same, in an array that is there."""
    rng.random(dtype=np.float32, out=out)


into[uniform] = uniform_into
