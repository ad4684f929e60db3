"""``python -m benchmarks.peers``: what micrograd, autograd, MyGrad, PyTorch, JAX and we do where it is not obvious.

Each question is one short function for each library, so that it can be seen what was asked; one that does not have
what a question needs is left out of it. Then a race over the same few hundred operations.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import autograd
import autograd.numpy as anp
import jax
import jax.numpy as jnp
import mygrad as mg
import numpy as np
import torch
from micrograd.engine import Value

import tinygrad_digits as tg

from .race import Contestant, race

jax.config.update("jax_enable_x64", True)

Answer = Callable[[], Any]


def ours(f: Callable[..., Any], x: Any) -> Any:
    """The gradient of a sum, by this package."""
    return tg.grad(lambda x: np.sum(f(x)))(np.asarray(x, float))


def autograds(f: Callable[..., Any], x: Any) -> Any:
    """By autograd."""
    return autograd.grad(lambda x: anp.sum(f(x)))(np.asarray(x, float))


def mygrads(f: Callable[..., Any], x: Any) -> Any:
    """By MyGrad."""
    t = mg.tensor(np.asarray(x, float))
    f(t).sum().backward()
    return t.grad


def torchs(f: Callable[..., Any], x: Any) -> Any:
    """By PyTorch."""
    t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    f(t).sum().backward()
    return t.grad.numpy()


def jaxs(f: Callable[..., Any], x: Any) -> Any:
    """By JAX."""
    return np.asarray(jax.grad(lambda x: jnp.sum(f(x)))(jnp.asarray(x, float)))


TIE, AT_0, BOUNDS = [2.0, 2.0, 1.0], [0.0], [0.0, 1.0]


def deep(start: Any, one: Any = 1.0) -> Any:
    """Add 1 a hundred thousand times."""
    y = start
    for _ in range(100_000):
        y = y + one
    return y


def twice(x: Any) -> Any:
    """Call backward twice, for the gradient of x³ at 2, which is 12."""
    y = x * x * x
    y.backward()
    y.backward()
    return x.grad


def changed(share: Callable[[Any], Any]) -> Any:
    """Square, change the array that was squared from 3 to 100, and ask for the slope, which was 6."""
    array = np.array([3.0])
    x = share(array)
    y = (x * x).sum()
    array[0] = 100.0
    y.backward()
    return x.grad


QUESTIONS: dict[str, dict[str, Answer]] = {
    "the slope of max at a tie: 2, 2, 1": {
        "ours": lambda: ours(np.max, TIE),
        "autograd": lambda: autograds(anp.max, TIE),
        "MyGrad": lambda: mygrads(mg.max, TIE),
        "PyTorch": lambda: torchs(torch.amax, TIE),
        "PyTorch, .max()": lambda: torchs(torch.max, TIE),
        "JAX": lambda: jaxs(jnp.max, TIE),
    },
    "the slope of abs at 0": {
        "ours": lambda: ours(np.abs, AT_0),
        "autograd": lambda: autograds(anp.abs, AT_0),
        "MyGrad": lambda: mygrads(mg.abs, AT_0),
        "PyTorch": lambda: torchs(torch.abs, AT_0),
        "JAX": lambda: jaxs(jnp.abs, AT_0),
    },
    "the slope of clip(x, 0, 1) at 0 and at 1": {
        "ours": lambda: ours(lambda x: np.clip(x, 0, 1), BOUNDS),
        "autograd": lambda: autograds(lambda x: anp.clip(x, 0, 1), BOUNDS),
        "MyGrad": lambda: mygrads(lambda x: mg.clip(x, 0, 1), BOUNDS),
        "PyTorch": lambda: torchs(lambda x: torch.clip(x, 0, 1), BOUNDS),
        "JAX": lambda: jaxs(lambda x: jnp.clip(x, 0, 1), BOUNDS),
    },
    "the slope of the norm of 0, 0": {
        "ours": lambda: ours(np.linalg.norm, [0.0, 0.0]),
        "autograd": lambda: autograds(anp.linalg.norm, [0.0, 0.0]),
        "MyGrad": lambda: mygrads(mg.linalg.norm, [0.0, 0.0]),
        "PyTorch": lambda: torchs(torch.linalg.norm, [0.0, 0.0]),
        "JAX": lambda: jaxs(jnp.linalg.norm, [0.0, 0.0]),
    },
    "the slope of where(x > 0, sqrt(x), 0) at 0": {
        "ours": lambda: ours(lambda x: np.where(x > 0, np.sqrt(x), 0.0), AT_0),
        "autograd": lambda: autograds(lambda x: anp.where(x > 0, anp.sqrt(x), 0.0), AT_0),
        "MyGrad": lambda: mygrads(lambda x: mg.where(x > 0, mg.sqrt(x), 0.0), AT_0),
        "PyTorch": lambda: torchs(lambda x: torch.where(x > 0, torch.sqrt(x), 0.0), AT_0),
        "JAX": lambda: jaxs(lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0), AT_0),
    },
    "the slope of the product of 0, 2, 3": {
        "ours": lambda: ours(np.prod, [0.0, 2.0, 3.0]),
        "autograd": lambda: autograds(anp.prod, [0.0, 2.0, 3.0]),
        "MyGrad": lambda: mygrads(mg.prod, [0.0, 2.0, 3.0]),
        "PyTorch": lambda: torchs(torch.prod, [0.0, 2.0, 3.0]),
        "JAX": lambda: jaxs(jnp.prod, [0.0, 2.0, 3.0]),
    },
    "the second derivative of x³ at 2: 12": {
        "ours": lambda: tg.grad(tg.grad(lambda x: x**3))(2.0),
        "autograd": lambda: autograd.grad(autograd.grad(lambda x: x**3))(2.0),
        "PyTorch": lambda: torch.func.grad(torch.func.grad(lambda x: x**3))(torch.tensor(2.0)).numpy(),
        "JAX": lambda: jax.grad(jax.grad(lambda x: x**3))(2.0),
    },
    "100,000 additions in a row: 1": {
        "ours": lambda: tg.grad(deep)(0.0),
        "micrograd": lambda: (x := Value(0.0), deep(x).backward(), x.grad)[-1],
        "autograd": lambda: autograd.grad(deep)(0.0),
        "MyGrad": lambda: (x := mg.tensor(0.0), deep(x).backward(), x.grad)[-1],
        "PyTorch": lambda: (x := torch.tensor(0.0, requires_grad=True), deep(x).backward(), x.grad.numpy())[-1],
    },
    "backward() a second time: an error, or 12 + 12": {
        "ours": lambda: twice(tg.tensor(2.0, requires_grad=True)),
        "micrograd": lambda: twice(Value(2.0)),
        "MyGrad": lambda: twice(mg.tensor(2.0)),
        "PyTorch": lambda: twice(torch.tensor(2.0, requires_grad=True)),
    },
    "an array changed before backward(): an error, or 6": {
        "ours": lambda: changed(lambda array: tg.asarray(array, requires_grad=True)),
        "MyGrad": lambda: changed(lambda array: mg.tensor(array, copy=False)),
        "PyTorch": lambda: changed(lambda array: torch.from_numpy(array).requires_grad_()).numpy(),
    },
    "the maximum of an array, by NumPy's own np.max": {
        "ours": lambda: type(np.max(tg.tensor([1.0, 2.0], requires_grad=True))).__name__,
        "MyGrad": lambda: type(np.max(mg.tensor([1.0, 2.0]))).__name__,
        "PyTorch": lambda: type(np.max(torch.tensor([1.0, 2.0], requires_grad=True))).__name__,
        "JAX": lambda: type(np.max(jnp.array([1.0, 2.0]))).__name__,
    },
}


def answered(ask: Answer) -> str:
    """The answer as text, or the error."""
    try:
        return str(ask())
    except (Exception, RecursionError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:90]}"


TIMES = 100


def formula(x: Any) -> Any:
    """Four operations, a hundred times over."""
    y = x
    for _ in range(TIMES):
        y = -(y * y * 0.5 + x)
    return y


def backward(x: Any) -> object:
    """The gradient of that formula, at one number."""
    formula(x).backward()
    return x.grad


def contestants() -> dict[str, Answer]:
    """The same by each library."""
    compiled = jax.jit(jax.grad(formula))
    return {
        "ours": lambda: backward(tg.tensor(0.5, requires_grad=True)),
        "micrograd": lambda: backward(Value(0.5)),
        "autograd": lambda: autograd.grad(formula)(0.5),
        "MyGrad": lambda: backward(mg.tensor(0.5)),
        "PyTorch": lambda: backward(torch.tensor(0.5, dtype=torch.float64, requires_grad=True)),
        "JAX, compiled": lambda: compiled(0.5).block_until_ready(),
    }


def main() -> None:
    """Ask all questions, then race."""
    warnings.simplefilter("ignore")
    names = "micrograd", "autograd", "mygrad", "torch", "jax", "numpy"
    print(", ".join(f"{name} {version(name)}" for name in names))
    with np.errstate(all="ignore"):
        for question, asked in QUESTIONS.items():
            print(f"\n{question}")
            for name, ask in asked.items():
                print(f"  {name:<17}{answered(ask)}")
    torch.set_num_threads(1)
    racing = {name: Contestant(run) for name, run in contestants().items()}
    race(f"{4 * TIMES} operations on one number, forward and backward", racing, threads=1, repeat=3)


if __name__ == "__main__":
    main()
