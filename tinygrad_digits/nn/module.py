"""Module: a plain object with parameters that can be called.

A module's parameters are the tensors found among its attributes, and among those of the modules, lists, tuples and
dicts it holds, in the order in which they were assigned. There is nothing to register, and no ``super().__init__()``
to call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..autodiff import name
from ..tensor import Tensor, tracing


class Module:
    """Base class of layers and networks: assign tensors and modules as attributes, define ``__call__``.

    Attributes
    ----------
    training : bool
        Whether the module is being trained rather than used; see `train` and `eval`.

    Examples
    --------
    >>> import numpy as np, tinygrad_digits as tg
    >>> class Scale(tg.nn.Module):
    ...     def __init__(self):
    ...         self.factor = tg.tensor(2.0, requires_grad=True)
    ...     def __call__(self, x):
    ...         return self.factor * x
    >>> Scale()(np.array([1.0, 2.0]))
    Tensor([2., 4.], op=np.multiply)
    """

    @property
    def training(self) -> bool:
        """Whether the module is being trained."""
        if (trace := tracing()) is not None:
            trace.depends(vars(self), "training")
        return bool(vars(self).get("training", True))

    @training.setter
    def training(self, mode: bool) -> None:
        vars(self)["training"] = mode

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output: for each module to define."""
        raise TypeError(f"{type(self).__name__} does not say what it computes: define __call__(self, x)")

    def named_parameters(self) -> dict[str, Tensor]:
        """Give the tensors that training may change, under dotted names: ``"layers.0.weight"``.

        They are the leaves that require a gradient. One that is held in several places is listed once, where it was
        found first. To freeze one, set its ``requires_grad`` to False.
        """
        return {place: t for place, t in self._tensors().items() if t.requires_grad}

    def parameters(self) -> list[Tensor]:
        """Give the tensors that training may change, in the order of `named_parameters`."""
        return list(self.named_parameters().values())

    def modules(self) -> Iterator[Module]:
        """Give this module and all it holds, each once."""
        return (item for _, item in _walk(self, "", set()) if isinstance(item, Module))

    def generators(self) -> dict[str, np.random.Generator]:
        """Give the generators of random numbers that the module draws from, as `Dropout` does, under dotted names.

        To go on exactly where training was interrupted, save and restore their states beside `state_dict`.

        Examples
        --------
        >>> import numpy as np, tinygrad_digits as tg
        >>> model = tg.nn.Sequential(np.tanh, tg.nn.Dropout(0.5, rng=0))
        >>> states = {at: rng.bit_generator.state for at, rng in model.generators().items()}
        >>> once = model(np.ones(3))
        >>> for place, rng in model.generators().items():
        ...     rng.bit_generator.state = states[place]
        >>> bool(np.all(model(np.ones(3)) == once))
        True
        """
        found = _walk(self, "", set(), (Module, np.random.Generator))
        return {place: item for place, item in found if isinstance(item, np.random.Generator)}

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Give copies of all tensors of the module, frozen ones included, under their dotted names."""
        return {place: t.numpy() for place, t in self._tensors().items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike | Tensor]) -> None:
        """Give the module's tensors the values of a `state_dict`.

        Raises
        ------
        KeyError
            If the names are not exactly those of the module.
        ValueError
            If a shape or kind of dtype is not the same. Nothing has been changed then.
        """
        if not isinstance(state, Mapping):
            raise TypeError(
                f"a state is a dict of names and arrays, and this is {type(state).__name__}: tg.load a file"
            )
        own = self._tensors()
        if own.keys() != state.keys():
            faults = [f"{fault}: {', '.join(names)}" for fault, names in (
                ("missing", [n for n in own if n not in state]),
                ("not of this model", [n for n in state if n not in own]),
            ) if names]  # fmt: skip
            raise KeyError(f"the state does not fit {type(self).__name__}; {'; '.join(faults)}")
        arrays = {n: v.numpy() if isinstance(v, Tensor) else np.asarray(v) for n, v in state.items()}
        for place, tensor in own.items():
            array = arrays[place]
            if array.shape != tensor.shape or not np.can_cast(array.dtype, tensor.dtype, "same_kind"):
                raise ValueError(
                    f"{place} has shape {tensor.shape} and dtype {tensor.dtype} in this {type(self).__name__}, and "
                    f"shape {array.shape} and dtype {array.dtype} in the state: build the model that was saved"
                )
        for place, tensor in own.items():
            tensor.data = arrays[place]

    def train(self, mode: bool = True) -> Self:
        """Put this module and all it holds into training mode."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Put this module and all it holds into evaluation mode."""
        return self.train(False)

    def extra_repr(self) -> str:
        """Say the settings that ``repr`` shows between the parentheses."""
        return ""

    def __repr__(self) -> str:
        return _drawn(self, set())

    def _tensors(self) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {}
        for place, item in _walk(self, "", set()):
            if isinstance(item, Tensor) and item.is_leaf:
                if place in tensors:
                    raise ValueError(f"two tensors of this {type(self).__name__} have the name {place!r}: rename one")
                tensors[place] = item
        return tensors


def _held(value: Any) -> Iterator[tuple[str, Any]]:
    """What a module or container holds, with the names of its places."""
    if isinstance(value, Module):
        yield from vars(value).items()
    elif isinstance(value, list | tuple):
        yield from ((str(i), item) for i, item in enumerate(value))
    elif isinstance(value, dict):
        yield from ((str(key), item) for key, item in value.items())


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """The modules and tensors in a module or container, each once, with their dotted names."""
    return _walk(value, "", set())


def _walk(value: Any, path: str, seen: set[int], kinds: Any = (Module, Tensor)) -> Iterator[tuple[str, Any]]:
    """The modules and tensors (or other kinds) in a value, itself included, each once, with their dotted names."""
    if isinstance(value, (list, dict, *kinds)):  # a list may be in itself
        if id(value) in seen:
            return
        seen.add(id(value))
    if isinstance(value, kinds):
        yield path, value
    for place, item in _held(value):
        yield from _walk(item, f"{path}.{place}" if path else place, seen, kinds)


def _drawn(module: Module, seen: set[int]) -> str:
    """A module and what it holds, one inside the other."""
    kind = type(module).__name__
    if id(module) in seen:
        return f"{kind}(…)"
    seen = seen | {id(module)}
    size = sum(p.size for p in module.parameters())
    count = f"  # {size:,} parameter{'s' * (size != 1)}" if size else ""
    held = [
        f"{place}: {_drawn(item, seen) if isinstance(item, Module) else name(item)}" for place, item in _parts(module)
    ]
    if not held:
        return f"{kind}({module.extra_repr()}){count}"
    lines = "\n".join(held).replace("\n", "\n  ")
    return f"{kind}({module.extra_repr()}{count}\n  {lines}\n)"


def _parts(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The modules and functions that a module holds, directly or in containers."""
    for place, item in _held(value):
        if callable(item):
            yield prefix + place, item
        else:
            yield from _parts(item, f"{prefix}{place}.")
