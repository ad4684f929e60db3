"""What a program costs, line by line, measured; its picture; and where it differs from the step's own run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..autodiff import key
from ..ops import convolution
from ..tensor import Tensor
from . import blas
from .ir import Line, Value, values_in
from .kernels import REDUCES, VIEWS, gathered
from .pieces import Pieces

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .bound import Bound
    from .emit import Source


def flops(line: Line) -> int:
    """How many additions, multiplications and the like a line does; none where it only moves elements."""
    out, reads = line.out, list(line.reads())
    if out is None or line.op in VIEWS:
        return 0
    if isinstance(line.op, Pieces):
        return line.op.count * sum(map(flops, line.op.program.lines))
    if line.op in (np.matmul, np.dot):
        return 2 * int(out.size) * reads[0].shape[-1]
    if line.op in blas.BOUND:
        return 2 * int(out.size) * (reads[1].shape[-1] if line.op is blas.gemm else 1)
    if line.op in CONVOLUTIONS:  # each of the three multiplies each place's window with each filter
        sums, kernel = CONVOLUTIONS[line.op](out, *reads)
        return 2 * int(sums.size) * prod(kernel.shape[:3])
    if isinstance(line.op, np.ufunc):
        return int(out.size)
    return sum(v.size for v in reads) if line.op in REDUCES else 0


CONVOLUTIONS: dict[Any, Callable[..., tuple[Value, Value]]] = {
    key(convolution.convolved): lambda out, x, weight, *bias: (out, weight),
    key(convolution.to_images): lambda out, g, weight: (g, weight),
    key(convolution.to_weight): lambda out, x, g: (g, out),
}
"""The sums over windows, and the weight, of the operations that a convolution and its gradients are."""


def moved(line: Line) -> int:
    """How many bytes a line reads and writes."""
    if line.op in VIEWS:
        return 0
    if isinstance(line.op, Pieces):
        return line.op.count * sum(map(moved, line.op.program.lines))
    reads = [line.out, *list(line.reads())[1:]] if line.op is gathered else line.reads()  # of a table, what is taken
    return sum(v.nbytes for v in (*reads, *values_in(line.out)))


def measured(bound: Bound, args: tuple[Any, ...], repeat: int) -> dict[Line, float]:
    """The median seconds that each line of a program takes, all pieces of the batch together; no state is changed."""
    times: list[list[float]] = []
    clock = perf_counter

    def timed(number: int, text: str) -> list[str]:
        times.append([])
        return ["_start = _clock()", text, f"_times[{len(times) - 1}].append(_clock() - _start)"]

    text = bound.source.render(timed)
    with _unchanged(bound):
        run = bound.instance(text, _copies(bound), _clock=clock, _times=times)
        for _ in range(repeat + 1):
            run(*_arrays(args))
    each = iter(times)
    found: dict[Line, float] = {}
    for source, count in (*((inner, op.count) for op, inner in bound.source.pieces.items()), (bound.source, 1)):
        for line in source.lines():
            took = next(each)
            found[line] = count * float(np.median(took[count:])) if len(took) > count else 0.0
    return found


def _arrays(args: tuple[Any, ...]) -> list[NDArray[Any]]:
    return [a._now() if isinstance(a, Tensor) else a for a in args if isinstance(a, Tensor | np.ndarray)]


def _copies(bound: Bound) -> list[NDArray[Any]]:
    return [array.copy(order="K") for array in bound.arrays]


@contextmanager
def _unchanged(bound: Bound) -> Iterator[None]:
    """Have generators go on afterwards as if nothing had been drawn."""
    found = [a for line in bound.raw.lines for a in line.args if isinstance(a, np.random.Generator)]
    states = [rng.bit_generator.state for rng in found]
    try:
        yield
    finally:
        for rng, state in zip(found, states, strict=True):
            rng.bit_generator.state = state


def explain(bound: Bound, args: tuple[Any, ...], repeat: int) -> str:
    """A table of a program's lines with what each costs; under a line that is run in pieces, those of a piece."""
    seconds = measured(bound, args, repeat)
    rows = [f"{'µs':>9} {'flops':>13} {'bytes':>13}  line", *_rows(bound.source, seconds)]
    lines = bound.source.lines()
    buffers = [(b, 1) for b in bound.plan.buffers]
    for op, source in bound.source.pieces.items():
        buffers += [(b, op.count) for b in source.plan.buffers]
    kept = [b for b, copies in buffers for _ in range(copies) if b.state is None]
    states = sum(v.nbytes for v in bound.source.states)
    rows.append(
        f"{sum(seconds[line] for line in lines) * 1e6:9.1f} {sum(map(flops, lines)):13,} {sum(map(moved, lines)):13,}  "
        f"in {len(seconds)} lines"
    )
    rows.append(
        f"memory: {sum(b.nbytes for b in kept):,} bytes in {len(kept)} buffers for "
        f"{sum(len(b.values) for b in kept)} values, beside {states:,} bytes of state"
    )
    return "\n".join(rows)


def _rows(source: Source, seconds: dict[Line, float], count: int = 1, indent: str = "") -> Iterator[str]:
    each = iter(source.lines())
    for number, text in zip(source.marks, source.body, strict=True):
        if number < 0:
            yield f"{'':38}{indent}{text}"
            continue
        line = next(each)
        yield f"{seconds[line] * 1e6:9.1f} {count * flops(line):13,} {count * moved(line):13,}  {indent}{text}"
        if isinstance(line.op, Pieces):
            yield from _rows(source.pieces[line.op], seconds, line.op.count, indent + "    ")


