"""Memory that operations work in, and keep: to get fresh memory takes as long as to compute with it."""

import threading
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

_memory = threading.local()


def scratch(what: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """Memory of this thread's own for what is needed within an operation. It is kept, as fresh memory takes time."""
    kept, nbytes = vars(_memory), prod(shape) * np.dtype(dtype).itemsize
    if what not in kept or kept[what].nbytes < nbytes:
        kept[what] = np.empty(nbytes, np.uint8)
    return kept[what][:nbytes].view(dtype).reshape(shape)


def filled(function: Callable[..., None], shape: tuple[int, ...], dtype: Any, /, *args: Any, **kwargs: Any) -> Any:
    """A new array, filled by a function that writes to what it is given first."""
    out = np.empty(shape, dtype)
    function(out, *args, **kwargs)
    return out
