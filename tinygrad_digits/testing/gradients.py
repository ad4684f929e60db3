"""A check of the engine's derivatives against derivatives by numbers, for any function of arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..tensor import Tensor, asarray
from ..transforms import vjp
from . import report
from .functions import CHANGED, Arrays, Subject, backward, check_shape_and_dtype, evaluator, gradients
from .invariants import check_invariants
from .numerical import EPSILON, Line, Slope, careful_slope, finest_step, quick_slope

LARGE = 200  # of so many elements, each is checked
DIRECTIONS = 3
TINY = 1e-100  # a step into the complex plane whose square is nothing
TOLERANCES = {2: (5e-2, 5e-2), 4: (1e-3, 1e-3), 8: (1e-7, 1e-6), 16: (1e-7, 1e-6)}  # by bytes: absolute, relative
BLUR = {2: 2.0**-10, 4: 2.0**-14}  # by bytes: nearer to a kink than that, rounding may lead to its other side


class NonDifferentiablePoint(AssertionError):  # noqa: N818 - it is no error of the function's
    """The function has no derivative where it was to be checked: a kink, a jump, or the edge of its domain."""


@dataclass(frozen=True)
class ArgumentCheck:
    """What was found for one argument at one order.

    Attributes
    ----------
    argument : str
        Its position and name, or the name of a module's parameter.
    order : int
        1 for the first derivative.
    count : int
        How many numbers were compared.
    error, allowed, noise : float
        The error that came nearest to what is allowed, what is allowed there, and what the numeric derivative's own
        error may be.
    method : str
        How the numeric derivative was taken, and whether by element or along random directions.
    """

    argument: str
    order: int
    count: int
    error: float
    allowed: float
    noise: float
    method: str


@dataclass(frozen=True)
class CheckResult:
    """What `check_grads` found: one `ArgumentCheck` for each argument and order. ``print`` shows a table."""

    function: str
    seed: int
    checks: tuple[ArgumentCheck, ...]
    invariants: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Show a table."""
        rows = [("order", "by", "numbers", "error", "allowed", "noise", "method")]
        for c in self.checks:
            figures = (f"{c.error:.1e}", f"{c.allowed:.1e}", f"{c.noise:.1e}")
            rows.append((str(c.order), c.argument, str(c.count), *figures, c.method))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        also = [f"also: {', '.join(self.invariants)}"] if self.invariants else []
        return "\n".join([f"{self.function}: derivatives agree (seed {self.seed})", *lines, *also])


