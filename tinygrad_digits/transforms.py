"""Derivatives of functions: grad, value_and_grad, vjp, jvp, jacobian, hessian, hvp.

Arrays in, arrays out; Tensors in, Tensors out, and these can be differentiated in turn, so that the transforms nest. Inputs
and outputs may be nested in tuples, lists and dicts. An input that the output does not depend on has gradient zero. The
``grad`` of tensors is never touched.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from . import autodiff
from .tensor import Tensor, apply, no_grad, recording, tensor

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

    @wraps(f)
    def value_and_gradient(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        chosen = _choose(f, args, positions)
        value, pull = _linearize(lambda *xs: f(*_replaced(args, positions, xs), **kwargs), chosen)
        if isinstance(value, dict | list | tuple) or np.size(value) != 1:
            what = f"shape {value.shape}" if hasattr(value, "shape") else type(value).__name__
            raise TypeError(
                f"grad needs a function with a scalar result, and {autodiff.name(f)} returned {what}. Sum it, or use "
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
    return wraps(f)(lambda *args, **kwargs: both(*args, **kwargs)[1])


def vjp(f: Function, *xs: Any) -> tuple[Any, Function]:
    """Compute ``f(*xs)``, and the function that carries cotangents of the result back to the inputs.

    Returns
    -------
    value
        ``f(*xs)``.
    callable
        Takes a cotangent, nested and shaped as the value; returns a tuple with the gradient for each of `xs`.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> value, pull = tg.vjp(lambda x: x * x, np.array([1.0, 2.0]))
    >>> pull(np.array([1.0, 10.0]))
    (array([ 2., 40.]),)
    """
    return _linearize(f, _choose(f, xs, tuple(range(len(xs)))))


def jvp(f: Function, xs: tuple[Any, ...], vs: tuple[Any, ...]) -> tuple[Any, Any]:
    """Compute ``f(*xs)`` and its derivative along the directions ``vs``.

    Reverse mode done twice: the vector-Jacobian product is linear in its cotangent, and the transpose of that linear map
    is the derivative wanted (Townsend, "A new trick for calculating Jacobian vector products", 2017).

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> tg.jvp(np.sin, (0.0,), (2.0,))
    (array(0.), array(2.))
    """
    if len(xs) != len(vs):
        raise TypeError(f"jvp got {len(xs)} inputs and {len(vs)} directions: give one direction for each input")
    chosen = _choose(f, xs, tuple(range(len(xs))))
    numbers = _leaves(chosen)
    directions = _leaves(tuple(vs))
    for x, v in zip(numbers, directions, strict=True):
        if np.shape(x) != np.shape(v):
            raise ValueError(f"a direction has shape {np.shape(v)}, and its input {np.shape(x)}: make them equal")
    outer = [x if isinstance(x, Tensor) else tensor(x) for x in numbers]
    value, pull = _linearize(f, _nest(chosen, outer))
    leaves = _leaves(value)
    dummies = [tensor(np.zeros(y.shape, y.dtype), requires_grad=True) for y in leaves]
    _, push = _linearize(lambda *us: pull(_nest(value, us)), tuple(dummies))
    found = push(_nest(chosen, [v if isinstance(v, Tensor) else tensor(v, dtype=x.dtype) for x, v in zip(outer, directions, strict=True)]))
    if _any_tensor((xs, vs)):
        return value, _nest(value, found)
    return _nest(value, [y.numpy() for y in leaves]), _nest(value, [t.numpy() for t in found])


def jacobian(f: Function, argnums: int = 0) -> Function:
    """Make the function that returns all derivatives of ``f``: shape ``f(x).shape + x.shape``.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> tg.jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    @wraps(f)
    def all_derivatives(*args: Any, **kwargs: Any) -> Any:
        (x,) = chosen = _choose(f, args, (argnums,))
        value, pull = _linearize(lambda x: f(*_replaced(args, (argnums,), (x,)), **kwargs), chosen)
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
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Function) -> Function:
    """Make the function ``(x, v) -> H v``: the Hessian of a scalar ``f`` at x times v, without the Hessian.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> tg.hvp(lambda x: np.sum(x**3))(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """

    def product(x: Any, v: Any) -> Any:
        (given,) = _choose(f, (x,), (0,))
        if np.shape(given) != np.shape(v):
            raise ValueError(f"the direction has shape {np.shape(v)}, and the input {np.shape(given)}: make them equal")
        return grad(lambda x: np.sum(grad(f)(x) * v))(given)

    return product


# -------------------------------------------------------------------------------------------------------- one pullback


def _linearize(f: Function, xs: tuple[Any, ...]) -> tuple[Any, Function]:
    """Call ``f`` on tensors made of ``xs``; return its value and its pullback."""
    given = _leaves(xs)
    tracked = _any_tensor(given)
    with recording():
        inputs = [apply(np.positive, _tracked(x)) if isinstance(x, Tensor) else tensor(x, requires_grad=True) for x in given]
        made = f(*_nest(xs, inputs))
    results = _leaves(made)
    results = [y if isinstance(y, Tensor) else tensor(y) for y in results]
    value = _nest(made, results if tracked else [y.numpy() for y in results])

    def pull(cotangent: Any) -> Any:
        seeds: dict[Tensor, Any] = {}
        flat = _leaves(cotangent)
        live = tracked or _any_tensor(flat)
        for y, c in zip(results, flat, strict=True):
            if np.shape(c) != y.shape:
                raise ValueError(f"a cotangent has shape {np.shape(c)}, and its result {y.shape}: make them equal")
            if y.requires_grad:
                c = c if isinstance(c, Tensor) or not live else tensor(c, dtype=y.dtype)
                c = c if isinstance(c, Tensor) else np.asarray(c, dtype=y.dtype)
                seeds[y] = seeds[y] + c if y in seeds else c
        with recording() if live else no_grad():
            found = autodiff.sweep(seeds, create_graph=live, keep=True, inputs=set(inputs))
        gradients = [found.get(x) for x in inputs]
        zeros = [np.zeros(x.shape, x.dtype) for x in inputs]
        if live:
            return _nest(xs, [tensor(z) if g is None else g for g, z in zip(gradients, zeros, strict=True)])
        return _nest(xs, [z if g is None else np.array(g) for g, z in zip(gradients, zeros, strict=True)])

    return value, pull


def _tracked(x: Tensor) -> Tensor:
    return x if x.requires_grad else tensor(x.numpy(), requires_grad=True)


def _choose(f: Function, args: tuple[Any, ...], positions: tuple[int, ...]) -> tuple[Any, ...]:
    """The arguments to differentiate, as floating-point arrays or Tensors."""
    if any(not -len(args) <= p < len(args) for p in positions):
        raise TypeError(f"argnums={positions} of {autodiff.name(f)}, which got {len(args)} positional arguments")
    chosen = tuple(args[p] for p in positions)
    leaves = _leaves(chosen)
    arrays = [x if isinstance(x, Tensor) else np.asarray(x) for x in leaves]
    for x in arrays:
        if x.dtype.kind != "f":
            raise TypeError(
                f"cannot differentiate {autodiff.name(f)} by an argument of dtype {x.dtype}: derivatives are taken of "
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


def _nest(tree: Any, leaves: Any) -> Any:
    """The same nesting with other leaves."""
    supply = iter(leaves)

    def build(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {k: build(v) for k, v in tree.items()}
        if isinstance(tree, tuple | list):
            parts = [build(v) for v in tree]
            return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
        return next(supply)

    return build(tree)


def _any_tensor(tree: Any) -> bool:
    return any(isinstance(leaf, Tensor) for leaf in _leaves(tree))
