"""Python source of a program: memory and views first, made once; then plain NumPy, a line an operation."""

from __future__ import annotations

import keyword
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import autodiff
from . import blas, kernels
from .ir import SIGNS, Line, Program, Scalar, Value, values_in
from .memory import Plan, plan
from .pieces import Pieces

AFTER = {np.transpose: "T", kernels.gathered: "rows", np.reshape: "reshaped", operator.getitem: "part"}
"""What a value's name gets from that of what it is made of."""

WORDS: dict[Any, str] = {
    np.add: "total",
    np.subtract: "difference",
    np.multiply: "product",
    np.divide: "quotient",
    np.astype: "cast",
    kernels.add_reduce: "total",
    kernels.maximum_reduce: "largest",
    kernels.within: "rows",
    blas.gemm: "total",
    blas.axpy: "total",
}


class Source:
    """The text of a program, and the objects that it names."""

    def __init__(
        self,
        program: Program,
        plan: Plan,
        title: str,
        function: str = "program",
        objects: dict[str, Any] | None = None,
    ) -> None:
        self.program, self.plan, self.function = program, plan, function
        self.objects: dict[str, Any] = {"np": np} if objects is None else objects
        self.pieces = self._of_pieces()
        self.names: dict[Any, str] = {}
        self.taken: set[str] = {"step", "memory", "states", "program", *self.objects}
        self.counts: dict[str, int] = {}  # how often a name has been wanted
        self.head: list[str] = []
        self.bindings: list[str] = []
        self.numbers: dict[Any, str] = {}
        self.scalars: dict[Any, str] = {}
        self.looked_up: dict[Any, str] = {}
        self.owners: dict[int, str] = {}
        self.states = [v for v in self._all() if v.kind == "state"]
        self.body: list[str] = []
        self.marks: list[int] = []  # for each line of the body: which line of the program it is, or -1
        self._name_all()
        self._write(title)

    def _of_pieces(self) -> dict[Pieces, Source]:
        """The sources of the programs that lines run for one piece of the batch after another."""
        found: dict[Pieces, Source] = {}
        for line in self.plan.lines:
            if isinstance(line.op, Pieces):
                inner, name = line.op.program, "piece"
                title = f"{line.op.rows} of {line.op.rows * line.op.count} rows"
                self.objects[name] = None  # the name is taken
                found[line.op] = Source(inner, plan(inner), title, name, self.objects)
        return found

    # -------------------------------------------------------------------------------------------------------- names

    def _all(self) -> list[Value]:
        found: dict[Value, None] = dict.fromkeys(self.program.inputs)
        for line in self.plan.lines:
            found.update(dict.fromkeys(line.reads()))
            if line.out is not None:
                found[line.out] = None
        found.update(dict.fromkeys(self.program.writes))
        found.update(dict.fromkeys(self.program.ends()))
        return list(found)

    def _name_all(self) -> None:
        updated = {new: state for state, new in self.program.writes.items()}
        for value in [*self.program.inputs, *self.states]:
            self.names[value] = self._free(value.name or value.kind)
        for value in values_in(self.program.gradients):
            if value.kind == "computed" and value not in self.names:
                self.names[value] = self._free("gradient")
        count = 0
        for line in self.plan.lines:
            value = line.out
            if value is None or value in self.names:
                continue
            buffer = self.plan.place.get(value)
            if buffer is not None and buffer.state is not None and value in updated:
                self.names[value] = self.names[buffer.state]  # the same memory, the same name
                continue
            count += 1
            self.names[value] = self._free(value.name or self._word(line))
        for value in self._all():
            if value not in self.names:
                self.names[value] = self._free(value.name or _content(value))

    def _word(self, line: Line) -> str:
        """A name for a line's result."""
        first = self.names.get(line.args[0]) if line.args and isinstance(line.args[0], Value) else None
        if first is not None and line.op in AFTER:
            return f"{first}_{AFTER[line.op]}"
        return str(WORDS.get(line.op) or getattr(line.op, "__name__", "value"))

    def _free(self, wanted: str) -> str:
        wanted = re.sub(r"\W+", "_", wanted).strip("_") or "x"
        if wanted[0].isdigit() or keyword.iskeyword(wanted):
            wanted = f"_{wanted}"
        found, n = wanted, self.counts.get(wanted, 1)
        while found in self.taken:
            n += 1
            found = f"{wanted}_{n}"
        self.counts[wanted] = n
        self.taken.add(found)
        return found

    def _object(self, thing: Any, called: str) -> str:
        """The name under which the source knows a thing of the outside."""
        for known, other in self.objects.items():
            if other is thing:
                return known
        free = self._free(called)
        self.objects[free] = thing
        return free

    def _function(self, op: Any) -> str:
        if op in kernels.REDUCES:
            return kernels.REDUCES[op]
        text = autodiff.name(op)
        if text.startswith("np."):
            found: Any = np
            for part in text.split(".")[1:]:
                found = getattr(found, part, None)
            if found is op:
                return text
        return self._object(op, getattr(op, "__name__", "function").removesuffix("_into"))

    def _number(self, number: float, dtype: np.dtype[Any]) -> str:
        """A Python number as an array: NumPy takes twice as long with the number itself."""
        key = repr(number), dtype
        if key not in self.numbers:
            name = self._free(_digits(number))
            self.numbers[key] = name
            text = repr(float(number)) if np.isfinite(number) else f"float('{number}')"
            self.head.append(f"{name} = np.array({text}, np.{dtype.name})")
        return self.numbers[key]

    def _scalar(self, scalar: Scalar, dtype: np.dtype[Any]) -> str:
        key = id(scalar), dtype
        if key not in self.scalars:
            name = self._free(_called(scalar))
            self.scalars[key] = name
            self.head.append(f"{name} = np.empty((), np.{dtype.name})")
            self.settings.append(f"{name}[()] = {self.scalar_text(scalar)}")
        return self.scalars[key]

    def scalar_text(self, scalar: Scalar) -> str:
        """How a number is looked up and computed."""
        places = {}
        for owner, key in scalar.sources():
            name = self.owners.get(id(owner)) or self._object(owner, "settings" if "lr" in owner else "kept")
            self.owners[id(owner)] = name
            places[owner_key(owner, key)] = (
                f"{name}[{key[0]!r}][{key[1]}]"
                if isinstance(key, tuple)
                else f"{name}.get({key!r}, 0)"
                if key == "step"
                else f"{name}[{key!r}]"
            )
        return _text(scalar, places).removeprefix("(").removesuffix(")") if scalar.op else _text(scalar, places)

    # --------------------------------------------------------------------------------------------------------- the text

    def _write(self, title: str) -> None:
        plan = self.plan
        self.settings: list[str] = []
        constants = [v for v in self._all() if v.kind == "constant"]
        for value in constants:
            self.objects[self.names[value]] = value.source
        header = [f"# {title}"]
        for number, buffer in enumerate(b for b in plan.buffers if b.state is None and b.values):
            name = self._free(f"m{number}")
            who = ", ".join(dict.fromkeys(self.names[v] for v in buffer.values))
            header.append(f"{name} = np.empty({buffer.nbytes}, np.uint8)  # {who}")
            for value in buffer.values:
                whole = value.nbytes == buffer.nbytes
                piece = name if whole else f"{name}[:{value.nbytes}]"
                header.append(f"{self.names[value]} = {piece}.view(np.{value.dtype.name}).reshape({value.shape})")
        for buffer in plan.buffers:
            if buffer.state is not None:
                for value in buffer.values:
                    if self.names[value] != self.names[buffer.state]:
                        header.append(f"{self.names[value]} = {self.names[buffer.state]}")
        self.kept_views = self._kept_views()
        view_lines = []
        for value in self.kept_views:
            line = plan.views[value]
            view_lines.append(f"{self.names[value]} = {self._call(line, line.args)}")
        self._write_body()
        self.lead = [
            f"{self.names[v]} = states[{i}]" + "  # transposed" * v.source.transposed for i, v in enumerate(self.states)
        ]
        self.header = [*self.lead, *header, *self.head, *view_lines, *self.bindings, ""]
        self.text = self.render(lambda number, text: [text])

    def lines(self) -> list[Line]:
        """The lines of the program that are lines of the source: views are made once, before."""
        return [self.plan.lines[number] for number in self.marks if number >= 0]

    def render(self, wrap: Callable[[int, str], list[str]]) -> str:
        """The source, with what a function makes of each line (its number in the plan, and its text)."""
        functions = [source.render(wrap) for source in self.pieces.values()]
        arguments = ", ".join(self.names[v] for v in self.program.inputs)
        inner = list(self.settings)
        for number, text in zip(self.marks, self.body, strict=True):
            if number < 0:
                inner.append(text)
            else:
                space = " " * (len(text) - len(text.lstrip()))
                inner += [space + piece for piece in wrap(number, text.strip())]
        lines = [
            f"def {self.function}(states):",
            *("    " + text for text in self.header),
            f"    def step({arguments}):",
            *("        " + text for text in [*inner, f"return {self._returned()}"]),
            "",
            "    return step",
        ]
        return "\n\n".join([*functions, "\n".join(line.rstrip() for line in lines) + "\n"])

    def _returned(self) -> str:
        results = [self.names[v] for v in values_in(self.program.results)]
        gradients = [self.names[v] for v in values_in(self.program.gradients)]
        everything = results + gradients
        return f"({', '.join(everything)},)" if everything else "()"

    def _kept_views(self) -> list[Value]:
        """Views of memory that stays."""
        kept: list[Value] = []
        self.moving = moving = set(self.program.inputs) | self.plan.fresh
        for line in self.plan.lines:
            value = line.out
            if value is None or value not in self.plan.views:
                continue
            if line.args[0] in moving:
                moving.add(value)
            else:
                kept.append(value)
        return kept

    def _write_body(self) -> None:
        kept, note = set(self.kept_views), None
        errors: dict[str, str] = {}
        for number, line in enumerate(self.plan.lines):
            if line.out in kept and line.out is not None:
                continue
            if line.note != note:
                note = line.note
                if errors:
                    errors = {}
                self.body.append(f"# {note}" if note else "#")
                self.marks.append(-1)
            if line.errors != errors:
                errors = line.errors
                if errors:
                    self.body.append(f"with np.errstate({', '.join(f'{k}={v!r}' for k, v in errors.items())}):")
                    self.marks.append(-1)
            self.body.append("    " * bool(errors) + self._text(line))
            self.marks.append(number)
        later = []
        for i, (state, new) in enumerate(self.plan.copies):
            source = self.names[new]
            if new.kind == "state" or new in self.plan.views or new in self.plan.fresh:
                self.body.append(f"new_{i} = {source}.copy()")
                self.marks.append(-1)
                source = f"new_{i}"
            later.append(f"np.copyto({self.names[state]}, {source})")
        if later:
            self.body += ["# what is left behind", *later]
            self.marks += [-1] * (1 + len(later))
        if not self.body:
            self.body.append("pass")
            self.marks.append(-1)

    def _text(self, line: Line) -> str:
        out = line.out
        if out is None:
            return self._call(line, line.args)
        name = self.names[out]
        if out in self.plan.views or out in self.plan.fresh:
            return f"{name} = {self._call(line, line.args)}"
        op = line.op
        if op in kernels.VIEWS:  # one that has to move elements
            viewed = self._call(line, line.args)
            if op is np.reshape and line.kwargs.get("order", "C") == "C":
                shape = line.args[0].shape
                return f"np.copyto({name}.reshape({shape}), {self._argument(line.args[0], line)})"
            return f"np.copyto({name}, {viewed})"
        if op is np.astype:
            return f"np.copyto({name}, {self._argument(line.args[0], line)}, casting='unsafe')"
        if op is kernels.gathered:
            x, index = (self._argument(a, line) for a in line.args)
            return f"{x}.take({index}, axis=0, out={name}, mode='clip')"
        if op is np.matmul and all(isinstance(a, Value) and len(a.shape) in (1, 2) for a in line.args):
            if any(self._apart(a) for a in line.args):  # dot would copy it first
                return self._call(line, line.args, last=f"out={name}")
            x, y = (self._argument(a, line) for a in line.args)  # of small matrices, in half the time of np.matmul
            return f"{x}.dot({y}, out={name})"
        if op in blas.BOUND:
            return self._added(line, name)
        if isinstance(op, Pieces):
            return self._in_pieces(line, name)
        writer = kernels.KERNELS.get(op) or autodiff.into.get(op)
        if writer is not None:
            return self._call(line, line.args, function=writer, first=name)
        return self._call(line, line.args, last=f"out={name}")

    def _added(self, line: Line, name: str) -> str:
        """A line that adds to what is there, bound to its arrays where they stay; the comment says what it comes to."""
        count = 3 if line.op is blas.gemm else 2
        (there, *others), numbers = (self.names[a] for a in line.args[:count]), line.args[count:]
        moving = [a in self.moving for a in line.args[1:count]]
        kept = ["None" if moves else other for moves, other in zip(moving, others, strict=True)]
        adder = self._free(f"add_to_{name}")
        self.bindings.append(
            f"{adder} = {self._object(blas.BOUND[line.op], line.op.__name__)}({', '.join([name, *kept])})"
        )
        given = [self.scalar_text(a.source) if isinstance(a, Value) else repr(float(a)) for a in numbers]
        given += [other for moves, other in zip(moving, others, strict=True) if moves]
        place = self.plan.place[line.out]
        in_place = line.args[0] in (place.state, *place.values)
        before = "" if in_place else f"np.copyto({name}, {there}); "
        alpha, beta = [_told(a.source) if isinstance(a, Value) else f"{a:g}" for a in (*numbers, 1)][:2]
        sign, alpha = ("-", alpha[1:]) if alpha.startswith("-") else ("+", alpha)
        sum_of = [f"{by} * {what}".removeprefix("1 * ") for by, what in ((beta, there), (alpha, " @ ".join(others)))]
        return f"{before}{adder}({', '.join(given)})  # = {f' {sign} '.join(sum_of)}"

    def _in_pieces(self, line: Line, name: str) -> str:
        """A line that runs another function for one piece of the batch after another."""
        op, source = line.op, self.pieces[line.op]
        run, bind = self._free("run_pieces"), self._object(op.bind, "in_pieces")
        states = ", ".join("None" if v in op.totals else self.names[v] for v in source.states)
        self.bindings.append(f"{run} = {bind}({source.function}, [{states}], {name})")
        given = ", ".join(self.names[v] for v in line.args[: len(op.parts)])
        return f"{run}({given})  # in threads, if there are any; {name} has what each adds up"

    def _apart(self, value: Value) -> bool:
        """Whether a value is a part of another array, whose elements need not lie side by side."""
        while value in self.plan.views:
            if self.plan.views[value].op is operator.getitem:
                return True
            value = self.plan.views[value].args[0]
        return False

    def _call(self, line: Line, args: Any, *, function: Any = None, first: str = "", last: str = "") -> str:
        if line.op is operator.getitem and function is None:
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            inside = ", ".join(
                _slice(part) if isinstance(part, slice) else self._argument(part, line) for part in index
            )
            return f"{self._argument(args[0], line)}[{inside or '()'}]"
        parts = [first] if first else []
        parts += [self._argument(a, line) for a in args]
        parts += [f"{k}={self._argument(v, line)}" for k, v in line.kwargs.items()]
        parts += [last] if last else []
        return f"{self._function(function or line.op)}({', '.join(parts)})"

    def _argument(self, a: Any, line: Line) -> str:
        if isinstance(a, Value):
            if a.kind == "scalar":
                return self._scalar(a.source, self._weak(line))
            return self.names[a]
        if (
            type(a) in (int, float)
            and isinstance(line.op, np.ufunc)
            and line.op.signature is None
            and line.op is not np.ldexp
        ):
            dtype = self._weak(line)
            if dtype.kind == "f":
                return self._number(a, dtype)
        if isinstance(a, tuple | list) and any(True for _ in values_in(a)):
            inside = ", ".join(self._argument(part, line) for part in a)
            return f"[{inside}]" if isinstance(a, list) else f"({inside}{',' * (len(a) == 1)})"
        if isinstance(a, np.dtype):
            return f"np.{a.name}"
        if isinstance(a, type) and issubclass(a, np.generic):
            return f"np.{np.dtype(a).name}"
        if isinstance(a, float) and not np.isfinite(a):
            return "np.nan" if a != a else "np.inf" if a > 0 else "-np.inf"
        if isinstance(a, int | float | str | bytes | type(None) | type(...)) or _plain(a):
            return repr(a) if a is not ... else "..."
        if callable(a) and not isinstance(a, type):
            return self._function(a)
        return self._object(a, type(a).__name__.lower())

    def _weak(self, line: Line) -> np.dtype[Any]:
        """The dtype that a Python number has beside a line's other arguments."""
        arrays = [v.dtype for v in values_in(line.args) if v.kind != "scalar"]
        if arrays:
            return (
                np.result_type(*arrays)
                if np.result_type(*arrays).kind == "f"
                else np.dtype(
                    float
                    if any(isinstance(a, float) or (isinstance(a, Value) and a.kind == "scalar") for a in line.args)
                    else int
                )
            )
        assert line.out is not None
        return line.out.dtype if line.out.dtype.kind == "f" else np.dtype(float)