def check_grads(
    f: Callable[..., Any],
    *args: Any,
    order: int = 2,
    atol: float | None = None,
    rtol: float | None = None,
    seed: int = 0,
    invariants: bool = True,
) -> CheckResult:
    """Check the derivatives of a function against numeric ones, and whatever else must hold of gradients.

    The result is multiplied by random numbers (the weights) and summed, and the derivative of that sum by each element
    of each argument is compared; along random directions for arguments of more than 200 elements. For the next order
    the same is done with the function that computes this derivative, of the arguments and the weights.

    The numeric derivative is by a step into the complex plane where the function allows it, otherwise by central
    differences, extrapolated (Richardson), with their own estimate of error. It is computed in double precision,
    whatever the dtype of the arguments; the derivative checked is computed in theirs.

    Parameters
    ----------
    f : callable
        A function of arrays, written with what Tensors can pass through, or a `Module`, whose parameters are then
        checked too. Its result may be nested; what is not floating point in it is passed over.
    *args : Any
        Where to check. Floating-point numbers and arrays are differentiated by, also those nested in tuples, lists and
        dicts, and parameters of modules; others are passed on as they are. Modules and generators of random numbers
        are copied for each call, so that each call starts from the same state.
    order : int
        1 for first derivatives, 2 for second derivatives too, and so on.
    atol, rtol : float, optional
        The error allowed, absolute (in proportion to the gradients where all are small) and relative. They follow the
        dtype if not given: 1e-7 and 1e-6 for double precision, 1e-3 for single. What the numeric derivative's own error
        may be is added.
    seed : int
        Of the random numbers.
    invariants : bool
        Whether `check_invariants` is to be called too.

    Returns
    -------
    CheckResult
        The errors found, those allowed, and how they were measured.

    Raises
    ------
    AssertionError
        If a derivative is wrong; if the function changes its arguments, is random, returns nothing that has a
        derivative or NaN. The message says which, where, and how to do it again.
    NonDifferentiablePoint
        An AssertionError too: if left and right slope differ, so that there is no derivative to be right or wrong.
    TypeError, ValueError
        If there is no floating-point argument to differentiate by, or `order` is not at least 1.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> from tinygrad_digits import testing
    >>> result = testing.check_grads(np.multiply, [1.0, 2.0], 3.0)
    >>> result.checks[0].argument, result.checks[0].method
    ('argument 0 (x1)', 'complex step, each element')
    >>> @tg.primitive
    ... def cube(x):
    ...     return x**3
    >>> tg.defvjp(cube, lambda g, out, x: g * 2 * x**2)
    >>> testing.check_grads(cube, 2.0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    AssertionError: cube, order 1: the derivative by argument 0 (x), element (), is wrong
      analytic  1.005841...
      numeric   1.508762... (complex step)
      error     0.502920... where ... is allowed
      noise     ...
    To see it again:
    <BLANKLINE>
        import numpy as np
        from tinygrad_digits.testing import check_grads
        from ... import cube
        check_grads(cube, 2.0, order=1, seed=0)
    """
    if not (isinstance(order, int | np.integer) and order >= 1):
        raise ValueError(f"order={order!r} checks nothing: give 1 for first derivatives, 2 for second ones too")
    subject = Subject(f, args)
    rng = np.random.default_rng(seed)
    checks: list[ArgumentCheck] = []
    stage = _Stage(subject, subject.arrays, subject.labels, subject.title)
    k = 1
    try:
        while True:
            checks += stage.check(k, atol, rtol, rng)
            if k == order:
                break
            stage, k = stage.derivative(), k + 1
        k = 0
        done = check_invariants(f, *args, order=order, seed=seed) if invariants else ()
    except AssertionError as wrong:
        where = subject.title + (f", order {k}" if k else "")
        text = str(wrong) if str(wrong).startswith(subject.title) else f"{where}: {wrong}"
        raise type(wrong)(f"{text}\nTo see it again:\n\n{report.again(f, args, k or order, seed)}") from None
    except Exception as error:
        lines = report.again(f, args, k or order, seed)
        error.add_note(f"while check_grads took derivatives of order {k or order}. To see it again:\n\n{lines}")
        raise
    return CheckResult(subject.title, seed, tuple(checks), done)


