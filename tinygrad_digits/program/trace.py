"""The trace of a step: run once for real, it tells each operation that Tensors pass through, in order.

While a step is traced, Tensors hand each operation to `Trace.apply` (see ``tensor.traced_by``), the backward sweep's
included, as its rules are given Tensors. What the step would change (parameters, running statistics, what an optimizer
keeps) is changed for the trace only: `Trace.undo` takes it back, random draws included, and it is the program that does
it for good. So a step that raises has changed nothing, and all calls give what the program gives, the first included.
"""

from __future__ import annotations

import linecache
import operator
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from .. import autodiff
from ..autodiff import Op, describe, missing_rule, name
from ..tensor import Frozen, Tensor, _explained, _new, grad_of, is_recording, recording, set_grad
from .ir import Line, Program, Scalar, Value, mapped
from .surroundings import of_numbers

PACKAGE = autodiff.__file__.removesuffix("autodiff.py")
NUMPY = np.__path__[0]

QUERIES = {np.shape, np.ndim, np.size, np.result_type, np.iscomplexobj, np.isrealobj}
"""Functions that do not look at the numbers."""

SHAPES_FROM_VALUES = {np.nonzero, np.flatnonzero, np.argwhere, np.unique, np.extract, np.compress, np.union1d}
"""Functions whose result has a shape that depends on the numbers."""

BLANK = {np.zeros_like, np.ones_like, np.empty_like, np.full_like}


class CompileError(TypeError):
    """A step cannot be compiled: the message names the line of it, and what to write instead."""


