"""Tensor: an array that remembers how it was computed.

Operators, NumPy's functions and a Tensor's own methods all end in `apply`, the one place where an operation is run and
recorded. The derivative rules are elsewhere (``ops/``), and so is the sweep that uses them (``autodiff``).

*Right or an error.* A recorded computation keeps the arrays it used. A tensor's version is the identity of its array:
whoever changes a tensor gives it a new array object, so that the sweep sees the change. Arrays that are also in
somebody else's hands (``asarray``, ``.data`` of a leaf) are *lent*: a copy of their
bytes tells whether they were written to. A plain array used together with tensors is copied into the recipe: that it is
read-only does not say that nobody can write to its memory. Only the memory of bytes, and what is `Frozen`, is exempt.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar
from functools import cache
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction, signature
from threading import Lock
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import autodiff
from .autodiff import CLOSED, LEAF, Op, describe, name, next_number, rules

_recording: ContextVar[bool] = ContextVar("recording", default=True)
_is_recording = _recording.get

_tracing: ContextVar[Any] = ContextVar("tracing", default=None)
_traces = 0  # in all threads; most of the time there is none, and then this is what is looked at
_traces_lock = Lock()
_ndarray = np.ndarray

_NO_KEYWORDS: dict[str, Any] = {}
_SCALARS = frozenset({int, float, bool})
_CONSTANTS = frozenset({int, float, bool, str, type(None)})

_USUAL = frozenset({"axis", "keepdims"})

Shape = tuple[int, ...]


# ---------------------------------------------------------------------------------------------------------- recording


def apply(op: Op, *args: Any, **kwargs: Any) -> Tensor:
    """Run an operation on the arrays of its arguments; record it if a gradient may be wanted.

    Parameters
    ----------
    op : callable
        A function of arrays, in the table of rules.
    *args : Tensor, array or scalar
        What gradients may be wanted for.
    **kwargs
        Everything else (axis, shape, …).

    Returns
    -------
    Tensor
        The result. It needs a gradient if one of the arguments does and recording is on (see `no_grad`).

    Raises
    ------
    TypeError
        If a gradient may be wanted and the operation has no rule.
    """
    return _apply(op, args, kwargs)


def _fixed(value: Any, keyword: str, op: Op) -> Any:
    """A keyword's value as it is now, out of reach of later changes."""
    if type(value) is tuple and _CONSTANTS.issuperset(map(type, value)):  # a shape, or axes
        return value
    if isinstance(value, Tensor):
        if value._recipe is not None and _recording.get():
            raise TypeError(f"{name(op)} has no derivative for {keyword}=: give it an array, or detach() the tensor")
        return value.numpy()
    if type(value) is tuple and any(type(part) is Tensor for part in value) and not _tracked(value):  # an index
        return tuple([_fixed(part, keyword, op) for part in value])
    autodiff.refuse_nested(value, op, f"{keyword}=")
    return value.copy() if isinstance(value, np.ndarray | list | dict | set) else value


