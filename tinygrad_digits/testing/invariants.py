"""What must hold of gradients besides their numbers."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tensor import Tensor, asarray, no_grad, tensor
from ..transforms import grad, jvp, vjp
from .functions import Arrays, Subject, _array, backward, behind, check_shape_and_dtype, gradients
from .layouts import LAYOUTS

Array = NDArray[Any]
SMALL = 1e-3  # what is left of numbers of about 1, as seeds are, by cancellation, keeps their rounding


def check_invariants(f: Callable[..., Any], *args: Any, order: int = 2, seed: int = 0) -> tuple[str, ...]:
    """Check what must hold of a function's gradients besides their numbers.

    Gradients are ndarrays of the shape and dtype of what they are by; share no memory with each other, the seed, the
    arguments or the result; are linear in the seed; and do not depend on how arguments and seed lie in memory. Nothing
    that was passed in is written to. An argument used twice gets both gradients. What needs no gradient is not
    recorded. The graph is freed without the garbage collector. Forward and reverse mode are transposes of each other,
    and second derivatives are symmetric.

    Parameters
    ----------
    f, *args
        As for `check_grads`.
    order : int
        1 leaves out what needs the gradient to be differentiated in turn: the last two.
    seed : int
        Of the random numbers that gradients are seeded with.

    Returns
    -------
    tuple of str
        The names of what was checked.

    Raises
    ------
    AssertionError
        If one of them does not hold; the message says which.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits.testing as testing
    >>> len(testing.check_invariants(np.multiply, [1.0, 2.0], 3.0))
    9
    """
    run = _Run(Subject(f, args), np.random.default_rng(seed))
    names = list(CHECKS) if order > 1 else list(CHECKS)[:-2]
    for name in names:
        CHECKS[name](run)
    return tuple(names)


class _Run:
    """The function, seeds for its results, and the tolerance that the least precise dtype allows."""

    def __init__(self, subject: Subject, rng: np.random.Generator) -> None:
        self.call, self.arrays, self.labels, self.rng = subject, subject.arrays, subject.labels, rng
        with no_grad():
            self.values = [
                np.array(y.numpy() if isinstance(y, Tensor) else y) for y in subject(*map(tensor, self.arrays))
            ]
        dtypes = [x.dtype for x in self.arrays + self.values if x.dtype.kind == "f"]
        self.tolerance = 1e4 * float(max(np.finfo(dtype).eps for dtype in dtypes))
        self.seeds = self.random_seeds()
        self.gradients = self.pull(self.arrays, self.seeds)

    def random_seeds(self) -> Arrays:
        return [np.asarray(self.rng.standard_normal(y.shape)).astype(y.dtype) for y in self.values]

    def leaves(self, arrays: Arrays) -> list[Tensor]:
        return [asarray(x, requires_grad=True) for x in arrays]

    def pull(self, arrays: Arrays, seeds: Arrays) -> Arrays:
        """The gradients by leaves made of arrays, for seeds of the results."""
        leaves = self.leaves(arrays)
        backward(self.call(*leaves), seeds, leaves)
        return gradients(leaves)

    def close(self, found: Arrays, expected: Arrays, says: str) -> None:
        """Complain where two lists of arrays differ by more than rounding."""
        largest = max((float(np.max(np.abs(x), initial=0)) for x in expected), default=0.0)
        for label, x, y in zip(self.labels, found, expected, strict=False):
            if not np.all(np.abs(np.subtract(x, y, dtype=np.float64)) <= self.tolerance * (largest + SMALL)):
                raise AssertionError(f"{says}: by {label}, {_first_difference(x, y)}")


def _first_difference(x: Array, y: Array) -> str:
    i = np.unravel_index(np.argmax(np.abs(np.subtract(x, y, dtype=np.float64))), x.shape)
    return f"element {tuple(map(int, i))}, {float(x[i])!r} is not {float(y[i])!r}"


def _shape_and_dtype(run: _Run) -> None:
    check_shape_and_dtype(run.gradients, run.arrays, run.labels)


def _memory(run: _Run) -> None:
    """No gradient shares memory with another array, and none of the others is written to."""
    arrays, seeds = [np.array(x) for x in run.arrays], [np.array(s) for s in run.seeds]
    leaves = run.leaves(arrays)
    results = run.call(*leaves)
    given = dict(zip(run.labels, arrays, strict=True)) | {f"the seed of result {i}": s for i, s in enumerate(seeds)}
    before = {label: x.tobytes() for label, x in given.items()}
    made = {f"result {i}": y.data for i, y in enumerate(results) if isinstance(y, Tensor)}
    backward(results, seeds, leaves)
    for label, x in given.items():
        if x.tobytes() != before[label]:
            raise AssertionError(f"{label} was written to, by the function or by a rule. Work on a copy")
    found = {f"the gradient by {x}": g for x, g in zip(run.labels, gradients(leaves), strict=True)}
    pairs = [*combinations(found.items(), 2), *((a, b) for a in found.items() for b in (given | made).items())]
    for (a, x), (b, y) in pairs:
        if np.may_share_memory(x, y):
            raise AssertionError(
                f"{a} shares memory with {b}: to write to one would change the other. Return a new array"
            )


def _linear(run: _Run) -> None:
    others = run.random_seeds()
    sums = [np.asarray(s - 3 * t, s.dtype) for s, t in zip(run.seeds, others, strict=True)]
    expected = [g - 3 * h for g, h in zip(run.gradients, run.pull(run.arrays, others), strict=True)]
    run.close(run.pull(run.arrays, sums), expected, "the gradient is not linear in the seed")
    zeros = run.pull(run.arrays, [np.zeros_like(s) for s in run.seeds])
    run.close(zeros, [np.zeros_like(g) for g in zeros], "the gradient for a seed of zeros is not zero")


def _layouts(run: _Run) -> None:
    for name, layout in LAYOUTS.items():
        if name != "C":
            arrays, seeds = [layout(x) for x in run.arrays], [layout(s) for s in run.seeds]
            run.close(run.pull(arrays, seeds), run.gradients, f"the gradient is another for arrays of layout {name!r}")


def _twice(run: _Run) -> None:
    """Used in two calls, a leaf gets both gradients; given for two arguments, the sum of theirs."""
    leaves = run.leaves(run.arrays)
    first, second = run.call(*leaves), run.call(*leaves)
    pairs = [(y, z) for y, z in zip(first, second, strict=True) if isinstance(y, Tensor) and y.requires_grad]
    seeds = [s for y, s in zip(first, run.seeds, strict=True) if isinstance(y, Tensor) and y.requires_grad]
    backward([y + z for y, z in pairs], seeds, leaves)
    run.close(
        gradients(leaves),
        [2 * g for g in run.gradients],
        "used in two calls, an argument does not get twice the gradient",
    )
    for i, j in _alike(run.arrays):
        x = run.arrays[i]
        same = [x if k == j else a for k, a in enumerate(run.arrays)]
        with np.errstate(all="ignore"), suppress(ValueError, ArithmeticError):  # what fits one may not fit the other
            apart = run.pull(same, run.seeds)
            leaves = run.leaves(same)
            leaves[j] = leaves[i]
            backward(run.call(*leaves), run.seeds, leaves)
            together, total = leaves[i].grad, apart[i] + apart[j]
            if together is not None and np.all(np.isfinite(total)):
                labels = (
                    f"the gradient of one array given as {run.labels[i]} and {run.labels[j]} is not the sum of both"
                )
                run.close([together], [total], labels)


def _alike(arrays: Arrays) -> Iterator[tuple[int, int]]:
    """Pairs of positions with arrays of the same shape and dtype: each with the one before it."""
    last: dict[Any, int] = {}
    for j, x in enumerate(arrays):
        kind = x.shape, x.dtype
        if kind in last:
            yield last[kind], j
        last[kind] = j


def _untracked(run: _Run) -> None:
    results = run.call(*map(tensor, run.arrays))
    if any(y.requires_grad for y in results if isinstance(y, Tensor)) and not any(x.is_leaf for x in behind(results)):
        raise AssertionError("the result needs a gradient though nothing it was computed from does")
    with no_grad():
        results = run.call(*run.leaves(run.arrays))
    if any(isinstance(y, Tensor) and y.requires_grad and not y.is_leaf for y in results):
        raise AssertionError("the result was recorded under no_grad(): do not turn recording on inside the function")


def _freed(run: _Run) -> None:
    """After backward, and with the results gone, so are all nodes between, without the garbage collector."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        leaves = run.leaves(run.arrays)
        lasting = run.call(*leaves)  # holds what was there before, and leaves
        known = set(behind(lasting))
        results = run.call(*leaves)
        made = [weakref.ref(x) for x in behind(results) if x not in known]
        backward(results, run.seeds, leaves)
        del results
        alive = sum(x() is not None for x in made)
        if alive:
            raise AssertionError(
                f"{alive} tensors of the graph outlive it: something keeps them, a cycle of references or a list "
                "that results are appended to. Keep numbers in place of tensors: y.detach(), float(y)"
            )
    finally:
        if was_on:
            gc.enable()


