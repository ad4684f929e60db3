"""The table of derivative rules, and the backward sweep that applies them.

A *rule* says how a gradient passes backward through one argument of one operation. The table is keyed by the
operation itself, mostly a NumPy function, and has one rule per argument::

    defvjp(np.multiply, lambda g, out, a, b: g * b,
                        lambda g, out, a, b: g * a)

``g`` is the gradient of the loss with respect to the operation's result ``out``; the rule returns the gradient with
respect to its argument (the vector-Jacobian product). A rule may only use functions that are in the table themselves
and methods that arrays and Tensors share. So the same rule serves arrays, and Tensors when derivatives of derivatives
are wanted. Rules need not think of broadcasting: the sweep undoes it.

This module knows NumPy only. A *node* of the graph is any object with the attributes ``_array`` (an array), ``_recipe``
(how it was computed: operation, arguments, the values they had, keywords, the positions of the arguments that need a
gradient, and a number, larger than those of nodes made before; `LEAF` where the graph begins; None where no gradient is
wanted), ``_lent`` and ``_retains_grad``. In the package there is one such class, ``Tensor``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import wraps
from heapq import heappop, heappush
from inspect import Parameter, signature
from itertools import count
from typing import Any

import numpy as np

Op = Callable[..., Any]
Rule = Callable[..., Any]

rules: dict[Op, tuple[Rule, ...] | _Each] = {}
"""The table: for each operation, a rule for each of its array arguments."""

nondifferentiable: set[Op] = set()
"""Functions whose result carries no gradient: comparisons, argmax, shape and their kin."""

composites: dict[Op, Op] = {}
"""NumPy functions that are made of others: what to call instead when one is given a Tensor."""

writers: dict[Op, str] = {}
"""NumPy functions that write to their first argument, and how to make a new Tensor instead."""

expanded: set[Op] = set()
"""Primitives whose bodies can be given Tensors: in a compiled program they are the operations they are made of."""

into: dict[Op, Op] = {}
"""For operations: a function that takes what they take, and writes the result to the array it is given first."""

advice: dict[Op, str] = {}
"""For functions without a rule: what to do instead."""

next_number = count(1).__next__
"""Gives each recipe its number."""

# Recipes without an operation. They are told apart by `is`, and hold their names only so as not to be equal.
LEAF: Any = (None, (), (), {"of": "leaf"}, (), 0)
"""The recipe of a node that was made, not computed, and wants a gradient."""

INPUT: Any = (None, (), (), {"of": "input"}, (), 0)
"""The recipe of an argument of a function that is being differentiated."""

CLOSED: Any = (None, (), (), {"of": "closed"}, (), 0)
"""The recipe of such an argument afterwards: nobody else can ask for its gradient."""

FREED: Any = (None, (), (), {"of": "freed"}, (), 0)
"""The recipe of a node whose graph has been used up by a backward sweep."""


# ---------------------------------------------------------------------------------------------------------- the table


def defvjp(op: Op, *row: Rule | None) -> None:
    """Enter the derivative rules of an operation into the table, one for each array argument.

    Parameters
    ----------
    op : callable
        A NumPy function, or a function made by `primitive`.
    *row : callable or None
        ``rule(g, out, *args, **kwargs)`` returns the gradient for one argument, of that argument's shape or of one that
        broadcasting would make of it: a new array, `g` itself, or a view of it. None: there is no derivative for this
        argument, and asking for one is an error.

    Raises
    ------
    TypeError
        If no rule is given, or more than the operation has arguments, or one of them cannot be called.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> @tg.primitive
    ... def cube(x):
    ...     return x**3
    >>> tg.defvjp(cube, lambda g, out, x: g * 3 * x**2)
    >>> tg.grad(cube)(2.0)
    array(12.)
    """
    if not row or not all(rule is None or callable(rule) for rule in row):
        raise TypeError(f"defvjp({name(op)}, …) needs one rule (a function or None) for each argument")
    most = _most_arguments(key(op))
    if len(row) > most:
        raise TypeError(f"defvjp({name(op)}, …) was given {len(row)} rules, for an operation of {most} arguments")
    rules[key(op)] = tuple(rule or _no_derivative(op, position) for position, rule in enumerate(row))


def defvjp_each(op: Op, rule: Rule) -> None:
    """Enter one rule for all arguments of an operation that takes any number: ``rule(g, out, position, *args)``."""
    rules[key(op)] = _Each(rule)


def _most_arguments(op: Op) -> float:
    """How many positional arguments an operation takes."""
    if isinstance(op, np.ufunc):
        return op.nin
    try:
        kinds = [p.kind for p in signature(op).parameters.values()]
    except ValueError:  # some functions written in C do not tell
        return np.inf
    return np.inf if Parameter.VAR_POSITIONAL in kinds else sum(kind is not Parameter.KEYWORD_ONLY for kind in kinds)


class _Each:
    """A row of the table that makes the rule for any position."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def __getitem__(self, position: int) -> Rule:
        return lambda g, out, *args, **kwargs: self.rule(g, out, position, *args, **kwargs)


