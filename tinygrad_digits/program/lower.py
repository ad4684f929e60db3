"""The pass that puts operations in terms of what can write its result to memory that is there."""

from __future__ import annotations

import operator
from math import prod
from typing import Any

import numpy as np

from . import kernels
from .ir import Line, Program, Value

REDUCTIONS: dict[Any, Any] = {
    np.sum: kernels.add_reduce,
    np.max: kernels.maximum_reduce,
    np.min: kernels.minimum_reduce,
    np.prod: kernels.multiply_reduce,
}


def lower(program: Program) -> Program:
    """Put each operation in terms of functions that can write their result to memory that is there."""
    lines: list[Line] = []
    renamed: dict[Value, Value] = {}

    def emit(like: Line, op: Any, *args: Any, out: Value | None = None, dtype: Any = None, shape: Any = None) -> Value:
        assert like.out is not None
        if out is None:
            out = Value("computed", like.out.shape if shape is None else shape, np.dtype(dtype or like.out.dtype))
        lines.append(Line(op, args, {}, out, like.note, like.errors))
        return out

    for line in program.lines:
        line = line.changed(lambda v: renamed.get(v, v))
        op, args, kwargs, out = line.op, line.args, line.kwargs, line.out
        if op in (operator.ge, operator.gt, operator.le, operator.lt, operator.eq, operator.ne):
            line = Line(COMPARISONS[op], args, kwargs, out, line.note, line.errors)
        elif out is None:
            pass
        elif op in REDUCTIONS and not kwargs.keys() - {"axis", "keepdims", "initial"} and len(args) <= 2:
            axis = args[1] if len(args) > 1 else kwargs.get("axis")
            given = {"keepdims": True} if kwargs.get("keepdims") else {}
            if "initial" in kwargs and (args[0].size == 0 or kwargs["initial"] != NEUTRAL[op]):
                given["initial"] = kwargs["initial"]
            line = Line(REDUCTIONS[op], args[:1], {"axis": axis, **given}, out, line.note, line.errors)
        elif op is np.mean and not kwargs.keys() - {"axis", "keepdims"} and len(args) <= 2 and _summable(args[0], out):
            axis = args[1] if len(args) > 1 else kwargs.get("axis")
            given = {"keepdims": True} if kwargs.get("keepdims") else {}
            total = Value("computed", out.shape, out.dtype)
            lines.append(Line(kernels.add_reduce, args[:1], {"axis": axis, **given}, total, line.note, line.errors))
            line = Line(np.divide, (total, float(args[0].size // max(out.size, 1))), {}, out, line.note, line.errors)
        elif op is np.where and len(args) == 3 and _zero(args[2]) and _maskable(args[0], args[1], out):
            bits = emit(line, kernels.bits, args[0], out.dtype.itemsize, dtype=f"i{out.dtype.itemsize}")
            line = Line(kernels.masked, (args[1], bits), {}, out, line.note, line.errors)
        elif op is operator.getitem and isinstance(args[0], Value):
            line = _gathered(line, emit) or line
        elif op is np.dot and all(isinstance(a, Value) and a.shape for a in args) and len(args[1].shape) <= 2:
            line = Line(np.matmul, args, kwargs, out, line.note, line.errors)
        elif op is np.take and isinstance(args[0], Value) and len(args) <= 3:
            axis = args[2] if len(args) > 2 else kwargs.get("axis")
            if axis == 0 and not kwargs.keys() - {"axis"} and isinstance(args[1], Value) and args[1].dtype.kind in "iu":
                line = _rows(line, emit, *args[:2])
        elif op in (np.maximum, np.minimum) and len(args) == 2 and not kwargs and _bounded(*args, out):
            line = Line(op, (args[0], _repeated(args[1], out)), {}, out, line.note, line.errors)
        elif op is np.transpose and len(args) == 1 and kwargs.get("axes") is None:
            line = Line(op, args, {}, out, line.note, line.errors)
        elif op is np.squeeze:
            line = Line(np.reshape, (args[0], out.shape), {}, out, line.note, line.errors)
        lines.append(line)
    return program.with_lines(lines)


NEUTRAL = {np.sum: 0, np.prod: 1, np.max: -np.inf, np.min: np.inf}
"""What to begin a reduction with that changes nothing, but takes longer than to begin with the first element."""

COMPARISONS = {
    operator.ge: np.greater_equal,
    operator.gt: np.greater,
    operator.le: np.less_equal,
    operator.lt: np.less,
    operator.eq: np.equal,
    operator.ne: np.not_equal,
}


def _summable(x: Any, out: Value) -> bool:
    """Whether the mean is the sum, divided: of whole numbers and of half precision, NumPy sums in another dtype."""
    return isinstance(x, Value) and x.dtype == out.dtype and out.dtype.kind == "f" and out.dtype.itemsize >= 4


def _zero(a: Any) -> bool:
    return not isinstance(a, Value) and type(a) in (int, float) and a == 0 and str(a) in ("0", "0.0")


def _maskable(condition: Any, x: Any, out: Value) -> bool:
    return (
        isinstance(condition, Value)
        and isinstance(x, Value)
        and condition.dtype == bool
        and x.dtype == out.dtype
        and condition.shape == x.shape == out.shape
        and out.dtype.kind == "f"
        and out.dtype.itemsize in (2, 4, 8)
    )


LONG, SMALL = 256, 2**14
"""How many numbers make a loop a long one; up to how many to keep an array of, for one number."""


def _bounded(x: Any, number: Any, out: Value) -> bool:
    """Whether an array is compared with one number: NumPy takes up to three times as long as with an array of it."""
    if not isinstance(x, Value) or x.shape != out.shape or x.dtype != out.dtype or out.size < LONG:
        return False
    return type(number) in (int, float) or (isinstance(number, Value) and number.own and number.size == 1)


def _repeated(number: Any, like: Value) -> Value:
    """A number as often as a value has elements; of a large one, as its last axes have, for loops to be long."""
    first = 0 if like.size <= SMALL else len(like.shape) - 1
    while first > 0 and prod(like.shape[first:]) < LONG:
        first -= 1
    number = number.source.flat[0] if isinstance(number, Value) else number
    array = np.full(like.shape[first:], number, like.dtype)
    return Value("constant", array.shape, array.dtype, source=array)


def _gathered(line: Line, emit: Any) -> Line | None:
    """``x[i]`` and ``x[arange, i]``, with whole numbers i, in a form that writes to memory that is there."""
    x, index = line.args
    parts = index if isinstance(index, tuple) else (index,)
    whole = [p for p in parts if isinstance(p, Value) and p.dtype.kind in "iu"]
    if len(parts) == 1 and len(whole) == 1 and x.shape:
        return _rows(line, emit, x, parts[0])
    if len(parts) == 2 == len(whole) == len(x.shape) and parts[0].shape == parts[1].shape and len(parts[0].shape) == 1:
        rows = parts[0].source
        if parts[0].kind == "constant" and parts[0].own and np.array_equal(rows, np.arange(x.shape[0])):
            return Line(kernels.picked, (x, parts[1]), {}, line.out, line.note, line.errors)
    return None


def _rows(line: Line, emit: Any, x: Value, index: Value) -> Line:
    index = emit(line, kernels.within, index, x.shape[0], dtype=index.dtype, shape=index.shape)
    return Line(kernels.gathered, (x, index), {}, line.out, line.note, line.errors)
