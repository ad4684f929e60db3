"""The memory plan of a program: which value is where.

Every array a program computes has its place before the program runs. Values whose lives do not overlap share memory;
a line writes over an operand that nobody needs afterwards; views (transposes, reshapes, slices) are made once; and the
new value of a state is written where the old one was, once nothing reads that any more and nothing can fail any more.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import autodiff
from . import blas, kernels
from .ir import Line, Program, Value, mapped, values_in
from .pieces import Pieces


@dataclass(eq=False)
class Buffer:
    """Memory for one value after another."""

    nbytes: int
    values: list[Value] = field(default_factory=list)
    state: Value | None = None


@dataclass
class Plan:
    """Where each value is."""

    lines: list[Line]
    buffers: list[Buffer]
    place: dict[Value, Buffer]
    """Of values with memory of their own."""
    views: dict[Value, Line]
    """Of values that are views of memory that stays: how they are made, once."""
    copies: list[tuple[Value, Value]]
    """States whose new value was computed elsewhere, to be copied at the end."""
    fresh: set[Value]
    """Values for which memory is allocated anew at each call, as their operation cannot write to what is there."""


def elementwise(line: Line) -> bool:
    """Whether a line computes each element from those at its place only, and so may write over an operand."""
    return (isinstance(line.op, np.ufunc) and line.op.signature is None) or line.op in kernels.IN_PLACE


def writes_out(line: Line) -> bool:
    """Whether a line can write its result to memory that is there."""
    op = line.op
    if isinstance(op, np.ufunc):
        return op.nout == 1
    if isinstance(op, Pieces):
        return True
    known = kernels.WITH_OUT, kernels.KERNELS, kernels.VIEWS, autodiff.into, (np.astype,)
    return any(op in functions for functions in known)


def may_fail(line: Line) -> bool:
    """Whether a line may raise for some numbers."""
    if line.out is None or not line.pure:
        return True
    if isinstance(line.op, Pieces):
        return any(map(may_fail, line.op.program.lines))
    if line.op in (np.matmul, np.dot):
        return False  # the shapes were right when it was traced
    return not isinstance(line.op, np.ufunc) and line.op not in SAFE and line.op not in autodiff.into


def may_be_view(line: Line) -> bool:
    """Whether what a line allocates anew may be a view of what it is given, as that of `numpy.fliplr` is."""
    return line.out is not None and not writes_out(line) and line.op not in OWNING


OWNING = {np.where, np.mean, np.var, np.std, np.sort, np.argsort, np.argmax, np.argmin, np.take_along_axis, np.copy}

SAFE = {*kernels.REDUCES, *kernels.VIEWS, np.astype, np.concatenate, np.stack, np.clip, np.round, np.cumsum, np.cumprod}
SAFE |= {kernels.gathered, kernels.bits, kernels.masked, np.einsum, np.dot, *blas.BOUND}


def plan(program: Program, *, share_memory: bool = True) -> Plan:
    """Decide where each value of a program is to be."""
    return _Planner(program).plan(share_memory)


class _Planner:
    """The lives of a program's values, and the places found for them so far."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.lines = _in_order(program)
        self.sample = _samples(program, self.lines)
        self.views: dict[Value, Line] = {}
        self.base: dict[Value, Value] = {}  # of views: whose memory it is
        for line in self.lines:
            viewed = line.args[0] if line.op in kernels.VIEWS else None
            if isinstance(viewed, Value) and np.may_share_memory(self.sample[line.out], self.sample[viewed]):
                self.views[line.out] = line
                self.base[line.out] = self.root(viewed)
        self.last: dict[Value, int] = {}  # the line that reads a value, or a view of it, last
        for position, line in enumerate(self.lines):
            self.last |= {self.root(value): position for value in line.reads()}
        self.last |= {self.root(value): len(self.lines) for value in program.ends()}
        self.made = {line.out: position for position, line in enumerate(self.lines) if line.out is not None}
        self.fresh = {line.out for line in self.lines if line.out is not None and not writes_out(line)}
        for line in reversed(self.lines):
            if may_be_view(line):
                for value in map(self.root, line.reads()):
                    self.last[value] = max(self.last[value], self.last.get(line.out, -1))
        self.place: dict[Value, Buffer] = {}
        self.until: dict[Buffer, int] = {}  # the line that reads something in a buffer last
        self.buffers: list[Buffer] = []
        self.free: list[Buffer] = []

    def root(self, value: Value) -> Value:
        """The value whose memory a view looks at; the value itself if it is no view."""
        return self.base.get(value, value)

    def plan(self, share_memory: bool) -> Plan:
        """Go through the lines and find a place for each value."""
        if share_memory:
            self._give_states_away()
        for position, line in enumerate(self.lines):
            out = line.out
            if out is not None and out not in self.views and out not in self.fresh and out not in self.place:
                buffer = self._for(line, position) if share_memory else None
                if buffer is None:
                    buffer = Buffer(out.nbytes)
                    self.buffers.append(buffer)
                self.place[out] = buffer
                buffer.values.append(out)
                self.until[buffer] = max(self.until.get(buffer, -1), self.last.get(out, -1))
            for value in {*map(self.root, line.reads()), *values_in(out)}:
                self._release(value, position)
        copies = [
            (state, new)
            for state, new in self.program.writes.items()
            if new not in self.place or self.place[new].state is not state
        ]
        return Plan(self.lines, self.buffers, self.place, self.views, copies, self.fresh)

    def _for(self, line: Line, position: int) -> Buffer | None:
        """Memory that is free for a line's result: an operand's, or another; the smallest that will do."""
        if elementwise(line):
            for a in line.args:
                if self._may_be_written_over(a, line, position):
                    return self.place[self.root(a)]
        need = line.out.nbytes
        buffer = min((b for b in self.free if b.nbytes >= need), key=lambda b: b.nbytes, default=None)
        if buffer is None and self.free:
            buffer = max(self.free, key=lambda b: b.nbytes)
            buffer.nbytes = need
        if buffer is not None:
            self.free.remove(buffer)
        return buffer

    def _release(self, value: Value, position: int) -> None:
        """Free a value's memory, if nothing in it is needed any more."""
        buffer = self.place.get(value)
        if buffer is None or buffer.state is not None or buffer in self.free:
            return
        if self.until[buffer] <= position:
            self.free.append(buffer)

    def _may_be_written_over(self, a: Any, line: Line, position: int) -> bool:
        """Whether a line's result may take the place of one of its operands."""
        if not isinstance(a, Value) or (line.op in kernels.IN_PLACE and a is not line.args[0]):
            return False
        owner, out = self.root(a), line.out
        if owner not in self.place or self.place[owner].state is not None:
            return False
        if a.shape != out.shape or a.dtype != out.dtype or owner.nbytes != out.nbytes:
            return False
        if not self.sample[a].flags.c_contiguous or self.until[self.place[owner]] > position:
            return False
        return all(self.root(b) is not owner or b is a for b in line.reads())

    def _give_states_away(self) -> None:
        """Find places in the states' own memory: for their new values, and what these are computed from in place."""
        last_risk = max((i for i, line in enumerate(self.lines) if may_fail(line)), default=-1)
        for state, new in self.program.writes.items():
            if new not in self.made or self.root(new) is not new or not self.sample[state].flags.c_contiguous:
                continue
            buffer = Buffer(state.nbytes, [], state)
            value: Value | None = new
            while value is not None and self._may_be_in(state, value, last_risk):
                self.place[value] = buffer
                buffer.values.append(value)
                value = self._computed_from(state, value)
            if buffer.values:
                self.buffers.append(buffer)

    def _may_be_in(self, state: Value, value: Value, last_risk: int) -> bool:
        """Whether a value may be written where a state's old one is."""
        position = self.made[value]
        line = self.lines[position]
        if value in self.place or value.shape != state.shape or value.dtype != state.dtype or position <= last_risk:
            return False
        if not writes_out(line) or line.op in kernels.VIEWS or (state.source.transposed and not elementwise(line)):
            return False
        read_last = self.last.get(state, -1)
        if read_last < position:
            return True
        straight = all(self.root(v) is not state or v is state for v in line.reads())
        first = line.op not in kernels.IN_PLACE or line.args[0] is state
        return read_last == position and elementwise(line) and straight and first

    def _computed_from(self, state: Value, value: Value) -> Value | None:
        """An operand that a value's line, working element by element, could find where it writes to."""
        position = self.made[value]
        line = self.lines[position]
        if not elementwise(line) or any(self.root(v) is state for v in line.reads()):
            return None
        for a in line.args[:1] if line.op in kernels.IN_PLACE else line.args:
            if (
                isinstance(a, Value)
                and a.kind == "computed"
                and self.root(a) is a
                and self.last[a] == position
                and sum(self.root(v) is a for v in line.reads()) == 1
            ):
                return a
        return None


