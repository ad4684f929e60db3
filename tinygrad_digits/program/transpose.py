"""The pass that has weights lie in memory as products read them fastest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .blas import SMALL_PRODUCT
from .clean import eliminate, share
from .ir import Line, Program, Value, values_in

FEW_ROWS, MANY_COLUMNS = 16, 256
"""With so few rows to multiply with a matrix of so many rows, the matrix is read faster if it lies transposed; only
where the product is not small (see `blas`), it takes twice the time."""


def transpose(program: Program, few: int = FEW_ROWS) -> Program:
    """Keep weights transposed where a product with few rows reads them faster: a net's first, in small mini-batches.

    The product takes 5.0 µs instead of 6.4 for 10 rows of 784 numbers and 30 neurons, of a step of 38.
    """
    for state in list(program.writes):
        group = _moving_together(program, state, few)
        if group is not None:
            program = _transposed(program, *group)
    return program


def as_they_lie(program: Program) -> Program:
    """Work with the transpose of weights that lie transposed already, as another program has them."""
    return transpose(program, few=0)


def _moving_together(program: Program, state: Value, few: int) -> tuple[set[Value], list[Line]] | None:
    """The states and values that would be transposed with a state, and the products that make the first of them."""
    rows = [
        line.args[0].shape[0]
        for line in program.lines
        if line.op is np.matmul and line.args[1] is state and len(line.args[0].shape) == 2
    ]
    lies_transposed = state.source.array is not None and state.source.array.flags.fnc
    small = rows and max(rows) <= few and max(rows) * state.size <= SMALL_PRODUCT
    wanted = lies_transposed or (small and state.shape[0] >= MANY_COLUMNS)
    if not wanted or len(state.shape) != 2:
        return None
    made = {line.out: line for line in program.lines if line.out is not None}
    group: set[Value] = set()
    products: list[Line] = []
    waiting = [state, program.writes[state]]
    while waiting:
        value = waiting.pop()
        if value in group:
            continue
        group.add(value)
        line = made.get(value)
        if line is None:
            if value.kind != "state" or value not in program.writes:
                return None
            waiting.append(program.writes[value])
        elif line.op is np.matmul and all(len(a.shape) == 2 for a in line.args):
            products.append(line)
        elif isinstance(line.op, np.ufunc) and line.op.signature is None and not line.kwargs:
            arrays = [a for a in line.args if isinstance(a, Value) and a.shape]
            if any(a.shape != state.shape for a in arrays):
                return None
            waiting += arrays
        else:
            return None
    lost = set(values_in(program.results)) | set(values_in(program.gradients))
    for line in program.lines:
        for value in line.reads():
            reading = value is state and (
                (line.op is np.matmul and line.args[1] is state and line.args[0] is not state)
                or (line.op is np.transpose and not line.kwargs)
            )
            if value in group and line.out not in group and not reading:
                return None
    return None if group & lost else (group, products)


def _transposed(program: Program, group: set[Value], products: list[Line]) -> Program:
    new = {v: Value(v.kind, v.shape[::-1], v.dtype, v.name, v.source) for v in group}
    for value in new.values():
        if value.kind == "state":
            value.source = replace(value.source, transposed=True)
    lines: list[Line] = []
    renamed: dict[Value, Value] = {}
    for line in program.lines:
        line = line.changed(lambda v: renamed.get(v, v))
        if line in products or line.out in {p.out for p in products}:
            flipped = []
            for a in reversed(line.args):
                view = Value("computed", a.shape[::-1], a.dtype)
                lines.append(Line(np.transpose, (a,), {}, view, line.note))
                flipped.append(view)
            lines.append(Line(np.matmul, tuple(flipped), {}, new[line.out], line.note))
        elif line.op is np.transpose and line.args[0] in group:
            renamed[line.out] = new[line.args[0]]
        elif line.op is np.matmul and line.args[1] in group:
            view = Value("computed", line.args[1].shape, line.args[1].dtype)
            lines.append(Line(np.transpose, (new[line.args[1]],), {}, view, line.note))
            lines.append(Line(np.matmul, (line.args[0], view), {}, line.out, line.note))
        elif line.out in group:
            line = line.changed(lambda v: new.get(v, v))
            line.out = new[line.out]
            lines.append(line)
        else:
            lines.append(line)
    writes = {new.get(state, state): new.get(value, value) for state, value in program.writes.items()}
    made = program.with_lines(lines, renamed)
    made.writes = writes
    return _untwisted(made)


def _untwisted(program: Program) -> Program:
    """Leave out views that transpose twice."""
    made = {line.out: line for line in program.lines if line.op is np.transpose and not line.kwargs}
    renamed: dict[Value, Value] = {}
    for value, line in made.items():
        inner = made.get(line.args[0])
        if inner is not None and len(value.shape) == 2:
            renamed[value] = inner.args[0]
    lines = [line.changed(lambda v: renamed.get(v, v)) for line in program.lines]
    return eliminate(share(program.with_lines(lines, renamed)))
