"""The rule of ``x[index]``, in all of NumPy's forms, and its transpose. Repeated indices accumulate."""

import operator

import numpy as np

from ..autodiff import defvjp, primitive


@primitive
def scatter(g, *, index, shape):
    """An array of zeros to which ``g`` is added at an index: the transpose of ``x[index]``."""
    x = np.zeros(shape, g.dtype)
    if any(isinstance(i, np.ndarray) and i.dtype != bool for i in index):
        np.add.at(x, index, g)
    else:
        x[index] = g  # slices, numbers and masks take no element twice: assigning is ten times as fast
    return x


# fmt: off
defvjp(operator.getitem, lambda g, out, x, index: scatter(g, index=index, shape=x.shape),
                         None)
defvjp(scatter,          lambda g, out, x, *, index, shape: g[index])
# fmt: on
