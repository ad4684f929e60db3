"""compile: a step that is traced once for each kind of arguments, and run as a program from then on."""

from __future__ import annotations

import random
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import update_wrapper
from types import MethodType, SimpleNamespace
from typing import Any

import numpy as np

from ..nn.module import Module, walk
from ..optim import Optimizer
from ..tensor import Tensor, recording, traced_by, tracing
from . import report
from .bound import MISS, Bound
from .ir import Value, mapped
from .passes import PASSES, Pass
from .surroundings import Numbers, Place, found_by, held_in
from .trace import CompileError, Trace
from .transpose import as_they_lie

KEPT = 8
"""How many programs of a step are kept."""


def compile(step: Callable[..., Any], *, debug: bool = False, passes: Mapping[str, Pass] = PASSES) -> Compiled:
    """Make a training step run as the straight-line NumPy that it comes down to.

    The first call with arguments of some shapes and dtypes runs the step to see which operations Tensors pass through,
    the backward sweep's and the optimizer's included, and takes back what that has changed. All calls, this one
    included, run the program made of these: one line of NumPy after another, in memory that is kept. Arguments are
    arrays or Tensors; what else is passed (numbers, strings, None) is part of the program. Parameters, what optimizers
    keep, running statistics and random generators are read and written in place; an optimizer's settings are looked up
    at each call, so that a schedule may change them. A module's mode, a parameter that was replaced, or another value
    of what the step, or a function of yours that it calls, reads as ``name``, ``thing.name`` or ``thing["name"]`` makes
    another program, and so does a list of numbers that it computes with.

    Parameters
    ----------
    step : callable
        What to compile: it may compute a loss, call ``backward()``, and have optimizers take a step, or only some of
        that. It must not branch on values, nor change anything beside Tensors and optimizers: Python code runs at the
        first call only, and so does NumPy where no Tensor is involved. If such code reads something in another way,
        such as a number in an array, an item of a list, a file or what another library keeps, changes to it are not
        noticed: pass it as an argument. What the step returns are Tensors, in tuples, lists and dicts, or None.
    debug : bool
        Run the step beside the program at each call, and raise at the first line whose values differ.
    passes : mapping of str to callable
        What is done to the program, in order; to switch one off, put in its place one that changes nothing:
        ``{**tg.program.PASSES, "hoist": lambda program: program}``.

    Returns
    -------
    Compiled
        It is called as the step is.

    Raises
    ------
    CompileError
        At the first call, if a value leaves the step (``float``, ``bool``, ``.data``, ``np.asarray`` of a Tensor), a
        shape depends on values, or a gradient is used that was computed outside. The message names the line. Nothing
        has been changed then.

    Notes
    -----
    Gradients that an optimizer in the step has used are not kept: ``grad`` is None afterwards. Others are left there.
    Lines that begin with ``add_to_`` call a routine of the BLAS that NumPy comes with. It adds a product of matrices,
    or a multiple of an array, to what is there, as the comment beside it says. A line that begins with ``run_pieces``
    runs the function ``piece`` for each thread's piece of the batch: there is one in a net with convolutions if the
    program was made where threads share the images (``tinygrad_digits.ops.threads.image_threads``).

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> w = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = tg.optim.SGD([w], lr=0.1)
    >>> @tg.compile
    ... def step(x):
    ...     loss = np.sum(np.square(w - x))
    ...     optimizer.zero_grad()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> [round(step(np.zeros(2)).item(), 3) for _ in range(3)]
    [5.0, 3.2, 2.048]
    """
    return Compiled(step, debug, passes)


