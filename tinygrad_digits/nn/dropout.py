"""Dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..ops.draws import uniform
from ..ops.indexing import operand
from ..tensor import Tensor, run
from .module import Module

if TYPE_CHECKING:
    from numpy.random import Generator


class Dropout(Module):
    """Sets each element to 0 with probability p, and divides the others by 1 - p, so that the mean stays what it was.

    Which ones is drawn anew at each call, in training mode only; otherwise elements pass as they are.

    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: A simple way to prevent neural networks from
    overfitting", 2014.

    Parameters
    ----------
    p : float
        The probability, 0 or more and less than 1.
    rng : Generator, int or None
        What to draw from: a Generator, from which one of the layer's own is spawned; a seed for one; or None for other
        draws each time. See `Module.generators` for how to save its state.

    Raises
    ------
    ValueError
        If `p` is out of range.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> layer = tg.nn.Dropout(0.5, rng=0)
    >>> layer(np.ones(6)), layer(np.ones(6))
    (array([2., 2., 2., 0., 0., 0.]), array([0., 0., 0., 2., 2., 2.]))
    >>> layer.eval()(np.ones(6))
    array([1., 1., 1., 1., 1., 1.])
    """

    def __init__(self, p: float = 0.5, *, rng: Generator | int | None = None) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout({p}): the probability must be 0 or more, and less than 1")
        self.p = float(p)
        self.rng = rng.spawn(1)[0] if isinstance(rng, np.random.Generator) else np.random.default_rng(rng)

    def __call__(self, x: ArrayLike | Tensor) -> Any:
        """Map an array to one of the same shape."""
        x = operand(x)
        if not self.training or not self.p:
            return x
        kept = run(uniform, self.rng, shape=np.shape(x)) >= self.p
        dtype = getattr(x, "dtype", np.dtype(float))
        scale: Any = np.astype(kept, dtype if dtype.kind == "f" else float) * (1 / (1 - self.p))
        return x * scale

    def extra_repr(self) -> str:
        """Say the probability."""
        return str(self.p)
