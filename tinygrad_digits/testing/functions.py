"""Functions as the checks see them: of a list of arrays, giving a list of arrays, all else held still.

The arrays are what can be differentiated among the arguments: floating-point arrays and numbers, also nested in tuples,
lists and dicts, and the parameters of modules (the function itself may be one). What is random or has a state is copied
for each call: modules and NumPy's generators. Tensors from elsewhere, that a function knows without being given them,
are left as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from inspect import Parameter, signature
from types import MethodType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import autodiff
from ..nn import Module
from ..tensor import Tensor, no_grad
from ..tensor import tensor as make_tensor
from ..transforms import _leaves

Arrays = list[NDArray[Any]]

CHANGED = "the function changed an argument. Have it work on a copy: x = x * 2 in place of x *= 2"


class Subject:
    """A function and its arguments, taken apart."""

    def __init__(self, f: Callable[..., Any], args: Sequence[Any]) -> None:
        if not callable(f):
            raise TypeError(f"the first argument is the function to check, and this is {_kind(f)}")
        self.f, self.args = f, args
        self.title = title(f)
        found = list(_moving(f, "")) if isinstance(f, Module) else []
        names = _parameter_names(f, len(args))
        for position, (arg, parameter) in enumerate(zip(args, names, strict=True)):
            label = f"argument {position}" + (f" ({parameter})" if parameter else "")
            found += _moving(arg, label)
        self.labels = [label for label, _ in found]
        self.arrays: Arrays = [_array(leaf) for _, leaf in found]
        self.others = [(x, x.tobytes()) for x in map(_array, _leaves(args)) if x.dtype.kind in "biu" and x.ndim]
        if not found:
            kinds = ", ".join(_kind(arg) for arg in args) or "none"
            raise TypeError(
                f"{self.title} was given nothing to differentiate by: arguments: {kinds}. Give it floating-point "
                "numbers, 1.0 for 1, or arrays of them"
            )

    def __call__(self, *leaves: Any) -> list[Any]:
        """Call the function with other leaves, arrays or Tensors; give what is floating point in its result."""
        supply = iter(leaves)
        f = _rebuilt(self.f, supply) if isinstance(self.f, Module) else self.f
        result = f(*[_rebuilt(arg, supply) for arg in self.args])
        if any(x.tobytes() != before for x, before in self.others):
            raise AssertionError(CHANGED)
        return self.floating(result)

    def floating(self, result: Any) -> list[Any]:
        """The leaves of a result that have derivatives. Complains of what cannot be part of one."""
        leaves = _leaves(result)
        if not leaves or all(leaf is None for leaf in leaves):
            raise AssertionError(
                f"{self.title} returned {_kind(result)}: it must return an array. Is a return missing?"
            )
        found = []
        for leaf in leaves:
            dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
            if dtype.kind not in "fciub":
                raise AssertionError(
                    f"{self.title} returned {_kind(leaf)}{'' if leaf is result else ', among others'}: it must return "
                    "arrays or numbers, which may be nested in tuples, lists and dicts"
                )
            if dtype.kind in "fc":
                found.append(leaf if hasattr(leaf, "dtype") else np.asarray(leaf))
        if not found:
            raise AssertionError(
                f"{self.title} returned {_kind(leaves[0])}, which has no derivative: return floating-point numbers, "
                "not indices, counts or truths"
            )
        return found


def evaluator(call: Callable[..., list[Any]], arrays: Arrays) -> Callable[[Arrays], Arrays]:
    """How to compute a function of arrays in numbers: by NumPy where it can be, by untracked Tensors otherwise."""

    def plain(xs: Arrays) -> Arrays:
        return [np.asarray(y.data if isinstance(y, Tensor) else y) for y in call(*xs)]

    def with_tensors(xs: Arrays) -> Arrays:
        with no_grad():
            return plain([make_tensor(x) for x in xs])  # type: ignore[misc]

    try:
        plain(arrays)
    except (TypeError, AttributeError):  # it uses what only Tensors have
        return with_tensors
    return plain


def behind(results: list[Any]) -> list[Tensor]:
    """All that results were computed from and that needs a gradient, themselves included."""
    found: dict[Tensor, None] = {}
    stack = results
    while stack:
        fresh = [y for y in stack if isinstance(y, Tensor) and y.requires_grad and y not in found]
        found |= dict.fromkeys(fresh)
        stack = [a for y in fresh for a in y._recipe[1]]
    return list(found)


def backward(results: list[Any], seeds: Arrays, leaves: list[Tensor]) -> None:
    """Fill the ``grad`` of leaves, for seeds of the results. Other leaves keep what they have."""
    others = {x: x.grad for x in behind(results) if x.is_leaf and x not in set(leaves)}
    for x in others:
        x.grad = None
    try:
        for y, s in zip(results, seeds, strict=True):
            if isinstance(y, Tensor) and y.requires_grad:
                y.backward(s, retain_graph=True)
    finally:
        for x, g in others.items():
            x.grad = g


def gradients(leaves: list[Tensor]) -> Arrays:
    """What `backward` has filled in, or zeros."""
    return [np.zeros(x.shape, x.dtype) if x.grad is None else x.grad for x in leaves]


def check_shape_and_dtype(found: Arrays, arrays: Arrays, labels: list[str]) -> None:
    """Complain of a gradient that is no ndarray of the shape and dtype of what it is by."""
    for g, x, label in zip(found, arrays, labels, strict=True):
        same = type(g) is np.ndarray and (g.shape, g.dtype.newbyteorder("=")) == (x.shape, x.dtype.newbyteorder("="))
        if not same:
            raise AssertionError(
                f"the gradient by {label} is a {type(g).__name__} of shape {np.shape(g)} and dtype "
                f"{getattr(g, 'dtype', None)}: it must be an ndarray of shape {x.shape} and dtype {x.dtype}"
            )


def title(f: Any) -> str:
    """What to call a function in a report."""
    if isinstance(f, partial):
        return title(f.func)
    if isinstance(f, MethodType):
        return f"{title(f.__self__)}.{f.__name__}"
    return autodiff.name(f) if hasattr(f, "__name__") else type(f).__name__


def _parameter_names(f: Callable[..., Any], count: int) -> list[str]:
    try:
        parameters = list(signature(f).parameters.values())
    except (TypeError, ValueError):  # ufuncs, and some functions written in C, do not tell
        return [""] * count
    names: list[str] = []
    for p in parameters:
        if p.kind is Parameter.VAR_POSITIONAL:
            names += [p.name + f"[{i}]" for i in range(count - len(names))]
        elif p.kind is not Parameter.KEYWORD_ONLY and p.kind is not Parameter.VAR_KEYWORD:
            names.append(p.name)
    return (names + [""] * count)[:count]


def _moving(value: Any, label: str) -> Iterator[tuple[str, Any]]:
    """What in an argument can be differentiated, with a name for each."""
    if isinstance(value, Module):
        for name, parameter in value.named_parameters().items():
            yield f"{label}, parameter {name}" if label else f"parameter {name}", parameter
    elif _is_floating(value):
        yield label, value
    elif isinstance(value, dict | list | tuple):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _moving(part, f"{label}[{key!r}]")


def _rebuilt(value: Any, supply: Iterator[Any]) -> Any:
    """The same argument with other leaves."""
    if isinstance(value, Module):
        memory: dict[int, Any] = {}
        for parameter in value.parameters():
            leaf = next(supply)
            memory[id(parameter)] = leaf if isinstance(leaf, Tensor) else make_tensor(leaf)
        return copy.deepcopy(value, memory)
    if _is_floating(value):
        return next(supply)
    if isinstance(value, dict):
        return {key: _rebuilt(part, supply) for key, part in value.items()}
    if isinstance(value, list | tuple):
        parts = [_rebuilt(part, supply) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    generators = np.random.Generator | np.random.RandomState | np.random.BitGenerator
    return copy.deepcopy(value) if isinstance(value, generators) else value


def _is_floating(value: Any) -> bool:
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return value.dtype.kind == "f"
    if isinstance(value, list | tuple) and _only_numbers(value):
        return np.asarray(value).dtype.kind == "f"
    return isinstance(value, float)


def _only_numbers(value: Any) -> bool:
    """Whether a list holds nothing but Python's numbers, nested or not, so that it stands for an array."""
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return all(_only_numbers(part) for part in value)
    return isinstance(value, int | float) and not isinstance(value, np.generic)


def _array(leaf: Any) -> NDArray[Any]:
    return leaf.data if isinstance(leaf, Tensor) else np.asarray(leaf)


def _kind(value: Any) -> str:
    """A few words on what a value is."""
    if value is None:
        return "None"
    if hasattr(value, "dtype"):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    kind = type(value).__name__
    empty = "n empty" if isinstance(value, tuple | list | dict) and not value else "n" * (kind[0] in "aeiou")
    return f"a{empty} {kind}"
