"""Derivatives of functions: grad, value_and_grad, vjp, jvp, jacobian, hessian, hvp.

Arrays in, arrays out; Tensors in, Tensors out. The results can be differentiated in turn, so that the transforms nest:
a function that uses other tensors which need a gradient also gives Tensors, tracked, whatever its arguments. Inputs and
outputs may be nested in tuples, lists and dicts. An input that the output does not depend on has gradient zero. The
``grad`` of tensors is never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import numpy as np

from .autodiff import CLOSED, INPUT, depends_on_others, name, sweep
from .tensor import Tensor, is_recording, recording, tensor, tracing

Function = Callable[..., Any]
Argnums = int | tuple[int, ...]


def value_and_grad(f: Function, argnums: Argnums = 0) -> Function:
    """Make the function that returns ``f``'s value and its gradient.

    Parameters
    ----------
    f : callable
        A function with a scalar result.
    argnums : int or tuple of int
        The positions of the arguments to differentiate; a tuple gives a tuple of gradients.

    Returns
    -------
    callable
        Takes what `f` takes and returns ``(value, gradient)``; the gradient is nested as the argument is.

    Raises
    ------
    TypeError
        If an argument is not floating point, or the result is not a scalar.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> tg.value_and_grad(lambda x: np.sum(x**3))(np.array([1.0, 2.0]))
    (array(9.), array([ 3., 12.]))
    """
    _check_argnums("value_and_grad", argnums)

    @_of("value_and_grad", "The value and the gradient", f)
    def value_and_gradient(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        chosen = _choose(f, args, positions)
        value, pull, _ = _linearize(lambda *xs: f(*_replaced(args, positions, xs), **kwargs), chosen)
        if isinstance(value, dict | list | tuple) or np.size(value) != 1:
            what = f"shape {value.shape}" if hasattr(value, "shape") else type(value).__name__
            raise TypeError(
                f"grad needs a function with a scalar result, and {name(f)} returned {what}. Sum it, or use "
                "tg.jacobian or tg.vjp"
            )
        gradients = pull(_like(np.ones(value.shape, value.dtype), value))
        return value, gradients[0] if isinstance(argnums, int) else gradients

    return value_and_gradient


def grad(f: Function, argnums: Argnums = 0) -> Function:
    """Make the function that returns the gradient of ``f``; see `value_and_grad`.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> tg.grad(tg.grad(lambda x: x**3))(2.0)
    array(12.)
    """
    both = value_and_grad(f, argnums)
    return _of("grad", "The gradient", f)(lambda *args, **kwargs: both(*args, **kwargs)[1])


def vjp(f: Function, *xs: Any) -> tuple[Any, Function]:
    """Compute ``f(*xs)``, and the function that carries cotangents of the result back to the inputs.

    Returns
    -------
    value
        ``f(*xs)``.
    callable
        Takes a cotangent, nested and shaped as the value; returns a tuple with the gradient for each of `xs`.

    Raises
    ------
    TypeError
        If an argument is not floating point, or a cotangent is nested in another way than the value.
    ValueError
        If a cotangent's shape is not the value's.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> value, pull = tg.vjp(lambda x: x * x, np.array([1.0, 2.0]))
    >>> pull(np.array([1.0, 10.0]))
    (array([ 2., 40.]),)
    """
    return _linearize(f, _choose(f, xs, tuple(range(len(xs)))))[:2]


def jvp(f: Function, xs: tuple[Any, ...], vs: tuple[Any, ...]) -> tuple[Any, Any]:
    """Compute ``f(*xs)`` and its derivative along the directions ``vs``.

    Reverse mode done twice: the vector-Jacobian product is linear in its cotangent, and the transpose of that linear
    map is the derivative wanted (Townsend, "A new trick for calculating Jacobian vector products", 2017).

    Raises
    ------
    TypeError
        If an argument is not floating point, or `xs` and `vs` are not tuples of equal length.
    ValueError
        If a direction's shape is not its input's.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> tg.jvp(np.sin, (0.0,), (2.0,))
    (array(0.), array(2.))
    """
    if not (isinstance(xs, tuple | list) and isinstance(vs, tuple | list)):
        raise TypeError(
            f"jvp takes a tuple of inputs and one of directions, and got {type(xs).__name__} and {type(vs).__name__}: "
            "for one argument, write tg.jvp(f, (x,), (v,))"
        )
    xs, vs = tuple(xs), tuple(vs)
    if len(xs) != len(vs):
        raise TypeError(f"jvp got {len(xs)} inputs and {len(vs)} directions: give one direction for each input")
    chosen = _choose(f, xs, tuple(range(len(xs))))
    inputs = [x if isinstance(x, Tensor) else tensor(x) for x in _leaves(chosen)]
    directions = _matching(xs, vs, "direction", "input")
    for x, v in zip(inputs, directions, strict=True):
        if np.shape(v) != x.shape:
            raise ValueError(f"a direction has shape {np.shape(v)}, and its input {x.shape}: make them equal")
    value, pull, live = _linearize(f, _nest(chosen, inputs))
    live = live or (is_recording() and _any_tracked(directions))
    dummies = [np.zeros(y.shape, y.dtype if y.dtype.kind == "f" else float) for y in _leaves(value)]
    _, push, _ = _linearize(lambda *us: pull(_nest(value, us)), tuple(map(tensor, dummies)))
    found = push(_nest(chosen, directions))
    if live:
        return value, _nest(value, found)
    if _any_tensor((xs, vs)):
        return value, _nest(value, [t.detach() for t in found])
    return _nest(value, [y.numpy() for y in _leaves(value)]), _nest(value, [t.numpy() for t in found])


def jacobian(f: Function, argnums: int = 0) -> Function:
    """Make the function that returns all derivatives of ``f``: shape ``f(x).shape + x.shape``.

    Raises
    ------
    TypeError
        If `argnums` is not one position, the argument is not floating point, or argument or result are not one array.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> tg.jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    if isinstance(argnums, tuple | list):
        raise TypeError(f"jacobian(…, argnums={argnums}) takes one position: call it once for each argument")
    _check_argnums("jacobian", argnums)

    @_of("jacobian", "All derivatives", f)
    def all_derivatives(*args: Any, **kwargs: Any) -> Any:
        (x,) = chosen = _choose(f, args, (argnums,))
        value, pull, _ = _linearize(lambda x: f(*_replaced(args, (argnums,), (x,)), **kwargs), chosen)
        if not (hasattr(value, "shape") and hasattr(x, "shape")):
            raise TypeError("jacobian takes functions of one array that return one array: use tg.vjp for nested ones")
        rows = []
        for i in range(value.size):
            unit = np.zeros(value.size, value.dtype)
            unit[i] = 1
            rows.append(pull(_like(unit.reshape(value.shape), value))[0])
        if not rows:
            return _like(np.zeros(value.shape + x.shape, value.dtype), value)
        return np.reshape(np.stack(rows), value.shape + x.shape)

    return all_derivatives


