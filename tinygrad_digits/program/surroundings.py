"""What a step finds around it: variables, attributes and items, and where each is held.

A program is made for what they were. Before each call it looks whether they still are.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, partial
from types import CellType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..nn.module import Module, walk
from ..optim import Optimizer
from ..tensor import Tensor

METHODS_FLAGGED = sys.version_info >= (3, 12)
"""Whether one instruction reads attributes and methods, with a flag to tell them apart."""

PLAIN = (int, float, str)
"""What is told from others by its value, not by which object it is."""

OURS = (__name__.partition(".")[0], "numpy")
"""Packages whose functions are known not to depend on variables that change, but for those beside a step."""

SHORT = 100
"""How many things may be in a list or dict for functions and modules among them to be found."""

INVOKED = frozenset({"__call__", "__getitem__", "__iter__", "__len__", "__contains__"})
"""Methods that are called without being named."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a step finds something: a variable of an outer function, a name in a dict, an attribute, an item of a list.

    Or, with `Numbers` as its value, a list that the step computes with.
    """

    owner: Any
    key: Any
    value: Any

    def holds(self) -> bool:
        """Whether the same is still there."""
        space = {"owner": self.owner, "key": self.key, "value": self.value}
        return bool(eval(self.test(*space), space))

    def anew(self) -> Place:
        """The same place with what is there now."""
        return Place(self.owner, self.key, eval(self._text("owner", "key"), {"owner": self.owner, "key": self.key}))

    def made_for_good(self) -> bool:
        """Whether there was nothing, and now is something that has been made without Tensors, as is done but once."""
        return self.value is None and not any(walk(self.anew().value))

    def test(self, owner: str, key: str, value: str) -> str:
        """An expression that tells whether the same is there, given names for the owner, the key and what was there."""
        if isinstance(self.value, Numbers):
            return f"{value}({owner})"
        same = "==" if isinstance(self.value, PLAIN) and self.value == self.value else "is"  # NaN equals nothing
        there = f"len({owner}) == {len(self.owner)} and " if isinstance(self.owner, list) else ""
        return f"{there}{self._text(owner, key)} {same} {value}"

    def _text(self, owner: str, key: str) -> str:
        key = repr(self.key) if type(self.key) in (int, str) else key
        if isinstance(self.owner, CellType):
            return f"{owner}.cell_contents"
        if isinstance(self.owner, list):
            return f"{owner}[{key}]"
        return f"{owner}.get({key})" if isinstance(self.owner, dict) else f"getattr({owner}, {key}, None)"


class Numbers:
    """What is in a list of numbers."""

    def __init__(self, numbers: Any) -> None:
        self.were = deepcopy(numbers)

    def __call__(self, numbers: Any) -> bool:
        """Whether the same is in a list."""
        return bool(numbers == self.were)


def of_numbers(things: Any) -> bool:
    """Whether there are numbers only in a list, and in those inside it."""
    return all(isinstance(thing, int | float) or (isinstance(thing, list) and of_numbers(thing)) for thing in things)


class Names(NamedTuple):
    """By which names a function reads what is elsewhere."""

    variables: frozenset[str] = frozenset()
    of_modules: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    items: frozenset[str] = frozenset()

    def plus(self, others: Names) -> Names:
        """These and others."""
        return Names(*map(frozenset.union, self, others))

    def minus(self, others: Names) -> Names:
        """These without others."""
        return Names(*map(frozenset.difference, self, others))


def names_in(code: CodeType, variables: dict[str, Any]) -> Names:
    """The names by which a function's instructions, and those of functions defined within, read something."""
    names: dict[str, set[str]] = {kind: set() for kind in Names._fields}
    before: Any = None
    for instruction in dis.get_instructions(code):
        operation, name = instruction.opname, instruction.argval
        flag = METHODS_FLAGGED and operation == "LOAD_ATTR" and (instruction.arg or 0) & 1
        method = operation == "LOAD_METHOD" or flag
        item = operation == "BINARY_SUBSCR" or (operation == "BINARY_OP" and instruction.argrepr == "[]")
        if operation in ("LOAD_GLOBAL", "LOAD_NAME"):
            names["variables"].add(name)
        elif method:
            names["methods"].add(name)
        elif operation in ("LOAD_ATTR", "LOAD_SUPER_ATTR"):
            of_module = before.opname == "LOAD_GLOBAL" and isinstance(variables.get(before.argval), ModuleType)
            names["of_modules" if of_module else "attributes"].add(name)
        elif item and before.opname == "LOAD_CONST" and isinstance(before.argval, str):
            names["items"].add(before.argval)
        before = instruction if operation != "COPY" else before  # x["a"] += 1 copies before it reads
    found = Names(**{kind: frozenset(some) for kind, some in names.items()})
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found = found.plus(names_in(constant, variables))
    return found