def owner_key(owner: Any, key: Any) -> tuple[int, Any]:
    """How a looked-up number is told from others."""
    return id(owner), key


def _text(scalar: Scalar, places: dict[Any, str]) -> str:
    if scalar.op is None:
        owner, key = scalar.args
        return places[owner_key(owner, key)]
    parts = [_text(a, places) if isinstance(a, Scalar) else repr(a) for a in scalar.args]
    return f"({SIGNS[scalar.op]}{parts[0]})" if len(parts) == 1 else f"({parts[0]} {SIGNS[scalar.op]} {parts[1]})"


def _called(scalar: Scalar) -> str:
    """A name for a number."""
    if scalar.op is None:
        key = scalar.args[1]
        return key if isinstance(key, str) else f"{key[0]}_{key[1]}"
    inner = [_called(a) for a in scalar.args if isinstance(a, Scalar)]
    return "_".join(inner) if len(inner[0]) < 20 else "factor"


def _told(scalar: Scalar) -> str:
    """How a number is computed from those that are looked up, for a reader."""
    if scalar.op is operator.neg and isinstance(scalar.args[0], Scalar):
        return f"-{_told(scalar.args[0])}"
    names = {
        owner_key(owner, key): key if isinstance(key, str) else f"{key[0]}_{key[1]}" for owner, key in scalar.sources()
    }
    return _text(scalar, names)


