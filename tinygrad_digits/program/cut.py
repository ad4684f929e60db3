"""The pass that gives each thread a piece of the batch.

Most lines of a net's step treat each row of a batch (an image) by itself, and the others add up what all of them give:
gradients, the loss. Such lines are moved to a program of their own, for some rows, which threads run at once, each for
its piece of the batch; they meet once in a step. It pays where a row takes long, in convolutions.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..autodiff import key
from ..ops import convolution, pooling
from ..ops.threads import thread_count
from ..ops.windows import surrounded
from . import kernels
from .ir import Line, Program, Value, values_in
from .memory import elementwise, view_of
from .pieces import Pieces, Rows
from .trace import Slot

SUM = "sum"
"""What a line computes that adds up what all rows give."""

EACH_ROW = {
    key(convolution.convolved): 1,
    key(convolution.to_images): 1,
    key(pooling.largest): 1,
    key(pooling.to_largest): 3,
    key(pooling.at_largest): 3,
    key(pooling.window_sums): 1,
    key(pooling.to_windows): 1,
    kernels.picked: 2,
}
"""Operations on rows along the first axis, and how many of their first arguments have rows."""

LARGE = {op for op in EACH_ROW if op is not kernels.picked} | {key(convolution.to_weight)}
"""Operations that make it worth while."""


def cut(program: Program) -> Program:
    """Cut the batch of a net with convolutions into a piece for each thread that shares the images, if there are any.

    A training step of a LeNet takes 0.90 to 0.95 of the time that two threads need who share each convolution's images.
    """
    threads = thread_count()
    for n in dict.fromkeys(value.shape[0] for value in program.inputs if value.shape):
        count = max((c for c in range(2, min(threads, n) + 1) if n % c == 0), default=0)
        if 2 * count > threads:  # with fewer pieces, too many threads would wait
            region = _Region(program, n)
            if region.pays():
                return region.cut(count)
    return program


class _Region:
    """The lines of a program that can be run for some rows of a batch of n at a time."""

    def __init__(self, program: Program, n: int) -> None:
        self.program, self.n = program, n
        self.made = {line.out: line for line in program.lines if line.out is not None}
        self.outside = {line for line in program.lines if line.out is None or not line.pure}
        self.ends = set(program.ends())
        while self._grows():
            pass

    def _grows(self) -> bool:
        """Go through the lines, and put outside what cannot be inside; tell whether there was any."""
        self.rows: dict[Value, Rows] = {v: Rows(0) for v in self.program.inputs if v.shape[:1] == (self.n,)}
        self.sums: list[Line] = []
        self.inside: list[Line] = []
        self.parts: dict[Line, dict[Value, Rows]] = {}  # of values that have rows by how they are used
        late: set[Value] = set()
        needed: set[Value] = set(self.ends)
        for line in self.program.lines:
            reads = list(line.reads())
            self.parts[line] = {}
            found = None
            if not late.isdisjoint(reads):
                late.update(values_in(line.out))
            elif any(v in self.rows for v in reads):
                found = self._found(line)
                if found is SUM and line.out.dtype.itemsize < 4:
                    found = None  # of half precision, NumPy adds up in single
            if isinstance(found, Rows):
                self.rows[line.out] = found
            if found is None or line in self.outside:
                needed.update(reads)
            else:
                self.inside.append(line)
                if found is SUM:
                    self.sums.append(line)
                    late.add(line.out)
        summed = {line.out for line in self.sums}
        wanted = [self.made[v] for v in needed if v in self.made and v not in summed]
        rows = {line.out for line in self.inside} - summed
        alone = [line for line in self.sums if rows.isdisjoint(line.reads())]  # there is nothing to be gained
        return self._put_outside(wanted + alone)

    def _put_outside(self, lines: list[Line]) -> bool:
        """Put lines outside, and all that is needed for them; tell whether there was any to be put."""
        inside = set(self.inside)
        lines = [line for line in lines if line in inside]
        found = bool(lines)
        while lines:
            line = lines.pop()
            if line not in self.outside:
                self.outside.add(line)
                lines += [self.made[v] for v in line.reads() if v in self.made]
        return found

    # --------------------------------------------------------------------------------------------- what may be inside

    def _found(self, line: Line) -> Rows | str | None:
        """Where the result has rows; or that it is a sum over them; or None if it is neither."""
        op, args = line.op, line.args
        first = self.rows.get(args[0]) if isinstance(args[0], Value) else None
        if op in EACH_ROW:
            with_rows, others = args[: EACH_ROW[op]], args[EACH_ROW[op] :]
            fit = all(self._lie(line, a, Rows(0)) for a in with_rows) and self.rows.keys().isdisjoint(values_in(others))
            return Rows(0) if fit else None
        if op is key(convolution.to_weight):
            return SUM if all(self._lie(line, a, Rows(0)) for a in args) else None
        if op is key(surrounded):
            return Rows(0) if first == Rows(0) and not any(line.kwargs["widths"][0]) else None
        if op is kernels.gathered:
            return Rows(0) if first is None and self.rows.get(args[1]) == Rows(0) else None
        if op is kernels.within:
            return first
        if op is np.matmul and not line.kwargs:
            return self._of_product(line)
        if op in kernels.REDUCES and first is not None:
            return self._of_reduction(line, first)
        if op in kernels.VIEWS and first is not None:
            return self._of_view(line, first)
        if (op in (np.astype, np.where, np.clip, kernels.bits) or elementwise(line)) and not line.kwargs:
            return self._of_elementwise(line)
        return None

    def _lie(self, line: Line, value: Value, rows: Rows) -> bool:
        """Whether a value has its rows there, for a line; one that has none is cut so for it, if it is as long."""
        if value not in self.rows and value.shape[rows.axis] == self.n * rows.places:
            return self.parts[line].setdefault(value, rows) == rows
        return self.rows.get(value) == rows

    def _of_elementwise(self, line: Line) -> Rows | None:
        ndim = len(line.out.shape)
        arrays = [a for a in line.args if isinstance(a, Value) and a.shape]
        there = {Rows(r.axis - len(a.shape) + ndim, r.places) for a in arrays if (r := self.rows.get(a)) is not None}
        if len(there) != 1:
            return None
        (found,) = there
        for a in arrays:
            axis = found.axis + len(a.shape) - ndim
            if axis >= 0 and a.shape[axis] != 1 and not self._lie(line, a, Rows(axis, found.places)):
                return None
        return found

    def _of_view(self, line: Line, rows: Rows) -> Rows | None:
        if line.op is np.reshape:
            places, rest = divmod(line.out.shape[0] if line.out.shape else 0, self.n)
            in_order = line.kwargs.get("order", "C") == "C" and rows.axis == 0
            return Rows(0, places) if in_order and places and not rest else None
        shape = line.args[0].shape
        length = shape[rows.axis]
        strides = [int(axis == rows.axis) for axis in range(len(shape))]
        seen = view_of(line, np.lib.stride_tricks.as_strided(np.zeros(length, np.int8), shape, strides))
        if seen is None:
            return None
        axes = [axis for axis, (stride, m) in enumerate(zip(seen.strides, seen.shape, strict=True)) if stride and m > 1]
        same = len(axes) == 1 and seen.strides[axes[0]] == 1 and seen.shape[axes[0]] == length
        return Rows(axes[0], rows.places) if same else None

    def _of_product(self, line: Line) -> Rows | str | None:
        a, b = line.args
        if not (isinstance(a, Value) and isinstance(b, Value) and a.shape and 1 <= len(b.shape) <= 2):
            return None
        rows_a, rows_b = self.rows.get(a), self.rows.get(b)
        along_a, along_b = len(a.shape) - 1, 0  # b has one axis or two
        contracted = next((r for r, axis in ((rows_a, along_a), (rows_b, along_b)) if r and r.axis == axis), None)
        if contracted is not None:
            places = contracted.places
            both = self._lie(line, a, Rows(along_a, places)) and self._lie(line, b, Rows(along_b, places))
            return SUM if both and len(a.shape) <= 2 else None
        if rows_b is None:
            return rows_a
        return Rows(len(line.out.shape) - 1, rows_b.places) if rows_a is None and len(a.shape) <= 2 else None

    def _of_reduction(self, line: Line, rows: Rows) -> Rows | str | None:
        axis, ndim = line.kwargs.get("axis"), len(line.args[0].shape)
        axes = range(ndim) if axis is None else normalize_axis_tuple(axis, ndim)
        if rows.axis in axes:
            return SUM if line.op is kernels.add_reduce and "initial" not in line.kwargs else None
        before = 0 if line.kwargs.get("keepdims") else sum(a < rows.axis for a in axes)
        return Rows(rows.axis - before, rows.places)

    # ---------------------------------------------------------------------------------------------------------- to cut

    def pays(self) -> bool:
        """Whether there is enough to do inside, of which all sums have one dtype."""
        large = any(line.op in LARGE and line.out.size > convolution.BLOCK for line in self.inside)
        return large and len({line.out.dtype for line in self.sums}) == 1

    def cut(self, count: int) -> Program:
        """The program with one line for those that are inside."""
        rows = self.n // count
        inner = _Inner(self, rows)
        for line in self.inside:
            inner.add(line)
        sums = Value("computed", (count, sum(line.out.size for line in self.sums)), self.sums[0].out.dtype, "sums")
        op = Pieces(inner.program(), count, rows, inner.parts, inner.totals)
        made = [Line(op, (*inner.given, *inner.states), {}, sums, f"{rows} rows of the batch for each thread")]

        def emit(op: Any, *args: Any, out: Value) -> Value:
            made.append(Line(op, args, {}, out, made[0].note))
            return out

        parts = [
            emit(operator.getitem, sums, i, out=Value("computed", sums.shape[1:], sums.dtype)) for i in range(count)
        ]
        total = parts[0]
        for part in parts[1:]:
            total = emit(np.add, total, part, out=Value("computed", part.shape, part.dtype))
        end = 0
        for line in self.sums:
            end += line.out.size
            part = Value("computed", (line.out.size,), sums.dtype)
            emit(operator.getitem, total, slice(end - line.out.size, end), out=part)
            emit(np.reshape, part, line.out.shape, out=line.out)
        inside = set(self.inside)
        others = [line for line in self.program.lines if line not in inside]
        first = self._first(others, {line.out for line in self.sums}, set(inner.given))
        before, after = [[line for line in others if (line in first) == early] for early in (True, False)]
        return self.program.with_lines([*before, *made, *after])

    def _first(self, lines: list[Line], sums: set[Value], needed: set[Value]) -> set[Line]:
        """Those of the lines that are to come before the pieces: checks, draws, and what is needed."""
        late = set(sums)
        for line in lines:
            if not late.isdisjoint(line.reads()):
                late.update(values_in(line.out))
        first: set[Line] = set()
        for line in reversed(lines):
            early = late.isdisjoint(line.reads())
            if early and (line.out is None or not line.pure or line.out in needed):
                first.add(line)
                needed.update(line.reads())
        return first


class _Inner:
    """The program for some rows, while it is put together."""

    def __init__(self, region: _Region, rows: int) -> None:
        self.region, self.rows = region, rows
        self.lines: list[Line] = []
        self.known: dict[tuple[Value, Rows | None], Value] = {}
        self.given: list[Value] = []  # to its inputs
        self.inputs: list[Value] = []
        self.parts: list[Rows | None] = []
        self.states: dict[Value, None] = {}
        self.totals: list[Value] = []
        self.writes: dict[Value, Value] = {}

    def program(self) -> Program:
        return Program(self.inputs, self.lines, None, self.writes)

    def add(self, line: Line) -> None:
        """Add a line, for some rows."""
        parts = {**self.region.rows, **self.region.parts[line]}
        made = line.changed(lambda value: self._seen(value, parts.get(value)))
        out = line.out
        summed = out not in self.region.rows
        shape = out.shape if summed else self.region.rows[out].of(out, self.rows)
        made.out = Value("computed", shape, out.dtype, out.name)
        if line.op in (np.reshape, np.broadcast_to):
            made.args, made.kwargs = (made.args[0], shape), {}
        elif "shape" in made.kwargs:
            made.kwargs["shape"] = (self.rows, *made.kwargs["shape"][1:])
        self.lines.append(made)
        if summed:
            made.out.name = ""
            total = Value("state", shape, out.dtype, out.name or "total", Slot(None))
            self.totals.append(total)
            self.writes[total] = made.out
        else:
            self.known[out, self.region.rows[out]] = made.out

    def _seen(self, value: Value, rows: Rows | None) -> Value:
        """A value as the lines inside know it."""
        if (value, rows) not in self.known:
            self.known[value, rows] = self._whole(value) if rows is None else self._part(value, rows)
        return self.known[value, rows]

    def _part(self, value: Value, rows: Rows) -> Value:
        """Some rows of what is computed outside."""
        if value.kind == "constant" and value.own:
            first, *others = np.split(value.source, self.region.n // self.rows, axis=rows.axis)
            if all(np.array_equal(first, other, equal_nan=True) for other in others):
                return Value("constant", first.shape, value.dtype, value.name, np.ascontiguousarray(first), own=True)
        return self._input(value, rows)

    def _whole(self, value: Value) -> Value:
        """A value that is the same for all rows."""
        line = self.region.made.get(value)
        if value.kind == "state":
            self.states[value] = None
        elif line is not None and line.op in kernels.VIEWS and not any(values_in(line.args[1:])):  # made once
            made = line.changed(lambda v: self._seen(v, None))
            made.out = Value("computed", value.shape, value.dtype, value.name)
            self.lines.append(made)
            return made.out
        elif value.kind == "computed" or value.kind == "input":
            return self._input(value, None)
        return value

    def _input(self, value: Value, rows: Rows | None) -> Value:
        shape = value.shape if rows is None else rows.of(value, self.rows)
        self.given.append(value)
        self.parts.append(rows)
        self.inputs.append(Value("input", shape, value.dtype, value.name))
        return self.inputs[-1]


__all__ = ["cut"]
