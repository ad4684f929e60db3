"""What a step finds around it: variables, attributes and items, and where each is held.

A program is made for what they were. Before each call it looks whether they still are.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Collection, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, partial
from types import CellType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..nn.module import Module, walk
from ..optim import Optimizer
from ..tensor import Tensor

PLAIN = (int, float, str)
"""What is told from others by its value, not by which object it is."""

OURS = (__name__.partition(".")[0], "numpy")
"""Packages whose functions are known not to depend on variables that change, but for those beside a step."""

SMALL = 1_000
"""Elements of an array that may hold settings."""

CONTAINERS = (list, tuple, dict, set, frozenset, deque)

INVOKED = ("__call__", "__getattr__", "__getitem__", "__iter__", "__len__", "__contains__", "__enter__", "__exit__")
"""Methods that are called without being named."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a step finds something: a variable, a name in a dict, a number in a list, an attribute; what is inside."""

    owner: Any
    key: Any
    value: Any

    def holds(self) -> bool:
        """Whether the same is still there."""
        return bool(eval(self.test("owner", "value"), {"owner": self.owner, "value": self.value}))

    def test(self, owner: str, value: str) -> str:
        """An expression that tells whether the same is there, given names for the owner and for what was there."""
        if isinstance(self.value, Contents | Numbers):
            return f"{value}({owner})"
        same = "==" if isinstance(self.value, PLAIN) and self.value == self.value else "is"  # NaN equals nothing
        if isinstance(self.owner, CellType):
            return f"{owner}.cell_contents {same} {value}"
        if isinstance(self.owner, list):
            return f"len({owner}) == {len(self.owner)} and {owner}[{self.key}] {same} {value}"
        if isinstance(self.owner, dict):
            return f"{owner}.get({self.key!r}) {same} {value}"
        return f"getattr({owner}, {self.key!r}, None) {same} {value}"


class Contents:
    """What was in a container and in those inside it: equal numbers and strings, and of all else the same objects."""

    def __init__(self, container: Any) -> None:
        self.kept = list(_leaves(container))  # so that no other object is given the id of one
        self.plain = deepcopy(container) if all(isinstance(leaf, PLAIN) for leaf in self.kept) else None
        self.were = _told(container)

    def __call__(self, container: Any) -> bool:
        """Whether the same is in a container."""
        return bool(container == self.plain if self.plain is not None else _told(container) == self.were)


