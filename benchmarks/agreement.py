"""``python -m benchmarks.agreement [COUNT]``: random programs differentiated here, by PyTorch and by JAX, must agree.

Each program is a chain of operations drawn from a table, on two matrices in double precision, down to one number. Its
value, its gradients and the gradients of a projection of them are compared: to 1e-9, relative to the largest element.
Where a peer has NaN and we have the numbers of our table of kinks is listed and counted apart; so is where moving the
inputs by one unit in the last place changes our own answer as much.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

import tinygrad_digits as tg

jax.config.update("jax_enable_x64", True)

NUMPY = SimpleNamespace(
    m=np, sigmoid=tg.sigmoid, softmax=lambda x: tg.softmax(x, axis=1), relu=tg.relu, log_softmax=tg.log_softmax,
    logsumexp=lambda x: tg.logsumexp(x, axis=1, keepdims=True), take=lambda x: x[[0, 2, 0]], solve=np.linalg.solve,
    max=lambda x: np.max(x, axis=0, keepdims=True), std=lambda x: np.std(x, axis=1, keepdims=True),
    cumsum=lambda x: np.cumsum(x, axis=0), prod=lambda x: np.prod(x, axis=1, keepdims=True), T=lambda x: x.T,
    sort=lambda x: np.sort(x, axis=0), eye=np.eye(3), sum=np.sum, flip=lambda x: np.flip(x, 1),
    where=lambda x, y: np.where(x > y, x, y * y), einsum=lambda x, y: np.einsum("ij,kj->ik", x, y), det=np.linalg.det,
)  # fmt: skip
JAX = SimpleNamespace(
    m=jnp, sigmoid=jax.nn.sigmoid, softmax=lambda x: jax.nn.softmax(x, axis=1), relu=jax.nn.relu,
    log_softmax=jax.nn.log_softmax, logsumexp=lambda x: jax.nn.logsumexp(x, axis=1, keepdims=True),
    take=lambda x: x[np.array([0, 2, 0])], solve=jnp.linalg.solve, max=lambda x: jnp.max(x, axis=0, keepdims=True),
    std=lambda x: jnp.std(x, axis=1, keepdims=True), cumsum=lambda x: jnp.cumsum(x, axis=0), T=lambda x: x.T,
    prod=lambda x: jnp.prod(x, axis=1, keepdims=True), sort=lambda x: jnp.sort(x, axis=0), eye=np.eye(3), sum=jnp.sum,
    flip=lambda x: jnp.flip(x, 1), where=lambda x, y: jnp.where(x > y, x, y * y), det=jnp.linalg.det,
    einsum=lambda x, y: jnp.einsum("ij,kj->ik", x, y),
)  # fmt: skip
TORCH = SimpleNamespace(
    m=torch, sigmoid=torch.sigmoid, softmax=lambda x: torch.softmax(x, 1), relu=torch.relu,
    log_softmax=lambda x: torch.log_softmax(x, -1), logsumexp=lambda x: torch.logsumexp(x, 1, keepdim=True),
    take=lambda x: x[[0, 2, 0]], solve=torch.linalg.solve, max=lambda x: torch.amax(x, 0, keepdim=True),
    std=lambda x: torch.std(x, 1, keepdim=True, correction=0), cumsum=lambda x: torch.cumsum(x, 0), T=lambda x: x.mT,
    prod=lambda x: torch.prod(x, 1, keepdim=True), sort=lambda x: torch.sort(x, 0).values, sum=torch.sum,
    eye=torch.eye(3, dtype=torch.float64), flip=lambda x: torch.flip(x, (1,)), det=torch.linalg.det,
    where=lambda x, y: torch.where(x > y, x, y * y), einsum=lambda x, y: torch.einsum("ij,kj->ik", x, y),
)  # fmt: skip

STEPS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "add": lambda lib, x, y: x + y,
    "subtract": lambda lib, x, y: x - 2 * y,
    "multiply": lambda lib, x, y: x * y,
    "divide": lambda lib, x, y: x / (1 + y * y),
    "matmul": lambda lib, x, y: x @ y,
    "power": lambda lib, x, y: (1 + x * x) ** (0.5 * lib.m.tanh(y)),
    "maximum": lambda lib, x, y: lib.m.maximum(x, y),
    "minimum": lambda lib, x, y: lib.m.minimum(x, y),
    "logaddexp": lambda lib, x, y: lib.m.logaddexp(x, y),
    "arctan2": lambda lib, x, y: lib.m.arctan2(x, 1 + y * y),
    "hypot": lambda lib, x, y: lib.m.hypot(x, y),
    "where": lambda lib, x, y: lib.where(x, y),
    "einsum": lambda lib, x, y: lib.einsum(x, y),
    "solve": lambda lib, x, y: lib.solve(6 * lib.eye + lib.m.tanh(x), y),
    "det": lambda lib, x, y: y * lib.det(2 * lib.eye + lib.m.tanh(x)),
    **{n: (lambda lib, x, y, n=n: getattr(lib, n)(x) + 0 * y) for n in ("sigmoid", "softmax", "relu", "take", "T", "cumsum")},
    **{n: (lambda lib, x, y, n=n: getattr(lib, n)(x) * y) for n in ("logsumexp", "max", "std", "sort", "flip", "log_softmax")},
    "prod": lambda lib, x, y: lib.prod(lib.m.tanh(x)) - y,
    **{n: (lambda lib, x, y, n=n: getattr(lib.m, n)(x)) for n in ("tanh", "sin", "cos", "arctan", "abs", "square")},
    "expm1": lambda lib, x, y: lib.m.expm1(lib.m.tanh(x)),
    "exp": lambda lib, x, y: lib.m.exp(lib.m.tanh(x)),
    "log": lambda lib, x, y: lib.m.log(1 + x * x),
    "sqrt": lambda lib, x, y: lib.m.sqrt(1 + x * x),
    "sinc": lambda lib, x, y: lib.m.sinc(x),
}  # fmt: skip


KINKS = {"sinc": "sinc at 0", "std": "std of equal numbers", "hypot": "hypot at 0, 0"}
"""Of which steps a peer's derivatives may be NaN at the zeros that relu makes, and why."""

