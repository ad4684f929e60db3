"""What all optimizers share: groups of parameters with their settings, and what is kept between steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..autodiff import describe
from ..tensor import Tensor, tracing

Array = NDArray[Any]


class Setting:
    """A setting that each group of parameters has. The optimizer's attribute of its name speaks for all groups."""

    def __init__(self, *, below: float = np.inf, positive: bool = False, count: int = 1) -> None:
        self.below, self.positive, self.count = below, positive, count

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Optimizer | None, kind: type) -> Any:
        if optimizer is None:
            return self
        values = [group[self.name] for group in optimizer.param_groups]
        if any(value != values[0] for value in values):
            raise ValueError(f"the groups have each their own {self.name}, {values}: read optimizer.param_groups")
        return values[0]

    def __set__(self, optimizer: Optimizer, value: Any) -> None:
        if type(value) is not float or not 0 < value < self.below:  # a schedule's come each step, in a µs less
            value = self.checked(optimizer, value)
        for group in optimizer.param_groups:
            group[self.name] = value

    def checked(self, optimizer: Optimizer, value: Any) -> Any:
        """The value as a Python number (which does not decide the dtype of what it is multiplied with), or as two."""
        numbers = tuple(value) if self.count > 1 and isinstance(value, Iterable) else (value,)
        if len(numbers) != self.count or not all(map(self._allows, numbers)):
            kind = "a number" if self.count == 1 else f"{self.count} numbers"
            least = "more than 0" if self.positive else "of 0 or more"
            most = f", and less than {self.below}" if self.below < np.inf else ""
            raise ValueError(f"{type(optimizer).__name__}({self.name}={value!r}): it must be {kind} {least}{most}")
        plain = tuple(v if isinstance(v, bool) else float(v) for v in numbers)
        return plain if self.count > 1 else plain[0]

    def _allows(self, value: Any) -> bool:
        if not isinstance(value, Real):
            return False
        return (float(value) > 0 if self.positive else float(value) >= 0) and float(value) < self.below


Slot = tuple[Tensor, list[Array], dict[str, Any]]
"""A parameter, scratch memory of its shape, and what is kept for it between steps."""