class Numbers:
    """What was in an array."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.were = array.tobytes()

    def __call__(self, array: NDArray[Any]) -> bool:
        """Whether the same is in an array."""
        return array.tobytes() == self.were


def _leaves(container: Any) -> Iterator[Any]:
    for item in container.values() if isinstance(container, dict) else container:
        yield from _leaves(item) if isinstance(item, CONTAINERS) else (item,)


def _told(value: Any) -> Any:
    """A container as lists that are equal if it holds the same."""
    if isinstance(value, dict):
        return [(key, _told(item)) for key, item in value.items()]
    if isinstance(value, CONTAINERS):
        return [_told(item) for item in value]
    return value if isinstance(value, PLAIN) and value == value else id(value)


def found_by(step: Any, given: list[Any]) -> tuple[list[Place], list[Any]]:
    """All that a step finds by its names: in outer functions, among globals, and in attributes of what it finds so.

    The functions and methods that it calls are looked through in the same way, but for the framework's, NumPy's and
    those of other libraries. Second comes all that it was found to have at hand: what is in the places, and what it was
    given.
    """
    search = _Search(step, given)
    search.run()
    things = [*(place.value for place in search.places.values()), *search.given]
    return [
        *search.places.values(),
        *(Place(it, name, Contents(it)) for name, it in search.containers.values()),
    ], things


class _Search:
    """What a step, and the functions that it calls, find by their names.

    Attributes
    ----------
    places : dict of (int, object) to Place
        By the id of the owner, and the key.
    containers : dict of int to (str, object)
        Those in which there are no tensors, by id, and what they are called.
    given : list
        The step, arguments, and defaults of functions.
    """

    def __init__(self, step: Any, given: list[Any]) -> None:
        self.module: str = getattr(step, "__module__", None) or ""
        self.places: dict[tuple[int, Any], Place] = {}
        self.containers: dict[int, tuple[str, Any]] = {}
        self.modules: dict[str, ModuleType] = {}
        self.given = [step, *given]
        self.functions: dict[tuple[int, int], Any] = {}
        self.waiting: list[Any] = [step]

    def run(self) -> None:
        """Look through functions until they find no others."""
        while self.waiting:
            while self.waiting:
                self._take(self.waiting.pop())
            for (
                function
            ) in self.functions.values():  # the old ones again: what a new one has found may be given to them
                looked_through = function.__module__ == self.module or self._theirs(function.__module__ or "")
                names = set(_names(function.__code__)) if looked_through else set()
                for find in self._variables, self._attributes:
                    for place in list(find(function, names)):
                        self._add(place)

    def _take(self, function: Any) -> None:
        if isinstance(function, partial):
            self.waiting.append(function.func)
            self.given += [*function.args, *function.keywords.values()]
            return
        if not isinstance(function, FunctionType | MethodType):
            function = getattr(function, "__call__", None)  # noqa: B004 - of an object that can be called, the method
        plain, owner = getattr(function, "__func__", function), getattr(function, "__self__", None)
        if isinstance(plain, FunctionType) and (id(plain), id(owner)) not in self.functions:
            self.functions[id(plain), id(owner)] = function
            self.given += [] if owner is None else [owner]
            self.given += [*(plain.__defaults__ or ()), *(plain.__kwdefaults__ or {}).values()]

    def _add(self, place: Place) -> None:
        if isinstance(place.value, ModuleType):
            self.modules[place.value.__name__] = place.value
        if isinstance(place.value, ModuleType) or (id(place.owner), place.key) in self.places:
            return
        self.places[id(place.owner), place.key] = place
        read = place.value
        read = read.fget if isinstance(read, property) else read.func if isinstance(read, cached_property) else read
        if isinstance(read, FunctionType | MethodType | partial):
            self.waiting.append(read)

    def _theirs(self, module: str) -> bool:
        """Whether a module is of the step's own package, or of no library at least, and may have other values later."""
        package = module.partition(".")[0]
        if package in OURS:
            return False
        file = getattr(sys.modules.get(package), "__file__", None) or ""
        library = package in sys.stdlib_module_names or "site-packages" in file or "dist-packages" in file
        return not library or package == self.module.partition(".")[0]

    def _variables(self, function: Any, names: set[str]) -> Iterator[Place]:
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                yield Place(cell, name, cell.cell_contents)
            except ValueError:
                continue  # nothing has been assigned to it yet
        variables = function.__globals__
        yield from (Place(variables, name, variables[name]) for name in names if name in variables)

    def _attributes(self, function: Any, names: set[str]) -> Iterator[Place]:
        """Attributes of those names, of all that was found, and of what is in containers and modules; and methods.

        What modules, and containers with tensors, hold themselves is looked at as a whole elsewhere.
        """
        waiting = [(str(place.key), place.value) for place in self.places.values()]
        waiting += [*self.modules.items(), *(("an argument", thing) for thing in self.given)]
        seen = set()
        while waiting:
            called, thing = waiting.pop()
            if id(thing) in seen or isinstance(thing, Tensor | np.ndarray | Optimizer | FunctionType | MethodType):
                continue
            seen.add(id(thing))
            if isinstance(thing, CONTAINERS) and any(walk(thing)):
                waiting += [(called, item) for item in (thing.values() if isinstance(thing, dict) else thing)]
            elif isinstance(thing, CONTAINERS):
                self.containers.setdefault(id(thing), (called, thing))
                waiting += [(called, leaf) for leaf in _leaves(thing)]
            if isinstance(thing, ModuleType) and not self._theirs(thing.__name__):
                continue
            found = list(self._of_classes(thing, names))
            attributes = getattr(thing, "__dict__", None)
            if isinstance(thing, Module):
                waiting += [(name, it) for name, it in vars(thing).items() if name in names or any(walk(it))]
            elif isinstance(attributes, dict):
                found += [Place(attributes, name, attributes[name]) for name in names if name in attributes]
            waiting += [(str(place.key), place.value) for place in found]
            yield from found

    def _of_classes(self, thing: Any, names: set[str]) -> Iterator[Place]:
        """What a class has under those names, or an object's class: methods, values, and what is in slots."""
        for kind in thing.__mro__ if isinstance(thing, type) else type(thing).__mro__:
            for name in {*names, *INVOKED} & vars(kind).keys() if self._theirs(kind.__module__) else ():
                value = vars(kind)[name]
                if isinstance(value, classmethod):  # which is bound anew each time it is looked up
                    yield Place(value, "__func__", value.__func__)
                elif isinstance(value, FunctionType | property | staticmethod | cached_property):
                    owner = thing if isinstance(thing, type) else type(thing)
                    yield Place(owner, name, getattr(owner, name))
                elif hasattr(thing, name) and (
                    isinstance(value, MemberDescriptorType) or not hasattr(value, "__get__")
                ):
                    yield Place(thing, name, getattr(thing, name))  # a slot may be empty


def _names(code: CodeType) -> Iterator[str]:
    """The names in a function, and in those that are defined within."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def read_only_in_python(places: list[Place], operands: Collection[int]) -> Iterator[Place]:
    """Small arrays that a program has no line for, told by their ids: the step may have read numbers in them."""
    for place in places:
        array = place.value
        if isinstance(array, np.ndarray) and array.size <= SMALL and id(array) not in operands:
            yield Place(array, place.key, Numbers(array))


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
