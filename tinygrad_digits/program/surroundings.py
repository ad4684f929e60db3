"""What a step finds around it: variables, attributes and items, and where each is held.

A program is made for what they were. Before each call it looks whether they still are.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, partial
from types import CellType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..nn.module import Module, walk
from ..optim import Optimizer
from ..tensor import Tensor

PLAIN = (int, float, str)
"""What is told from others by its value, not by which object it is."""

OURS = (__name__.partition(".")[0], "numpy")
"""Packages whose functions are known not to depend on variables that change, but for those beside a step."""

SHORT = 100
"""How many things may be in a list or dict for each to be looked into."""

INVOKED = frozenset({"__call__", "__getattr__", "__getitem__", "__iter__", "__len__", "__contains__"})
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

    def test(self, owner: str, key: str, value: str) -> str:
        """An expression that tells whether the same is there, given names for the owner, the key and what was there."""
        key = repr(self.key) if type(self.key) in (int, str) else key
        if isinstance(self.value, Numbers):
            return f"{value}({owner})"
        same = "==" if isinstance(self.value, PLAIN) and self.value == self.value else "is"  # NaN equals nothing
        if isinstance(self.owner, CellType):
            return f"{owner}.cell_contents {same} {value}"
        if isinstance(self.owner, list):
            return f"len({owner}) == {len(self.owner)} and {owner}[{key}] {same} {value}"
        if isinstance(self.owner, dict):
            return f"{owner}.get({key}) {same} {value}"
        return f"getattr({owner}, {key}, None) {same} {value}"


class Numbers:
    """What is in a list of numbers."""

    def __init__(self, numbers: Any) -> None:
        self.were = deepcopy(numbers)

    def __call__(self, numbers: Any) -> bool:
        """Whether the same is in a list."""
        return bool(numbers == self.were)


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
        self.names: set[str] = set(INVOKED)
        self.functions: list[Any] = []  # to be looked through
        self.things: list[Any] = []  # to be looked at
        self.old: list[Any] = []  # that have been, for the names so far
        self.met: dict[tuple[int, ...], Any] = {}  # all of these, by their ids
        self._give(step, *given)

    def run(self) -> None:
        """Look through functions for names, and at things for what has these names, until nothing is new."""
        while self.functions or self.things:
            names: set[str] = set()
            while self.functions:
                names |= self._look_through(self.functions.pop())
            names -= self.names
            self.names |= names
            for thing in self.old if names else ():
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
            if isinstance(thing, (*PLAIN, Tensor, np.ndarray, Optimizer, type(None))):
                continue
            known = (thing.__func__, thing.__self__) if isinstance(thing, MethodType) else (thing,)  # made at each look
            key = tuple(map(id, known))
            if key not in self.met:
                self.met[key] = thing
                if isinstance(thing, partial):
                    self._give(thing.func, *thing.args, *thing.keywords.values())
                (self.functions if isinstance(thing, FunctionType | MethodType) else self.things).append(thing)

    def _add(self, place: Place) -> None:
        if not isinstance(place.value, ModuleType):
            self.places.setdefault((id(place.owner), place.key), place)
        self._meet(place.value)

    def _look_through(self, function: Any) -> set[str]:
        """Note a function's variables, and say by which names it may read attributes and items."""
        self._give(*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        if isinstance(function, MethodType):
            self._give(function.__self__)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                self._add(Place(cell, name, cell.cell_contents))
            except ValueError:
                continue  # nothing has been assigned to it yet
        if not (self._theirs(_module(function)) or _module(function) == self.module):
            return set()
        codes = list(_codes(function.__code__))
        names, variables = {name for code in codes for name in code.co_names}, function.__globals__
        self._add_items(variables, names)
        return names | {text for code in codes for text in code.co_consts if isinstance(text, str)}

    def _look_at(self, thing: Any, names: set[str]) -> None:
        """Note what a thing has under some names; and what is in modules, in short lists and dicts."""
        if isinstance(thing, dict | list | tuple | deque) and len(thing) <= SHORT:
            self._meet(*(thing.values() if isinstance(thing, dict) else thing))
        if isinstance(thing, dict) and type(thing).get is dict.get:
            self._add_items(thing, names)
        if isinstance(thing, ModuleType) and not self._theirs(thing.__name__):
            return
        self._look_at_class(thing, names)
        attributes = getattr(thing, "__dict__", None)
        if isinstance(thing, Module):  # whose attributes are looked at as a whole elsewhere
            self._meet(*vars(thing).values())
        elif isinstance(attributes, dict):
            self._add_items(attributes, names)
            self._meet(attributes.get("__wrapped__"))

    def _add_items(self, items: dict[Any, Any], names: set[str]) -> None:
        for name in names & items.keys():
            self._add(Place(items, name, items[name]))

    def _look_at_class(self, thing: Any, names: set[str]) -> None:
        """Note methods of those names, and values that a class has for all its objects, or that are in slots."""
        own = isinstance(thing, type)
        for kind in thing.__mro__ if own else type(thing).__mro__:
            if not self._theirs(_module(kind)):
                continue
            for name in names & vars(kind).keys():
                value = vars(kind)[name]
                if isinstance(value, property | cached_property | staticmethod | classmethod):
                    self._meet(*(getattr(value, part, None) for part in ("fget", "func", "__func__")))
                elif isinstance(value, FunctionType):
                    owner = thing if own else type(thing)
                    if getattr(owner, name, None) is value:  # and is not overridden
                        self._add(Place(owner, name, value))
                    self._meet(value)
                elif isinstance(value, MemberDescriptorType):
                    if not own and hasattr(thing, name):  # the slot is not empty
                        self._add(Place(thing, name, getattr(thing, name)))
                elif not hasattr(value, "__get__"):
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


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code, and that of functions which are defined within."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


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