def draw(bound: Bound, args: tuple[Any, ...], repeat: int, figure: Figure | None) -> Figure:
    """A picture of a program: the time of each line, and which value is in which memory meanwhile."""
    from matplotlib.figure import Figure

    seconds = measured(bound, args, repeat)
    lines, buffers, views = list(bound.plan.lines), list(bound.plan.buffers), dict(bound.plan.views)
    made: dict[Value, int] = {}
    for op, source in bound.source.pieces.items():  # in the place of the line that runs them
        at = next(i for i, line in enumerate(lines) if line.op is op)
        made[lines[at].out] = at
        each = source.lines()
        share = seconds[lines[at]] / (sum(seconds[line] for line in each) or 1.0)  # as threads run them at once
        seconds |= {line: seconds[line] * share for line in each}
        lines[at : at + 1] = source.plan.lines
        buffers += source.plan.buffers
        views |= source.plan.views
    ends = np.cumsum([seconds.get(line, 0.0) for line in lines]) * 1e6
    starts = np.concatenate([[0.0], ends[:-1]]) if len(ends) else ends
    buffers = [b for b in buffers if b.values]
    figure = figure or Figure(figsize=(10, 2.5 + 0.3 * len(buffers)))
    figure.set_layout_engine("constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, max(len(buffers), 2)])
    notes = list(dict.fromkeys(line.note for line in lines))
    inside = {line: op.count for op in bound.source.pieces for line in op.program.lines}
    for line, start, end in zip(lines, starts, ends, strict=True):
        color = f"C{notes.index(line.note) % 10}"
        rate = (inside.get(line, 1) * flops(line) / (end - start) / 1e3) if end > start else 0.0
        above.bar(start, rate, end - start, align="edge", color=color)
    above.set(ylabel="Gflop/s", title=f"{bound.title}: {ends[-1] if len(ends) else 0:,.0f} µs in {len(seconds)} lines")
    made |= {line.out: i for i, line in enumerate(lines) if line.out is not None}
    last: dict[Value, int] = {}
    for i, line in enumerate(lines):
        for value in line.reads():
            while value in views:
                value = views[value].args[0]
            last[value] = i
    for row, buffer in enumerate(buffers):
        for value in buffer.values:
            begin, end = starts[made[value]], ends[max(last.get(value, 0), made[value])]
            color = f"C{notes.index(lines[made[value]].note) % 10}"
            below.barh(row, end - begin, left=begin, color=color, edgecolor="white", height=0.8)
    sizes = [f"{b.nbytes} B" if b.nbytes < 1000 else f"{b.nbytes / 1000:,.1f} kB" for b in buffers]
    names = {value: name for source in bound.source.pieces.values() for value, name in source.names.items()}
    names |= bound.source.names
    labels = [names[b.state] if b.state else size for b, size in zip(buffers, sizes, strict=True)]
    below.set_yticks(range(len(buffers)), labels)
    below.invert_yaxis()
    below.set(xlabel="µs", ylabel="memory")
    return figure


# ------------------------------------------------------------------------------------------------------------ comparing


def compare(bound: Bound, trace: Callable[[], Bound], args: tuple[Any, ...]) -> None:
    """Run the step as it is, and the program, on copies of what they change; raise at the first line that differs."""
    other = trace()
    eager = {
        mine.out: other.trace.array_of(theirs.out)
        for mine, theirs in zip(bound.raw.lines, other.raw.lines, strict=False)
        if mine.out is not None
    }
    if [line.op for line in bound.raw.lines] != [line.op for line in other.raw.lines]:
        raise RuntimeError(
            f"{bound.title} did other operations than when it was compiled: it must not branch on values"
        )
    seen: dict[int, NDArray[Any]] = {}

    def copied(number: int, text: str) -> list[str]:
        out = bound.plan.lines[number].out
        keeps = [] if out is None else [f"_seen[{number}] = {bound.source.names[out]}.copy()"]
        return [text, *keeps]

    with _unchanged(bound):
        bound.instance(bound.source.render(copied), _copies(bound), _seen=seen)(*_arrays(args))
    texts = {n: text for n, text in zip(bound.source.marks, bound.source.body, strict=True) if n >= 0}
    for number, found in sorted(seen.items()):
        line = bound.plan.lines[number]
        expected = eager.get(line.out)
        if expected is None:
            continue
        scale = float(np.max(np.abs(expected), initial=0)) if expected.dtype.kind == "f" else 0.0
        tolerance = 1e3 * np.finfo(expected.dtype).eps * max(prod(expected.shape), 100) ** 0.5 if scale else 0.0
        if not np.allclose(found, expected, rtol=tolerance, atol=tolerance * scale, equal_nan=True):
            worst = float(np.max(np.abs(found.astype(float) - expected))) if found.shape == expected.shape else np.nan
            raise RuntimeError(
                f"{bound.title}: the program and the step differ first at the line\n    {texts[number].strip()}\n"
                f"of {line.note or 'the step'}, by up to {worst:g}. A Python number that changes from call to call "
                "is one cause: pass it as an argument, as an array"
            )