def hessian(f: Function, argnums: int = 0) -> Function:
    """Make the function that returns all second derivatives of a scalar ``f``: shape ``x.shape + x.shape``.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> tg.hessian(lambda x: x[0] * x[1])(np.array([3.0, 5.0]))
    array([[0., 1.],
           [1., 0.]])
    """
    return _of("hessian", "All second derivatives", f)(jacobian(grad(f, argnums), argnums))


def hvp(f: Function) -> Function:
    """Make the function ``(x, v) -> H v``: the Hessian of a scalar ``f`` at x times v, without the Hessian.

    Raises
    ------
    TypeError
        If an argument is not floating point, or `f` is not scalar.
    ValueError
        If the vector's shape is not the input's.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> product = tg.hvp(lambda x: np.sum(x**3))
    >>> product(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """

    @_of("hvp", "The Hessian times a vector, by (x, v),", f)
    def product(x: Any, v: Any) -> Any:
        directions = _matching(x, v, "direction", "input")
        for given, direction in zip(_leaves(x), directions, strict=True):
            if np.shape(given) != np.shape(direction):
                raise ValueError(
                    f"the direction has shape {np.shape(direction)}, and the input {np.shape(given)}: make them equal"
                )
        return grad(lambda x: sum(np.sum(g * d) for g, d in zip(_leaves(grad(f)(x)), directions, strict=True)))(x)

    return product


# -------------------------------------------------------------------------------------------------------- one pullback


def _linearize(f: Function, xs: tuple[Any, ...]) -> tuple[Any, Function, bool]:
    """Call ``f`` on tensors made of ``xs``; return its value, its pullback, and whether these are to be recorded."""
    given = _leaves(xs)
    outside = is_recording()
    with recording():
        inputs = [+x if isinstance(x, Tensor) and x.requires_grad else _input(x) for x in given]
        made = f(*_nest(xs, inputs))
    results = [y if isinstance(y, Tensor) else tensor(y) for y in _leaves(made)]
    tracked = [y for y in results if y.requires_grad]
    ends = set(inputs)
    live = outside and (_any_tracked(given) or depends_on_others(tracked, ends))
    for x in inputs:
        if x._recipe is INPUT:
            x._recipe = CLOSED
    program = tracing() is not None  # all is done with Tensors then, as it is to be traced
    as_tensors = live or program or _any_tensor(given)
    value = _nest(made, results if live else [y.detach() if as_tensors else y.numpy() for y in results])

    def pull(cotangent: Any) -> Any:
        flat = _matching(made, cotangent, "cotangent", "result")
        tensors = as_tensors or _any_tensor(flat)
        record = is_recording() and (live or _any_tracked(flat))
        seeds: dict[Tensor, Any] = {}
        for y, c in zip(results, flat, strict=True):
            if np.shape(c) != y.shape:
                raise ValueError(f"a cotangent has shape {np.shape(c)}, and its result {y.shape}: make them equal")
            if y.requires_grad:
                if record or program:
                    c = c.astype(y.dtype) if isinstance(c, Tensor) else tensor(c, dtype=y.dtype)
                else:
                    c = np.asarray(c.numpy() if isinstance(c, Tensor) else c, dtype=y.dtype)
                seeds[y] = seeds[y] + c if y in seeds else c
        with recording(record):
            found = sweep(seeds, create_graph=record or program, keep=True, inputs=ends)
        gradients = [found[x] if x in found else np.zeros(x.shape, x.dtype) for x in inputs]
        if tensors:
            return _nest(xs, [g if isinstance(g, Tensor) else tensor(g) for g in gradients])
        return _nest(xs, [np.array(g) for g in gradients])

    return value, pull, live


