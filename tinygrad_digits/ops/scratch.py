"""Memory that operations work in, and keep: to get fresh memory takes as long as to compute with it."""

import threading
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

VIEWS = 100
"""How many arrays over its memory a thread keeps: to make one takes longer than a short operation does."""


class _Memory(threading.local):
    def __init__(self) -> None:
        self.blocks: dict[str, Any] = {}
        self.views: dict[tuple[str, tuple[int, ...], Any], Any] = {}


_memory = _Memory()


def scratch(what: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """Memory of this thread's own for what is needed within an operation. It is kept, as fresh memory takes time."""
    views = _memory.views
    view = views.get((what, shape, dtype))
    if view is None:
        blocks, nbytes = _memory.blocks, prod(shape) * np.dtype(dtype).itemsize
        if what not in blocks or blocks[what].nbytes < nbytes:
            blocks[what] = np.empty(nbytes, np.uint8)
            views.clear()  # some are of the block before
        elif len(views) == VIEWS:
            views.clear()
        view = views[what, shape, dtype] = blocks[what][:nbytes].view(dtype).reshape(shape)
    return view


def filled(function: Callable[..., None], shape: tuple[int, ...], dtype: Any, /, *args: Any, **kwargs: Any) -> Any:
    """A new array, filled by a function that writes to what it is given first."""
    out = np.empty(shape, dtype)
    function(out, *args, **kwargs)
    return out