def _adjoint(run: _Run) -> None:
    """⟨J v, u⟩ = ⟨v, Jᵀ u⟩."""
    directions = [np.asarray(run.rng.standard_normal(x.shape)).astype(x.dtype) for x in run.arrays]
    _, pushed = jvp(run.call, tuple(run.arrays), tuple(directions))
    _, pull = vjp(run.call, *run.arrays)
    forward, reverse = _inner(pushed, run.seeds), _inner(directions, pull(run.seeds))
    size = (
        SMALL
        + _inner(map(np.abs, directions), map(np.abs, run.gradients))
        + _inner(map(np.abs, pushed), map(np.abs, run.seeds))
    )
    if not abs(forward - reverse) <= run.tolerance * size:
        raise AssertionError(
            f"forward and reverse mode disagree: ⟨J v, u⟩ is {forward!r} and ⟨v, Jᵀ u⟩ {reverse!r}. A rule does other "
            "things when its gradient is recorded"
        )


def _symmetric(run: _Run) -> None:
    """⟨v, H u⟩ = ⟨u, H v⟩."""

    def slopes(xs: list[Any]) -> Any:
        return grad(lambda xs: _weighted(run.call(*xs), run.seeds))(xs)

    u, v = ([np.asarray(run.rng.standard_normal(x.shape)).astype(x.dtype) for x in run.arrays] for _ in range(2))
    hu, hv = (grad(lambda xs, d=d: _weighted(slopes(xs), d))(list(run.arrays)) for d in (u, v))
    one, other = _inner(v, hu), _inner(u, hv)
    size = SMALL + sum(_inner(map(np.abs, a), map(np.abs, b)) for a, b in ((v, hu), (u, hv), (u, run.gradients)))
    if not abs(one - other) <= run.tolerance * size:
        raise AssertionError(
            f"second derivatives are not symmetric: ⟨v, H u⟩ is {one!r} and ⟨u, H v⟩ {other!r}. A rule is wrong, or "
            "leaves the graph, when it is differentiated in turn"
        )


def _weighted(results: list[Any], weights: Arrays) -> Any:
    return sum((np.sum(w * y) for w, y in zip(weights, results, strict=True)), start=tensor(0.0))


def _inner(xs: Any, ys: Any) -> float:
    return float(sum(np.vdot(_array(x).astype(float), _array(y)) for x, y in zip(xs, ys, strict=True)))


CHECKS: dict[str, Callable[[_Run], None]] = {
    "shape and dtype": _shape_and_dtype,
    "memory": _memory,
    "linear in the seed": _linear,
    "layouts": _layouts,
    "used twice": _twice,
    "untracked": _untracked,
    "freed": _freed,
    "adjoint": _adjoint,
    "symmetric": _symmetric,
}
"""The names of the invariants, and how each is checked."""