def _no_derivative(op: Op, position: int) -> Rule:
    def rule(*_: Any, **__: Any) -> None:
        raise TypeError(f"{name(op)} has no derivative for its argument number {position + 1}: detach() that argument")

    return rule


def primitive(function: Op) -> Op:
    """Make a function of arrays an operation that Tensors can pass through.

    Given arrays only, it is the function as it was. Given a Tensor, it is recorded as one operation, and needs rules
    entered by `defvjp`. It returns one new array, and must not write to its arguments. A Tensor given by name goes to
    its position; keyword-only arguments have no derivative.

    Raises
    ------
    TypeError
        If it is given a Tensor in a list, tuple or dict, which no rule could see.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> @tg.primitive
    ... def double(x):
    ...     return 2 * x
    >>> tg.defvjp(double, lambda g, out, x: double(g))
    >>> double(np.ones(2))
    array([2., 2.])
    >>> double(tg.tensor([1.0]))
    Tensor([2.])
    """
    known = _keyword_only(function)

    @wraps(function)
    def op(*args: Any, **kwargs: Any) -> Any:
        if kwargs and not known.issuperset(kwargs):
            args, kwargs = _positional(function, args, kwargs)
        for a in args:
            if hasattr(a, "_recipe"):
                return a._apply(function, args, kwargs)
            if type(a) in (list, tuple, dict):
                refuse_nested(a, function, "an argument")
        for keyword, a in kwargs.items():
            if hasattr(a, "_recipe"):
                return a._apply(function, args, kwargs)
            if type(a) in (list, tuple, dict):
                refuse_nested(a, function, f"{keyword}=")
        return function(*args, **kwargs)

    op.primitive = function  # type: ignore[attr-defined]
    return op


def _keyword_only(op: Op) -> set[str]:
    try:
        return {p.name for p in signature(op).parameters.values() if p.kind is Parameter.KEYWORD_ONLY}
    except ValueError:  # some functions written in C do not tell
        return set()


