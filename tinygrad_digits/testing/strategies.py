"""Hypothesis strategies for the arrays, axes and indices that array functions take, and property tests in one line.

Numbers are drawn from a grid, so that they are of ordinary size and as far from each other, and from the points at
which a function has a kink, as finite differences need. Shapes include (), sizes 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..autodiff import name
from ..tensor import Tensor, asarray
from .gradients import check_grads
from .layouts import LAYOUTS

try:
    from hypothesis import given
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp
except ImportError as error:
    raise ImportError(
        "tinygrad_digits.testing.strategies needs Hypothesis: python -m pip install 'tinygrad_digits[testing]'. "
        "check_grads does without"
    ) from error

Array = NDArray[Any]
Shape = tuple[int, ...]
Strategy = st.SearchStrategy[Any]

GAP = 0.05


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 3) -> Strategy:
    """Shapes of arrays."""
    return hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side)


def broadcast_shapes(count: int, max_dims: int = 3) -> Strategy:
    """Tuples of shapes that broadcast with one another."""
    drawn = hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=max_dims, min_side=0, max_side=3)
    return drawn.map(lambda found: found.input_shapes)


def numbers(
    shape: Shape, low: float = -2.0, high: float = 2.0, *, away_from: tuple[float, ...] = (), dtype: Any = np.float64
) -> Strategy:
    """Arrays of numbers between two, none within 0.05 of the points to stay away from."""

    def scaled(grid: Array) -> Array:
        x = low + (high - low) * grid / 1000
        for point in away_from:
            x = np.where(np.abs(x - point) < GAP, point + GAP, x)
        return np.asarray(x, dtype)

    return hnp.arrays(np.int64, shape, elements=st.integers(0, 1000)).map(scaled)


def separated(shape: Shape, *, dtype: Any = np.float64) -> Strategy:
    """Arrays of numbers no two of which are equal: they are 0.1 apart at least."""
    size = int(np.prod(shape))
    return st.permutations(range(size)).map(lambda order: np.array(order, dtype).reshape(shape) / 10 - size / 20)


def arrays(shape: Strategy | None = None, low: float = -2.0, high: float = 2.0, **kwargs: Any) -> Strategy:
    """Arrays of any shape; see `numbers`."""
    return (shapes() if shape is None else shape).flatmap(lambda s: numbers(s, low, high, **kwargs))


def broadcastable(*ranges: tuple[float, float], **kwargs: Any) -> Strategy:
    """Tuples of arrays that broadcast with one another, one for each range of numbers."""
    return broadcast_shapes(len(ranges)).flatmap(
        lambda found: st.tuples(*[numbers(s, *r, **kwargs) for s, r in zip(found, ranges, strict=True)])
    )


def axes(ndim: int, *, several: bool = True) -> Strategy:
    """What can be given as ``axis``: None, a number counted from either end, a tuple of numbers, ()."""
    one = st.integers(-ndim, ndim - 1) if ndim else st.nothing()
    some = hnp.valid_tuple_axes(ndim, min_size=0) if several else st.nothing()
    return st.none() | one | some


def indices(shape: Shape) -> Strategy:
    """Whatever can stand in ``x[…]``: numbers, slices, None, …, arrays of integers or truths, lists, and mixtures."""
    basic = hnp.basic_indices(shape, allow_newaxis=True)
    if not shape:
        return basic | st.just((np.array(True),))
    mask = hnp.arrays(bool, shape)
    rows = hnp.arrays(bool, shape[:1])
    if 0 in shape:
        return basic | mask | rows
    integers = hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2, max_side=4))
    first = st.lists(st.integers(-shape[0], shape[0] - 1), max_size=4)
    nested = st.tuples(first, st.just(...)) | first.map(lambda i: (tuple(i),)) | first
    return basic | integers | mask | rows | nested | st.tuples(st.none(), first)


def layouts() -> Strategy:
    """Functions that give an array another layout in memory."""
    return st.sampled_from(list(LAYOUTS)).map(LAYOUTS.__getitem__)


def laid_out(arrays: Strategy) -> Strategy:
    """The arrays that a strategy draws, in any layout: Fortran's, strided, backward, read-only, big-endian."""
    return st.tuples(arrays, layouts()).map(lambda drawn: drawn[1](drawn[0]))