PARTS = ("value", *["first order"] * 2, *["second order"] * 2)


def program(names: list[str]) -> Callable[..., Any]:
    """A chain of steps, kept within bounds, with both matrices in it all along."""

    def run(library: Any, x: Any, y: Any) -> Any:
        for i, name in enumerate(names):
            x, y = library.m.sin(STEPS[name](library, x, y)) if i % 3 == 2 else STEPS[name](library, x, y), x
        return library.sum(library.m.cos(x) + 0.1 * library.m.tanh(y))

    return run


def here(run: Callable[..., Any], xs: Any, vs: Any) -> list[Any]:
    """Value, gradients and second derivatives by this package."""
    f = lambda x, y: run(NUMPY, x, y)
    first = tg.value_and_grad(f, argnums=(0, 1))
    value, gradients = first(*xs)
    inner = lambda x, y: sum(np.sum(g * v) for g, v in zip(tg.grad(f, argnums=(0, 1))(x, y), vs, strict=True))
    return [value, *gradients, *tg.grad(inner, argnums=(0, 1))(*xs)]


def by_jax(run: Callable[..., Any], xs: Any, vs: Any) -> list[Any]:
    """The same by JAX."""
    f = lambda x, y: run(JAX, x, y)
    value, gradients = jax.value_and_grad(f, argnums=(0, 1))(*map(jnp.asarray, xs))
    inner = lambda x, y: sum(jnp.sum(g * v) for g, v in zip(jax.grad(f, argnums=(0, 1))(x, y), vs, strict=True))
    return [value, *gradients, *jax.grad(inner, argnums=(0, 1))(*map(jnp.asarray, xs))]


def by_torch(run: Callable[..., Any], xs: Any, vs: Any) -> list[Any]:
    """The same by PyTorch."""
    leaves = [torch.tensor(x, requires_grad=True) for x in xs]
    value = run(TORCH, *leaves)
    gradients = torch.autograd.grad(value, leaves, create_graph=True, allow_unused=True, materialize_grads=True)
    inner = sum((g * torch.tensor(v)).sum() for g, v in zip(gradients, vs, strict=True))
    second = [torch.zeros_like(x) for x in leaves]
    if inner.requires_grad:
        second = torch.autograd.grad(inner, leaves, allow_unused=True, materialize_grads=True)
    return [t.detach().numpy() for t in (value, *gradients, *second)]


def disagreements(count: int, seed: int = 0, *, with_jax: bool = True) -> Iterator[str]:
    """The programs on which we are not of one mind with a peer, and by how much."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        names = list(rng.choice(list(STEPS), rng.integers(1, 7)))
        xs, vs = rng.normal(size=(2, 2, 3, 3))
        run = program(names)
        ours = here(run, xs, vs)
        for peer, answer in (("PyTorch", by_torch), *((("JAX", by_jax),) if with_jax else ())):
            for i, (what, a, b) in enumerate(zip(PARTS, ours, map(np.asarray, answer(run, xs, vs)), strict=True)):
                told = ~np.isnan(b)
                error = _difference(a, b, told)
                kinks = sorted({KINKS[name] for name in names if name in KINKS})
                allowed = 1e-5 if "sinc" in names else 1e-9  # next to 0 both peers lose most digits of its derivatives
                where = f"{peer} in {' → '.join(names)}"
                if not (np.all(np.isfinite(a)) and (told.all() or kinks)):
                    yield f"{what}: not finite, here or by {where}"
                elif not error <= allowed:
                    ulp = _difference(here(run, np.nextafter(xs, np.inf), vs)[i], a, told)
                    yield f"{'rounding: ' * (error <= 10 * ulp)}{what}: {error:.1e} from {where}; an ulp makes {ulp:.1e}"
                elif not told.all():
                    yield f"kink: {what} is NaN by {where}: {', '.join(kinks)}"


def _difference(a: Any, b: Any, told: Any) -> float:
    """The largest difference of two arrays, relative to the largest element."""
    return float(np.max(np.abs(a - b), where=told, initial=0) / max(np.max(np.abs(b), where=told, initial=0), 1e-3))


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    found = dict.fromkeys(disagreements(number))
    known = {kind: sum(line.startswith(kind) for line in found) for kind in ("kink", "rounding")}
    left = len(found) - sum(known.values())
    print(
        *found,
        f"{number} programs: {left} disagreements, and {known['kink']} at kinks, {known['rounding']} by rounding",
        sep="\n",
    )
    raise SystemExit(left > 0)
