"""What a program is made of: values, and lines that compute one value from others. Each value is computed once."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(eq=False)
class Value:
    """An array (or, of kind "scalar", a Python number) that a program reads or computes.

    Attributes
    ----------
    kind : {"input", "state", "constant", "scalar", "computed"}
        An argument of the step; what the step finds and leaves behind (a `Slot` tells where); what stays as it is; a
        Python number that is looked up or computed at each call; the result of a line.
    source : Slot, ndarray, Scalar or None
        Where it comes from.
    """

    kind: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    name: str = ""
    source: Any = None
    own: bool = False
    """Of a constant: nobody else can change it."""

    @property
    def size(self) -> int:
        """The number of elements."""
        size = 1
        for n in self.shape:
            size *= n
        return size

    @property
    def nbytes(self) -> int:
        """The bytes it takes."""
        return self.size * self.dtype.itemsize


@dataclass(eq=False)
class Line:
    """One operation: ``out = op(*args, **kwargs)``, where arguments are values, nested or not, and Python's constants.

    Without `out` it is a check, which may raise. The operation is a function, or `pieces.Pieces`.
    """

    op: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any
    note: str = ""
    errors: dict[str, Any] = field(default_factory=dict)
    """What of `numpy.errstate` is to hold, where it differs from the caller's."""
    pure: bool = True
    """Whether only the result counts."""

    def reads(self) -> Iterator[Value]:
        """The values it is computed from."""
        yield from values_in(self.args)
        yield from values_in(self.kwargs)

    def changed(self, function: Callable[[Value], Value]) -> Line:
        """The line with other values to read."""
        args, kwargs = mapped(self.args, Value, function), mapped(self.kwargs, Value, function)
        return Line(self.op, args, kwargs, self.out, self.note, self.errors, self.pure)


@dataclass(eq=False)
class Program:
    """Lines in order, what they begin with, and what is left behind."""

    inputs: list[Value]
    lines: list[Line]
    results: Any
    """What the step returns: values, nested as it returned them."""
    writes: dict[Value, Value]
    """For each state that changes: its new value."""
    gradients: dict[Any, tuple[Value, bool]] = field(default_factory=dict)
    """For each tensor whose ``grad`` is left: the gradient, and whether it is added to what is there."""

    def ends(self) -> Iterator[Value]:
        """The values that outlive the lines."""
        yield from values_in(self.results)
        yield from self.writes.values()
        yield from values_in(self.gradients)

    def with_lines(self, lines: list[Line], renamed: dict[Value, Value] | None = None) -> Program:
        """The program with other lines, and values renamed where they outlive them."""
        if not renamed:
            return Program(self.inputs, lines, self.results, self.writes, self.gradients)

        def final(value: Value) -> Value:
            while value in renamed:
                value = renamed[value]
            return value

        return Program(
            self.inputs,
            lines,
            mapped(self.results, Value, final),
            {state: final(value) for state, value in self.writes.items()},
            mapped(self.gradients, Value, final),
        )


class Scalar:
    """A Python number that a program looks up or computes at each call: a setting of an optimizer, a count of steps.

    It computes as a number does. Whoever branches on it makes the program depend on how that came out.
    """

    def __init__(self, trace: Any, value: Any, op: Any, *args: Any) -> None:
        self.trace, self.value, self.op, self.args = trace, value, op, args
        self.place: tuple[Any, str] | None = None  # of a count: where it is kept

    def __bool__(self) -> bool:
        return bool(self.trace.settled(operator.truth, self))

    def __float__(self) -> float:
        return float(self.trace.settled(float, self))

    def __int__(self) -> int:
        return int(self.trace.settled(int, self))

    def __index__(self) -> int:
        return int(self.trace.settled(operator.index, self))

    def __hash__(self) -> int:
        return id(self)

    def sources(self) -> Iterator[Any]:
        """What is looked up: pairs of a mapping (or list) and a key."""
        if self.op is None:
            yield self.args
        for a in self.args:
            if isinstance(a, Scalar):
                yield from a.sources()


SIGNS = {
    operator.add: "+",
    operator.sub: "-",
    operator.mul: "*",
    operator.truediv: "/",
    operator.pow: "**",
    operator.neg: "-",
}


def combined(op: Any, *args: Any) -> Scalar:
    """The Scalar that an operator makes of numbers, one of which is a Scalar."""
    trace = next(a.trace for a in args if isinstance(a, Scalar))
    return Scalar(trace, op(*(a.value if isinstance(a, Scalar) else a for a in args)), op, *args)


def _give_operators() -> None:
    def forward(op: Any) -> Any:
        def method(self: Scalar, other: Any) -> Any:
            return combined(op, self, other) if isinstance(other, int | float | Scalar) else NotImplemented

        return method

    def reflected(op: Any) -> Any:
        def method(self: Scalar, other: Any) -> Any:
            return combined(op, other, self) if isinstance(other, int | float) else NotImplemented

        return method

    def comparison(op: Any) -> Any:
        return lambda self, other: self.trace.settled(op, self, other)

    for op in SIGNS:
        if op is not operator.neg:
            setattr(Scalar, f"__{op.__name__}__", forward(op))
            setattr(Scalar, f"__r{op.__name__}__", reflected(op))
    setattr(Scalar, "__neg__", lambda self: combined(operator.neg, self))  # noqa: B010 - no such method is declared
    for op in operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne:
        setattr(Scalar, f"__{op.__name__}__", comparison(op))


_give_operators()


# ------------------------------------------------------------------------------------------------------ nested values


def values_in(nested: Any) -> Iterator[Value]:
    """All values in tuples, lists, dicts and slices."""
    if isinstance(nested, Value):
        yield nested
    elif isinstance(nested, list | tuple):
        for item in nested:
            yield from values_in(item)
    elif isinstance(nested, dict):
        for item in nested.values():
            yield from values_in(item)


def mapped(nested: Any, kind: Any, function: Callable[[Any], Any]) -> Any:
    """Tuples, lists and dicts with what a function makes of each thing of a kind in them."""
    if isinstance(nested, kind):
        return function(nested)
    if isinstance(nested, tuple) and hasattr(nested, "_fields"):
        return type(nested)(*(mapped(item, kind, function) for item in nested))
    if isinstance(nested, list | tuple):
        return type(nested)(mapped(item, kind, function) for item in nested)
    if isinstance(nested, dict):
        return {key: mapped(item, kind, function) for key, item in nested.items()}
    return nested
