"""A program bound to the arrays that its states have now, and the function that decides whether to run it."""

from __future__ import annotations

import builtins
import operator
import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..autodiff import LEAF
from ..tensor import Tensor, _new
from .emit import Source
from .ir import Program, Scalar, Value, mapped, values_in
from .memory import parted, plan
from .passes import Pass
from .surroundings import Place
from .trace import Slot, Trace

ARRAY = object()
"""An argument that is an array."""

MISS = object()
"""What a program returns that is not for these arguments, or not for what the model has become."""


class Bound:
    """A compiled program, with all that it must look at before it runs, and tell afterwards."""

    call: Callable[..., Any]
    run: Callable[..., Any]
    compared: Callable[..., Any] | None = None
    """What is to be called before the program, if anything."""

    def __init__(
        self,
        title: str,
        trace: Trace,
        raw: Program,
        passes: Mapping[str, Pass],
        places: list[Place],
        given: list[Any],
    ) -> None:
        self.raw, self.program = raw, raw
        for one in passes.values():
            self.program = one(self.program)
        self.program = parted(self.program)
        self.plan = plan(self.program)
        self.source = Source(self.program, self.plan, title)
        self.code = builtins.compile(self.source.text, f"<program of {title}>", "exec")
        self.title, self.trace = title, trace
        self.given = [ARRAY if isinstance(a, Tensor) else a for a in given]
        self.places = places

    # ------------------------------------------------------------------------------------------------------- to run it

    def bind(self) -> None:
        """Make the program's memory, beside the arrays that its states have now."""
        self.trace.rest()
        arrays = [self._array_of(value, value.source) for value in self.source.states]
        self._refuse_twins(arrays)
        self.arrays = arrays
        for value, array in zip(self.source.states, self.arrays, strict=True):
            value.source.array = array if value.source.tensor is not None else None  # and not one of before
        self.run = self.instance(self.source.text, self.arrays)
        self.call = self._caller()

    def _refuse_twins(self, arrays: list[NDArray[Any]]) -> None:
        """Complain of a tensor that changes and whose memory another shares: a program has each in its own."""
        both = zip(self.source.states, arrays, strict=True)
        lent = [(v, array) for v, array in both if (t := v.source.tensor) is not None and t._lent is not None]
        for value, array in lent:
            for other, its in lent:
                if value in self.program.writes and other is not value and np.shares_memory(array, its):
                    raise RuntimeError(
                        f"{self.title} changes a tensor of shape {array.shape}, and another that it uses, of shape "
                        f"{its.shape}, shares its memory: make one of them with tg.tensor, which copies"
                    )

    def instance(self, text: str, arrays: list[NDArray[Any]], **more: Any) -> Callable[..., Any]:
        """The function that a source defines, over memory of its own and the arrays of states."""
        space = {**self.source.objects, **more}
        exec(self.code if text == self.source.text else text, space)
        seen = [value.source.seen(array) for value, array in zip(self.source.states, arrays, strict=True)]
        made: Callable[..., Any] = space["program"](seen)
        return made

    def _array_of(self, value: Value, slot: Slot) -> NDArray[Any]:
        if slot.kept is not None:
            array = slot.kept.get(slot.key)
            if array is None:
                array = np.zeros(slot.seen(np.empty(value.shape, np.bool)).shape, value.dtype)
            array = slot.kept[slot.key] = np.asfortranarray(array) if slot.transposed else array
            return array
        tensor = slot.tensor
        assert tensor is not None
        others = tensor in self.trace.assigned and tensor._lent is not None
        if value in self.program.writes and (others or not tensor._array.flags.writeable):
            tensor._array, tensor._lent = tensor._array.copy("K"), None  # as assigning its data does
        if slot.transposed and tensor._lent is None:
            tensor._array = np.asfortranarray(tensor._array)
        return tensor._array

    def again(self, *args: Any) -> Any:
        """Look at what the states' arrays are now, and run the program on them.

        Mostly they have only a new version, as another program or an eager step has written to them. If they lie in
        another way than the program's views were made for, another program is wanted.
        """
        now = [self._array_of(value, value.source) for value in self.source.states]
        if not all(_lies_as(value.source, array) for value, array in zip(self.source.states, now, strict=True)):
            return MISS
        if all(map(_same_memory, now, self.arrays)):
            self._see(now)
        else:
            self.bind()
        return self.call(*args)

    def _see(self, arrays: list[NDArray[Any]]) -> None:
        """Take arrays for those that the states have now."""
        for i, (value, array) in enumerate(zip(self.source.states, arrays, strict=True)):
            tensor = value.source.tensor
            if tensor is not None and value in self.program.writes:
                tensor._array = array = array.view()  # which nobody else can have yet
            self.space[f"v{i}"] = array

    # ------------------------------------------------------------------------------------------ to see whether it fits

    def _caller(self) -> Callable[..., Any]:
        """A function written out for this program: it sees whether all is as it was, runs it, tells what changed."""
        names = _Names(np=np, MISS=MISS, run=self.run, bound=self, LEAF=LEAF, ndarray=np.ndarray)
        names.space |= {"getrefcount": sys.getrefcount, "SimpleNamespace": SimpleNamespace}
        arguments = [f"a{i}" for i in range(len(self.given))]
        converted, tests, passed = self._looks_at_arguments(names)
        tests += self._looks_around(names)
        seen, ran = [], []
        states = list(enumerate(self.source.states))
        for i, value in states:
            slot = value.source
            if slot.kept is not None:
                seen.append(f"{names(slot.kept)}.get({slot.key!r}) is v{i}")
                continue
            tensor = names(slot.tensor)
            tests.append(f"{tensor}._recipe is {'LEAF' if slot.tensor._recipe is LEAF else None}")
            seen.append(f"{tensor}._array is v{i}")
            if value in self.program.writes:
                if slot.tensor in self.trace.assigned:  # whoever has been lent the array since keeps it as it is
                    seen.append(f"{tensor}._lent is None")
                # If somebody has it now, because it was recorded, let there be a new version; one takes half a µs.
                ran.append(f"if getrefcount(v{i}) != usual: {tensor}._array = v{i} = v{i}.view()")
        lent = [names(v.source.tensor) for v in self.program.writes if v.source.tensor is not None]
        hands: list[str] = []  # what is to be done if somebody else holds an array that the program writes to
        if lent:
            test = f"if not ({' and '.join(f'{t}._lent is None' for t in lent)}):"
            hands = [f"{test} bound.refuse_shared({', '.join(passed)})"] if passed else []
            ran.append(f"{test} bound.lent()")
        for count in self.trace.counts.values():
            assert count.place is not None
            ran.append(f"{names(count.place[0])}[{count.place[1]!r}] = {_number(count, names)}")
        ran += [f"{names(p)}.grad = None" for p, (zeroed, _) in self.trace.gradients.items() if zeroed]
        results = len(list(values_in(self.program.results)))
        for i, (tensor, (_, added)) in enumerate(self.program.gradients.items()):
            ran.append(f"bound.leave({names(tensor)}, found[{results + i}], {added})")
        tests = list(dict.fromkeys(tests))
        lines = [
            f"def call({', '.join(arguments)}):",
            f"    global {', '.join(f'v{i}' for i, _ in states)}" if states else "    pass",
            *(f"    {text}" for text in converted),
            *([f"    if not ({' and '.join(tests)}):", "        return MISS"] if tests else []),
            *(
                [f"    if not ({' and '.join(seen)}):", f"        return bound.again({', '.join(arguments)})"]
                if seen
                else []
            ),
            *([f"    bound.compared({', '.join(arguments)})"] if self.compared else []),
            *(f"    {text}" for text in hands),
            f"    found = run({', '.join(passed)})",
            *(f"    {text}" for text in ran),
            f"    return {self._returned(results)}",
        ]
        exec(USUAL, names.space)
        self.space = names.space
        self._see(self.arrays)
        exec("\n".join(lines), names.space)
        made: Callable[..., Any] = names.space["call"]
        return made

    def _looks_at_arguments(self, names: _Names) -> tuple[list[str], list[str], list[str]]:
        """What to make of arguments, what must hold of them, and what is passed on."""
        converted, tests, passed = [], [], []
        inputs = iter(self.program.inputs)
        for i, a in enumerate(self.given):
            if a is ARRAY:
                value = next(inputs)
                converted.append(f"if type(a{i}) is not ndarray: a{i} = bound.array(a{i})")
                tests.append(f"a{i} is not MISS")
                tests.append(f"a{i}.shape == {value.shape} and a{i}.dtype is {names(value.dtype)}")
                passed.append(f"a{i}")
            elif isinstance(a, int | float | str | type(None)) and a == a:
                tests.append(f"type(a{i}) is {names(type(a))} and a{i} == {names(a)}")
            else:
                tests.append(f"a{i} is {names(a)}")
        return converted, tests, passed

    def _looks_around(self, names: _Names) -> list[str]:
        """What must hold of all that the step found outside."""
        tests = [place.test(names(place.owner), names(place.key), names(place.value)) for place in self.places]
        for owner, key, value in self.trace.modes.values():
            tests.append(f"{names(owner)}.get({key!r}, True) == {names(value)}")
        for op, operands, answer in self.trace.guards:
            texts = [_number(a, names) for a in operands]
            if op is operator.truth:
                tests.append(texts[0] if answer else f"not {texts[0]}")
            else:
                tests.append(f"{names(op)}({', '.join(texts)}) == {names(answer)}")
        tests += [f"{names(p)}.grad is None" for p in self.trace.without]
        for p, (zeroed, _) in self.trace.gradients.items():
            if not zeroed and p not in self.program.gradients:
                tests.append(f"({names(p)}.grad is None or bound.refuse_gradient({names(p)}))")
        return tests

    def _returned(self, count: int) -> str:
        results = self.program.results
        if isinstance(results, Value):
            return "bound.tensor(found[0])"
        return "bound.nested(found)" if count or results is not None else "None"

    # ---------------------------------------------------------------------------------------------- what the call calls

    def lent(self) -> None:
        """Note what is now in arrays that somebody else holds, too."""
        for value in self.program.writes:
            tensor = value.source.tensor
            if tensor is not None and tensor._lent is not None:
                tensor._lent = tensor._array.tobytes()

    def refuse_shared(self, *arrays: NDArray[Any]) -> None:
        """Complain of an argument in the memory of a tensor that the program writes to while it may still be read."""
        for value in self.program.writes:
            tensor = value.source.tensor
            if tensor is None or tensor._lent is None:
                continue
            for given, array in zip(self.program.inputs, arrays, strict=True):
                if np.shares_memory(array, tensor._array):
                    raise RuntimeError(
                        f"{self.title} was given an array that shares its memory with a tensor of shape {tensor.shape} "
                        f"that it changes, as {given.name}: give it a copy"
                    )

    def refuse_gradient(self, tensor: Tensor) -> None:
        """Complain of a gradient that would have to be added to."""
        raise RuntimeError(
            f"{self.title} uses a gradient of shape {tensor.shape}, and one of before is still there: call "
            "optimizer.zero_grad() in the step, before backward()"
        )

    @staticmethod
    def array(a: Any) -> Any:
        """The array of an argument."""
        if isinstance(a, Tensor):
            return MISS if a.requires_grad else a._now()
        return np.asarray(a)

    @staticmethod
    def tensor(array: NDArray[Any]) -> Tensor:
        """A result, out of reach of the program."""
        return _new(np.array(array))  # NumPy's scalars become arrays again

    def nested(self, found: Any) -> Any:
        """The results, nested as the step returns them."""
        arrays = iter(found)
        return mapped(self.program.results, Value, lambda _: self.tensor(next(arrays)))

    @staticmethod
    def leave(tensor: Tensor, g: NDArray[Any], added: bool) -> None:
        """Leave a gradient in its place."""
        total = g if not added or tensor.grad is None else tensor.grad + g
        tensor.grad = total if isinstance(total, Tensor) else np.array(total)


