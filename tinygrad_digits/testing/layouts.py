"""Ways for an array to lie in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": lambda x: np.array(x, order="C"),
    "Fortran": lambda x: np.array(x, order="F"),
    "every other": lambda x: _embedded(x, (slice(None, None, 2),) * x.ndim),
    "backward": lambda x: _embedded(x, (slice(None, None, -1),) * x.ndim),
    "read-only": lambda x: _read_only(np.array(x)),
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
}
"""Each makes an equal array that lies as its name says."""


def _embedded(x: Array, index: tuple[slice, ...]) -> Array:
    """An array that is a part of a larger one."""
    step = index[0].step if index else 1
    whole: Any = np.zeros([abs(step) * n for n in x.shape], x.dtype)
    part = whole[(..., *index)]
    part[...] = x
    return part


def _read_only(x: Array) -> Array:
    x.flags.writeable = False
    return x