def _input(x: Any) -> Tensor:
    """A Tensor that is neither a leaf nor computed, for a function to be differentiated by."""
    made = x.detach() if isinstance(x, Tensor) else tensor(x)
    made._recipe = INPUT
    return made


def _check_argnums(transform: str, argnums: Any) -> None:
    numbers = argnums if isinstance(argnums, tuple | list) else (argnums,)
    if not numbers or not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
        raise TypeError(f"{transform}(…, argnums={argnums!r}): give an argument's position, or a tuple of positions")


def _of(transform: str, what: str, f: Function) -> Callable[[Function], Function]:
    """Name what a transform makes after it and its function; nothing else of the function's is taken over."""

    def rename(made: Function) -> Function:
        made = wraps(f, assigned=("__module__",), updated=())(made)
        made.__name__ = made.__qualname__ = f"{transform}({name(f)})"
        made.__doc__ = f"{what} of {name(f)}."
        return made

    return rename


def _choose(f: Function, args: tuple[Any, ...], positions: tuple[int, ...]) -> tuple[Any, ...]:
    """The arguments to differentiate, as floating-point arrays or Tensors."""
    if any(not -len(args) <= p < len(args) for p in positions):
        raise TypeError(
            f"argnums={positions} of {name(f)}, which got {len(args)} positional argument{'s' * (len(args) != 1)}: "
            "what it is differentiated by is given by position, f(2.0) for f(x=2.0)"
        )
    if len({p % len(args) for p in positions}) < len(positions):
        raise TypeError(f"argnums={positions} of {name(f)} names an argument twice")
    chosen = tuple(args[p] for p in positions)
    leaves = _leaves(chosen)
    arrays = [x if isinstance(x, Tensor) else np.asarray(x) for x in leaves]
    for x in arrays:
        if x.dtype.kind != "f":
            raise TypeError(
                f"cannot differentiate {name(f)} by an argument of dtype {x.dtype}: derivatives are taken of "
                "floating-point numbers. Write 1.0 for 1"
            )
    return tuple(_nest(chosen, arrays))


def _replaced(args: tuple[Any, ...], positions: tuple[int, ...], xs: tuple[Any, ...]) -> list[Any]:
    new = list(args)
    for position, x in zip(positions, xs, strict=True):
        new[position] = x
    return new


def _like(array: Any, value: Any) -> Any:
    """An array, as a Tensor if the value is one."""
    return tensor(array) if isinstance(value, Tensor) else array


# -------------------------------------------------------------------------------------------------------- nested values


def _leaves(tree: Any) -> list[Any]:
    """The leaves of nested tuples, lists and dicts, in order."""
    if isinstance(tree, dict):
        tree = tuple(tree.values())
    if isinstance(tree, tuple | list):
        return [leaf for branch in tree for leaf in _leaves(branch)]
    return [tree]


def _matching(tree: Any, other: Any, what: str, whose: str) -> list[Any]:
    """The leaves of another tree, which must be nested as the tree is, in the tree's order."""
    if isinstance(tree, dict) and isinstance(other, dict) and tree.keys() == other.keys():
        pairs = [(tree[k], other[k]) for k in tree]
    elif isinstance(tree, tuple | list) and isinstance(other, tuple | list) and len(tree) == len(other):
        pairs = list(zip(tree, other, strict=True))
    elif isinstance(tree, dict | tuple | list):
        raise TypeError(f"a {what} must be nested as its {whose} is, {_sketch(tree)}, and this one is {_sketch(other)}")
    else:
        return [other]
    return [leaf for pair in pairs for leaf in _matching(*pair, what, whose)]


def _sketch(tree: Any) -> str:
    if isinstance(tree, dict):
        return f"a dict with the keys {list(tree)}"
    return f"a {type(tree).__name__}" + (f" of length {len(tree)}" if isinstance(tree, tuple | list) else "")


def _nest(tree: Any, leaves: Iterable[Any]) -> Any:
    """The same nesting with other leaves."""
    if isinstance(tree, dict):
        supply = iter(leaves)
        return {k: _nest(v, supply) for k, v in tree.items()}
    if isinstance(tree, tuple | list):
        supply = iter(leaves)
        parts = [_nest(v, supply) for v in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return next(iter(leaves))


def _any_tensor(tree: Any) -> bool:
    return any(isinstance(leaf, Tensor) for leaf in _leaves(tree))


def _any_tracked(leaves: list[Any]) -> bool:
    return any(isinstance(leaf, Tensor) and leaf.requires_grad for leaf in leaves)
