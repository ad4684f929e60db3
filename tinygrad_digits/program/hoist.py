"""The pass that multiplies by a number where there is least to multiply."""

from __future__ import annotations

import operator
from collections import Counter
from typing import Any

import numpy as np

from . import kernels
from .clean import eliminate, identity
from .ir import Line, Program, Scalar, Value, combined
from .kernels import VIEWS


def hoist(program: Program) -> Program:
    """Multiply by a number where there is least to multiply: what comes back from the loss, not each weight's gradient.

    A gradient is linear in what it is computed from. Where all that is made of a value is, in the end, multiplied by a
    learning rate, the value itself is instead: ten numbers an image. The result is the same but for rounding.
    """
    program = _merge_numbers(program)
    for number in {identity(f[1]): f[1] for line in program.lines if (f := _factor(line))}.values():
        program = _hoisted(program, number)
    return _merge_numbers(program)


def _factor(line: Line) -> tuple[Value, Any] | None:
    """Of a product of a computed array and a number: the two."""
    found = multiple(line)
    return found if found and found[0].kind == "computed" else None


def multiple(line: Line | None) -> tuple[Value, Any] | None:
    """Of a product of an array and a number: the two."""
    if line is None or line.op is not np.multiply or line.kwargs or line.out is None:
        return None
    for a, other in ((line.args[0], line.args[1]), (line.args[1], line.args[0])):
        number = type(other) in (int, float) or (isinstance(other, Value) and other.kind == "scalar")
        if isinstance(a, Value) and number and a.shape == line.out.shape and a.dtype.kind == "f":
            return a, other
    return None


def _hoisted(program: Program, number: Any) -> Program:
    """The program with one number multiplied into as few values as can be, if that saves anything."""
    key = identity(number)
    products = {line.out: f[0] for line in program.lines if (f := _factor(line)) and identity(f[1]) == key}
    products = {out: a for out, a in products.items() if a not in products}  # of two in a row, the first
    unfit: set[Value] = {*program.ends(), *products}  # a product is not multiplied by the number once more
    while True:
        scaled = _scalable(program, products, unfit)
        carriers: dict[Line, int] = {}
        clash = None
        for line in program.lines:
            if line.out in scaled:
                carrying = [i for i in _linear_positions(line) if line.args[i] in scaled]
                if len(carrying) > 1:  # one of them is enough
                    clash = min((line.args[i] for i in carrying), key=lambda v: (_reach(program, v, scaled), v.size))
                    break
                if carrying:
                    carriers[line] = carrying[0]
        if clash is None:
            break
        unfit.add(clash)
    roots = {line.out for line in program.lines if line.out in scaled and line not in carriers}
    if sum(v.size for v in roots) >= sum(v.size for out, v in products.items() if v in scaled):
        return program
    new = {v: Value("computed", v.shape, v.dtype, v.name) for v in scaled}
    renamed = {out: new[v] for out, v in products.items() if v in scaled}
    lines = []
    for line in program.lines:
        out = line.out
        if out in renamed:
            continue
        line = line.changed(lambda v: renamed.get(v, new.get(v, v)))
        if out in new and out not in roots:
            line.out = new[out]
        lines.append(line)
        if out in roots:
            lines.append(Line(np.multiply, (out, number), {}, new[out], line.note))
    return program.with_lines(lines, renamed)


def _scalable(program: Program, products: dict[Any, Value], unfit: set[Value]) -> set[Value]:
    """The values of which everything made is multiplied by the number, or linear in it and so in turn."""
    scaled: set[Value] = set()
    refused = set(unfit)
    asked: set[Value] = set()
    for line in reversed(program.lines):
        out = line.out
        if out in asked and out not in refused and out is not None and out.kind == "computed" and line.pure:
            scaled.add(out)
        asks: list[Value] = []
        if out in products:
            asks = [products[out]]
        elif out in scaled:
            asks = [line.args[i] for i in _linear_positions(line)]
        for value in line.reads():
            if value in asks and sum(v is value for v in line.reads()) == 1:
                asked.add(value)
            else:
                refused.add(value)
    return scaled - refused


def _reach(program: Program, value: Value, scaled: set[Value]) -> int:
    """How far a factor would travel up from a value."""
    made = {line.out: line for line in program.lines}
    far = 0
    while value in made:
        line = made[value]
        above = [line.args[i] for i in _linear_positions(line) if line.args[i] in scaled]
        if not above:
            return 2 * far + (_factor(line) is not None)  # there it joins another factor
        value, far = above[0], far + 1
    return 2 * far


def _linear_positions(line: Line) -> list[int]:
    """The arguments, all of whose products with a number give the result's product with it."""
    if (
        line.out is None
        or line.op not in LINEAR
        or line.errors
        or line.op is operator.getitem
        or "initial" in line.kwargs
    ):
        return []
    return [
        i
        for i in LINEAR[line.op]
        if i < len(line.args)
        and isinstance(a := line.args[i], Value)
        and a.kind == "computed"
        and a.dtype == line.out.dtype
    ]


LINEAR = {np.matmul: (0, 1), np.multiply: (0, 1), np.negative: (0,), np.divide: (0,), kernels.add_reduce: (0,)}
LINEAR |= dict.fromkeys(VIEWS, (0,)) | {kernels.masked: (0,)}


def _merge_numbers(program: Program) -> Program:
    """Make one product with a number of two in a row."""
    made = {line.out: line for line in program.lines if line.out is not None}
    uses = Counter(value for line in program.lines for value in line.reads())
    uses.update(program.ends())
    lines = []
    for line in program.lines:
        found = _factor(line)
        inner = _factor(made[found[0]]) if found and found[0] in made else None
        if found and inner and uses[found[0]] == 1:
            line = Line(np.multiply, (inner[0], _product(inner[1], found[1])), {}, line.out, line.note, line.errors)
            made[line.out] = line
        lines.append(line)
    return eliminate(program.with_lines(lines))


def _product(a: Any, b: Any) -> Any:
    """The product of two numbers; of one that is looked up, looked up."""
    parts = [x.source if isinstance(x, Value) else x for x in (a, b)]
    if not any(isinstance(x, Scalar) for x in parts):
        return parts[0] * parts[1]
    if isinstance(parts[1], Scalar) and not isinstance(parts[0], Scalar):
        parts.reverse()
    first = parts[0]
    key = tuple(id(x) if isinstance(x, Scalar) else x for x in parts)
    products = first.trace.products
    if key not in products:
        products[key] = Value("scalar", (), np.dtype(float), source=combined(operator.mul, *parts))
    return products[key]
