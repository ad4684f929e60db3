"""What a step finds around it: variables, attributes and items, and where each is held.

A program is made for what they were. Before each call it looks whether they still are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

from ..nn.module import Module, walk
from ..optim import Optimizer
from ..tensor import Tensor

PLAIN = (int, float, str)
"""What is told from others by its value, not by which object it is."""

OURS = (__name__.partition(".")[0], "numpy")
"""Packages whose functions are known not to depend on variables that change."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a step finds something: a variable of an outer function, a name in a dict, or a number in a list."""

    owner: Any
    key: Any
    value: Any

    def holds(self) -> bool:
        """Whether the same is still there."""
        return bool(eval(self.test("owner", "value"), {"owner": self.owner, "value": self.value}))

    def test(self, owner: str, value: str) -> str:
        """An expression that tells whether the same is there, given names for the owner and for what was there."""
        same = "==" if isinstance(self.value, PLAIN) and self.value == self.value else "is"  # NaN equals nothing
        if isinstance(self.owner, CellType):
            return f"{owner}.cell_contents {same} {value}"
        if isinstance(self.owner, list):
            return f"len({owner}) == {len(self.owner)} and {owner}[{self.key}] {same} {value}"
        return f"{owner}.get({self.key!r}) {same} {value}"


def found_by(step: Any, given: list[Any]) -> tuple[list[Place], list[Any]]:
    """All that a step finds by its names: in outer functions, among globals, and in attributes of what it finds so.

    The functions that it calls are looked through in the same way, but for the framework's and NumPy's. Second comes
    all that it was found to have at hand: what is in the places, and what it was given.
    """
    given = [step, *given]
    places: dict[tuple[int, Any], Place] = {}
    waiting: list[Any] = [step]
    seen: set[int] = set()
    while waiting:
        function = waiting.pop()
        if isinstance(function, partial):
            waiting.append(function.func)
            given += [*function.args, *function.keywords.values()]
            continue
        if not isinstance(function, FunctionType | MethodType):
            function = getattr(function, "__call__", None)  # noqa: B004 - of an object that can be called, the method
        code = getattr(function, "__code__", None)
        if code is None or id(code) in seen:
            continue
        seen.add(id(code))
        found = list(_variables(function, code, own=function.__module__ == getattr(step, "__module__", None)))
        given += [function.__self__] if isinstance(function, MethodType) else []
        given += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        found += _attributes([*(place.value for place in found), *given], code.co_names)
        found = [place for place in found if not isinstance(place.value, ModuleType)]
        places |= {(id(place.owner), place.key): place for place in found}
        waiting += [place.value for place in found if isinstance(place.value, FunctionType | MethodType)]
    return list(places.values()), [*(place.value for place in places.values()), *given]


def _variables(function: Any, code: Any, *, own: bool) -> Iterator[Place]:
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield Place(cell, name, cell.cell_contents)
        except ValueError:
            continue  # nothing has been assigned to it yet
    if own or function.__module__.partition(".")[0] not in OURS:
        variables = function.__globals__
        yield from (Place(variables, name, variables[name]) for name in code.co_names if name in variables)


def _attributes(roots: list[Any], names: tuple[str, ...]) -> Iterator[Place]:
    """Attributes of those names, and theirs. Modules are looked through as a whole elsewhere."""
    waiting, seen = list(roots), set()
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, Module | Optimizer | FunctionType | ModuleType | type):
            continue
        seen.add(id(thing))
        attributes = getattr(thing, "__dict__", None)
        if isinstance(attributes, dict):
            for place in [Place(attributes, name, attributes[name]) for name in names if name in attributes]:
                yield place
                waiting.append(place.value)


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