def parted(program: Program) -> Program:
    """The program with copies of what it hands out of its states' old values: they are written to before that."""
    made = {line.out: line for line in program.lines}
    copies: dict[Value, Value] = {}

    def is_old(value: Value) -> bool:
        line = made.get(value)
        if line is None:
            return value in program.writes
        return (line.op in kernels.VIEWS or may_be_view(line)) and any(map(is_old, line.reads()))

    def handed_out(value: Value) -> Value:
        if not is_old(value):
            return value
        return copies.setdefault(value, Value("computed", value.shape, value.dtype, value.name))

    results = mapped(program.results, Value, handed_out)
    gradients = mapped(program.gradients, Value, handed_out)
    lines = [Line(np.astype, (value, copy.dtype), {}, copy) for value, copy in copies.items()]
    return Program(program.inputs, program.lines + lines, results, program.writes, gradients)


def _samples(program: Program, lines: list[Line]) -> dict[Value, NDArray[Any]]:
    """For each value an array laid out as it will be. The memory is not touched, and so hardly there."""
    sample: dict[Value, NDArray[Any]] = {}

    def of(value: Value) -> NDArray[Any]:
        if value not in sample:
            if value.kind == "constant":
                sample[value] = value.source
            elif value.kind == "state":
                slot = value.source
                as_it_is = slot.array is not None and not slot.transposed
                sample[value] = slot.array if as_it_is else np.empty(value.shape, value.dtype)
            else:
                sample[value] = np.empty(value.shape, value.dtype)
        return sample[value]

    for line in lines:
        for value in line.reads():
            of(value)
        if line.out is None:
            continue
        if line.op in kernels.VIEWS and isinstance(line.args[0], Value) and not any(values_in(line.args[1:])):
            viewed = view_of(line, of(line.args[0]))
            if viewed is not None:
                sample[line.out] = viewed
        of(line.out)
    for value in (*program.writes, *program.ends()):
        of(value)
    return sample