def _positional(op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with nodes that were given by name at the positions that the rules know them by."""
    given = [keyword for keyword, value in kwargs.items() if hasattr(value, "_recipe")]
    if not given:
        return args, kwargs
    free = [p for p in signature(op).parameters.values() if p.kind is Parameter.POSITIONAL_OR_KEYWORD][len(args) :]
    last = max((i for i, p in enumerate(free) if p.name in given), default=-1)
    moved = [kwargs.get(p.name, p.default) for p in free[: last + 1]]
    if any(value is Parameter.empty for value in moved):
        return args, kwargs  # an argument before it is missing, which is an error further on
    names = {p.name for p in free[: last + 1]}
    return (*args, *moved), {keyword: value for keyword, value in kwargs.items() if keyword not in names}


def refuse_nested(value: Any, op: Op, which: str) -> None:
    """Raise TypeError if a node is in a list, tuple or dict, where no rule would see it."""
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        if hasattr(part, "_recipe"):
            raise TypeError(
                f"{name(op)} was given a tensor inside a {type(value).__name__}, as {which}, and would not record it: "
                "give each tensor as an argument of its own, or join them with np.stack"
            )
        refuse_nested(part, op, which)


def key(op: Op) -> Op:
    """Under which function the table holds an operation."""
    return getattr(op, "primitive", op)


def name(op: Op) -> str:
    """What a person calls an operation."""
    text = getattr(op, "__name__", str(op))
    module = getattr(op, "__module__", None) or ""
    if isinstance(op, np.ufunc) or module.split(".")[0] == "numpy":
        return f"{module.replace('numpy', 'np', 1) if module.startswith('numpy') else 'np'}.{text}"
    return text


def missing_rule(op: Op) -> TypeError:
    """Say which operation has no rule, and what can be done."""
    instead = f": {advice[op]}. Or write" if op in advice else ". Write"
    return TypeError(
        f"{name(op)} has no derivative rule{instead} it with functions that have one; or add a rule with "
        f"tg.defvjp({name(op)}, lambda g, out, x: …); or, where no gradient is wanted, give it x.detach()"
    )


# ---------------------------------------------------------------------------------------------------------- the sweep


def sweep(
    seeds: dict[Any, Any],
    *,
    create_graph: bool,
    keep: bool,
    inputs: Collection[Any] = (),
    visit: Callable[[Op, Any], None] = lambda op, args: None,
) -> dict[Any, Any]:
    """Carry gradients from results back to where the graph begins.

    Iterative, from the last node made to the first: by the time it is a node's turn, all its uses have sent their
    gradients, as they were made later. Nothing is stored on a node; gradients of intermediates die here, but for those
    that `retain_grad` marks. Values are looked at on the way: an error may come when part of the graph has been freed.

    Parameters
    ----------
    seeds : dict of node to array
        Where to begin, and the gradient each begins with.
    create_graph : bool
        Call the rules with nodes instead of arrays, so that what they compute is recorded in turn.
    keep : bool
        Leave the recipes in place, for another sweep.
    inputs : collection of nodes
        Nodes at which to stop although they have recipes.
    visit : callable
        With `create_graph`: called with each operation and its arguments, before its rules are.

    Returns
    -------
    dict of node to array (to node, with `create_graph`)
        The gradient of every leaf, every one of `inputs`, and every node marked by `retain_grad`, that was reached.
    """
    reached: dict[Any, Any] = {}
    waiting: dict[Any, Any] = {}  # for what newer nodes may yet send
    newest: list[tuple[int, Any]] = []  # of those that wait: a heap

    def send(node: Any, g: Any) -> None:
        recipe = node._recipe
        place = reached if _is_end(node, recipe, inputs) else waiting
        if node in place:
            g = place[node] + g
        elif place is waiting:
            heappush(newest, (-recipe[-1], node))
        place[node] = g

    for seed, g in seeds.items():
        send(seed, g)
    while newest:
        node = heappop(newest)[1]
        g = waiting.pop(node)
        while node is not None:  # down a chain, where nothing else waits
            op, args, values, kwargs, wanted, _ = node._recipe
            if op is None:  # another sweep has freed it meanwhile
                raise _freed()
            position = 0
            for source in args:
                value = values[position]
                position += 1  # noqa: SIM113 - counting by hand is faster than enumerate
                if (
                    source is not value
                    and (source._array is not value or source._lent is not None)
                    and source._now() is not value
                ):
                    raise RuntimeError(
                        f"argument {position} of {name(op)}, {describe(source)}, was changed after it was used, so the "
                        "gradient would be wrong. Change it after backward(), or use a copy of it"
                    )
            if node._retains_grad:
                reached[node] = g
            if create_graph:
                visit(op, args)
                given, out = args, node
            else:
                given, out = values, node._array
            if not keep:
                node._recipe = FREED
            row, node, following = rules[op], None, None
            for position in wanted:
                try:
                    rule = row[position]
                except IndexError:
                    rule = _no_derivative(op, position)
                if kwargs:
                    passed = rule(g, out, *given, **kwargs)
                elif len(given) == 2:  # most often, and a list to unpack takes time
                    passed = rule(g, out, given[0], given[1])
                else:
                    passed = rule(g, out, *given)
                value = values[position]
                try:
                    fits = passed.shape == value.shape
                except AttributeError:
                    raise TypeError(
                        f"the rule of {name(op)} for its argument number {position + 1} gave {passed!r:.50}, a "
                        f"{type(passed).__name__}: let it return an array of shape {value.shape}"
                    ) from None
                if not fits:
                    passed = _unbroadcast(passed, value.shape, op)
                if passed.dtype is not value.dtype:
                    passed = _cast(passed, value.dtype, op)
                source = args[position]
                if node is not None or source in inputs or not (recipe := source._recipe) or not recipe[0]:
                    send(source, passed)
                else:
                    node, following = source, passed
            if newest and node is not None:
                send(node, following)
                break
            g = following
    return reached


def _is_end(node: Any, recipe: Any, inputs: Collection[Any]) -> bool:
    """Whether gradients go no further than to a node. Complains of one that has lost its recipe."""
    if node in inputs:
        return True
    if recipe is None:
        raise RuntimeError(
            f"requires_grad of {describe(node)} was set to False after it had been used. Do so after backward()"
        )
    if recipe is FREED:
        raise _freed()
    return recipe[0] is None


def _freed() -> RuntimeError:
    return RuntimeError(
        "backward() through a graph that an earlier backward() has freed, or begun to free before it failed. "
        "Pass retain_graph=True to the earlier call, or compute the result anew"
    )


def depends_on_others(roots: Iterable[Any], inputs: Collection[Any]) -> bool:
    """Whether somebody can ask for the roots' gradient by anything that is not, and is not behind, the inputs."""
    nodes = list(roots)
    seen = set(nodes)
    for node in nodes:
        recipe = node._recipe
        if not _is_end(node, recipe, inputs):
            _, args, _, _, wanted, _ = recipe
            behind = {args[position] for position in wanted} - seen
            seen |= behind
            nodes += behind
    return any((node._recipe is LEAF or node._recipe is INPUT) and node not in inputs for node in nodes)


def _unbroadcast(g: Any, shape: tuple[int, ...], op: Op) -> Any:
    """Sum a gradient over the axes that broadcasting had added or stretched."""
    added = g.ndim - len(shape)
    if added > 0 and g.shape[added:] == shape:
        return np.add.reduce(g, axis=0 if added == 1 else tuple(range(added)))
    stretched = tuple(i for i, n in enumerate(g.shape) if i < added or (n != 1 and shape[i - added] == 1))
    fitted = np.add.reduce(g, axis=stretched, keepdims=True) if stretched else g
    if added < 0 or fitted.shape[added:] != shape:
        raise ValueError(f"the rule of {name(op)} gave a gradient of shape {g.shape} for an argument of shape {shape}")
    return fitted.reshape(shape)


def _cast(g: Any, dtype: np.dtype[Any], op: Op) -> Any:
    """Give a gradient the dtype of what it is the gradient of."""
    if dtype.kind != "f" or g.dtype.kind == "c":
        raise TypeError(
            f"backward() through {name(op)}, which has a gradient of dtype {g.dtype} for an argument of dtype {dtype}: "
            "gradients are of real floating-point numbers only. detach() what is not"
        )
    return g.astype(dtype)


def describe(node: Any) -> str:
    """Say in a few words which tensor is meant."""
    recipe = node._recipe
    made = "" if recipe is None or recipe[0] is None else f" made by {name(recipe[0])}"
    freed = " of a freed graph" if recipe is FREED else ""
    return f"the tensor of shape {node._array.shape} and dtype {node._array.dtype}{made}{freed}"