def _content(value: Value) -> str:
    """A name for a constant, by what it holds."""
    array = value.source
    if value.kind != "constant" or not array.size or array.size > 10_000:
        return value.kind
    if array.size == 1:
        return _digits(array.flat[0].item())
    if array.ndim == 1 and np.array_equal(array, np.arange(array.size)):
        return "counted"
    if (array == array.flat[0]).all():
        return {0: "zeros", 1: "ones"}.get(array.flat[0].item(), _digits(array.flat[0].item()))
    return "constant"


def _digits(number: float) -> str:
    """A name for a number."""
    short = repr(int(number) if np.isfinite(number) and number == int(number) else number)
    words = {"1": "one", "0": "zero", "2": "two", "0.5": "half"}
    return words.get(short, "c_" + re.sub(r"\W", "_", short.replace("-", "minus_")))


def _slice(part: slice) -> str:
    ends = ["" if n is None else str(n) for n in (part.start, part.stop)]
    return ":".join(ends) + (f":{part.step}" if part.step is not None else "")


def _plain(a: Any) -> bool:
    if isinstance(a, tuple | list):
        return all(_plain(part) for part in a)
    if isinstance(a, dict):
        return all(_plain(part) for part in a.values())
    if isinstance(a, slice):
        return True
    return isinstance(a, int | float | str | bytes | type(None)) and not isinstance(a, np.generic)


__all__ = ["Source"]
