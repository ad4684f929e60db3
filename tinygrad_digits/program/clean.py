"""Passes that leave out what is not needed: what nothing depends on, what is done twice, what changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import kernels
from .ir import Line, Program, Value, mapped


def eliminate(program: Program) -> Program:
    """Leave out what nothing depends on."""
    needed = set(program.ends())
    kept = []
    for line in reversed(program.lines):
        if line.out is None or not line.pure or line.out in needed:
            kept.append(line)
            needed.update(line.reads())
    return program.with_lines(kept[::-1])


def share(program: Program) -> Program:
    """Compute once what is computed twice in the same way."""
    known: dict[Any, Value] = {}
    renamed: dict[Value, Value] = {}
    lines = []
    for line in program.lines:
        line = line.changed(lambda v: renamed.get(v, v))
        if line.out is None or not line.pure:
            lines.append(line)
            continue
        how = (line.op, identity(line.args), identity(line.kwargs), tuple(sorted(line.errors.items())))
        if line.op in COMMUTATIVE and len(line.args) == 2:
            how = (line.op, frozenset(map(identity, line.args)), identity(line.kwargs), how[3])
        if how in known:
            renamed[line.out] = known[how]
        else:
            known[how] = line.out
            lines.append(line)
    return program.with_lines(lines, renamed)


COMMUTATIVE = {np.add, np.multiply, np.maximum, np.minimum}


def identity(nested: Any) -> Any:
    """What is equal for arguments of lines that are the same."""
    if isinstance(nested, Value):
        return id(nested)
    if isinstance(nested, tuple | list):
        return type(nested), tuple(map(identity, nested))
    if isinstance(nested, dict):
        return tuple((k, identity(v)) for k, v in sorted(nested.items()))
    return type(nested), repr(nested)


def fold(program: Program) -> Program:
    """Compute at once what depends on constants of the trace's own only."""
    renamed: dict[Value, Any] = {}
    lines = []
    for line in program.lines:
        line = line.changed(lambda v: renamed.get(v, v))
        reads = list(line.reads())
        if line.out is None or not line.pure or line.op in kernels.KERNELS or not all(v.own for v in reads):
            lines.append(line)
            continue
        args, kwargs = mapped((line.args, line.kwargs), Value, lambda v: v.source)
        with np.errstate(**line.errors):
            array = np.asarray(line.op(*args, **kwargs))
        renamed[line.out] = Value("constant", array.shape, array.dtype, source=array, own=True)
    return program.with_lines(lines, renamed)


def simplify(program: Program) -> Program:
    """Leave out what changes nothing: products with 1, casts to the same dtype, reshapes to the same shape."""
    renamed: dict[Value, Value] = {}
    lines = []
    for line in program.lines:
        line = _with_numbers(line.changed(lambda v: renamed.get(v, v)))
        same = _unchanged(line)
        if same is not None and line.out is not None:
            renamed[line.out] = same
        else:
            lines.append(line)
    return program.with_lines(lines, renamed)


def _with_numbers(line: Line) -> Line:
    """A line with constants that hold one number as Python numbers, where dtypes stay what they are."""
    if not isinstance(line.op, np.ufunc) or line.out is None or line.op.signature is not None:
        return line
    arrays = [a for a in line.args if isinstance(a, Value) and not _number(a)]
    if not arrays or any(a.dtype != arrays[0].dtype or a.dtype.kind != "f" for a in arrays):
        return line
    if np.broadcast_shapes(*(a.shape for a in arrays)) != line.out.shape:
        return line
    args = tuple(
        a.source.flat[0].item() if isinstance(a, Value) and _number(a) and a.dtype == arrays[0].dtype else a
        for a in line.args
    )
    return Line(line.op, args, line.kwargs, line.out, line.note, line.errors)


def _number(value: Value) -> bool:
    """Whether a constant holds one number only, however often."""
    if value.kind != "constant" or not value.own or not value.size:
        return False
    return value.size == 1 or not any(
        stride for stride, n in zip(value.source.strides, value.shape, strict=True) if n > 1
    )


def _unchanged(line: Line) -> Value | None:
    """The value that a line hands on as it is."""
    op, args, out = line.op, line.args, line.out
    first = args[0] if args and isinstance(args[0], Value) else None
    if out is None or line.kwargs.keys() - {"shape", "axis", "order", "copy", "axes", "axis1", "axis2"}:
        return None
    if op is np.positive or (op is np.astype and first and first.dtype == out.dtype):
        return first
    if op in (np.reshape, np.broadcast_to) and first and first.shape == out.shape:
        return first
    if op is np.transpose and first and len(first.shape) < 2:
        return first
    if op in (np.multiply, np.divide) and len(args) == 2:
        for a, other in ((args[0], args[1]), (args[1], args[0])):
            same = isinstance(a, Value) and a.shape == out.shape and a.dtype == out.dtype
            if same and type(other) in (int, float) and other == 1 and (op is np.multiply or a is args[0]):
                return a
    return None