def _apply(op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    if _traces and (trace := _tracing.get()) is not None:
        traced: Tensor = trace.apply(op, args, kwargs)
        return traced
    if kwargs:
        for keyword, value in kwargs.items():
            if type(value) not in _CONSTANTS:
                kwargs = {**kwargs, keyword: _fixed(value, keyword, op)}
    if len(args) == 1 and type(a := args[0]) is Tensor and a._recipe is not None and _is_recording():
        if op not in rules:
            raise autodiff.missing_rule(op)
        x = a._array if a._lent is None else a._now()
        try:
            data = op(x, **kwargs) if kwargs else op(x)
        except (ValueError, IndexError) as error:
            raise _explained(error, op, args) from None
        if type(data) is not _ndarray or data is x:
            data = _checked(data, op, args)
        return _new(data, (op, args, (x,), kwargs, (0,), next_number()))
    values = []
    wanted = []
    loose = []  # arguments that somebody may change
    position = 0
    for a in args:
        if isinstance(a, Tensor):
            values.append(a._array if a._lent is None else a._now())
            if a._recipe is not None:
                wanted.append(position)
        else:
            values.append(a)
            if type(a) not in _SCALARS and not _stays(a):
                loose.append(position)
                if type(a) is not _ndarray:
                    _refuse_masked(a, op)
        position += 1  # noqa: SIM113 - counting by hand is faster than enumerate
    try:
        data = op(*values, **kwargs) if kwargs else op(*values)
    except (ValueError, IndexError) as error:
        raise _explained(error, op, args) from None
    if type(data) is not _ndarray or data is values[0] or (loose and data.dtype.kind not in "fiub"):
        data = _checked(data, op, args)
    recipe = None
    if wanted and _is_recording():
        if op not in rules:
            raise autodiff.missing_rule(op)
        if loose:
            held = list(args)
            for position in loose:
                held[position] = values[position] = _constant(args[position], op)
            args = tuple(held)
        recipe = (op, args, values, kwargs, wanted, next_number())
    elif data.base is not None or any(data is value for value in values):  # noqa: SIM102 - the common case first
        # A view outside the graph would not notice that its tensor is changed: it gets memory of its own.
        if wanted or any(a._lent is not None if isinstance(a, Tensor) else isinstance(a, np.ndarray) for a in args):
            data = data.copy()
    tensor: Tensor = _allocate(Tensor)  # as _new does; a call less is 5 % of a small operation
    tensor._array = data
    tensor._recipe = recipe
    tensor._lent = None
    tensor._retains_grad = False
    tensor.grad = None
    return tensor


def _new(data: NDArray[Any], recipe: Any = None, lent: bytes | None = None) -> Tensor:
    """Make a Tensor of an array as it is."""
    tensor: Tensor = _allocate(Tensor)
    tensor._array = data
    tensor._recipe = recipe
    tensor._lent = lent
    tensor._retains_grad = False
    tensor.grad = None
    return tensor


_allocate = object.__new__


def _constant(a: Any, op: Op) -> Any:
    """Make a plain argument fit to be kept in a recipe: an array or list is copied, as it may change."""
    if op is operator.getitem:
        return a
    if type(a) is _ndarray and a.dtype.kind in "fiub":
        return a.copy()
    if isinstance(a, int | float | np.floating | np.integer | np.bool):
        return a
    array = np.asarray(a)
    if array.dtype.kind == "c":
        raise TypeError(f"{name(op)} of a tensor that needs a gradient and a complex number: complex has no rules here")
    if array.dtype.kind not in "biuf":
        return a
    return array if _fixed_memory(array) else array.copy()


def _lend(array: NDArray[Any]) -> Tensor:
    """Make a Tensor of an array that others hold too."""
    return _new(array, lent=None if _fixed_memory(array) else array.tobytes())


class Frozen(np.ndarray):
    """Memory for mini-batches and the like: filled once, then made read-only and handed out in views only.

    A plain array that is merely read-only may still be written to, through an older view or by turning its flag back.
    One over this memory may not, and need not be copied when it is recorded: 5 µs of the 72 of a small net's step.
    """

    def seal(self) -> NDArray[Any]:
        """Write no more: give a plain array over this memory."""
        self.setflags(write=False)
        return self.view(_ndarray)


def _stays(a: Any) -> bool:
    """Whether a plain argument is an array of real numbers that nobody can change."""
    return type(a) is _ndarray and a.dtype.kind != "c" and _fixed_memory(a)


def _fixed_memory(array: NDArray[Any]) -> bool:
    """Whether nobody can write to an array's memory, as it is `Frozen` or that of bytes."""
    owner: Any = array
    while type(owner) is _ndarray:
        owner = owner.base
    return type(owner) is bytes or (type(owner) is Frozen and not owner.flags.writeable)


def _checked(data: Any, op: Op, args: tuple[Any, ...]) -> NDArray[Any]:
    """An operation's result, not yet known to be one array of numbers, as one."""
    if isinstance(data, np.floating):
        return np.asarray(data)  # NumPy's scalars become arrays again
    if not isinstance(data, np.generic | np.ndarray | int | float | complex):
        raise TypeError(f"{name(op)} returned a {type(data).__name__}: what Tensors pass through returns one array")
    array = np.asarray(data)
    if array.dtype.kind not in "fiubc":
        operands = ", ".join(type(a).__name__ for a in args)
        raise TypeError(f"{name(op)} of {operands} gives dtype {array.dtype}, and a Tensor holds numbers of NumPy's")
    if array is data and any(array is (a._array if isinstance(a, Tensor) else a) for a in args):
        if not name(op).startswith("np."):
            raise TypeError(
                f"{name(op)} returned its own argument. If it wrote to it, it must not; if not, let it return x.copy()"
            )
        array = array.view()
    return array


def _refuse_masked(a: Any, op: Op) -> None:
    if isinstance(a, np.ndarray) and hasattr(a, "mask"):  # np.ma itself is not loaded for the question
        raise TypeError(
            f"{name(op)} was given a masked array, whose mask would be lost: give its .filled(0), say, and use np.where"
        )


def _explained(error: Exception, op: Op, args: Sequence[Any]) -> Exception:
    """NumPy's error, with the operation and the shapes of what it was given."""
    if type(error) not in (ValueError, IndexError, np.exceptions.AxisError):
        return error
    shapes = [str(np.shape(a)) for a in args if isinstance(a, Tensor | np.ndarray | np.generic | int | float)]
    of = f" of shape{'s' * (len(shapes) > 1)} {' and '.join(shapes)}" if shapes else ""
    return type(error)(f"{name(op)}{of}: {error}")


def tracing() -> Any:
    """The trace of the step that is being compiled here (see ``program``), or None."""
    return _tracing.get() if _traces else None


@contextmanager
def traced_by(trace: Any) -> Iterator[None]:
    """Have a trace told of all that Tensors do in this block: ``trace.apply`` instead of `apply`, and so on."""
    global _traces
    token = _tracing.set(trace)
    with _traces_lock:
        _traces += 1
        setattr(Tensor, "grad", _GRAD_WATCHED)  # noqa: B010 - a slot's place is not assigned to, types say
    try:
        yield
    finally:
        with _traces_lock:
            _traces -= 1
            if not _traces:
                setattr(Tensor, "grad", _GRAD)  # noqa: B010 - as above
        _tracing.reset(token)


def run(op: Op, *args: Any, **kwargs: Any) -> Any:
    """Call a function that is more than its result: a check that may raise, a draw of random numbers.

    When a step is compiled, its program calls the function too, each time it runs.
    """
    trace = tracing()
    return op(*args, **kwargs) if trace is None else trace.apply(op, args, kwargs)


@contextmanager
def recording(on: bool = True) -> Iterator[None]:
    """Record, or do not, in this block."""
    token = _recording.set(on)
    try:
        yield
    finally:
        _recording.reset(token)


class _Quiet(ContextDecorator):
    """What `no_grad` returns."""

    def __enter__(self) -> None:
        self._token = _recording.set(False)

    def __exit__(self, *error: object) -> None:
        _recording.reset(self._token)

    def _recreate_cm(self) -> _Quiet:
        return _Quiet()

    def __call__(self, function: Any) -> Any:
        if isgeneratorfunction(function) or iscoroutinefunction(function) or isasyncgenfunction(function):
            raise TypeError(
                f"@no_grad() on {name(function)} would end before its body runs, as that is a generator or coroutine. "
                "Write `with tg.no_grad():` inside it"
            )
        return super().__call__(function)


def no_grad() -> _Quiet:
    """Record nothing in this block (or, as a decorator ``@no_grad()``, in this function).

    It holds for the current thread and context only, and ends with the block, exceptions included. As a decorator it
    refuses generators and coroutines, whose bodies run later.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> x = tg.tensor([1.0], requires_grad=True)
    >>> with tg.no_grad():
    ...     print((x * 2).requires_grad)
    False
    """
    return _Quiet()


def is_recording() -> bool:
    """Whether operations are being recorded here (see `no_grad`)."""
    return _recording.get()


# -------------------------------------------------------------------------------------------------------- making them


def tensor(data: ArrayLike, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Make a Tensor with a copy of some data.

    Parameters
    ----------
    data : array_like
        Numbers, nested lists of them, an array.
    dtype : dtype, optional
        NumPy's choice for the data if not given.
    requires_grad : bool
        Whether ``backward()`` is to fill this tensor's ``grad``. Only for floating-point tensors.

    Raises
    ------
    TypeError
        If the data are not numbers; need a gradient and are not floating point; or hold tensors that need a gradient
        (``np.stack`` joins these).
    ValueError
        If a nested list is ragged.

    Examples
    --------
    >>> import tinygrad_digits as tg
    >>> tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    Tensor([[1., 2.],
            [3., 4.]], requires_grad=True)
    """
    made = _leaf(_new(_numbers(data, np.array(data, dtype=dtype, order="C"))), requires_grad)
    if _traces and (trace := _tracing.get()) is not None:
        trace.made(made, data)
    return made


def asarray(data: ArrayLike | Tensor, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Make a Tensor that shares its memory with an array where it can; a Tensor that fits is handed back as it is.

    As the array may change under it, each use compares it with a copy (but what is made of bytes cannot change). The
    parameters and errors are those of `tensor`.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> array = np.zeros(2)
    >>> shared = tg.asarray(array)
    >>> array[0] = 7
    >>> shared
    Tensor([7., 0.])
    """
    if isinstance(data, Tensor):
        fitting = data if dtype is None or data.dtype == dtype else data.astype(dtype)
        return fitting if fitting.requires_grad or not requires_grad else tensor(fitting, requires_grad=True)
    array = _numbers(data, np.asarray(data, dtype=dtype))
    shared = array.base is not None or not isinstance(data, int | float | complex | list | tuple | np.generic)
    return _leaf(_lend(array) if shared else _new(array), requires_grad)


def _numbers(data: Any, array: NDArray[Any]) -> NDArray[Any]:
    _refuse_masked(data, tensor)
    if array.dtype.kind not in "fiubc":
        raise TypeError(f"a Tensor holds numbers, but this data has dtype {array.dtype}")
    return array


def _leaf(tensor: Tensor, requires_grad: bool) -> Tensor:
    if requires_grad:
        if tensor._array.dtype.kind != "f":
            raise TypeError(
                f"only floating-point tensors can need a gradient, and this one has dtype {tensor._array.dtype}. "
                "Write 1.0 for 1, or pass dtype=float"
            )
        tensor._recipe = LEAF
    return tensor


# --------------------------------------------------------------------------------------------------------- the tensor


def _binary(op: Op) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
    """Make an operator and its reflection. It does what `_apply` does, in a quarter less time for small arrays."""

    def forward(self: Any, other: Any) -> Any:
        if _traces:
            return _apply(op, (self, other), {})
        x = self._array if self._lent is None else self._now()
        wanted: tuple[int, ...] = () if self._recipe is None else (0,)
        if type(other) is Tensor:
            y = other._array if other._lent is None else other._now()
            if other._recipe is not None:
                wanted = (0, 1) if wanted else (1,)
        elif type(other) in _SCALARS:
            y = other
        else:
            return _apply(op, (self, other), {})
        try:
            data = op(x, y)
        except ValueError as error:
            raise _explained(error, op, (self, other)) from None
        tensor: Tensor = _allocate(Tensor)  # as _new does; see _apply
        tensor._array = data if type(data) is _ndarray else np.asarray(data)
        recorded = wanted and _is_recording()
        tensor._recipe = (op, (self, other), (x, y), _NO_KEYWORDS, wanted, next_number()) if recorded else None
        tensor._lent = None
        tensor._retains_grad = False
        tensor.grad = None
        return tensor

    def reflected(self: Any, other: Any) -> Any:
        return _apply(op, (other, self), {})

    return forward, reflected


def _unary(op: Op) -> Callable[[Any], Any]:
    return lambda self: _apply(op, (self,), _NO_KEYWORDS)


def _untracked(op: Op) -> Callable[[Any, Any], Any]:
    return lambda self, other: _on_arrays(op, (self, other), {})


def _in_place(op: Op, sign: str) -> Callable[[Any, Any], Any]:
    """Make ``x += y``: what ``x = x + y`` does; for a leaf it is an update, and wants `no_grad`."""

    def assign(self: Any, other: Any) -> Any:
        if self._recipe is not LEAF:
            return apply(op, self, other)
        if _recording.get():
            raise RuntimeError(
                f"x {sign}= y on a leaf that requires a gradient, {describe(self)}: to compute with it, write "
                f"y = x {sign} …; to update it, do so under tg.no_grad(), or assign x.data"
            )
        self.data = apply(op, self, other)
        return self

    return assign


def _method(func: Op, note: str = "") -> Any:
    """Make a method that takes what NumPy's function takes, and refuses what that refuses of a Tensor."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not args and kwargs.keys() <= _USUAL and func in autodiff.rules:  # in half the time
            return _apply(func, (self,), kwargs)
        return _call(func, (self, *args), kwargs)

    method.__name__, method.__doc__ = func.__name__, f"`numpy.{func.__name__}`{note}."
    method.__signature__ = signature(func)  # type: ignore[attr-defined]
    return method


class Tensor:
    """An n-dimensional array of numbers that records what is computed with it, and can tell gradients.

    Make one with `tensor` (copies) or `asarray` (shares). It has NumPy's operators, indexing and methods, and NumPy's
    functions take it: ``np.exp(t)``. ``==`` compares element by element; hashing is by identity.

    Attributes
    ----------
    data : ndarray
        The numbers. Writable for a leaf that requires a gradient, else a read-only view. Can be assigned (it copies).
    grad : ndarray or None
        What `backward` found, of the tensor's shape and dtype. (A Tensor after ``backward(create_graph=True)``.)
    requires_grad : bool
        Whether a gradient is wanted for this tensor or anything it was computed from.
    """

    __slots__ = ("__weakref__", "_array", "_lent", "_recipe", "_retains_grad", "grad")

    _array: NDArray[Any]
    _lent: bytes | None
    _recipe: Any
    _retains_grad: bool
    grad: Any

    _apply = staticmethod(_apply)

    def __init__(self, data: ArrayLike, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> None:
        made = tensor(data, dtype=dtype, requires_grad=requires_grad)
        for slot in Tensor.__slots__[1:]:
            setattr(self, slot, getattr(made, slot))

    # ---------------------------------------------------------------------------------------------- data and gradient

    def _now(self) -> NDArray[Any]:
        """The array, a new object if somebody has written to it since it was lent or last looked at."""
        if self._lent is not None:
            content = self._array.tobytes()
            if content != self._lent:
                self._array, self._lent = self._array.view(), content
        return self._array

    @property
    def data(self) -> NDArray[Any]:
        """The numbers, as an array."""
        _stay(self, "data")
        if self._recipe is LEAF:
            if self._lent is None:
                self._lent = self._array.tobytes()
            return self._array
        view = self._array.view()
        view.flags.writeable = False
        return view

    @data.setter
    def data(self, value: ArrayLike | Tensor) -> None:
        if not self.is_leaf:
            raise RuntimeError(
                f"only the data of a leaf can be assigned, and this is {describe(self)}. detach() it first"
            )
        if _traces and (trace := _tracing.get()) is not None:
            trace.assign(self, value)
            return
        value = value._array if isinstance(value, Tensor) else np.asarray(value)
        if value.shape != self._array.shape or not np.can_cast(value.dtype, self._array.dtype, "same_kind"):
            raise ValueError(
                f"cannot assign data of shape {value.shape} and dtype {value.dtype} to {describe(self)}: "
                "shapes must be equal and dtypes of the same kind"
            )
        self._array = value.astype(self._array.dtype)
        self._lent = None

    def _updated(self) -> None:
        """Note that the array was written to in place: whoever recorded it before is to notice."""
        self._array = self._array.view()
        if self._lent is not None:
            self._lent = self._array.tobytes()

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient is wanted."""
        return self._recipe is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not self.is_leaf:
            if not value:
                raise RuntimeError(
                    f"requires_grad cannot be set to False: {describe(self)} was computed from others that need a "
                    "gradient. Use detach()"
                )
        elif not value:
            self._recipe = None
        elif self._recipe is None:
            _leaf(self, True)
            if self._lent is None:
                self._array = self._array.copy()  # untracked views may share the memory, and it may change now

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was made rather than computed (or computed from what needs no gradient)."""
        return self._recipe is None or self._recipe is LEAF

    def backward(
        self,
        gradient: ArrayLike | Tensor | None = None,
        *,
        retain_graph: bool | None = None,
        create_graph: bool = False,
    ) -> None:
        """Add the gradient of this tensor to the ``grad`` of every leaf it was computed from.

        Parameters
        ----------
        gradient : array_like of this tensor's shape, optional
            What to start from: the gradient of something with respect to this tensor. 1 for a scalar.
        retain_graph : bool
            Keep the graph for another call. By default it is freed, unless `create_graph`.
        create_graph : bool
            Record the sweep too: ``grad`` then holds Tensors, which can be differentiated in turn. Set ``grad`` to
            None when done with them, as they and the graph hold each other.

        Raises
        ------
        ValueError
            If the tensor is no scalar and no `gradient` is given, or one of another shape.
        TypeError
            If the tensor or the gradient is not of real numbers.
        RuntimeError
            If the tensor needs no gradient, the graph was freed, or a tensor was changed after it had been used.
            Nothing is stored then, but part of the graph may have been freed.

        Examples
        --------
        >>> import numpy as np, tinygrad_digits as tg
        >>> x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
        >>> np.sum(x * x).backward()
        >>> x.grad
        array([2., 4., 6.])
        """
        if self._recipe is None:
            raise RuntimeError(
                f"backward() on {describe(self)}, which was not computed from a tensor that requires a gradient. Make "
                "one with tg.tensor(…, requires_grad=True), and compute outside tg.no_grad()"
            )
        seed: Any = self._seed(gradient)
        if retain_graph is None:
            retain_graph = create_graph
        if _traces and (trace := _tracing.get()) is not None:
            return trace.backward(self, seed, create_graph=create_graph, keep=retain_graph)
        token = _recording.set(create_graph)
        try:
            if create_graph:  # the graph to come keeps the seed
                seed = +seed if isinstance(seed, Tensor) else tensor(seed)
            elif isinstance(seed, Tensor):
                seed = seed._array
            stored = {id(seed)}
            found = autodiff.sweep({self: seed}, create_graph=create_graph, keep=retain_graph)
            end = next(iter(found), None)
            if end is not None and end._recipe is CLOSED and all(node._recipe is CLOSED for node in found):
                raise RuntimeError(
                    f"backward() on {describe(self)}, which a transform such as tg.grad made inside the function that "
                    "it differentiates: nobody can have its gradient. Return it from the function, and use tg.vjp"
                )
            for node, g in found.items():
                if create_graph:
                    g = tensor(g) if not isinstance(g, Tensor) else +g if id(g) in stored else g
                elif type(g) is not _ndarray or g.base is not None or id(g) in stored:
                    g = np.array(g)  # no two gradients share memory
                stored.add(id(g))
                if node.grad is not None:
                    g = node.grad + g
                    g = g if isinstance(g, Tensor) else np.asarray(g)
                node.grad = g
        finally:
            _recording.reset(token)

    def _seed(self, gradient: ArrayLike | Tensor | None) -> NDArray[Any] | Tensor:
        """What a sweep from this tensor starts from."""
        if self._array.dtype.kind != "f":
            raise TypeError(f"backward() needs floating-point numbers to start from, and this is {describe(self)}")
        if gradient is None:
            if self._array.size != 1:
                raise ValueError(
                    f"backward() needs a scalar, but this tensor has shape {self.shape}. Call .sum() first, or pass "
                    "the gradient to start from"
                )
            return np.array(1, self._array.dtype, ndmin=self._array.ndim)
        seed = gradient if isinstance(gradient, Tensor) else np.asarray(gradient)
        if seed.shape != self._array.shape:
            raise ValueError(
                f"the gradient to start from has shape {seed.shape}, the tensor {self._array.shape}: make them equal"
            )
        if seed.dtype.kind not in "fiu":
            raise TypeError(f"the gradient to start from must be real numbers, not {seed.dtype}")
        return seed if seed.dtype == self._array.dtype else seed.astype(self._array.dtype)

    def retain_grad(self) -> None:
        """Have `backward` fill ``grad`` of this tensor too, although it is no leaf."""
        if self._recipe is None:
            raise RuntimeError(f"retain_grad() on {describe(self)}, which needs no gradient")
        self._retains_grad = True

    def detach(self) -> Tensor:
        """Give a copy that has no part in the graph."""
        if _traces and (trace := _tracing.get()) is not None:
            detached: Tensor = trace.detached(self)
            return detached
        return _new(self._array.copy())

    def numpy(self) -> NDArray[Any]:
        """Give the numbers as an array of your own: a copy."""
        _stay(self, "numpy()")
        return self._array.copy()

    def item(self, *index: Any) -> Any:
        """Give the only element, or the one at an index, as a Python number. ValueError if there are more."""
        _stay(self, "item()")
        if not index and self._array.size != 1:
            raise ValueError(f"item() needs one element, but this tensor has shape {self.shape}")
        return self._array.item(*index)

    def tolist(self) -> Any:
        """Give the numbers as nested lists."""
        _stay(self, "tolist()")
        return self._array.tolist()

    def tobytes(self, order: Any = "C") -> bytes:
        """Give the numbers as bytes."""
        _stay(self, "tobytes()")
        return self._array.tobytes(order)

    # ------------------------------------------------------------------------------------------------ NumPy's protocols

    __array_priority__ = 1000.0

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        _stay(self, "an array of NumPy's")
        if self._recipe is not None:
            raise TypeError(
                f"making an array of {describe(self)}, which requires a gradient, would silently leave the graph. Use "
                "t.detach() or t.numpy() to leave it; to join tensors and stay in it, np.stack([…])"
            )
        return np.array(self.data, dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs and ufunc in rules:
            return _apply(ufunc, inputs, _NO_KEYWORDS)
        if method == "__call__":
            return _call(ufunc, inputs, kwargs)
        if (method, ufunc) in _AS_FUNCTIONS:
            axis = dict(zip(("axis",), inputs[1:], strict=False))
            return _call(_AS_FUNCTIONS[method, ufunc], inputs[:1], {"axis": 0, **axis, **kwargs})
        if method in ("reduce", "accumulate", "outer", "reduceat") and not (
            _recording.get() and _tracked((inputs, kwargs))
        ):
            return _on_arrays(getattr(ufunc, method), inputs, kwargs)
        raise TypeError(
            f"np.{ufunc.__name__}.{method} does not take Tensors. Use NumPy's functions: np.sum, np.max, t[…]"
        )

    def __array_function__(self, func: Op, types: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        return _call(func, args, kwargs)

    # ------------------------------------------------------------------------------------------------------- operators

    __add__, __radd__ = _binary(np.add)
    __sub__, __rsub__ = _binary(np.subtract)
    __mul__, __rmul__ = _binary(np.multiply)
    __truediv__, __rtruediv__ = _binary(np.divide)
    _power, __rpow__ = _binary(np.power)
    __matmul__, __rmatmul__ = _binary(np.matmul)
    __mod__, __rmod__ = _binary(np.remainder)
    __floordiv__, __rfloordiv__ = _binary(np.floor_divide)
    __neg__, __pos__, __abs__ = _unary(np.negative), _unary(np.positive), _unary(np.absolute)
    __iadd__, __isub__, __imul__ = _in_place(np.add, "+"), _in_place(np.subtract, "-"), _in_place(np.multiply, "*")
    __itruediv__, __ipow__ = _in_place(np.divide, "/"), _in_place(np.power, "**")
    __imatmul__ = _in_place(np.matmul, "@")

    __lt__, __le__ = _untracked(operator.lt), _untracked(operator.le)
    __gt__, __ge__ = _untracked(operator.gt), _untracked(operator.ge)
    __eq__, __ne__ = _untracked(operator.eq), _untracked(operator.ne)
    __and__, __rand__ = _untracked(np.bitwise_and), _untracked(np.bitwise_and)
    __or__, __ror__ = _untracked(np.bitwise_or), _untracked(np.bitwise_or)
    __xor__, __rxor__ = _untracked(np.bitwise_xor), _untracked(np.bitwise_xor)
    __hash__ = object.__hash__

    def __pow__(self, other: Any) -> Any:
        # Arrays take a power of 2 for a square, too. Its slope is a product, with no zeros to be careful about.
        if type(other) in _SCALARS and other == 2 and self._array.dtype.kind == "f":
            return _apply(np.square, (self,), _NO_KEYWORDS)
        return self._power(other)

    def __invert__(self) -> Any:
        return _on_arrays(np.invert, (self,), {})

    def __getitem__(self, index: Any) -> Tensor:
        return apply(operator.getitem, self, _plain_index(index))

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise TypeError(
            "a Tensor's elements cannot be assigned. Make a new Tensor: x = tg.index_update(x, index, value), or "
            "np.where(mask, value, x); to give a leaf other numbers, assign x.data"
        )

    # ------------------------------------------------------------------------------------------ as a Python container

    def __len__(self) -> int:
        return len(self._array)

    def __iter__(self) -> Iterator[Tensor]:
        if not self._array.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(len(self._array)))

    def __contains__(self, item: Any) -> bool:
        _stay(self, "in")
        return bool(np.any(self._array == (item._array if isinstance(item, Tensor) else item)))

    def __bool__(self) -> bool:
        _stay(self, "bool()")
        return bool(self._array)

    def __float__(self) -> float:
        return float(self._number())

    def __int__(self) -> int:
        return int(self._number())

    def __complex__(self) -> complex:
        return complex(self._number())

    def __index__(self) -> int:
        _stay(self, "an index")
        return operator.index(self._array)

    def _number(self) -> Any:
        """The only element, for who does not ask for it by `item`: no gradient may be lost that way."""
        _stay(self, "a Python number")
        if self._recipe is not None and _recording.get():
            raise TypeError(
                f"making a number of {describe(self)}, which requires a gradient, would silently leave the graph, as "
                "math's functions and array[i] = t do. Stay in it with np.sin, np.stack …, or leave it with t.item()"
            )
        return self.item()

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __repr__(self) -> str:
        if tracing() is not None:  # numbers that are shown once only would mislead
            return f"Tensor(traced, shape={self.shape}, dtype={self.dtype})"
        facts = [np.array2string(self._array, separator=", ", prefix="Tensor(")]
        if self._array.dtype not in (np.float64, np.int64, np.bool_) or not self._array.size:
            facts.append(f"dtype={self._array.dtype}")
        if not self._array.size:
            facts.insert(1, f"shape={self.shape}")
        if self._recipe is not None:
            op = self._recipe[0]
            freed = self._recipe is autodiff.FREED
            facts.append(f"op={name(op)}" if op else "freed" if freed else "requires_grad=True")
        return f"Tensor({', '.join(facts)})"

    def __reduce__(self) -> Any:  # for copy.copy, copy.deepcopy and pickle, which all make a leaf of a leaf
        _stay(self, "a copy or pickle")
        if not self.is_leaf:
            raise TypeError(f"only leaves can be copied or pickled, and this is {describe(self)}. detach() it first")
        return _restore, (self._array, self.requires_grad, self.grad)

    # ---------------------------------------------------------------------------------------- ndarray's own properties

    @property
    def shape(self) -> Shape:
        """The length of each axis."""
        return self._array.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._array.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._array.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The elements' type."""
        return self._array.dtype

    @property
    def itemsize(self) -> int:
        """The bytes an element takes."""
        return self._array.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes all elements take."""
        return self._array.nbytes

    @property
    def strides(self) -> Shape:
        """How many bytes apart elements lie along each axis."""
        return self._array.strides

    @property
    def flags(self) -> Any:
        """How the elements lie in memory. They cannot be made writable by it."""
        return self._array.view().flags

    @property
    def device(self) -> Any:
        """Where the elements are: "cpu"."""
        return self._array.device

    @property
    def real(self) -> Tensor:
        """`numpy.real`."""
        return apply(np.real, self)

    @property
    def imag(self) -> Tensor:
        """`numpy.imag`: 0 for real numbers."""
        return apply(np.imag, self)

    @property
    def T(self) -> Tensor:  # noqa: N802 - NumPy's name
        """The tensor with its axes in reverse order."""
        return apply(np.transpose, self)

    @property
    def mT(self) -> Tensor:  # noqa: N802 - NumPy's name
        """The tensor with its last two axes swapped."""
        return apply(np.swapaxes, self, axis1=-1, axis2=-2)

    # ------------------------------------------------------------------------------------------- ndarray's own methods

    sum, mean, var = _method(np.sum), _method(np.mean), _method(np.var)
    std = _method(np.std, ", with gradient 0 where all elements are equal")
    max = _method(np.max, "; ties share the gradient equally")
    min = _method(np.min, "; ties share the gradient equally")
    prod = _method(np.prod, "; the gradient is right where elements are 0")
    cumsum = _method(np.cumsum)
    cumprod = _method(np.cumprod, "; the gradient is right where elements are 0")
    round = _method(np.round, ", with gradient 0")
    conj = conjugate = _method(np.conjugate)
    take = _method(np.take, "; repeated indices accumulate")
    repeat, ravel, flatten = _method(np.repeat), _method(np.ravel), _method(np.ravel)
    dot, trace, diagonal = _method(np.dot), _method(np.trace), _method(np.diagonal, ", but no view")
    argmax, argmin = _method(np.argmax, ", untracked"), _method(np.argmin, ", untracked")
    all, any, nonzero = (_method(f, ", untracked") for f in (np.all, np.any, np.nonzero))
    argsort, argpartition = _method(np.argsort, ", untracked"), _method(np.argpartition, ", untracked")
    searchsorted = _method(np.searchsorted, ", untracked")

    def compress(self, condition: Any, axis: int | None = None, out: None = None) -> Tensor:
        """`numpy.compress`."""
        return _call(np.compress, (condition, self, axis), {"out": out})

    choose = _method(np.choose, ": this tensor's whole numbers tell which choice to take")

    def reshape(self, *shape: int | Shape, order: str = "C", copy: bool | None = None) -> Tensor:
        """`numpy.reshape`: ``t.reshape(2, 3)`` or ``t.reshape((2, 3))``."""
        if order != "C" or copy is not None:
            return _call(np.reshape, (self, _spread(shape)), {"order": order, "copy": copy})
        return apply(np.reshape, self, shape=_spread(shape))

    def transpose(self, *axes: int | Shape | None) -> Tensor:
        """`numpy.transpose`: ``t.transpose(1, 0)``, ``t.transpose((1, 0))``, or reversed without arguments."""
        return apply(np.transpose, self, axes=None if axes in ((), (None,)) else _spread(axes))

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """`numpy.swapaxes`."""
        return apply(np.swapaxes, self, axis1=axis1, axis2=axis2)

    def squeeze(self, axis: int | Shape | None = None) -> Tensor:
        """`numpy.squeeze`."""
        return apply(np.squeeze, self, axis=axis)

    def clip(self, min: Any = None, max: Any = None, out: None = None, **kwargs: Any) -> Tensor:
        """`numpy.clip`, with gradient 1 at the bounds."""
        return _call(np.clip, (self, min, max), {"out": out, **kwargs})

    def astype(
        self, dtype: DTypeLike, order: str = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True
    ) -> Tensor:
        """`numpy.ndarray.astype`: in another dtype. Integers and truths carry no gradient."""
        dtype = np.dtype(dtype)
        if order != "K":
            raise TypeError(f"astype(order={order!r}) of a Tensor: it cannot be told how to lie in memory")
        if not np.can_cast(self.dtype, dtype, casting):
            raise TypeError(f"astype({dtype}, casting={casting!r}) of {describe(self)}: the casting does not allow it")
        if dtype.kind == "f":
            return _apply(np.astype, (self, dtype), {})
        if dtype.kind == "c" and self._recipe is not None:
            raise TypeError(f"{describe(self)} needs a gradient, and complex numbers have none here. detach() it first")
        if (trace := tracing()) is not None:
            changed: Tensor = trace.apply(np.astype, (self, dtype), {})
            return changed
        return _new(self._array.astype(dtype))

    def copy(self, order: str = "C") -> Tensor:
        """`numpy.copy`, tracked."""
        return _call(np.copy, (self,), {} if order == "C" else {"order": order})


_INSTEAD = {
    "base": "np.shares_memory(t, u) to see what shares its memory",
    "byteswap": "t.numpy().byteswap()",
    "ctypes": "t.data.ctypes",
    "dump": "tg.save, or pickle.dump(t, file)",
    "dumps": "pickle.dumps(t)",
    "fill": "np.full_like(t, value), or assign t.data",
    "flat": "np.ravel(t)",
    "getfield": "t.numpy().getfield(…)",
    "partition": "np.partition(t, kth), which makes a new Tensor",
    "put": "np.reshape(tg.index_update(np.ravel(t), indices, values), t.shape)",
    "resize": "np.resize(t, shape), which makes a new Tensor",
    "setfield": "tg.index_update(t, index, value)",
    "setflags": "t.numpy(), which is an array of your own, for other flags",
    "sort": "np.sort(t), which makes a new Tensor",
    "to_device": "t itself: it is on the CPU",
    "tofile": "t.numpy().tofile(…), or tg.save",
    "view": "t.astype(dtype) for other numbers, t.numpy().view(dtype) for other meaning of the bytes",
}
"""What to use instead of the attributes of arrays that Tensors do not have."""


class _Absent:
    """An attribute that says what to use instead; one `__getattr__` would slow down all the others by a tenth."""

    def __init__(self, attribute: str) -> None:
        self.attribute = attribute

    def __get__(self, tensor: Tensor | None, kind: type[Tensor]) -> NoReturn:
        raise AttributeError(
            f"a Tensor has no {self.attribute}, as an array has: use {_INSTEAD[self.attribute]}",
            name=self.attribute,
            obj=tensor,
        )


for attribute in _INSTEAD:
    setattr(Tensor, attribute, _Absent(attribute))


class _GradWatched:
    """``Tensor.grad`` while a step is compiled, whose trace is told where one is looked at or forgotten."""

    def __get__(self, tensor: Tensor | None, kind: type[Tensor]) -> Any:
        if tensor is None:
            return self
        found = _GRAD.__get__(tensor)
        if tensor._recipe is LEAF and (trace := _tracing.get()) is not None:
            trace.look_at_gradient(tensor, found)
        return found

    def __set__(self, tensor: Tensor, value: Any) -> None:
        if tensor._recipe is LEAF and (trace := _tracing.get()) is not None:
            trace.set_gradient(tensor, grad_of(tensor), value)
        _GRAD.__set__(tensor, value)


def grad_of(tensor: Tensor) -> Any:
    """``tensor.grad``, without a trace's being told; None of a tensor that is being made."""
    try:
        return _GRAD.__get__(tensor)
    except AttributeError:
        return None


def set_grad(tensor: Tensor, value: Any) -> None:
    """``tensor.grad = value``, without a trace's being told."""
    _GRAD.__set__(tensor, value)


_GRAD: Any = Tensor.__dict__["grad"]  # the slot itself
_GRAD_WATCHED = _GradWatched()


def _stay(tensor: Tensor, way: str) -> None:
    """Refuse to let a value out of a step that is being compiled: the program would go on with this one for ever."""
    if _traces and (trace := _tracing.get()) is not None:
        trace.refuse(tensor, way)


def _restore(data: NDArray[Any], requires_grad: bool, grad: Any) -> Tensor:
    copy = tensor(data, requires_grad=requires_grad)
    copy.grad = grad
    return copy


def _spread(numbers: Any) -> Any:
    """Make ``f(1, 2)`` and ``f((1, 2))`` the same."""
    return tuple(numbers[0]) if len(numbers) == 1 and not isinstance(numbers[0], int | np.integer) else numbers


def _plain_index(index: Any) -> tuple[Any, ...]:
    """An index as a tuple of numbers, slices, None, … and arrays, all out of reach of later changes."""
    return tuple(map(_plain_part, index if isinstance(index, tuple) else (index,)))


def _plain_part(part: Any) -> Any:
    if part is None or part is ... or isinstance(part, (int, np.integer, np.bool)):
        return part
    if isinstance(part, slice):
        return slice(*(i if i is None else operator.index(i) for i in (part.start, part.stop, part.step)))
    if isinstance(part, Tensor):
        return part.numpy() if tracing() is None else part
    _refuse_masked(part, operator.getitem)
    if type(part) is np.ndarray and (trace := tracing()) is not None:
        indices: Any = trace.index(part)
        return indices
    array = np.array(part)
    return array if array.size or isinstance(part, np.ndarray) else array.astype(np.intp)


# -------------------------------------------------------------------------------------------------- NumPy's functions


def _call(func: Op, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Answer a NumPy function that was given a Tensor."""
    if kwargs.get("out") is not None:
        raise TypeError(
            f"{name(func)} with a Tensor cannot write to an array (out=, or array += tensor): take its result instead, "
            "x = x + y"
        )
    if func in autodiff.composites:
        return _composed(func, autodiff.composites[func], args, kwargs)
    if func is np.where and len(args) == 1:
        func = np.nonzero
    if _traces and not _recording.get() and (trace := _tracing.get()) is not None:
        return trace.apply(func, tuple(args), kwargs)
    if func in autodiff.rules:
        return _bound(func, tuple(args), kwargs)
    if func in autodiff.writers and (isinstance(args[0], Tensor) or (_recording.get() and _tracked((args, kwargs)))):
        raise TypeError(
            f"{name(func)} writes to an array, and cannot write to a Tensor, or what a gradient is wanted for to an "
            f"array. Make a new Tensor: {autodiff.writers[func]}"
        )
    if func in autodiff.nondifferentiable or not (_recording.get() and _tracked((args, kwargs))):
        return _on_arrays(func, args, kwargs)
    raise autodiff.missing_rule(func)


def _composed(func: Op, composite: Op, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Call what a function is made of. Where their parameters have the same names, these decide, not the positions."""
    if len(args) > 1 and _named_alike(func, composite):
        first, *_ = _by_position(func)
        kwargs = _by_name(func, args, kwargs)
        args = (kwargs.pop(first),)
    made = composite(*args, **_known(func, kwargs, _defaults(composite))) if kwargs else composite(*args)
    return made if type(made) is Tensor else _wrapped(made)


@cache
def _named_alike(func: Op, composite: Op) -> bool:
    """Whether all parameters of a composite are also those of the function it stands for."""
    if isinstance(func, np.ufunc) or isinstance(composite, np.ufunc):
        return False
    parameters = signature(composite).parameters
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    return not variadic and parameters.keys() <= _defaults(func).keys()


def _bound(func: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Apply a function of the table with its arguments sorted into arrays and keywords."""
    row: Any = autodiff.rules[func]
    known: tuple[str, ...] = ()
    if isinstance(func, np.ufunc):
        if len(args) > func.nargs or any(a is not None for a in args[func.nin :]):
            raise TypeError(f"{name(func)} of a Tensor was given more than it takes, and cannot write to an array")
        args = args[: func.nin]
    else:
        arrays = _by_position(func)[: len(row)]
        known = _of_the_rule(row[0])[len(row) :]
        if len(args) > len(row) or not kwargs.keys().isdisjoint(arrays):
            kwargs = _by_name(func, args, kwargs)
            args = tuple([kwargs.pop(n) for n in arrays if n in kwargs])
    return _apply(func, args, _known(func, kwargs, known) if kwargs else kwargs)


def _by_name(func: Op, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """All that a function was given, under the names of its parameters."""
    given = dict(zip(_by_position(func), args, strict=False))
    if len(given) < len(args):
        raise TypeError(f"{name(func)} of a Tensor was given more than it takes: {', '.join(_defaults(func))}")
    for twice in given.keys() & kwargs.keys():
        raise TypeError(f"{name(func)} of a Tensor was given {twice}= twice: by position and by name")
    return {**given, **kwargs}


def _known(func: Op, given: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The keywords without those that say what holds anyway. Others that are not known are refused."""
    for keyword, value in given.items():
        if keyword not in known and not _holds_anyway(func, keyword, value):
            raise TypeError(
                f"{name(func)} of a Tensor does not take {keyword}=: its derivative rule knows "
                f"{', '.join(f'{n}=' for n in known) or 'no keywords'}"
            )
    return {k: v for k, v in given.items() if k in known and v is not np._NoValue}


def _holds_anyway(func: Op, keyword: str, value: Any) -> bool:
    """Whether a keyword says no more than its default."""
    usual = _UFUNC_DEFAULTS if isinstance(func, np.ufunc) else _defaults(func)
    return value is usual.get(keyword, usual) or (keyword == "where" and value is True)


_AS_FUNCTIONS: dict[tuple[str, np.ufunc], Op] = {
    ("reduce", np.add): np.sum,
    ("reduce", np.multiply): np.prod,
    ("reduce", np.maximum): np.max,
    ("reduce", np.minimum): np.min,
    ("reduce", np.fmax): np.nanmax,
    ("reduce", np.fmin): np.nanmin,
    ("accumulate", np.add): np.cumsum,
    ("accumulate", np.multiply): np.cumprod,
}
"""What NumPy's functions call the methods of ufuncs."""

_UFUNC_DEFAULTS = {"where": True, "casting": "same_kind", "order": "K", "dtype": None, "subok": True, "signature": None}


@cache
def _by_position(func: Op) -> tuple[str, ...]:
    """The names of a function's parameters that may be given by position."""
    parameters = signature(func).parameters.values()
    return tuple([p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)])


@cache
def _of_the_rule(rule: Op) -> tuple[str, ...]:
    """The names of what a rule takes beside the gradient and the result."""
    return tuple(_defaults(rule))[2:]


@cache
def _defaults(func: Op) -> dict[str, Any]:
    """The names of a function's parameters, and their defaults."""
    return {p.name: p.default for p in signature(func).parameters.values()}


def _tracked(value: Any) -> bool:
    """Whether a Tensor that needs a gradient is among nested arguments."""
    if isinstance(value, Tensor):
        return value._recipe is not None
    if isinstance(value, dict):
        value = value.values()
    return isinstance(value, list | tuple | type({}.values())) and any(_tracked(v) for v in value)


def _on_arrays(func: Op, args: Any, kwargs: Any) -> Any:
    """Call a function on read-only arrays in place of Tensors; make untracked Tensors of the arrays it returns."""
    if _traces and (trace := _tracing.get()) is not None:
        return trace.apply(func, tuple(args), kwargs, tracked=False)
    return _wrapped(func(*map(_unwrapped, args), **(_unwrapped(kwargs) if kwargs else kwargs)))


def _unwrapped(value: Any) -> Any:
    if type(value) in _CONSTANTS:
        return value
    if isinstance(value, Tensor):
        view = value._now().view()
        view.flags.writeable = False
        return view
    if isinstance(value, list | tuple):
        return type(value)(_unwrapped(v) for v in value)
    if isinstance(value, dict):
        return {k: _unwrapped(v) for k, v in value.items()}
    return value


def _wrapped(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return _new(np.array(value))
    if isinstance(value, list | tuple):
        parts = [_wrapped(v) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def extent(numbers: NDArray[Any]) -> tuple[int, int]:
    """The smallest and the largest of whole numbers, 0 and 0 of none."""
    if not numbers.size:
        return 0, 0
    return numbers.item(numbers.argmin()), numbers.item(
        numbers.argmax()
    )  # of a few, in a quarter of min's and max's time


__all__ = [
    "Tensor",
    "apply",
    "asarray",
    "extent",
    "grad_of",
    "is_recording",
    "no_grad",
    "recording",
    "run",
    "set_grad",
    "tensor",
    "traced_by",
    "tracing",
]