def view_of(line: Line, array: NDArray[Any]) -> NDArray[Any] | None:
    """What a line makes of an array if that is a view of it."""
    if any(True for _ in values_in(line.args[1:])) or any(True for _ in values_in(line.kwargs)):
        return None
    try:
        if line.op is np.reshape:
            return np.reshape(array, line.out.shape, copy=False) if _plain_reshape(line) else None
        if line.op is operator.getitem and not _basic(line.args[1]):
            return None
        viewed = line.op(array, *line.args[1:], **line.kwargs)
    except ValueError:
        return None
    return viewed if isinstance(viewed, np.ndarray) and np.may_share_memory(viewed, array) else None


def _plain_reshape(line: Line) -> bool:
    return line.kwargs.get("order", "C") == "C" and not line.kwargs.get("copy")


def _basic(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is ... or isinstance(part, int | np.integer | slice) for part in parts)


def _in_order(program: Program) -> list[Line]:
    """The lines in an order in which what can fail comes before what a state's new value is computed in place.

    And updates come as early as they can: memory for a gradient is free again sooner.
    """
    lines = program.lines
    new = set(program.writes.values())
    late: set[int] = set()
    moved: set[Value] = set()
    for i, line in enumerate(lines):
        if (line.out in new and line.out is not None) or any(v in moved for v in line.reads()):
            late.add(i)
            if line.out is not None:
                moved.add(line.out)
    risks = [i for i, line in enumerate(lines) if may_fail(line) and i not in late]
    last_risk = max(risks, default=-1)
    early = [line for i, line in enumerate(lines) if i <= last_risk and i not in late]
    delayed = [line for i, line in enumerate(lines) if i <= last_risk and i in late]
    return early + delayed + [line for i, line in enumerate(lines) if i > last_risk]