class _Stage:
    """A function of arrays, and where its first derivatives are to be checked: the user's, then derivatives of it."""

    def __init__(self, call: Callable[..., list[Any]], arrays: Arrays, labels: list[str], title: str) -> None:
        self.call, self.arrays, self.labels, self.title = call, arrays, labels, title
        self.weights: Arrays = []

    def check(
        self, order: int, atol: float | None, rtol: float | None, rng: np.random.Generator
    ) -> list[ArgumentCheck]:
        """Compare the first derivatives with numeric ones."""
        self.points = [np.array(x, np.float64) for x in self.arrays]
        for label, x in zip(self.labels, self.points, strict=True):
            if np.any(np.isinf(x)):
                raise AssertionError(f"{label} is infinite: there is no derivative there. Check where it is finite")
        before = [x.tobytes() for x in self.points]
        self.evaluate = evaluator(self.call, self.points)
        self.values = self.evaluate(self.points)
        if any(x.tobytes() != b for x, b in zip(self.points, before, strict=True)):
            raise AssertionError(CHANGED)
        self._check_values()
        self.weights = [np.asarray(rng.standard_normal(y.shape)) for y in self.values]
        self.start = self._weighted(self.values)
        found = self._analytic()
        self.bytes = min(x.dtype.itemsize for x in self.arrays)
        usual = TOLERANCES[min(self.bytes, 16)]
        self.atol, self.rtol = usual[0] if atol is None else atol, usual[1] if rtol is None else rtol
        self.largest = max((float(np.max(np.abs(g), initial=0, where=np.isfinite(g))) for g in found), default=0.0)
        size = float(np.sum(np.abs(self.start)))
        self.floor = self.atol * min(1.0, self.largest) + EPSILON * (1000 * (self.largest + size) + 4)
        complex_step = order == 1 and self._complex_step_works()
        return [self._check_argument(position, g, order, complex_step, rng) for position, g in enumerate(found)]

    def _check_values(self) -> None:
        again = self.evaluate(self.points)
        if [y.shape for y in again] != [y.shape for y in self.values] or any(
            not np.array_equal(y, z, equal_nan=True) for y, z in zip(self.values, again, strict=True)
        ):
            raise AssertionError(
                "two calls with the same arguments gave different results. If it draws random numbers, hold them "
                "still: make the generator in the function, np.random.default_rng(0), or pass it as an argument, which "
                "check_grads copies for each call. If it keeps a state, make it a Module, which is copied likewise"
            )
        for i, y in enumerate(self.values):
            if not np.all(np.isfinite(y)):
                where = tuple(map(int, np.argwhere(~np.isfinite(y))[0]))
                which = "the result" if len(self.values) == 1 else f"result {i}"
                given = [label for label, x in zip(self.labels, self.points, strict=True) if np.any(np.isnan(x))]
                raise AssertionError(
                    f"{which} is {y[where]} at {where}{', and so is a part of '.join(['', *given])}: there is nothing "
                    "to compare. Check where the function is finite"
                )

    def _analytic(self) -> list[NDArray[Any]]:
        """The engine's gradients, computed on the arguments as they are, in their own dtype and layout."""
        before = [x.tobytes() for x in self.arrays]
        leaves = [asarray(x, requires_grad=True) for x in self.arrays]
        results = self.call(*leaves)
        if [np.shape(y) for y in results] != [y.shape for y in self.values]:
            raise AssertionError(
                f"the result has shape {[np.shape(y) for y in results]} for Tensors and "
                f"{[y.shape for y in self.values]} for arrays: it must not depend on which it is given"
            )
        self.outputs = [y.dtype for y in results]
        close = 1e-8 if all(x.dtype == np.float64 for x in self.arrays) else 0.05
        for y, z in zip(results, self.values, strict=True):
            y = np.asarray(y.numpy() if isinstance(y, Tensor) else y, np.float64)
            if not np.all(np.abs(y - z) <= close * (1 + np.max(np.abs(z), initial=0))):
                raise AssertionError(
                    f"the value is {y.ravel()[:3]} … for Tensors and {z.ravel()[:3]} … for arrays in double precision: "
                    "it must not depend on which it is given"
                )
        seeds = [w.astype(y.dtype) for w, y in zip(self.weights, results, strict=True)]
        given = [s.tobytes() for s in seeds]
        backward(results, seeds, leaves)
        if any(x.tobytes() != b for x, b in zip(self.arrays + seeds, before + given, strict=True)):
            raise AssertionError(
                "an argument or a gradient that was passed in was changed, by the function given Tensors or by a rule. "
                "Have it make a new array: g * 2 in place of np.multiply(g, 2, out=g)"
            )
        found = gradients(leaves)
        check_shape_and_dtype(found, self.arrays, self.labels)
        return found

    # ------------------------------------------------------------------------------------------- numeric derivatives

    def _line(self, moves: dict[int, NDArray[Any]]) -> Line:
        """The weighted result along a direction, given for some of the arguments."""

        def line(t: float) -> NDArray[Any]:
            xs = list(self.points)
            for position, direction in moves.items():
                xs[position] = xs[position] + t * direction
            try:
                return self._weighted(self.evaluate(xs))
            except (ValueError, ArithmeticError):  # outside of the domain, as it was not at the point itself
                return np.full_like(self.start, np.nan)

        return line

    def _weighted(self, values: Arrays) -> NDArray[Any]:
        """All elements of a result, multiplied by their weights."""
        if [y.shape for y in values] != [w.shape for w in self.weights]:
            raise AssertionError(
                f"the shape of the result depends on the numbers: {[w.shape for w in self.weights]}, then "
                f"{[y.shape for y in values]}. Check where it is the same all around"
            )
        products = [(w * y).ravel() for w, y in zip(self.weights, values, strict=True)]
        return products[0] if len(products) == 1 else np.concatenate(products)

    def _complex_slope(self, moves: dict[int, NDArray[Any]]) -> float:
        """The derivative along a direction, to the last bits: for analytic functions f(x + iεv) = f(x) + iε f′(x) v."""
        xs = [x.astype(complex) for x in self.points]
        for position, direction in moves.items():
            xs[position].imag = TINY * direction
        return float(sum(np.sum(w * y.imag) for w, y in zip(self.weights, self.evaluate(xs), strict=True))) / TINY

    def _complex_step_works(self) -> bool:
        """Whether it runs, and agrees along a random direction with differences; that finds kinks out, too."""
        rng = np.random.default_rng(self.points[0].size)
        everywhere = {i: _direction(x, rng) for i, x in enumerate(self.points) if x.size}
        if not everywhere:
            return False
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("error")  # that an imaginary part was dropped
                found = self._complex_slope(everywhere)
        except Exception:  # whatever it is, differences will do
            return False
        slope, kink = self._quick(self._line(everywhere))
        return not kink and abs(found - slope.value) <= self._allowed(slope)

    def _quick(self, line: Line) -> tuple[Slope, bool]:
        """A slope, and whether there seems to be a kink that shows."""
        with np.errstate(all="ignore"):
            slope, bend = quick_slope(line, self.start)
        return slope, not bend <= self.floor

    def _allowed(self, slope: Slope) -> float:
        return self.floor + self.rtol * abs(slope.value) + 10 * slope.noise

    # ------------------------------------------------------------------------------------------------- the comparison

    def _check_argument(
        self, position: int, gradient: NDArray[Any], order: int, complex_step: bool, rng: np.random.Generator
    ) -> ArgumentCheck:
        x = self.points[position]
        by_element = x.size <= LARGE and not self.labels[position].startswith("weight")
        where = "each element" if by_element else "random directions"
        worst = ArgumentCheck(self.labels[position], order, 0, 0.0, self.floor, 0.0, "none")
        count = x.size if by_element else DIRECTIONS * (x.size > 0)
        for i in range(count):
            if by_element:
                direction = np.zeros_like(x)
                direction.flat[i] = 1.0 if complex_step else max(1.0, abs(float(x.flat[i])))
            else:
                direction = _direction(x, rng)
            found = self._compare(position, direction, gradient, complex_step)
            if not found.agrees:
                if not by_element:
                    direction = self._narrowed(position, direction, gradient)
                self._complain(position, direction, gradient, complex_step)
            if i == 0 or found.error * worst.allowed > worst.error * found.allowed:
                worst = ArgumentCheck(
                    worst.argument, order, count, found.error, found.allowed, found.noise, f"{found.method}, {where}"
                )
        return worst

    def _compare(
        self, position: int, direction: NDArray[Any], gradient: NDArray[Any], complex_step: bool
    ) -> _Comparison:
        """The numeric slope along a direction, as good as it has to be to agree with the analytic one, if it can."""
        moved = direction != 0
        analytic = float(np.sum(gradient[moved] * direction[moved], dtype=np.float64))
        moves = {position: direction}
        if complex_step:
            exact = self._compared(analytic, Slope(self._complex_slope(moves), 0.0), "complex step")
            if exact.agrees:
                return exact
        line = self._line(moves)
        slope, kink = self._quick(line)
        quick = self._compared(analytic, slope)
        if quick.agrees and not kink:
            return quick
        with np.errstate(all="ignore"):
            slope = careful_slope(line, self.start, finest_step(self.points[position][moved]))
            careful = self._compared(analytic, slope)
            fault = slope.fault
            if not (fault or quick.agrees or careful.agrees) and self.bytes in BLUR:
                fault = careful_slope(line, self.start, BLUR[self.bytes]).fault
        if fault:
            raise NonDifferentiablePoint(
                f"by {self._place(position, direction)}, the function has no derivative: {fault} (results are "
                "times random factors). Check where it is smooth, and pin what the gradient is here by an example"
            )
        if quick.agrees:
            return quick
        if slope.noise > max(0.03 * max(abs(slope.value), self.largest), 1e-4 * slope.steepest, 1e-9):
            raise AssertionError(
                f"the derivative by {self._place(position, direction)} cannot be judged: numeric ones are noisy, "
                f"{slope.value:.3g} ± {slope.noise:.3g}, where the analytic one is {analytic:.3g}. Check where the "
                "function does not lose its digits"
            )
        return careful

    def _compared(self, analytic: float, slope: Slope, method: str = "central differences") -> _Comparison:
        return _Comparison(analytic, slope.value, slope.noise, self._allowed(slope), method)

    def _narrowed(self, position: int, direction: NDArray[Any], gradient: NDArray[Any]) -> NDArray[Any]:
        """The element at fault, found by halving: of each half the numeric slope is compared."""
        elements = np.flatnonzero(direction)
        while elements.size > 1:
            halves = np.array_split(elements, 2)
            found = [self._compare(position, _only(direction, half), gradient, False) for half in halves]
            excess = [comparison.error - comparison.allowed for comparison in found]
            elements = halves[int(excess[1] > excess[0])]
        single = _only(direction, elements)
        return direction if self._compare(position, single, gradient, False).agrees else single

    def _place(self, position: int, direction: NDArray[Any]) -> str:
        moved = np.argwhere(direction)
        label = self.labels[position]
        return f"{label}, element {tuple(map(int, moved[0]))}" if len(moved) == 1 else f"{label}, along a direction"

    def _complain(self, position: int, direction: NDArray[Any], gradient: NDArray[Any], complex_step: bool) -> NoReturn:
        found = self._compare(position, direction, gradient, False)
        unit = float(direction.sum()) if np.count_nonzero(direction) == 1 else 1.0
        analytic, numeric, noise = found.analytic / unit, found.numeric / unit, found.noise / abs(unit)
        method = found.method
        if complex_step:
            exact = self._complex_slope({position: direction}) / unit
            if abs(exact - numeric) <= self._allowed(Slope(numeric, noise)):
                numeric, method = exact, "complex step"
        raise AssertionError(
            f"the derivative by {self._place(position, direction)}, is wrong\n"
            f"  analytic  {analytic!r}\n  numeric   {numeric!r} ({method})\n"
            f"  error     {abs(analytic - numeric)!r} where {self._allowed(Slope(numeric, noise))!r} is allowed\n"
            f"  noise     {noise!r} of the numeric one, estimated{report.leaving(self.call, self.arrays)}"
        )

    def derivative(self) -> _Stage:
        """The function that computes what was checked, of the arguments and the weights."""
        count, call = len(self.arrays), self.call

        def gradient(*leaves: Any) -> list[Any]:
            _, pull = vjp(lambda *xs: call(*xs), *leaves[:count])
            return list(pull(list(leaves[count:])))

        weights = [w.astype(dtype) for w, dtype in zip(self.weights, self.outputs, strict=True)]
        labels = [f"weight {i} of the result" for i in range(len(weights))]
        return _Stage(gradient, self.arrays + weights, self.labels + labels, self.title)


@dataclass(frozen=True)
class _Comparison:
    """An analytic slope, a numeric one, and what the two may differ by."""

    analytic: float
    numeric: float
    noise: float
    allowed: float
    method: str

    @property
    def error(self) -> float:
        return abs(self.analytic - self.numeric)

    @property
    def agrees(self) -> bool:
        return self.error <= self.allowed


def _only(direction: NDArray[Any], elements: NDArray[Any]) -> NDArray[Any]:
    part = np.zeros_like(direction)
    part.flat[elements] = direction.flat[elements]
    return part


def _direction(x: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """A random direction that moves each element by about as much as it may move."""
    sizes = np.maximum(1.0, np.abs(x)) / np.sqrt(max(x.size, 1))
    return np.asarray(sizes * rng.uniform(0.5, 1.5, x.shape) * rng.choice([-1.0, 1.0], x.shape))