class Optimizer:
    """Base class of optimizers: parameters in groups, each with settings of its own, and what is kept between steps.

    A subclass names its settings (beside lr), and hands them on to ``super().__init__``; and it defines `step`.

    Attributes
    ----------
    params : list of Tensor
        All parameters.
    param_groups : list of dict
        The groups: their parameters under ``"params"``, and their settings by name. Settings may be changed between
        steps, for one group here, or for all as attributes of the optimizer: ``optimizer.lr = 0.01``.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> class SignDescent(tg.optim.Optimizer):
    ...     def step(self):
    ...         for group, slots in zip(self.param_groups, self.slots):
    ...             for x, g, (scratch,), state in self.ready(slots):
    ...                 np.multiply(np.sign(g), group["lr"], scratch)
    ...                 np.subtract(x, scratch, x)
    >>> x = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> np.sum(x * x).backward()
    >>> SignDescent([x], lr=0.1).step()
    >>> x
    Tensor([ 0.9, -1.9], requires_grad=True)
    """

    lr = Setting()

    scratch_arrays: ClassVar[int] = 1
    """How many arrays a step needs beside those it keeps."""
    kept: ClassVar[tuple[str, ...]] = ()
    """What is kept for each parameter once it has taken a step."""
    kept_at_times: ClassVar[tuple[str, ...]] = ()
    """What is kept only where a setting asks for it."""

    def __init__(self, params: Iterable[Tensor] | Iterable[Mapping[str, Any]], **settings: Any) -> None:
        self._defaults = settings
        self.params: list[Tensor] = []
        self._groups: list[dict[str, Any]] = []
        self._slots: list[list[Slot]] = []
        single = isinstance(params, Tensor | Mapping) or not isinstance(params, Iterable)
        groups: Any = params if single else list(params)
        if not (isinstance(groups, list) and any(isinstance(group, Mapping) for group in groups)):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of parameters with their settings."""
        trace = tracing()
        return self._groups if trace is None else trace.groups(self._groups)

    @property
    def slots(self) -> list[list[Slot]]:
        """For each group: each parameter, scratch memory for it, and what is kept for it between steps."""
        trace = tracing()
        if trace is not None:
            return trace.slots(self._slots, self.scratch_arrays)
        if not self._has_scratch:
            self._share_scratch()
        return self._slots

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Take over more parameters, with settings of their own.

        Parameters
        ----------
        group : mapping
            The parameters under ``"params"``, and settings by name. Those not named are as given to the optimizer.

        Raises
        ------
        TypeError, ValueError
            If a parameter cannot be trained or is in a group already, or a setting is unknown or out of range.
        """
        if not isinstance(group, Mapping) or "params" not in group:
            raise TypeError(f"a group of parameters is a dict {{'params': […], 'lr': …}}, and this is {group!r:.50}")
        unknown = group.keys() - {"params"} - self._defaults.keys()
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no setting {', '.join(sorted(unknown))}: it has {', '.join(self._defaults)}"
            )
        params = _trainable(group["params"], self.params)
        settings = self._checked({**self._defaults, **{n: v for n, v in group.items() if n != "params"}})
        self.params += params
        self._groups.append({"params": params, **settings})
        self._slots.append([(p, [], {}) for p in params])
        self._has_scratch = False  # a program needs none

    def _checked(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings of a group, if they are within their bounds."""
        return {name: getattr(type(self), name).checked(self, value) for name, value in settings.items()}

    def _share_scratch(self) -> None:
        """Give each parameter arrays of its shape, in memory that is as large as the largest needs."""
        sizes: dict[np.dtype[Any], int] = {}
        for p in self.params:
            sizes[p.dtype] = max(p.size, sizes.get(p.dtype, 0))
        memory = {dtype: [np.empty(size, dtype) for _ in range(self.scratch_arrays)] for dtype, size in sizes.items()}
        for p, scratch, _ in chain(*self._slots):
            scratch[:] = [piece[: p.size].reshape(p.shape) for piece in memory[p.dtype]]
        self._has_scratch = True

    def zero_grad(self) -> None:
        """Forget the gradients, before `backward` adds new ones."""
        for p in self.params:
            p.grad = None

    def step(self) -> None:
        """Update each parameter that has a gradient, in place."""
        raise TypeError(f"{type(self).__name__} does not say how to take a step: define step(self)")

    def ready(self, slots: list[Slot]) -> Iterator[tuple[Array, Array, list[Array], dict[str, Any]]]:
        """For each parameter with a gradient: its array, to be updated, the gradient, scratch memory, what is kept."""
        for p, scratch, state in slots:
            g = p.grad
            if g is not None:
                yield p._now(), g._array if isinstance(g, Tensor) else g, scratch, state
                p._updated()

    def state_dict(self) -> dict[str, Array]:
        """Give copies of the settings and of all that is kept between steps, under dotted names.

        ``"param_groups.0.lr"`` is a setting, and ``"param_groups.0.params.2.velocity"`` is kept for a parameter. With
        these and the parameters, training goes on as if it had not been interrupted.

        Examples
        --------
        >>> import tinygrad_digits as tg
        >>> x = tg.tensor([1.0], requires_grad=True)
        >>> tg.optim.SGD([x], lr=0.1).state_dict()["param_groups.0.lr"]
        array(0.1)
        """
        found: dict[str, Array] = {}
        for i, (group, slots) in enumerate(zip(self.param_groups, self._slots, strict=True)):
            found |= {f"param_groups.{i}.{name}": np.array(group[name]) for name in self._defaults}
            for j, (_, _, kept) in enumerate(slots):
                found |= {f"param_groups.{i}.params.{j}.{what}": np.array(v) for what, v in kept.items()}
        return found

    def load_state_dict(self, state: Mapping[str, ArrayLike | Tensor]) -> None:
        """Take over what `state_dict` gave, of an optimizer of the same kind for parameters of the same shapes.

        Raises
        ------
        KeyError
            If a name is missing, or is none of this optimizer's.
        ValueError
            If a shape or kind of dtype is another, or a setting is out of range. Nothing has been changed then.
        """
        if not isinstance(state, Mapping):
            raise TypeError(
                f"a state is a dict of names and arrays, and this is {type(state).__name__}: tg.load a file"
            )
        left = {name: v.numpy() if isinstance(v, Tensor) else np.array(v) for name, v in state.items()}
        settings, kept = [], []
        try:
            for i, slots in enumerate(self._slots):
                given = {name: left.pop(f"param_groups.{i}.{name}").tolist() for name in self._defaults}
                settings.append(self._checked(given))
                kept += [self._kept_for(p, f"param_groups.{i}.params.{j}", left) for j, (p, _, _) in enumerate(slots)]
        except KeyError as missing:
            raise KeyError(f"the state does not fit this {type(self).__name__}; missing: {missing.args[0]}") from None
        if left:
            raise KeyError(f"the state does not fit this {type(self).__name__}; not of it: {', '.join(left)}")
        for group, new in zip(self.param_groups, settings, strict=True):
            group.update(new)
        for (_, _, own), found in zip(chain(*self._slots), kept, strict=True):
            own.clear()
            own.update(found)

    def _kept_for(self, p: Tensor, place: str, left: dict[str, Array]) -> dict[str, Any]:
        """Take what is kept for a parameter out of a state."""
        names = {what: f"{place}.{what}" for what in self.kept + self.kept_at_times}
        if not any(name in left for name in names.values()):
            return {}  # it has not taken a step yet
        found: dict[str, Any] = {}
        for what, name in names.items():
            if name not in left and what in self.kept_at_times:
                continue
            array = left.pop(name)
            shape, dtype = ((), np.dtype(int)) if what == "step" else (p.shape, p.dtype)
            if array.shape != shape or not np.can_cast(array.dtype, dtype, "same_kind"):
                raise ValueError(
                    f"{name} is to have shape {shape} and dtype {dtype}, and has shape {array.shape} and dtype "
                    f"{array.dtype} in the state: give the optimizer the parameters of the model that was saved"
                )
            found[what] = int(array) if what == "step" else array.astype(dtype)
        return found


def _trainable(params: Any, others: list[Tensor]) -> list[Tensor]:
    """A list of parameters that an optimizer can update, beside others it has."""
    if isinstance(params, Tensor | Mapping) or not isinstance(params, Iterable):
        advice = "put it in a list" if isinstance(params, Tensor | Mapping) else "pass model.parameters()"
        raise TypeError(f"an optimizer takes a list of Tensors, and was given one {type(params).__name__}: {advice}")
    found = list(params)
    if not found:
        raise ValueError(
            "the optimizer was given no parameters: pass model.parameters(). If that is what you did, none of the "
            "model's tensors requires a gradient: make them with tg.tensor(…, requires_grad=True)"
        )
    for p in found:
        if not isinstance(p, Tensor):
            raise TypeError(f"an optimizer updates Tensors, and was given {type(p).__name__}: pass model.parameters()")
        if not (p.requires_grad and p.is_leaf):
            raise ValueError(f"an optimizer updates leaves that require a gradient, and was given {describe(p)}")
        if not p._array.flags.writeable:
            raise ValueError(
                f"an optimizer updates in place, and the memory of {describe(p)} is read-only: use tg.tensor"
            )
    if len({id(p) for p in found + others}) < len(found) + len(others):
        raise ValueError("the optimizer was given a parameter twice, and would update it twice: list it once")
    return found


def number(setting: Any, dtype: np.dtype[Any]) -> Any:
    """A setting as an array without axes: NumPy takes twice as long with a Python number."""
    return np.array(setting, dtype) if isinstance(setting, float) else setting


def zeros(state: dict[str, Any], what: str, x: Array) -> Array:
    """What is kept for a parameter under a name: zeros before its first step."""
    kept = state.get(what)
    if kept is None:
        kept = state[what] = np.zeros_like(x)
    return kept