class Compiled:
    """What `compile` returns: a step with a program for each kind of arguments it has been called with.

    Attributes
    ----------
    source : str
        The program that ran last, as Python.
    """

    def __init__(self, step: Callable[..., Any], debug: bool, passes: Mapping[str, Pass]) -> None:
        if not callable(step):
            raise TypeError(f"compile takes a function, and was given {step!r:.50}")
        self.step, self.debug, self.passes = step, debug, passes
        self._programs: OrderedDict[Any, list[Bound]] = OrderedDict()
        self._lock = threading.RLock()
        self._last: Any = SimpleNamespace(call=_none)
        update_wrapper(self, step)

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        """Make it a method, where it is an attribute of a class."""
        return self if owner is None else MethodType(self, owner)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the step."""
        with self._lock:
            if kwargs or tracing() is not None or (results := self._last.call(*args)) is MISS:
                return self._find(args, kwargs)
            return results

    def _find(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if tracing() is not None:  # as part of another step
            return self.step(*args, **kwargs)
        key = _signature(self.step, args, kwargs)
        arguments = (*args, *kwargs.values())
        bound = self._programs.get(key, [])
        for one in bound:
            if (results := one.call(*arguments)) is not MISS:
                bound.remove(one)
                break
        else:
            passes = dict(self.passes)
            if self.debug:
                passes.pop("cut", None)  # to see each line's values, of the whole batch
            if self._programs.keys() - {key} and "transpose" in passes:
                passes["transpose"] = as_they_lie  # two programs are not to move the weights to and fro
            one = traced(self.step, args, kwargs, passes, debug=self.debug)
            one.bind()
            self._programs[key] = [one, *bound]  # to be looked at, if it now raises
            results = one.call(*arguments)
            if results is MISS:
                del self._programs[key]
                raise CompileError(
                    f"{title(self.step)} changes what it depends on, such as a module's mode or a variable that it "
                    "reads: do so outside of the step"
                )
        bound.insert(0, one)
        self._programs[key] = bound
        self._programs.move_to_end(key)
        self._forget()
        self._last = SimpleNamespace(call=_none) if kwargs else one
        return results

    def _forget(self) -> None:
        """Keep some programs only."""
        while sum(map(len, self._programs.values())) > KEPT:
            key, oldest = next(iter(self._programs.items()))
            oldest.pop()
            if not oldest:
                del self._programs[key]

    def _newest(self) -> Bound:
        for bound in reversed(self._programs.values()):
            if bound:
                return bound[0]
        raise RuntimeError(f"{title(self.step)} has not been called yet: a program is made for the arguments it gets")

    @property
    def source(self) -> str:
        """The program that ran last, as Python."""
        return self._newest().source.text

    def explain(self, *args: Any, repeat: int = 100) -> str:
        """Say what each line of the program costs: operations, bytes, and the time it takes, measured.

        Parameters
        ----------
        *args
            Arguments as of a call. The program is run on them, on copies of its states: the model does not change.
        repeat : int
            How many runs the times are the medians of.

        Returns
        -------
        str
            A table, and the sums: flops, bytes read and written, memory kept. The lines of a piece of the batch stand
            under the line that runs the pieces, with what all of them take together: threads do so at once.
        """
        return report.explain(self._newest(), args, repeat)

    def draw(self, *args: Any, repeat: int = 100, figure: Any = None) -> Any:
        """Draw the program: what each line takes, and what is in which memory meanwhile. It takes matplotlib.

        Parameters
        ----------
        *args, repeat
            As of `explain`.
        figure : matplotlib.figure.Figure, optional
            What to draw on; a new one if not given.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return report.draw(self._newest(), args, repeat, figure)


def _none(*args: Any) -> Any:
    return MISS


def title(step: Any) -> str:
    """What a person calls a step."""
    return str(getattr(step, "__name__", type(step).__name__))