def tensors(arrays: Strategy | None = None, *, requires_grad: bool = True) -> Strategy:
    """Tensors of the arrays that a strategy draws, in any layout; leaves that share the array's memory.

    Examples
    --------
    >>> from hypothesis import given
    >>> from tinygrad_digits.testing import strategies as draw
    >>> @given(draw.tensors())
    ... def test(x):
    ...     assert (x + x).requires_grad
    >>> test()
    """
    drawn = laid_out(_any_arrays() if arrays is None else arrays)
    return drawn.map(lambda x: asarray(x, requires_grad=requires_grad))


def _any_arrays() -> Strategy:
    return arrays()


def matmul_operands(max_side: int = 3, **kwargs: Any) -> Strategy:
    """Pairs of arrays for ``x @ y``: vectors, matrices, and stacks of matrices that broadcast; see `numbers`."""
    drawn = hnp.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=1, min_side=0, max_side=max_side)
    return drawn.flatmap(lambda found: st.tuples(*[numbers(s, **kwargs) for s in found.input_shapes]))


@st.composite
def einsum_operands(
    draw: Any, /, max_operands: int = 3, max_side: int = 3, **kwargs: Any
) -> tuple[str, tuple[Array, ...]]:
    """Subscripts of `numpy.einsum` and the arrays they are for: products, traces, diagonals, sums, outer products.

    ``np.einsum(subscripts, *arrays)`` is how to call it.
    """
    sides = {letter: draw(st.integers(0, max_side)) for letter in "ijkl"}
    word = st.lists(st.sampled_from("ijkl"), max_size=3).map("".join)
    inputs = draw(st.lists(word, min_size=1, max_size=max_operands))
    used = sorted(set("".join(inputs)))
    kept = draw(st.lists(st.sampled_from(used), unique=True, max_size=3)) if used else []
    xs = tuple(draw(numbers(tuple(sides[letter] for letter in term), **kwargs)) for term in inputs)
    return f"{','.join(inputs)}->{''.join(kept)}", xs


def gradcheck_test(
    *domain: Strategy, oracle: Callable[..., Any] | None = None, order: int = 2, **options: Any
) -> Callable[[Callable[..., Any]], Callable[[], None]]:
    """Turn a function into a property test of its derivatives: one line above it says where to draw its arguments.

    Parameters
    ----------
    *domain : strategy
        One for each argument; or a single one that draws tuples of all, as `broadcastable` does. Stay away from kinks.
    oracle : callable, optional
        What gives the same values from NumPy arrays by other means.
    order : int
        To which order derivatives are checked.
    **options
        Others of `check_grads`.

    Returns
    -------
    callable
        A decorator. What it makes is called without arguments, by pytest or by hand.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_digits.testing import strategies as draw
    >>> operands = draw.broadcastable((0.3, 3), (-2, 2))
    >>> @draw.gradcheck_test(operands, oracle=np.power)
    ... def test_power(x, y):
    ...     return np.exp(y * np.log(x))
    >>> test_power()
    >>> test_sine = draw.gradcheck_test(draw.arrays())(np.sin)
    """

    def decorate(f: Callable[..., Any]) -> Callable[[], None]:
        def test(drawn: tuple[Any, ...], layout: Callable[[Array], Array]) -> None:
            args = drawn[0] if len(drawn) == 1 and isinstance(drawn[0], tuple) else drawn
            args = tuple(layout(x) if isinstance(x, np.ndarray) else x for x in args)
            if oracle is not None:
                found = f(*args)
                found = found.numpy() if isinstance(found, Tensor) else found
                np.testing.assert_allclose(found, oracle(*args), rtol=1e-7, atol=1e-12)
            check_grads(f, *args, order=order, **options)

        test.__annotations__ = {}  # Hypothesis would read them, as strings
        test.__name__ = test.__qualname__ = getattr(f, "__name__", name(f))  # Hypothesis's database goes by it, too
        test.__module__, test.__doc__ = getattr(f, "__module__", None) or __name__, f.__doc__
        return given(st.tuples(*domain), layouts())(test)

    return decorate