@dataclass(eq=False)
class Slot:
    """Where a state is kept between calls: a tensor's array, or an entry of what an optimizer keeps.

    A program may work with its transpose instead.
    """

    tensor: Tensor | None
    kept: dict[str, Any] | None = None
    key: str = ""
    template: Tensor | None = None
    transposed: bool = False
    array: NDArray[Any] | None = None
    """Of a tensor: its array when the step was traced. The program is for others that lie in memory as it does."""

    def seen(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array as the program works with it."""
        return array.T if self.transposed else array


class Trace:
    """What happens in one run of a step."""

    def __init__(self, names: dict[int, str], outside: list[Any]) -> None:
        self.names = names  # of tensors, by id
        self.outside = {id(a) for a in outside if isinstance(a, np.ndarray)}
        self.outside_lists = {id(a) for a in outside if isinstance(a, list)}
        self.lists: list[list[Any]] = []  # of these, those of numbers that are computed with
        self.lines: list[Line] = []
        self.values: dict[int, Value] = {}  # by the id of a tensor, which `alive` keeps from being given to another
        self.constants: dict[int, Value] = {}
        self.alive: list[Any] = []
        self.states: dict[Any, Value] = {}
        self.now: dict[Tensor, Value] = {}  # what the tensors from outside hold now
        self.before: dict[Tensor, tuple[Any, Any]] = {}  # their arrays, if they have been given others
        self.cells: dict[Any, Cell] = {}
        self.scalars: dict[Any, Scalar] = {}
        self.scalar_values: dict[int, Value] = {}
        self.counts: dict[Any, Scalar] = {}
        self.assigned: set[Tensor] = set()  # by their data, not by an optimizer
        self.drawn_from: dict[np.random.Generator, Any] = {}  # and their states before
        self.products: dict[Any, Value] = {}
        self.guards: list[tuple[Any, tuple[Any, ...], Any]] = []
        self.modes: dict[tuple[int, str], tuple[dict[str, Any], str, Any]] = {}
        self.gradients: dict[Tensor, tuple[bool, Any]] = {}  # whether zero_grad came first, and what was there
        self.forgotten: set[Tensor] = set()  # their gradients, at any time
        self.without: set[Tensor] = set()  # a gradient, when the step looked for one
        self.seen_gradients: set[Tensor] = set()
        self.used_gradients: set[Tensor] = set()  # by an optimizer
        self.inputs: list[Value] = []
        self.errors: dict[str, Any] = dict(np.geterr())
        self.note = ""
        self.depth = 0

    # --------------------------------------------------------------------------------------------------- what is read

    def input(self, array: NDArray[Any], called: str) -> Tensor:
        """An argument of the step, as a Tensor."""
        value = Value("input", array.shape, array.dtype, called)
        self.inputs.append(value)
        return self._tensor(array, value)

    def _tensor(self, array: NDArray[Any], value: Value) -> Tensor:
        made = _new(array)
        self.values[id(made)] = value
        self.alive.append(made)
        return made

    def made(self, tensor: Tensor, data: Any) -> None:
        """A tensor was made of a copy of some data: of numbers that are written in the step, it is to be hoped."""
        self._use_lists(data)
        if isinstance(data, np.ndarray):
            self._refuse_part(data)
        if id(data) in self.outside:
            self.values[id(tensor)] = self.value_of(self.apply(np.astype, (data, tensor.dtype), {}, tracked=False))
        else:
            self.values[id(tensor)] = self.constant(tensor._array, own=True)
        self.alive.append(tensor)

    def _refuse_part(self, array: NDArray[Any]) -> None:
        """Complain of a piece of an array from outside, which at the next call may be meant to be another piece."""
        owner: Any = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        if (
            owner is not array
            and (isinstance(owner, Frozen) or id(owner) in self.outside)
            and id(array) not in self.outside
        ):
            raise CompileError(
                f"{_where()}: the step takes a part, of shape {array.shape}, of an array from outside, and the program "
                "would go on with this part for ever. Pass it as an argument, or index a Tensor by an argument"
            )

    def index(self, array: NDArray[Any]) -> NDArray[Any]:
        """An array that the step indexes by: one from outside as it is at each call, else a copy."""
        if id(array) not in self.outside:
            array = array.copy()
            self.constant(array, own=True)
        return array

    def constant(self, array: NDArray[Any], own: bool = False) -> Value:
        """An array from outside that is no state."""
        value = self.constants.get(id(array))
        if value is None:
            fixed = own or not (array.ndim or array.flags.writeable)
            value = self.constants[id(array)] = Value("constant", array.shape, array.dtype, source=array, own=fixed)
            self.alive.append(array)
        return value

    def value_of(self, tensor: Tensor) -> Value:
        """The value a tensor stands for; one from outside becomes a state."""
        value = self.values.get(id(tensor))
        if value is not None:
            return value
        value = self.now.get(tensor)
        if value is None:
            if not tensor.is_leaf:
                raise CompileError(
                    f"{_where()}: the step uses {describe(tensor)}, which was computed outside of it and needs a "
                    "gradient: compute it in the step, or detach() it"
                )
            array = tensor._now()
            slot = Slot(tensor, array=array)
            value = Value("state", array.shape, array.dtype, self.names.get(id(tensor), ""), slot)
            self.states[tensor] = self.now[tensor] = value
            self.alive.append(tensor)
        return value

    def _read(self, a: Any) -> Any:
        """An argument as a line holds it."""
        if isinstance(a, Tensor):
            return self.value_of(a)
        if isinstance(a, Cell):
            return self.value_of(a.tensor)
        if isinstance(a, Scalar):
            return self._number(a)
        if isinstance(a, np.ndarray):
            if id(a) not in self.constants:
                self._refuse_part(a)
            return self.constant(a)
        if isinstance(a, np.generic):
            array = np.asarray(a)
            array.flags.writeable = False
            return self.constant(array, own=True)
        return a

    def _setting(self, a: Any) -> Any:
        """A keyword's value as a line holds it: a whole number as Python's, as functions may count with it in place."""
        return int(a) if isinstance(a, np.integer) else self._read(a)

    def _number(self, scalar: Scalar) -> Value:
        value = self.scalar_values.get(id(scalar))
        if value is None:
            value = self.scalar_values[id(scalar)] = Value("scalar", (), np.dtype(float), source=scalar)
            self.alive.append(scalar)
        return value

    # ------------------------------------------------------------------------------------------------ what is computed

    def apply(self, op: Op, args: Any, kwargs: dict[str, Any], tracked: bool = True) -> Any:
        """Run an operation, note it, and record it for the backward sweep as `tensor.apply` does."""
        args = tuple(args)
        self._use_lists(*args, *kwargs.values())
        if op in autodiff.expanded:
            with self._about(self._title(op, args)), recording(False):
                made = op(*args, **kwargs)
            if not isinstance(made, Tensor):
                made = self._tensor(np.asarray(made), self._read(np.asarray(made)))
            elif any(made is a for a in args):
                made = self._tensor(made._array, self.value_of(made))
            else:
                self.value_of(made).name = name(op)
        else:
            with self._about(self._title(op, args)):
                made = self._execute(op, args, kwargs)
        if not isinstance(made, Tensor) or not (tracked and is_recording()):
            return made
        wanted = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a._recipe is not None]
        if any(isinstance(a, Tensor) and a._recipe is not None for a in kwargs.values()):
            raise TypeError(f"{name(op)} has no derivative for its keywords: detach() the tensor")
        if wanted:
            if op not in autodiff.rules:
                raise missing_rule(op)
            if op is not operator.getitem:
                args = tuple(map(self._operand, args))
            arrays = [a._array if isinstance(a, Tensor) else a for a in args]
            made._recipe = (op, args, arrays, kwargs, wanted, autodiff.next_number())
        return made

    def _use_lists(self, *things: Any) -> None:
        for a in things:
            if isinstance(a, list) and id(a) in self.outside_lists and of_numbers(a):
                self.lists.append(a)

    def _operand(self, a: Any) -> Any:
        """A list of numbers as the array that a rule asks for."""
        if not isinstance(a, list | tuple):
            return a
        array = np.asarray(a)
        if array.dtype.kind in "biuf":
            self.constant(array, own=True)
            return array
        return a

    def _execute(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if op in SHAPES_FROM_VALUES or (op is operator.getitem and _masked(args[1])):
            raise CompileError(
                f"{_where()}: the shape of {name(op)}'s result depends on values, and a program's shapes are fixed. "
                "Use np.where, or multiply by the mask"
            )
        if op in autodiff.writers:
            raise CompileError(
                f"{_where()}: {name(op)} writes to an array, and a program knows what its own lines compute only. Make "
                f"a new Tensor: {autodiff.writers[op]}"
            )
        kinds = Tensor | Cell | Scalar
        plain = mapped((args, kwargs), kinds, _plain)
        for a in args:
            if isinstance(a, np.random.Generator):
                self.drawn_from.setdefault(a, a.bit_generator.state)
        try:
            data = op(*plain[0], **plain[1])
        except (ValueError, IndexError) as error:
            raise _explained(error, op, args) from None
        if op in QUERIES:
            return data
        if op in BLANK:
            return self._tensor(data, self.constant(data, own=True))
        if data is not None and not isinstance(data, np.ndarray | np.generic):
            raise CompileError(
                f"{_where()}: {name(op)} gives a {type(data).__name__}, and a program computes arrays, one a line. "
                "Use a function that returns one array"
            )
        if kwargs.get("order") == "A":  # as the array lies now
            kwargs = {**kwargs, "order": "F" if plain[0][0].flags.fnc else "C"}
        kinds |= np.ndarray | np.generic
        held = mapped(args, kinds, self._read), mapped(kwargs, kinds, self._setting)
        errors: dict[str, Any] = {what: how for what, how in np.geterr().items() if self.errors.get(what) != how}
        if data is None:
            self.lines.append(Line(op, held[0], held[1], None, self.note, errors, pure=False))
            return None
        array = np.asarray(data)
        out = Value("computed", array.shape, array.dtype)
        pure = not any(isinstance(a, np.random.Generator) for a in args)
        self.lines.append(Line(op, held[0], held[1], out, self.note, errors, pure))
        return self._tensor(array, out)

    @contextmanager
    def _about(self, title: str) -> Iterator[None]:
        """Note of the lines in this block, if they are within no other, what they do."""
        self.depth += 1
        if self.depth == 1 and not self.note.startswith(("backward", "update")):
            self.note = title
        try:
            yield
        finally:
            self.depth -= 1

    def _title(self, op: Op, args: tuple[Any, ...]) -> str:
        owner = next((self.names[id(a)] for a in args if id(a) in self.names), "")
        return name(op) + (f" ({owner.rpartition('.')[0] or owner})" if owner else "")

    # --------------------------------------------------------------------------------------------- what Tensors ask for

    def backward(self, tensor: Tensor, seed: Any, *, create_graph: bool, keep: bool) -> None:
        """`Tensor.backward`, with its sweep noted line by line."""
        if not isinstance(seed, Tensor):
            seed = self._tensor(seed, self.constant(seed, own=True))
        outer = self.note

        def visit(op: Op, args: tuple[Any, ...]) -> None:
            self.note = f"backward: {self._title(op, args)}"

        with recording(create_graph):
            found = autodiff.sweep({tensor: seed}, create_graph=True, keep=keep, visit=visit)
            for node, g in found.items():
                if not isinstance(g, Tensor):
                    g = self._tensor(np.asarray(g), self._read(np.asarray(g)))
                before = grad_of(node)
                self.gradients.setdefault(node, (False, before))
                self.value_of(g).name = f"d_{self.names.get(id(node), 'x')}"
                set_grad(node, g if before is None or id(before) not in self.values else before + g)
        self.note = outer

    def detached(self, tensor: Tensor) -> Tensor:
        """`Tensor.detach`."""
        return self._tensor(tensor._array, self.value_of(tensor))

    def assign(self, tensor: Tensor, value: Any, *, updated: bool = False) -> None:
        """Assignment to ``Tensor.data``; or an update in place."""
        if not isinstance(value, Tensor):
            value = self._tensor(np.asarray(value), self._read(np.asarray(value)))
        if value.shape != tensor.shape or not np.can_cast(value.dtype, tensor.dtype, "same_kind"):
            raise ValueError(
                f"cannot assign data of shape {value.shape} and dtype {value.dtype} to {describe(tensor)}: shapes must "
                "be equal and dtypes of the same kind"
            )
        if id(tensor) in self.values:
            raise CompileError(f"{_where()}: the step assigns the data of a tensor that it made: make another one")
        self.value_of(tensor)
        if value.dtype != tensor.dtype:
            value = self.apply(np.astype, (value, tensor.dtype), {}, tracked=False)
        self.before.setdefault(tensor, (tensor._array, tensor._lent))
        if not updated:
            self.assigned.add(tensor)
        self.now[tensor] = self.value_of(value)
        tensor._array, tensor._lent = value._array, None

    def refuse(self, tensor: Tensor, way: str) -> NoReturn:
        """Complain that a value is taken out of the step."""
        raise CompileError(
            f"{_where()}: {way} takes a value out of a step that is being compiled, and the program would go on with "
            "this one for ever. Stay with Tensors (np.where to choose, tensor[index] to look up), or return the tensor "
            "from the step and look at it outside"
        )

    def set_gradient(self, tensor: Tensor, old: Any, new: Any) -> None:
        """``tensor.grad = new``, which may be None: what was there is forgotten."""
        if new is not None and id(new) not in self.values:
            raise CompileError(
                f"{_where()}: the step sets a gradient to a {type(new).__name__} that it has not computed: set it to a "
                "Tensor of the step's, or to None"
            )
        self.gradients.setdefault(tensor, (True, old))
        self.forgotten.add(tensor)

    def look_at_gradient(self, tensor: Tensor, g: Any) -> None:
        """``tensor.grad``: it must be what the step has computed, and that only."""
        if g is None:
            if tensor not in self.gradients:
                self.without.add(tensor)
            return
        if id(g) not in self.values:
            raise CompileError(
                f"{_where()}: the step uses a gradient that was computed outside of it: call backward() in the step"
            )
        zeroed, old = self.gradients[tensor]
        if not zeroed and old is not None:
            raise CompileError(
                f"{_where()}: the step uses its gradients, and those of earlier steps are still there: call "
                "optimizer.zero_grad() in the step, before backward()"
            )
        self.seen_gradients.add(tensor)

    def depends(self, owner: dict[str, Any], key: str) -> None:
        """Note that the step looked at a module's mode."""
        self.modes[id(owner), key] = (owner, key, owner.get(key, True))

    # ------------------------------------------------------------------------------------------------ what updates ask

    def settled(self, op: Any, *args: Any) -> Any:
        """What a question about numbers came to; the program holds while it comes to the same."""
        answer = op(*(a.value if isinstance(a, Scalar) else a for a in args))
        self.guards.append((op, args, answer))
        return answer

    def looked_up(self, owner: Any, key: Any, value: Any) -> Any:
        """A setting: a number to be looked up at each call, or what must stay as it is."""
        if isinstance(value, tuple) and all(type(v) is float for v in value):
            return tuple(self.looked_up(owner, (key, i), v) for i, v in enumerate(value))
        if type(value) is not float:
            self.modes[id(owner), key] = (owner, key, value)
            return value
        place = id(owner), key
        if place not in self.scalars:
            self.scalars[place] = Scalar(self, value, None, owner, key)
        return self.scalars[place]

    def groups(self, groups: list[dict[str, Any]]) -> list[Any]:
        """An optimizer's groups, whose settings are looked up at each call."""
        self.guards.append((len, (groups,), len(groups)))
        return [Group(self, group) for group in groups]

    def slots(self, slots: list[Any], scratch_arrays: int) -> list[Any]:
        """What an optimizer updates, made such that its in-place updates are noted."""
        self.note = "update"
        return [
            [
                (Parameter(self, p), [Cell(self, p) for _ in range(scratch_arrays)], Kept(self, p, kept))
                for p, _, kept in group
            ]
            for group in slots
        ]

    # ------------------------------------------------------------------------------------------------------ the program

    def program(self, results: Any) -> Program:
        """The program of what was noted; `results` are what the step returned, as values."""
        writes = {self.states[t]: value for t, value in self.now.items() if value is not self.states[t]}
        for p in self.seen_gradients:
            if not self.gradients[p][0] and p.grad is not None:
                raise CompileError(
                    f"the step uses a gradient of shape {p.shape}, and then leaves it there, to be added to at the "
                    "next call: call optimizer.zero_grad() in the step, before backward()"
                )
        for place, cell in self.cells.items():
            if self.value_of(cell.tensor) is not self.states[place]:
                writes[self.states[place]] = self.value_of(cell.tensor)
        gradients = {}
        for p, (zeroed, _) in self.gradients.items():
            if isinstance(p.grad, Tensor) and id(p.grad) in self.values and p not in self.used_gradients:
                gradients[p] = self.value_of(p.grad), not zeroed and p not in self.forgotten
        return Program(self.inputs, self.lines, results, writes, gradients)

    def array_of(self, value: Value) -> NDArray[Any]:
        """What a value was in this run."""
        tensor: Tensor = next(t for t in self.alive if isinstance(t, Tensor) and self.values.get(id(t)) is value)
        return tensor._array

    def rest(self) -> None:
        """Let go of all arrays."""
        self.alive, self.values, self.constants, self.cells = [], {}, {}, {}
        self.before = {}

    def undo(self) -> None:
        """Make it as if the step had not been run."""
        for tensor, (array, lent) in self.before.items():
            tensor._array, tensor._lent = array, lent
        for p, (_, old) in self.gradients.items():
            p.grad = old
        for rng, state in self.drawn_from.items():
            rng.bit_generator.state = state


class Cell(NDArrayOperatorsMixin):
    """An array that an optimizer writes to in place, as a trace sees it: a place that holds one value after another."""

    def __init__(self, trace: Trace, tensor: Tensor, kept: Any = None) -> None:
        self.trace, self.tensor, self.kept = trace, tensor, kept

    shape = property(lambda self: self.tensor.shape)
    dtype = property(lambda self: self.tensor.dtype)
    ndim = property(lambda self: self.tensor.ndim)
    size = property(lambda self: self.tensor.size)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        operands = [a.tensor if isinstance(a, Cell) else a for a in inputs]
        with recording(False):
            if method == "__call__":
                made = self.trace.apply(ufunc, operands, kwargs)
            else:
                made = self.tensor.__array_ufunc__(ufunc, method, *operands, **kwargs)
            if out is None:
                return Cell(self.trace, made)
            (target,) = out
            if not isinstance(target, Cell):
                raise CompileError(f"{_where()}: np.{ufunc.__name__} writes to an array that the program does not know")
            if made.shape != target.shape:
                made = np.broadcast_to(made, target.shape)
            target.tensor = made if made.dtype == target.dtype else made.astype(target.dtype)
            return target

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        self.trace.refuse(self.tensor, "an array of NumPy's")


class Group(dict[str, Any]):
    """An optimizer's settings of a group."""

    def __init__(self, trace: Trace, group: dict[str, Any]) -> None:
        super().__init__(group)
        self.trace, self.group = trace, group

    def __getitem__(self, key: str) -> Any:
        value = self.group[key]
        return value if key == "params" else self.trace.looked_up(self.group, key, value)

    def __setitem__(self, key: str, value: Any) -> NoReturn:
        raise CompileError(
            f"{_where()}: the step sets {key} of an optimizer. Set it before the step is called: the program looks it "
            "up each time"
        )


class Parameter:
    """A parameter, for an optimizer that updates its array in place."""

    def __init__(self, trace: Trace, tensor: Tensor) -> None:
        self.trace, self.tensor = trace, tensor
        self.cell = Cell(trace, tensor)

    @property
    def grad(self) -> Cell | None:
        """The gradient that the step has computed."""
        g = self.tensor.grad
        if g is None:
            return None
        self.trace.used_gradients.add(self.tensor)
        return Cell(self.trace, g)

    def _now(self) -> Cell:
        self.cell = Cell(self.trace, self.trace.detached(self.tensor))
        return self.cell

    def _updated(self) -> None:
        self.trace.assign(self.tensor, self.cell.tensor, updated=True)


class Kept:
    """What an optimizer keeps for a parameter between steps."""

    def __init__(self, trace: Trace, tensor: Tensor, kept: dict[str, Any]) -> None:
        self.trace, self.tensor, self.kept = trace, tensor, kept

    def get(self, key: str, default: Any = None) -> Any:
        """A kept array, zeros before the first step; or a count, if there is a default."""
        trace, place = self.trace, (id(self.kept), key)
        if default is not None:
            if place not in trace.counts:
                scalar = Scalar(trace, self.kept.get(key, default), None, self.kept, key)
                scalar.place = self.kept, key
                return scalar
            return trace.counts[place]
        if place not in trace.cells:
            array = self.kept.get(key)
            if array is None:
                array = np.zeros_like(self.tensor._array)
            called = f"{trace.names.get(id(self.tensor), '')}.{key}"
            value = Value("state", array.shape, array.dtype, called, Slot(None, self.kept, key, self.tensor))
            trace.states[place] = value
            trace.cells[place] = Cell(trace, trace._tensor(array, value), self.kept)
            trace.alive.append(self.kept)
        return trace.cells[place]

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(value, Scalar):
            raise CompileError(
                f"{_where()}: the optimizer keeps a {type(value).__name__} that the program cannot follow"
            )
        value.place = self.kept, key
        self.trace.counts[id(self.kept), key] = value
        self.trace.alive.append(self.kept)


def _plain(a: Any) -> Any:
    """What an operation is run with, for what a line holds."""
    return a.value if isinstance(a, Scalar) else a.tensor._array if isinstance(a, Cell) else a._array


def _masked(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, Tensor) and part.dtype == bool for part in parts)


def _where() -> str:
    """The line of the user's code that is being run."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith((PACKAGE, NUMPY)):
        frame = frame.f_back
    code = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
    return f"{frame.f_code.co_filename}, line {frame.f_lineno}" + (f" ({code})" if code else "")