USUAL = """
held = SimpleNamespace(array=np.empty(1).view())
probe = held.array
usual = getrefcount(probe)  # of an array that a tensor and this function's globals refer to
del probe, held
"""


def _lies_as(slot: Slot, array: NDArray[Any]) -> bool:
    """Whether a tensor's array lies in memory as the one that a program's views were made for."""
    return slot.array is None or slot.transposed or slot.array.strides == array.strides


def _same_memory(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.shape == b.shape and a.strides == b.strides and a.dtype == b.dtype and a.ctypes.data == b.ctypes.data


class _Names:
    """Names for what a function that is written out refers to."""

    def __init__(self, **known: Any) -> None:
        self.space = known
        self.known: dict[int, str] = {}

    def __call__(self, thing: Any) -> str:
        """The name of a thing."""
        if id(thing) not in self.known:
            found = self.known[id(thing)] = f"o{len(self.space)}"
            self.space[found] = thing
        return self.known[id(thing)]


def _number(a: Any, names: _Names) -> str:
    """A number as Python computes it."""
    if not isinstance(a, Scalar):
        return repr(a) if type(a) in (int, float) else names(a)
    if a.op is None:
        owner, key = a.args
        return f"{names(owner)}[{key[0]!r}][{key[1]}]" if isinstance(key, tuple) else f"{names(owner)}.get({key!r}, 0)"
    return f"{names(a.op)}({', '.join(_number(x, names) for x in a.args)})"