def found_by(step: Any, given: list[Any]) -> tuple[list[Place], list[Any]]:
    """What a step finds by its names: variables of outer functions, globals, attributes, and items of dicts.

    The functions and methods that it calls are looked through in the same way, but for the framework's, NumPy's and
    those of other libraries. Each name is looked for in all that was found.

    Returns
    -------
    list of Place
        Where it was found.
    list
        What was found, and what was given: the step, its arguments, and the defaults of functions.
    """
    search = _Search(step, given)
    search.run()
    return list(search.places.values()), [*(place.value for place in search.places.values()), *search.given]


class _Search:
    """What `found_by` has found so far."""

    def __init__(self, step: Any, given: list[Any]) -> None:
        while isinstance(step, partial):
            given, step = [*given, step], step.func
        self.module = _module(step)
        self.places: dict[tuple[int, Any], Place] = {}  # by the id of the owner, and the key
        self.given: list[Any] = []
        self.names = Names()
        self.functions: list[Any] = []  # to be looked through
        self.things: list[Any] = []  # to be looked at
        self.old: list[Any] = []  # that have been, for the names so far
        self.met: dict[tuple[int, int], Any] = {}  # all of these, by their ids
        self._give(step, *given)

    def run(self) -> None:
        """Look through functions for names, and at things for what has these names, until nothing is new."""
        while self.functions or self.things:
            names = Names()
            while self.functions:
                names = names.plus(self._look_through(self.functions.pop()))
            names = names.minus(self.names)
            self.names = self.names.plus(names)
            for thing in self.old:
                self._look_at(thing, names)
            while self.things:
                self.old.append(self.things.pop())
                self._look_at(self.old[-1], self.names)

    def _give(self, *things: Any) -> None:
        self.given += things
        self._meet(*things)

    def _meet(self, *things: Any) -> None:
        """Note things and functions that were not known."""
        for thing in things:
            function = thing.__func__ if isinstance(thing, MethodType) else thing
            if isinstance(thing, MethodType) and not isinstance(function, FunctionType):
                self._meet(function, thing.__self__)
                continue
            if isinstance(thing, (*PLAIN, Tensor, np.ndarray, Optimizer, type(None))):
                continue
            # A method is another object each time it is looked up.
            key = (id(function), id(thing.__self__) if isinstance(thing, MethodType) else 0)
            if key in self.met:
                continue
            self.met[key] = thing
            if isinstance(thing, partial):
                self._give(thing.func, *thing.args, *thing.keywords.values())
            (self.functions if isinstance(function, FunctionType) else self.things).append(thing)

    def _add(self, place: Place) -> None:
        if not isinstance(place.value, ModuleType):
            self.places.setdefault((id(place.owner), place.key), place)
        self._meet(place.value)

    def _look_through(self, function: Any) -> Names:
        """Note what a function has been given and its variables; say by which names it reads more."""
        self._give(*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        if isinstance(function, MethodType):
            self._give(function.__self__)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                self._add(Place(cell, name, cell.cell_contents))
            except ValueError:
                continue  # nothing has been assigned to it yet
        if not (self._theirs(_module(function)) or _module(function) == self.module):
            return Names()  # of a library, as decorators are, whose variables may hold functions of the step's
        names = names_in(function.__code__, function.__globals__)
        self._add_items(function.__globals__, names.variables)
        return names

    def _look_at(self, thing: Any, names: Names) -> None:
        """Note what a thing has under some names."""
        if isinstance(thing, dict):
            self._add_items(thing, names.items)
        if isinstance(thing, dict | list | tuple) and len(thing) <= SHORT:
            self._meet_callables(dict.values(thing) if isinstance(thing, dict) else thing)
        if isinstance(thing, ModuleType) and not self._theirs(thing.__name__):
            return
        self._look_at_class(thing, names)
        attributes = getattr(thing, "__dict__", None)
        if isinstance(thing, Module):  # `held_in` has the places of its attributes
            self._meet_callables(vars(thing).values())
            self._meet(*(vars(thing)[name] for name in names.attributes & vars(thing).keys()))
        elif isinstance(attributes, dict):
            self._add_items(attributes, names.attributes)
            self._add_items(attributes, names.of_modules if isinstance(thing, ModuleType) else ())
            self._add_items(attributes, [name for name in names.methods if callable(attributes.get(name))])
            self._meet(attributes.get("__wrapped__"))

    def _meet_callables(self, things: Iterable[Any]) -> None:
        for thing in things:
            if isinstance(thing, FunctionType | MethodType | partial | Module | list | tuple):
                self._meet(thing)

    def _add_items(self, items: dict[Any, Any], names: Iterable[str]) -> None:
        for name in names:
            if dict.__contains__(items, name):
                self._add(Place(items, name, dict.__getitem__(items, name)))

    def _look_at_class(self, thing: Any, names: Names) -> None:
        """Note methods of those names, and values that a class has for all its objects, or that are in slots."""
        owner = thing if isinstance(thing, type) else type(thing)
        for kind in owner.__mro__:
            if not self._theirs(_module(kind)):
                continue
            for name in (names.attributes | names.methods | INVOKED) & vars(kind).keys():
                value = vars(kind)[name]
                if isinstance(value, property | cached_property | staticmethod | classmethod):
                    self._meet(*(getattr(value, part, None) for part in ("fget", "func", "__func__")))
                elif isinstance(value, FunctionType) or hasattr(value, "__wrapped__"):
                    if getattr(owner, name, None) is value:  # and is not overridden
                        self._add(Place(owner, name, value))
                    self._meet(value)
                elif name in names.attributes and isinstance(value, MemberDescriptorType):
                    if hasattr(thing, name):  # the slot is not empty
                        self._add(Place(thing, name, getattr(thing, name)))
                elif name in names.attributes and not hasattr(value, "__get__"):
                    self._add(Place(thing, name, getattr(thing, name)))

    def _theirs(self, module: str) -> bool:
        """Whether a module is of the step's own package, or of no library at least."""
        package = module.partition(".")[0]
        file = getattr(sys.modules.get(package), "__file__", None) or ""
        library = package in sys.stdlib_module_names or "site-packages" in file or "dist-packages" in file
        return package not in OURS and (not library or package == self.module.partition(".")[0])


def _module(thing: Any) -> str:
    module = getattr(thing, "__module__", None)
    return module if isinstance(module, str) else ""


def held_in(things: list[Any], used: Any) -> Iterator[Place]:
    """Where modules, and containers of modules and tensors, hold what they hold; of tensors, those used, or all."""
    waiting, seen = list(things), set()
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or not isinstance(thing, Module | list | tuple | dict) or not any(walk(thing)):
            continue
        seen.add(id(thing))
        items: Any = vars(thing) if isinstance(thing, Module) else thing
        for key, value in items.items() if isinstance(items, dict) else enumerate(items):
            if used is not None and isinstance(value, Tensor) and value not in used:
                continue
            if not isinstance(thing, tuple) and (items is thing or key != "training"):
                yield Place(items, key, value)
            waiting.append(value)