def _signature(step: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a program is made for."""

    def kind(a: Any) -> Any:
        if isinstance(a, np.ndarray | Tensor):
            return a.shape, a.dtype
        if isinstance(a, list | tuple | dict | set):
            raise CompileError(f"{title(step)} was given a {type(a).__name__}: give arrays as arguments of their own")
        return type(a), a

    return tuple(map(kind, args)), tuple((k, kind(v)) for k, v in kwargs.items())


def traced(
    step: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    passes: Mapping[str, Pass],
    *,
    debug: bool = False,
) -> Bound:
    """Run a step, and take back what it has changed; the program of what it did."""

    def traced_again(values: tuple[Any, ...]) -> Bound:
        again = values[: len(args)], dict(zip(kwargs, values[len(args) :], strict=True))
        return traced(step, *again, passes)

    others = [a for a in (*args, *kwargs.values()) if not isinstance(a, np.ndarray | Tensor)]
    places, things = found_by(step, others)
    for place in places:
        if hasattr(place.value, "__next__"):
            raise CompileError(
                f"{title(step)} uses the iterator {place.key}: Python code runs at the first call only, and the "
                "program would go on with the same items for ever. Pass them as arguments"
            )
    trace = Trace(_names(places, things), things)
    words = list(_argument_names(step, args, kwargs))

    def shown(a: Any, called: str) -> Any:
        if isinstance(a, Tensor):
            if a.requires_grad:
                raise CompileError(
                    f"{title(step)} was given a tensor that requires a gradient, as {called}: let the step find it "
                    "where it is defined, or give it x.detach()"
                )
            return trace.input(a._now(), called)
        return trace.input(a, called) if isinstance(a, np.ndarray) else a

    given = [shown(a, called) for a, called in zip((*args, *kwargs.values()), words, strict=True)]
    around = [*places, *held_in(things, None)]
    outside = list(_outside([*things, *(place.value for place in around)]))
    before = [_state_of(thing) for thing in outside]
    try:
        with traced_by(trace), recording(True):
            returned = step(*given[: len(args)], **dict(zip(kwargs, given[len(args) :], strict=True)))
        for thing, state in zip(outside, before, strict=True):
            if _state_of(thing) != state and not (isinstance(thing, np.random.Generator) and thing in trace.drawn_from):
                raise CompileError(_changed(step, thing))
        for place in around:
            if not place.holds() and not place.made_for_good():
                raise CompileError(
                    f"{title(step)} changes {place.key}, outside of it: Python code runs at the first call only, and "
                    "later ones would leave it as it is. Make it a tensor and assign its data, or change it outside"
                )
        results = mapped(returned, Tensor | np.ndarray, trace._read)
        _check_results(step, results)
        raw = trace.program(results)
        places += [*held_in(things, trace.states), *(Place(a, "a list", Numbers(a)) for a in trace.lists)]
        places = [place if place.holds() else place.anew() for place in places]
        made = Bound(title(step), trace, raw, passes, places, given)
    finally:
        trace.undo()
    if debug:
        made.compared = lambda *values: report.compare(made, lambda: traced_again(values), values)
    return made


def _check_results(step: Callable[..., Any], results: Any) -> None:
    if isinstance(results, dict):
        results = list(results.values())
    if isinstance(results, list | tuple):
        for item in results:
            _check_results(step, item)
    elif results is not None and not isinstance(results, Value):
        raise CompileError(
            f"{title(step)} returns a {type(results).__name__}, which would be the same at each call: let it return "
            "Tensors, in tuples, lists or dicts, or nothing"
        )


def _argument_names(step: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[str]:
    code = getattr(step, "__code__", None)
    known = code.co_varnames[: code.co_argcount] if code is not None else ()
    for i, _ in enumerate(args):
        yield known[i] if i < len(known) else f"x{i}"
    yield from kwargs


def _names(places: list[Place], things: list[Any]) -> dict[int, str]:
    """What people call the tensors that a step finds, by themselves, in modules and in containers."""
    names: dict[int, str] = {id(place.value): place.key for place in places if isinstance(place.value, Tensor)}
    for kinds in Module, list | tuple | dict:
        for thing in things:
            if isinstance(thing, kinds):
                for place, item in walk(thing):
                    if isinstance(item, Tensor):
                        names.setdefault(id(item), place)
    for thing in things:
        if isinstance(thing, Optimizer):
            for i, p in enumerate(thing.params):
                names.setdefault(id(p), f"parameter.{i}")
    return names


LARGEST = 1_000_000
"""Arrays from outside with more elements than this are not compared before and after."""


def _outside(things: list[Any]) -> Iterator[Any]:
    """What a step might change without the trace's knowing: arrays and generators that it uses, and Python's own."""
    yield random
    yield np.random
    for thing in things:
        if isinstance(thing, np.random.Generator) or (isinstance(thing, np.ndarray) and thing.size <= LARGEST):
            yield thing


def _state_of(thing: Any) -> Any:
    if thing is random:
        return random.getstate()
    if thing is np.random:
        return [part.tobytes() if isinstance(part, np.ndarray) else part for part in np.random.get_state()]  # noqa: NPY002 - it is what is asked about
    return thing.tobytes() if isinstance(thing, np.ndarray) else thing.bit_generator.state


def _changed(step: Callable[..., Any], thing: Any) -> str:
    if isinstance(thing, np.ndarray):
        return (
            f"{title(step)} writes to an array from outside, of shape {thing.shape}: Python code runs at the first "
            "call only. Make it a tensor and assign its data, or write to it outside of the step"
        )
    what = "Python's random" if thing is random else "np.random" if thing is np.random else "a Generator"
    return (
        f"{title(step)} draws random numbers from {what}: the program would use the same ones for ever. Pass them as "
        "arguments, or use layers that draw, such as tg.nn.Dropout"
    )


__all__ = ["Compiled", "compile"]
